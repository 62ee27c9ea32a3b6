"""One step: a key frame is drawn, and the frames up to the next key frame are finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from deforum_helpers.flow.apply import moved_along, moved_flow
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.mask import Mask
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.order import Stage
from deforum_helpers.render.stages import STAGES, Apply, Draft, Studio
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
        init_image: (3, H, W), the picture of a film that starts from one; read by the first key frame alone.
        stages: what each stage's name means.

    Returns:
        The state for the next step, and the finished frames in order. Nothing is written, nothing global changed.
    """
    draft = Draft(image=_start(state, key, studio, init_image), reference=state.reference)
    for stage in key.stages:
        draft = stages[stage](draft, key, studio)
    if draft.image is None:
        raise AssertionError("the plan has a key frame without a picture")
    anchor = on_8_bit_grid(draft.image)
    fading = None if key.source == "video" else state.last
    frames = tuple(_in_between(anchor, draft.mask, fading, key, studio))
    # The last frame of a group is the anchor alone, moved along: it is what the next key frame starts from.
    return State(state.steps_done + 1, frames[-1].image, draft.reference), frames


def _start(state: State, key: KeyFrame, studio: Studio, init_image: Image | None) -> Image | None:
    """Return what the picture of a key frame starts from."""
    if key.source == "video":
        return studio.video_frame(key.index)
    if key.source == "guide":
        return studio.guides[0]
    if key.source == "init_image":
        return init_image
    return state.last if key.source == "last_frame" else None


def _in_between(
    anchor: Image, mask: Mask | None, fading: Image | None, key: KeyFrame, studio: Studio
) -> Iterator[Frame]:
    """Yield the frames of a group: the anchor moves along and replaces the picture before it step by step.

    Frame number i of n is (1 - i/n) of the old picture and i/n of the anchor, i = 1..n. Both move with the camera,
    through the depth of the anchor; what lies outside of the anchor's mask does not. Where the plan says so, both
    also follow the motion from the one to the other: the old picture i/n of the way, the anchor the rest of it back.
    """
    count = key.stop - key.index
    flow: Flow | None = None
    for number, index in enumerate(range(key.index, key.stop), start=1):
        studio.cancel.check_cancel()
        seen, share = anchor, number / count
        if number > 1:
            anchor = studio.moved(anchor, index, seen)
        if fading is None or number == count:
            image = anchor
        else:
            fading = studio.moved(fading, index, seen)
            if flow is not None:
                flow = _carried(flow, index, seen, studio)
            elif key.flow_factor is not None:
                method = studio.plan.settings.optical_flow_cadence
                flow = studio.flow(method).estimate(fading, anchor) * key.flow_factor
            image = _between(fading, anchor, flow, share)
        if count > 1:
            image = studio.overlaid(image, index, mask)
        image = on_8_bit_grid(image) if number == count else image
        wants_map = studio.plan.settings.save_depth_maps and studio.eyes is not None
        yield Frame(index, image, studio.eyes.depth(image) if wants_map and studio.eyes else None)


def _between(fading: Image, anchor: Image, flow: Flow | None, share: float) -> Image:
    """Return `share` of the anchor over the rest of the old picture, both where the flow has brought them by then."""
    if flow is not None:
        fading, anchor = moved_along(fading, flow, share), moved_along(anchor, flow, share - 1)
    return torch.lerp(fading, anchor, share)


def _carried(flow: Flow, frame: int, seen: Image, studio: Studio) -> Flow:
    """Return a flow between two pictures after the camera's move into `frame`, which both pictures make as well."""
    return moved_flow(flow, lambda field: studio.moved(field, frame, seen))
