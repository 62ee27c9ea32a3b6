"""What is made once for all frames of a video: depth, where the device's memory does not hold both models."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from small_runs import NoisyEngine

from deforum_helpers.image.types import Image
from deforum_helpers.render.context import CachedDepth


class Activations:
    """What a network holds on the device while it works."""


class Large:
    """An estimator that finds memory only where the failed look has let go of its own."""

    def __init__(self) -> None:
        self.held: weakref.ref[Activations] | None = None

    def estimate(self, image: Image) -> torch.Tensor:
        if self.held is None:
            activations = Activations()
            self.held = weakref.ref(activations)
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        assert self.held() is None
        return image[0]


class Resting(NoisyEngine):
    rested = 0

    @contextmanager
    def resting(self) -> Iterator[None]:
        self.rested += 1
        yield


def test_a_look_is_taken_again_when_the_first_one_has_let_go_of_its_memory() -> None:
    engine, image = Resting(), torch.ones(3, 4, 4)
    assert torch.equal(CachedDepth(Large(), engine).depth(image), image[0])
    assert engine.rested == 1
