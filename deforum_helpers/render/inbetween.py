"""The frames from one key frame up to the next: what was there before fades out, what was drawn moves along."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.crossfade import sharp_blend
from deforum_helpers.image.mask import blurred
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models.flow.warp import moved_along, moved_flow, trusted_flow
from deforum_helpers.render.context import Studio
from deforum_helpers.render.hybrid import Motion
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.memory import SceneMemory
from deforum_helpers.render.revealing import Moved
from deforum_helpers.render.stages import Draft
from deforum_helpers.render.state import Frame

HIDDEN_SOFT_PX = 1.5


@dataclass(frozen=True)
class _Pictures:
    """What a group's frames are mixed of.

    Args:
        anchor: the key frame's picture, moved along.
        fading: the picture before it, moved along, or None.
        flow: motion from the one to the other, or None where it is not followed.
        motion: the video's motion into the frame, or None.
        video_flow: the last flow that was measured in the video.
        first_anchor, first_fading: the anchor at key.index and the old picture at key.index - 1, before any move.
        unpainted: (H, W) bool, where the anchor was filled as things came into sight, or None.
        hidden: (H, W) bool, where the picture before it was, or None.
        memory: what the frames before have shown of the scene, or None.
    """

    anchor: Image
    fading: Image | None
    flow: Flow | None
    motion: Motion | None
    video_flow: Flow | None
    first_anchor: Image
    first_fading: Image | None
    unpainted: torch.Tensor | None = None
    hidden: torch.Tensor | None = None
    memory: SceneMemory | None = None


@dataclass(frozen=True)
class Group:
    """The frames from a key frame up to the next one, and what the next step takes over.

    Args:
        frames: in order.
        flow: the last flow that was measured in the video, or None.
        unpainted: (H, W) bool, what came into sight after the key frame, as it lies in the last frame; or None.
    """

    frames: tuple[Frame, ...]
    flow: Flow | None
    unpainted: torch.Tensor | None


def finish_group(draft: Draft, fading: Image | None, key: KeyFrame, studio: Studio) -> Group:
    """Return the frames key.index .. key.stop - 1, and what they leave behind.

    Frame number i of n = key.fade is (1 - i/n) of the old picture and i/n of the anchor. Both move with the camera,
    through the depth of the anchor, and with the video; what lies outside of the anchor's mask does not. Where the
    plan says so, both also follow the motion from the one to the other, as far as both agree on it: the old picture
    i/n of the way, the anchor the rest of it back. Number n is the anchor alone; the film may end before.

    Args:
        draft: the key frame, drawn.
        fading: the picture at key.index - 1, or None where nothing fades.
        key: the planned key frame.
        studio: what the film is made with.
    """
    if draft.image is None:
        raise AssertionError("the plan has a key frame without a picture")
    count = key.stop - key.index
    anchor = on_8_bit_grid(draft.image)
    pictures = _Pictures(anchor, fading, None, draft.motion, draft.flow, anchor, fading, memory=draft.memory)
    frames: list[Frame] = []
    for number, index in enumerate(range(key.index, key.stop), start=1):
        studio.cancel.check_cancel()
        if number > 1:
            pictures = _anchor_moved(pictures, index, frames[-1].image, key, studio)
        image = pictures.anchor
        fades = pictures.fading is not None and number < key.fade
        if fades:
            if number == 1:
                pictures = _fading_moved(pictures, pictures.anchor, index, key, studio)
            image = _between(pictures, number / key.fade, sharp=studio.plan.settings.cadence_blend == "sharp")
        if count > 1 or fades:
            image = studio.overlaid(image, index, draft.mask)
        if number == count and image is not anchor:
            image = on_8_bit_grid(image)
        depth = studio.eyes.depth(image) if studio.plan.settings.save_depth_maps and studio.eyes else None
        frames.append(Frame(index, image, depth, draft.extras if number == 1 else ()))
    return Group(tuple(frames), pictures.video_flow, pictures.unpainted)


def _anchor_moved(pictures: _Pictures, index: int, before: Image, key: KeyFrame, studio: Studio) -> _Pictures:
    """Return the pictures one frame on; `before` is the finished frame before."""
    seen = pictures.anchor
    motion = studio.video_motion(index, before, pictures.video_flow)
    whole = _moved_at_once(pictures.first_anchor, range(key.index + 1, index + 1), motion, studio)
    moved = Moved(whole) if whole is not None else None
    moved = moved or studio.revealing(seen, index, pictures.unpainted, memory=pictures.memory)
    anchor = moved.image
    if motion is not None and key.hybrid is not None:
        anchor = motion.moved(anchor, key.hybrid.between_factor)
        video_flow = motion.flow if motion.flow is not None else pictures.video_flow
        pictures = replace(pictures, motion=motion, video_flow=video_flow)
    pictures = replace(pictures, anchor=anchor, unpainted=moved.unpainted)
    if pictures.fading is not None and index < key.index + key.fade - 1:
        return _fading_moved(pictures, seen, index, key, studio)
    return pictures


def _fading_moved(pictures: _Pictures, seen: Image, index: int, key: KeyFrame, studio: Studio) -> _Pictures:
    """Return the pictures with the old one moved into the frame `index` as well, through the depth of `seen`."""
    if pictures.fading is None:
        return pictures
    if index == key.index and studio.is_exact:
        seen = pictures.fading  # it stands where the camera was before; its own depth is the right one there
    whole = None
    if pictures.first_fading is not None:
        whole = _moved_at_once(pictures.first_fading, range(key.index, index + 1), pictures.motion, studio)
    moved = Moved(whole) if whole is not None else None
    moved = moved or studio.revealing(pictures.fading, index, pictures.hidden, seen, pictures.memory)
    fading, flow = moved.image, pictures.flow
    if pictures.motion is not None and key.hybrid is not None:
        fading = pictures.motion.moved(fading, key.hybrid.between_factor)
    if flow is not None:
        flow = moved_flow(flow, lambda field: studio.moved(field, index, seen))
    elif key.flow_factor is not None and index == key.index:
        method = studio.flow(studio.plan.settings.optical_flow_cadence)
        flow = trusted_flow(method, fading, pictures.anchor) * key.flow_factor
    return replace(pictures, fading=fading, flow=flow, hidden=moved.unpainted)


def _moved_at_once(image: Image, frames: range, motion: Motion | None, studio: Studio) -> Image | None:
    """Return `image` moved by the camera into the last of `frames` without the softness of many resamplings.

    None where each move is made by itself: as the settings say, or since the video moves the frames as well.
    """
    if studio.plan.settings.cadence_blend != "sharp" or motion is not None:
        return None
    return studio.moved_through(image, frames)


def _between(pictures: _Pictures, share: float, sharp: bool) -> Image:
    """Return `share` of the anchor over the rest of the old picture, both where the flow has brought them by then."""
    anchor, fading = pictures.anchor, pictures.fading
    if fading is None:
        return anchor
    if pictures.flow is not None:
        fading = moved_along(fading, pictures.flow, share)
        anchor = moved_along(anchor, pictures.flow, share - 1)
    if pictures.hidden is not None:
        # What the old picture never showed comes from the new one alone.
        fading = torch.lerp(fading, anchor, blurred(pictures.hidden.to(anchor.dtype), HIDDEN_SOFT_PX))
    return sharp_blend(fading, anchor, share) if sharp else torch.lerp(fading, anchor, share)
