"""Restores the color reference and the scene memory of a resumed run from its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.stages import STAGES, WorkingImage
from deforum_helpers.render.state import State
from deforum_helpers.settings.modes import remembers


def restore_reference(state: State, context: RenderContext, frame: Callable[[int], Image]) -> State:
    """Return `state` with the color reference that the steps so far have taken, if any.

    It equals the reference of an uninterrupted run bit for bit, except where it was taken at a key frame whose image
    was faded in: then it is taken from the frame at which the fade ends.

    Args:
        state: state from the frames on disk; its reference is the given one, or None.
        context: render context of the run.
        frame: frame number -> finished frame (3, H, W).
    """
    mode = context.plan.settings.color_coherence
    for key in reversed(context.plan.key_frames[: state.steps_done]):
        if "take_reference" in key.stages:
            place = len(key.stages) - 1 - key.stages[::-1].index("take_reference")
            if place > key.stages.index("diffuse"):
                finished = key.stop - 1 if key.source == "last_frame" else key.index
                return replace(state, reference=ColorReference(frame(finished), mode))
            return replace(
                state, reference=_reference_before_diffusion(key, place, context, frame(key.index - 1))
            )
        if "video_reference" in key.stages:
            image = on_8_bit_grid(context.video_frame(key.index))
            return replace(state, reference=ColorReference(image, mode))
    return state


def restore_memory(state: State, context: RenderContext, frame: Callable[[int], Image]) -> State:
    """Return `state` with the scene memory rebuilt from the last frame of each step.

    The memory follows from the frames alone, so it equals that of an uninterrupted run bit for bit.

    Args:
        state: state from the frames on disk.
        context: render context of the run.
        frame: frame number -> finished frame (3, H, W).
    """
    if not remembers(context.plan.settings):
        return state
    memory = None
    for key in context.plan.key_frames[: state.steps_done]:
        context.cancel.check_cancel()
        if key.index > 0 and key.source == "nothing":
            memory = None  # a new scene begins
        memory = context.remember(memory, key, frame(key.stop - 1))
    return replace(state, memory=memory)


def _reference_before_diffusion(
    key: KeyFrame, place: int, context: RenderContext, start: Image
) -> ColorReference | None:
    """Return the reference that a key frame takes from the previous frame after its camera move."""
    work = WorkingImage(image=start, reference=None, start=start)
    for stage in key.stages[: place + 1]:
        work = STAGES[stage](work, key, context)
    return work.reference
