"""What one step hands to the next, and the frames that it finishes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.types import Depth, Flow, Image
from deforum_helpers.render.memory import SceneMemory


@dataclass(frozen=True)
class State:
    """Everything that the next step depends on beside the plan.

    Args:
        steps_done: number of key frames rendered with all their in-between frames.
        last: the newest frame, rounded to 8 bits so that the file on disk is the state; None before the first step.
        reference: what colours are matched to, made of an 8-bit picture, or None.
        flow: (2, H, W) the last flow that was measured in the video, from which the next measurement begins; or None.
        leaving: while a dissolve lasts, the old scene at the newest frame, rounded to 8 bits. `last` is the new scene
            alone then, which is in no file.
        first: frame 0, rounded to 8 bits, where the video leads back to it.
        unpainted: (H, W) bool, what came into sight in the in-between frames and no key frame has painted; or None.
        memory: what the frames have shown of the scene, or None. It follows from the frames, so no checkpoint has it.
    """

    steps_done: int = 0
    last: Image | None = None
    reference: ColorReference | None = None
    flow: Flow | None = None
    leaving: Image | None = None
    first: Image | None = None
    unpainted: torch.Tensor | None = None
    memory: SceneMemory | None = None


@dataclass(frozen=True)
class Frame:
    """One finished frame.

    Args:
        index: frame number.
        image: (3, H, W) float32 RGB 0..1.
        depth: its depth map where maps are saved, else None.
        extras: pictures of how it was made, each with a name.
    """

    index: int
    image: Image
    depth: Depth | None = None
    extras: tuple[tuple[str, Image], ...] = ()
