"""The state between two steps, and a finished frame."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn

import torch

from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.transfers import HostCopy
from deforum_helpers.image.types import Depth, Flow, Image
from deforum_helpers.render.memory import SceneMemory


@dataclass(frozen=True)
class State:
    """Everything that the next step depends on besides the plan and the context.

    Args:
        steps_done: number of key frames rendered with all their in-between frames.
        last: (3, H, W) newest frame, rounded to 8 bits like its file; None before the first step.
        reference: colors to match, taken from an 8-bit image, or None.
        flow: (2, H, W) last flow measured in the init video, the initial estimate of the next; or None.
        leaving: (3, H, W) during a dissolve, the old scene at the newest frame, rounded to 8 bits. `last` is then the
            new scene alone, which no file holds.
        first: (3, H, W) frame 0, rounded to 8 bits, where a loop leads back to it; else None.
        unpainted: (H, W) bool, areas revealed in the in-between frames that no key frame has generated yet; or None.
        memory: scene memory, or None. It follows from the frames, so resume states leave it out.
    """

    steps_done: int = 0
    last: Image | None = None
    reference: ColorReference | None = None
    flow: Flow | None = None
    leaving: Image | None = None
    first: Image | None = None
    unpainted: torch.Tensor | None = None
    memory: SceneMemory | None = None


class _Withheld:
    """In the starting state of a segment, a value that no step of it reads; any use of it is an error."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError("a step reads a value of the frames before its segment")


WITHHELD: Any = _Withheld()


def without_withheld(state: State) -> State:
    """Return `state` with None for withheld values, which no later step reads, so that it can be saved."""
    withheld: dict[str, Any] = {
        field.name: None for field in fields(state) if getattr(state, field.name) is WITHHELD
    }
    return replace(state, **withheld)


@dataclass(frozen=True)
class Frame:
    """One finished frame.

    Args:
        index: frame number.
        image: (3, H, W) float32 RGB 0..1.
        depth: (H, W) its depth where depth maps are saved, else None.
        extras: intermediate images to save, each with a name.
        levels: (H, W, 3) uint8, the image in 8 bits, where it was made from them; else None.
    """

    index: int
    image: Image
    depth: Depth | None = None
    extras: tuple[tuple[str, Image], ...] = ()
    levels: HostCopy | None = None
