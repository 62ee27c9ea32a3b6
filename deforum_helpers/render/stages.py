"""The stages of a key frame: functions of one shape; the plan says which of them run and in which order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch.nn.functional import avg_pool2d

from deforum_helpers.core.errors import BlankFrame, NotFinite
from deforum_helpers.image import adjust, color, noise
from deforum_helpers.image.composite import composite
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.crossfade import dissolve_blend, dissolve_order
from deforum_helpers.image.look import match_look
from deforum_helpers.image.mask import Mask, as_image, blurred, is_blank, masked
from deforum_helpers.image.reveal import repaint_mask
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models.flow.warp import flow_image, moved_along
from deforum_helpers.render import messages
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.hybrid import Motion
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.memory import SceneMemory
from deforum_helpers.render.stage_order import Stage
from deforum_helpers.schedule.mask_grammar import MaskExpression
from deforum_helpers.schedule.seeds import derived_seed

HOLD_SOFT_PX = 1.0

# Width of the soft edge around the visible part of the end image, as a share of the shorter side. It is wide at first,
# so that no rim shows between two skies, and narrow near the end.
WIDEST_EDGE = 0.25
NARROWEST_EDGE_PX = 9


@dataclass(frozen=True)
class WorkingImage:
    """A key frame between two stages.

    Args:
        image: (3, H, W), or None before there is one.
        reference: colors to match, or None.
        mask: (H, W) 0..1, 1 = repaint, before `invert_mask`; None = everywhere.
        noise_mask: (H, W) 0..1, 1 = add noise, after `invert_mask`; None = everywhere.
        remembered: (3, H, W) the warped image before contrast, sharpening and noise, for a flow redo; else None.
        start: (3, H, W) the image that the key frame started from, or None.
        motion: the init video's motion into the frame, once measured.
        flow: (2, H, W) last flow measured in the init video, or None.
        extras: intermediate images to save, each with a name.
        first: (3, H, W) frame 0 where a loop leads back to it, else None.
        unpainted: (H, W) bool, revealed areas that were filled but not generated yet, or None.
        memory: scene memory of the previous frames, or None.
        held: (H, W) 0..1, weight of the remembered pixels in revealed areas, or None.
        recalled: (3, H, W) the warped image with its remembered pixels, or None.
    """

    image: Image | None
    reference: color.ColorReference | None
    mask: Mask | None = None
    noise_mask: Mask | None = None
    remembered: Image | None = None
    start: Image | None = None
    motion: Motion | None = None
    flow: Flow | None = None
    extras: tuple[tuple[str, Image], ...] = ()
    first: Image | None = None
    unpainted: torch.Tensor | None = None
    memory: SceneMemory | None = None
    held: Mask | None = None
    recalled: Image | None = None


def _move(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    moved = context.warp_revealing(_image(work), key.index, work.unpainted, memory=work.memory)
    return replace(work, image=moved.image, unpainted=moved.unpainted, held=moved.held, recalled=moved.image)


def _hold(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    """Blend remembered pixels back in, weighted by their age."""
    if work.held is None or work.recalled is None:
        return work
    return replace(work, image=masked(work.recalled, _image(work), blurred(work.held, HOLD_SOFT_PX)))


def _repaint(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    """Generate the revealed areas, within the mask of the frame."""
    mask = None if work.unpainted is None or key.repaint is None else repaint_mask(work.unpainted)
    if mask is None or key.repaint is None:
        return work
    image = _image(work)
    if key.mask is not None:
        composed = _evaluated_mask(key.mask, work, key, context)
        mask = mask * context.effective_mask(torch.zeros_like(mask) if composed is None else composed)
    if is_blank(mask):
        return work
    request = context.with_controls(key.repaint, key, image)
    with contextlib.suppress(
        NotFinite
    ):  # the fill stays; if the model is broken, the frame's own generation fails too
        image = context.paint(request, image, mask)
    return replace(work, image=image)


def _take_reference(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    # Rounded because a resumed run reads the reference back from an 8-bit image.
    image = on_8_bit_grid(_image(work))
    return replace(work, reference=color.ColorReference.of(image, context.plan.settings.color_coherence))


def _video_reference(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    image = on_8_bit_grid(context.video_frame(key.index))
    return replace(work, reference=color.ColorReference.of(image, context.plan.settings.color_coherence))


def _hybrid_motion(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    image = _image(work)
    motion = context.video_motion(key.index, image, work.flow)
    if motion is None or key.hybrid is None:
        raise AssertionError("the plan follows an init video that has no motion")
    extras = work.extras
    if context.plan.settings.hybrid_comp_save_extra_frames and motion.flow is not None:
        extras = (*extras, (f"flow{key.index - 1:09d}", flow_image(motion.flow)))
        if motion.trust is not None:
            extras = (*extras, (f"flow_mask{key.index - 1:09d}", as_image(motion.trust)))
    flow = work.flow if motion.flow is None else motion.flow
    moved = motion.warp(image, key.hybrid.flow_factor)
    return replace(work, image=moved, motion=motion, flow=flow, extras=extras)


def _composite(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    if key.hybrid is None:
        raise AssertionError("the plan composites a key frame without hybrid values")
    frame, video = _image(work), context.composite_image(key.index)
    mask = context.composite_mask(key.hybrid, frame, video, work.start)
    image = composite(frame, video, mask, key.hybrid.alpha)
    if not context.plan.settings.hybrid_comp_save_extra_frames:
        return replace(work, image=image)
    extras = [(f"comp{key.index:09d}", composite(frame, video, mask, 1.0)), (f"prev{key.index:09d}", image)]
    if mask is not None:
        extras.append((f"mask{key.index:09d}", as_image(mask)))
    if context.plan.settings.hybrid_comp_mask_type == "Video Depth":
        extras.append((f"vid_depth{key.index:09d}", as_image(context.depth_mask(video))))
    return replace(work, image=image, extras=(*work.extras, *extras))


def _match_color(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    if work.reference is None:
        raise AssertionError("the plan matches colors before a reference is taken")
    return replace(work, image=color.match_color(_image(work), work.reference))


def _grayscale(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    return replace(work, image=adjust.grayscale(_image(work)))


def _remember(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    return replace(work, remembered=_image(work))


def _contrast(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    return replace(work, image=adjust.contrast(_image(work), key.contrast))


def _tone(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    tone = key.tone
    exposed = adjust.expose(_image(work), tone.exposure_stops)
    return replace(work, image=adjust.saturate(exposed, tone.saturation, tone.hue_deg))


def _sharpen(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    sharp = key.sharpening
    image = adjust.unsharp(
        _image(work),
        kernel=sharp.kernel,
        sigma=sharp.sigma,
        amount=sharp.amount,
        threshold=sharp.threshold,
        mask=None if context.masks is None else context.masks.alpha,
    )
    return replace(work, image=image)


def _noise_mask(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    mask = _evaluated_mask(key.noise_mask, work, key, context)
    return replace(work, noise_mask=None if mask is None else context.effective_mask(mask))


def _noise(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    image = noise.add_noise(
        _image(work),
        kind=key.noise.kind,
        amount=key.noise.amount,
        seed=key.noise.seed,
        octaves=key.noise.octaves,
        persistence=key.noise.persistence,
        mask=work.noise_mask,
        field=None if context.noise_ahead is None else context.noise_ahead.field(key),
    )
    return replace(work, image=image)


def _mask(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    return replace(work, mask=_evaluated_mask(key.mask, work, key, context))


def _evaluated_mask(
    expression: MaskExpression | None, work: WorkingImage, key: KeyFrame, context: RenderContext
) -> Mask | None:
    if expression is None or context.masks is None:
        raise AssertionError("the plan composes a mask that it does not have")
    return context.masks.evaluate(expression, key.index, _image(work))


def _generate(work: WorkingImage, key: KeyFrame, context: RenderContext, seed: int | None = None) -> Image:
    """Generate an image from `work`: within its mask, and from a blend with the guide image.

    Args:
        work: the key frame before this stage; its image is the init image.
        key: planned request and guide.
        context: render context of the run.
        seed: seed in place of the request's.
    """
    mask = work.mask
    if mask is not None:
        mask = blurred(context.effective_mask(mask), context.plan.settings.mask_overlay_blur)
        mask = None if is_blank(mask) else mask
    request = key.request if seed is None else replace(key.request, seed=seed)
    request = context.with_controls(request, key, work.image)
    guide = key.guide
    if guide is None or guide.share is None:
        return context.generate(request, work.image, mask)
    guide_image = context.guides[guide.number]
    image = guide_image if work.image is None else work.image  # after a cut there is nothing but the guide
    generated = context.generate(request, torch.lerp(image, guide_image, guide.share), mask)
    colors = color.ColorReference.of(torch.lerp(image, guide_image, guide.color_share), "LAB")
    return color.match_color(generated, colors)


def _flow_redo(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    """Generate once, measure the flow from the init image to the result, and warp the result further along it."""
    if work.remembered is None:
        raise AssertionError("the plan has a flow redo without a remembered image")
    generated = _generate(work, key, context, key.flow_redo.seed)
    method = context.plan.settings.optical_flow_redo_generation
    flow = context.flow(method).estimate(work.remembered, generated)
    return replace(work, image=moved_along(generated, flow, key.flow_redo.factor))


def _redo(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    for seed in key.redo_seeds:
        work = replace(work, image=_generate(work, key, context, seed))
    if work.reference is not None:
        work = replace(work, image=color.match_color(_image(work), work.reference))
    return work


def _diffuse(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    if key.retries is None:
        return replace(work, image=_generate(work, key, context))
    for attempt in range(key.retries + 1):
        try:
            image = _generate(work, key, context, key.request.seed + attempt)
        except NotFinite:
            continue
        if float(image.amax()) * 255 >= 0.5:  # `max` takes ten times as long on channels_last strides
            return replace(work, image=image)
    tries = f" {key.retries + 1} times" if key.retries else ""
    raise BlankFrame(messages.BLANK_FRAME(frame=key.index, tries=tries))


def _stabilize(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    stability = key.stability
    if stability is None:
        raise AssertionError("the plan stabilizes a key frame without a look")
    look = context.look_of(stability.reference)
    if stability.former is not None:
        look = context.look_of(stability.former).towards(look, stability.passed)
    return replace(work, image=match_look(_image(work), look, stability.share))


def _overlay(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    return replace(work, image=context.restore_outside_mask(_image(work), key.index, work.mask))


def _end(work: WorkingImage, key: KeyFrame, context: RenderContext) -> WorkingImage:
    end = context.end_image if work.first is None else work.first
    if end is None:
        raise AssertionError("the plan blends an end image, but none is open")
    view, visible = context.end_view(key.index, end)
    image = _blend_ending(_image(work), view, visible, key.ending, context.plan.settings.seed)
    return replace(work, image=image)


def _blend_ending(image: Image, end: Image, visible: torch.Tensor, share: float, seed: int) -> Image:
    """Return `image` blended with the end image.

    Args:
        image: (3, H, W) float32 0..1.
        end: (3, H, W) end image as the camera sees it from this frame.
        visible: (H, W) 0..1, where the end image is visible.
        share: share of the end image in the frame, 0..1.
        seed: seed of the pattern in which places change over; the same for all frames.
    """
    height, width = image.shape[1:]
    visible = _feathered(
        visible, max(NARROWEST_EDGE_PX, round(WIDEST_EDGE * (1 - share) * min(height, width)))
    )
    if share >= 1:
        return torch.lerp(image, end, visible)
    order = dissolve_order(width, height, derived_seed("ending", seed), image.device)
    return torch.lerp(image, dissolve_blend(image, end, order, share), visible)


def _feathered(visible: torch.Tensor, edge_px: int) -> torch.Tensor:
    """Return a mask (H, W) that rises smoothly from 0 at the edge of its area to 1 inside; a full mask stays 1."""
    width_px = edge_px | 1
    inside = visible[None, None]
    for window, margin in (((1, width_px), (0, width_px // 2)), ((width_px, 1), (width_px // 2, 0))):
        inside = avg_pool2d(inside, window, 1, margin, count_include_pad=False)
    inside = inside[0, 0]
    rising = (2 * inside - 1).clamp(0, 1)
    return rising * rising * (3 - 2 * rising)


def _image(work: WorkingImage) -> Image:
    if work.image is None:
        raise AssertionError("the plan processes an image before one exists")
    return work.image


Apply = Callable[[WorkingImage, KeyFrame, RenderContext], WorkingImage]

STAGES: Mapping[Stage, Apply] = {
    "video_reference": _video_reference,
    "move": _move,
    "repaint": _repaint,
    "hold": _hold,
    "composite_before": _composite,
    "hybrid_motion": _hybrid_motion,
    "composite": _composite,
    "composite_after": _composite,
    "take_reference": _take_reference,
    "match_color": _match_color,
    "grayscale": _grayscale,
    "remember": _remember,
    "contrast": _contrast,
    "tone": _tone,
    "sharpen": _sharpen,
    "noise_mask": _noise_mask,
    "noise": _noise,
    "mask": _mask,
    "flow_redo": _flow_redo,
    "redo": _redo,
    "diffuse": _diffuse,
    "stabilize": _stabilize,
    "overlay": _overlay,
    "end": _end,
}
