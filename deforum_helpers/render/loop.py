"""One step: a key frame is drawn, and the frames up to the next key frame are finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.render.context import Studio
from deforum_helpers.render.dissolve import dissolved
from deforum_helpers.render.inbetween import finish_group
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.stage_order import Stage
from deforum_helpers.render.stages import STAGES, Apply, Draft
from deforum_helpers.render.state import Frame, State


def step(
    state: State,
    key: KeyFrame,
    studio: Studio,
    init_image: Image | None = None,
    stages: Mapping[Stage, Apply] = STAGES,
) -> tuple[State, tuple[Frame, ...]]:
    """Draw the key frame `key` and finish the frames key.index .. key.stop - 1.

    Args:
        state: what the step before handed over.
        key: the planned key frame.
        studio: what the film is made with.
        init_image: (3, H, W), the picture that key frames may start from.
        stages: what each stage's name means.

    Returns:
        The state for the next step, and the finished frames in order. Nothing is written, nothing global changed.
    """
    start = _start(state, key, studio, init_image)
    renewed = key.index > 0 and key.source == "nothing"
    draft = Draft(
        image=start,
        reference=state.reference,
        start=start,
        flow=state.flow,
        first=state.first,
        unpainted=None if renewed else state.unpainted,
        memory=None if renewed else state.memory,  # of another scene
    )
    for stage in key.stages:
        draft = stages[stage](draft, key, studio)
    fading = state.last if key.source == "last_frame" else None
    group = finish_group(draft, fading, key, studio)
    # The last frame of a group, the anchor alone if the film goes on, is what the next key frame starts from.
    frames, last = group.frames, group.frames[-1].image
    memory = studio.remembering(draft.memory, key, last)
    leaving = state.last if key.dissolve == key.index else state.leaving
    if key.dissolve is None or leaving is None:
        leaving = None
    else:
        frames, leaving = dissolved(frames, leaving, key, studio)
    first = state.first
    if key.index == 0 and studio.plan.settings.seamless_loop:
        first = on_8_bit_grid(frames[0].image)
    done = State(
        steps_done=state.steps_done + 1,
        last=last,
        reference=draft.reference,
        flow=group.flow,
        leaving=leaving,
        first=first,
        unpainted=group.unpainted,
        memory=memory,
    )
    return done, frames


def _start(state: State, key: KeyFrame, studio: Studio, init_image: Image | None) -> Image | None:
    """Return what the picture of a key frame starts from."""
    if key.source == "video":
        return studio.video_frame(key.index)
    if key.source == "guide":
        return studio.guides[0]
    if key.source == "init_image":
        return init_image
    return state.last if key.source == "last_frame" else None


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
