"""The loop: a generator that steps through the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deforum_helpers.image.types import Image
from deforum_helpers.render.state import Frame, State
from deforum_helpers.render.step import step
from deforum_helpers.render.studio import Studio


@dataclass(frozen=True)
class Outcome:
    """What one step made: its frames, and the state that the next one starts from."""

    frames: tuple[Frame, ...]
    state: State


def render(studio: Studio, state: State, init_image: Image | None = None) -> Iterator[Outcome]:
    """Yield the outcome of every step that `state` has not done yet.

    Args:
        studio: the plan and what it is made with.
        state: `State()` for a new film (with the colour reference of a given picture), or one from a checkpoint.
        init_image: (3, H, W), the picture that the film starts from, where its plan says so.

    Raises:
        Cancelled, Parked: the job was told to stop; every outcome yielded so far is whole.
    """
    for key in studio.plan.key_frames[state.steps_done :]:
        studio.cancel.check()
        state, frames = step(state, key, studio, init_image)
        yield Outcome(frames, state)
