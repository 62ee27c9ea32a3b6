"""The colour reference and the scene memory of a run in its middle, found again from the frames that are there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.render.context import Studio
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.stages import STAGES, Draft
from deforum_helpers.render.state import State
from deforum_helpers.settings.modes import remembers


def with_reference(state: State, studio: Studio, frame: Callable[[int], Image]) -> State:
    """Return `state` with the colour reference that the steps before it have taken, if they took one.

    It is the one that a run which never stopped would have, bit for bit, but for one taken at a key frame whose picture
    was faded in: there it is the frame where the fade ends.

    Args:
        state: of the frames on disk; its reference is the given one, or None.
        studio: what the film is made with.
        frame: gives a finished frame by its number.
    """
    mode = studio.plan.settings.color_coherence
    for key in reversed(studio.plan.key_frames[: state.steps_done]):
        if "take_reference" in key.stages:
            place = len(key.stages) - 1 - key.stages[::-1].index("take_reference")
            if place > key.stages.index("diffuse"):
                finished = key.stop - 1 if key.source == "last_frame" else key.index
                return replace(state, reference=ColorReference(frame(finished), mode))
            return replace(state, reference=_before_diffusion(key, place, studio, frame(key.index - 1)))
        if "video_reference" in key.stages:
            picture = on_8_bit_grid(studio.video_frame(key.index))
            return replace(state, reference=ColorReference(picture, mode))
    return state


def with_memory(state: State, studio: Studio, frame: Callable[[int], Image]) -> State:
    """Return `state` with what the frames on disk have shown of the scene, laid into the memory one by one.

    It is the memory that a run which never stopped would have, bit for bit, as it follows from the frames alone.

    Args:
        state: of the frames on disk.
        studio: what the film is made with.
        frame: gives a finished frame by its number.
    """
    if not remembers(studio.plan.settings):
        return state
    memory = None
    for key in studio.plan.key_frames[: state.steps_done]:
        studio.cancel.check_cancel()
        if key.index > 0 and key.source == "nothing":
            memory = None  # another scene begins
        memory = studio.remembering(memory, key, frame(key.stop - 1))
    return replace(state, memory=memory)


def _before_diffusion(key: KeyFrame, place: int, studio: Studio, start: Image) -> ColorReference | None:
    """Return the reference that a key frame takes of the frame before it, moved into its place."""
    draft = Draft(image=start, reference=None, start=start)
    for stage in key.stages[: place + 1]:
        draft = STAGES[stage](draft, key, studio)
    return draft.reference
