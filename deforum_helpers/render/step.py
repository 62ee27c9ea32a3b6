"""One step: a key frame is drawn, and the frames up to the next key frame are finished."""

from __future__ import annotations

from collections.abc import Mapping

from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.types import Image
from deforum_helpers.render.dissolve import dissolved
from deforum_helpers.render.group import finish_group
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.order import Stage
from deforum_helpers.render.stages import STAGES, Apply, Draft
from deforum_helpers.render.state import Frame, State
from deforum_helpers.render.studio import Studio


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
