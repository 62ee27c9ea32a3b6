"""One step: a key frame is drawn, and the frames up to the next key frame are finished."""

from __future__ import annotations

from collections.abc import Mapping

from deforum_helpers.image.types import Image
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
    draft = Draft(
        image=start,
        reference=state.reference,
        start=start,
        flow=state.flow,
        unpainted=state.unpainted,
        memory=state.memory,
    )
    for stage in key.stages:
        draft = stages[stage](draft, key, studio)
    fading = state.last if key.source == "last_frame" else None
    group = finish_group(draft, fading, key, studio)
    # The last frame of a group, the anchor alone if the film goes on, is what the next key frame starts from.
    last = group.frames[-1].image
    memory = studio.remembering(state.memory, group.frames[-1].index, last)
    done = State(state.steps_done + 1, last, draft.reference, group.flow, group.unpainted, memory)
    return done, group.frames


def _start(state: State, key: KeyFrame, studio: Studio, init_image: Image | None) -> Image | None:
    """Return what the picture of a key frame starts from."""
    if key.source == "video":
        return studio.video_frame(key.index)
    if key.source == "guide":
        return studio.guides[0]
    if key.source == "init_image":
        return init_image
    return state.last if key.source == "last_frame" else None
