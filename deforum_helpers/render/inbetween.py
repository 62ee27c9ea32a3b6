"""The frames of a step: in-between frames and dissolves.

In an in-between frame the previous image fades out while the new key frame's image moves along. In a dissolve the old
scene keeps moving with the camera while the new scene replaces it place by place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from deforum_helpers.image.convert import on_8_bit_grid, rounded
from deforum_helpers.image.crossfade import dissolve_blend, dissolve_order, sharp_blend
from deforum_helpers.image.mask import blurred
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models.flow.warp import moved_along, moved_flow, trusted_flow
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.hybrid import Motion
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.memory import SceneMemory
from deforum_helpers.render.revealing import WarpedImage
from deforum_helpers.render.stages import WorkingImage
from deforum_helpers.render.state import Frame
from deforum_helpers.render.transitions import smoothstep, transition_progress
from deforum_helpers.schedule.seeds import derived_seed

HIDDEN_SOFT_PX = 1.5


@dataclass(frozen=True)
class _Blend:
    """The two images that in-between frames are blended from, at one frame.

    Args:
        anchor: (3, H, W) the key frame's image, moved to this frame.
        fading: (3, H, W) the image before the key frame, moved to this frame, or None.
        flow: (2, H, W) flow from the fading image to the anchor, or None where it is not followed.
        motion: the init video's motion into the frame, or None.
        video_flow: (2, H, W) the last flow measured in the init video, or None.
        first_anchor, first_fading: the anchor at key.index and the fading image at key.index - 1, before any move.
        unpainted: (H, W) bool, revealed areas of the anchor that were filled but not generated yet, or None.
        hidden: (H, W) bool, the same areas of the fading image, or None.
        memory: scene memory of the previous frames, or None.
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
class StepFrames:
    """The frames of one step, and the values that the next step continues with.

    Args:
        frames: the key frame and its in-between frames, in order.
        flow: (2, H, W) the last flow measured in the init video, or None.
        unpainted: (H, W) bool, areas revealed after the key frame, in the last frame's coordinates; or None.
    """

    frames: tuple[Frame, ...]
    flow: Flow | None
    unpainted: torch.Tensor | None


def finish_step(
    work: WorkingImage, fading: Image | None, key: KeyFrame, context: RenderContext
) -> StepFrames:
    """Return the frames key.index .. key.stop - 1 from the finished key frame.

    Frame number i of n = key.fade blends (1 - i/n) of the previous image with i/n of the anchor. Both move with the
    camera, by the depth of the anchor, and with the init video; the original image outside the mask does not. With
    `optical_flow_cadence` both also follow the flow between them as far as its two directions agree: the previous
    image i/n of the way, the anchor the rest of the way back. Number n is the anchor alone; the run may end earlier.

    Args:
        work: the key frame after its stages.
        fading: (3, H, W) image at key.index - 1, or None where nothing fades.
        key: the planned key frame.
        context: render context of the run.
    """
    if work.image is None:
        raise AssertionError("the key frame has no image after its stages")
    count = key.stop - key.index
    anchor, anchor_levels = rounded(work.image)
    blend = _Blend(anchor, fading, None, work.motion, work.flow, anchor, fading, memory=work.memory)
    frames: list[Frame] = []
    for number, index in enumerate(range(key.index, key.stop), start=1):
        context.cancel.check_cancel()
        if number > 1:
            blend = _move_anchor(blend, index, frames[-1].image, key, context)
        image = blend.anchor
        fades = blend.fading is not None and number < key.fade
        if fades:
            if number == 1:
                blend = _move_fading(blend, blend.anchor, index, key, context)
            image = _blended(blend, number / key.fade, sharp=context.plan.settings.cadence_blend == "sharp")
        if count > 1 or fades:
            image = context.restore_outside_mask(image, index, work.mask)
        levels = anchor_levels if image is anchor else None
        if number == count and image is not anchor:
            image, levels = rounded(image)
        depth = (
            context.cached_depth.depth(image)
            if context.plan.settings.save_depth_maps and context.cached_depth
            else None
        )
        frames.append(Frame(index, image, depth, work.extras if number == 1 else (), levels))
    return StepFrames(tuple(frames), blend.video_flow, blend.unpainted)


def _move_anchor(blend: _Blend, index: int, previous: Image, key: KeyFrame, context: RenderContext) -> _Blend:
    """Return the blend moved into frame `index`; `previous` is the finished frame before it."""
    depth_image = blend.anchor
    motion = context.video_motion(index, previous, blend.video_flow)
    warped = _warp_at_once(blend.first_anchor, range(key.index + 1, index + 1), motion, context)
    moved = WarpedImage(warped) if warped is not None else None
    moved = moved or context.warp_revealing(depth_image, index, blend.unpainted, memory=blend.memory)
    anchor = moved.image
    if motion is not None and key.hybrid is not None:
        anchor = motion.warp(anchor, key.hybrid.between_factor)
        video_flow = motion.flow if motion.flow is not None else blend.video_flow
        blend = replace(blend, motion=motion, video_flow=video_flow)
    blend = replace(blend, anchor=anchor, unpainted=moved.unpainted)
    if blend.fading is not None and index < key.index + key.fade - 1:
        return _move_fading(blend, depth_image, index, key, context)
    return blend


def _move_fading(
    blend: _Blend, depth_image: Image, index: int, key: KeyFrame, context: RenderContext
) -> _Blend:
    """Return the blend with the fading image moved into frame `index` as well, by the depth of `depth_image`."""
    if blend.fading is None:
        return blend
    if index == key.index and context.is_exact:
        depth_image = blend.fading  # both are seen from the camera's previous position
    warped = None
    if blend.first_fading is not None:
        warped = _warp_at_once(blend.first_fading, range(key.index, index + 1), blend.motion, context)
    moved = WarpedImage(warped) if warped is not None else None
    moved = moved or context.warp_revealing(blend.fading, index, blend.hidden, depth_image, blend.memory)
    fading, flow = moved.image, blend.flow
    if blend.motion is not None and key.hybrid is not None:
        fading = blend.motion.warp(fading, key.hybrid.between_factor)
    if flow is not None:
        flow = moved_flow(flow, lambda field: context.warp(field, index, depth_image))
    elif key.flow_factor is not None and index == key.index:
        method = context.flow(context.plan.settings.optical_flow_cadence)
        flow = trusted_flow(method, fading, blend.anchor) * key.flow_factor
    return replace(blend, fading=fading, flow=flow, hidden=moved.unpainted)


def _warp_at_once(image: Image, frames: range, motion: Motion | None, context: RenderContext) -> Image | None:
    """Return `image` moved by the camera into the last of `frames` with one resampling, so that it stays sharp.

    None where each move resamples by itself: in 3D, with an init video's motion, and unless `cadence_blend` is sharp.
    """
    if context.plan.settings.cadence_blend != "sharp" or motion is not None:
        return None
    return context.warp_through(image, frames)


def _blended(blend: _Blend, share: float, sharp: bool) -> Image:
    """Return the anchor blended over the fading image by `share`, both moved along the flow to this frame."""
    anchor, fading = blend.anchor, blend.fading
    if fading is None:
        return anchor
    if blend.flow is not None:
        fading = moved_along(fading, blend.flow, share)
        anchor = moved_along(anchor, blend.flow, share - 1)
    if blend.hidden is not None:
        # The fading image has no content of its own in these areas.
        fading = torch.lerp(fading, anchor, blurred(blend.hidden.to(anchor.dtype), HIDDEN_SOFT_PX))
    return sharp_blend(fading, anchor, share) if sharp else torch.lerp(fading, anchor, share)


def apply_dissolve(
    frames: tuple[Frame, ...], leaving: Image, key: KeyFrame, context: RenderContext
) -> tuple[tuple[Frame, ...], Image | None]:
    """Return the dissolved frames, and the old scene at the last of them; None once nothing of it is left.

    Args:
        frames: frames of the new scene, key.index .. key.stop - 1.
        leaving: (3, H, W) old scene at key.index - 1, rounded to 8 bits.
        key: their key frame, which lies in a dissolve.
        context: render context of the run.
    """
    settings, start = context.plan.settings, key.dissolve
    if start is None:
        raise AssertionError("a frame outside a dissolve has an old scene")
    seed = derived_seed("dissolve", settings.seed, start)
    order = dissolve_order(settings.W, settings.H, seed, leaving.device)
    blended: list[Frame] = []
    for frame in frames:
        share = smoothstep(transition_progress(settings, start, frame.index))
        if share >= 1:
            return (*blended, *frames[len(blended) :]), None
        leaving = context.warp(leaving, frame.index)
        image, levels = rounded(dissolve_blend(leaving, frame.image, order, share))
        blended.append(replace(frame, image=image, levels=levels))
    return tuple(blended), on_8_bit_grid(leaving)
