"""The stages of one key frame: functions of one shape, chosen by the plan, run in its order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from deforum_helpers.core.errors import BlankFrame, NotFinite
from deforum_helpers.image import adjust, color, noise
from deforum_helpers.image.composite import composite
from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.look import held_to
from deforum_helpers.image.mask import Mask, as_image, blurred, is_blank, masked
from deforum_helpers.image.reveal import repainted_mask
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models.flow.warp import flow_image, moved_along
from deforum_helpers.render import messages
from deforum_helpers.render.context import Studio
from deforum_helpers.render.endings import led_to
from deforum_helpers.render.hybrid import Motion
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.memory import SceneMemory
from deforum_helpers.render.stage_order import Stage
from deforum_helpers.schedule.mask_grammar import MaskExpression

HOLD_SOFT_PX = 1.0


@dataclass(frozen=True)
class Draft:
    """A picture in the making.

    Args:
        image: (3, H, W), or None before there is one.
        reference: the colours it is matched to.
        mask: (H, W) where it is repainted, as composed; None = everywhere.
        noise_mask: (H, W) where noise is added, as used; None = everywhere.
        remembered: (3, H, W) the moved picture before contrast, sharpening and noise, where that is asked for.
        start: (3, H, W) what it was begun from, or None.
        motion: the video's motion into the frame, once it was measured.
        flow: (2, H, W) the last flow that was measured in the video, or None.
        extras: pictures of how it was made, each with a name.
        first: (3, H, W) frame 0 where the video leads back to it, else None.
        unpainted: (H, W) bool, what came into sight and was filled but not painted, or None.
        memory: what the frames before have shown of the scene, or None.
        held: (H, W) how strongly what came into sight stays as it is remembered, or None.
        recalled: (3, H, W) the moved picture with what is remembered, or None.
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


def _move(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    moved = studio.revealing(_picture(draft), key.index, draft.unpainted, memory=draft.memory)
    return replace(draft, image=moved.image, unpainted=moved.unpainted, held=moved.held, recalled=moved.image)


def _hold(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    """Bring back what is remembered, as strongly as its age lets it stay."""
    if draft.held is None or draft.recalled is None:
        return draft
    return replace(draft, image=masked(draft.recalled, _picture(draft), blurred(draft.held, HOLD_SOFT_PX)))


def _repaint(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    """Paint what came into sight, within the mask that the frame is painted in."""
    mask = None if draft.unpainted is None or key.repaint is None else repainted_mask(draft.unpainted)
    if mask is None or key.repaint is None:
        return draft
    image = _picture(draft)
    if key.mask is not None:
        composed = _composed(key.mask, draft, key, studio)
        mask = mask * studio.turned(torch.zeros_like(mask) if composed is None else composed)
    if is_blank(mask):
        return draft
    request = studio.controlled(key.repaint, key, image)
    with contextlib.suppress(NotFinite):  # what was filled stays, and the frame's own sampling tells of it
        image = studio.painted(request, image, mask)
    return replace(draft, image=image)


def _take_reference(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    # Rounded because a resumed run reads it back from an 8-bit picture.
    image = on_8_bit_grid(_picture(draft))
    return replace(draft, reference=color.ColorReference(image, studio.plan.settings.color_coherence))


def _video_reference(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    picture = on_8_bit_grid(studio.video_frame(key.index))
    return replace(draft, reference=color.ColorReference(picture, studio.plan.settings.color_coherence))


def _hybrid_motion(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    image = _picture(draft)
    motion = studio.video_motion(key.index, image, draft.flow)
    if motion is None or key.hybrid is None:
        raise AssertionError("the plan follows a video that does not move")
    extras = draft.extras
    if studio.plan.settings.hybrid_comp_save_extra_frames and motion.flow is not None:
        extras = (*extras, (f"flow{key.index - 1:09d}", flow_image(motion.flow)))
        if motion.trust is not None:
            extras = (*extras, (f"flow_mask{key.index - 1:09d}", as_image(motion.trust)))
    flow = draft.flow if motion.flow is None else motion.flow
    moved = motion.moved(image, key.hybrid.flow_factor)
    return replace(draft, image=moved, motion=motion, flow=flow, extras=extras)


def _composite(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    if key.hybrid is None:
        raise AssertionError("the plan lays a video over a frame without saying how")
    frame, video = _picture(draft), studio.laid_over_picture(key.index)
    mask = studio.composite_mask(key.hybrid, frame, video, draft.start)
    image = composite(frame, video, mask, key.hybrid.alpha)
    if not studio.plan.settings.hybrid_comp_save_extra_frames:
        return replace(draft, image=image)
    extras = [(f"comp{key.index:09d}", composite(frame, video, mask, 1.0)), (f"prev{key.index:09d}", image)]
    if mask is not None:
        extras.append((f"mask{key.index:09d}", as_image(mask)))
    if studio.plan.settings.hybrid_comp_mask_type == "Video Depth":
        extras.append((f"vid_depth{key.index:09d}", as_image(studio.depth_mask(video))))
    return replace(draft, image=image, extras=(*draft.extras, *extras))


def _match_color(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    if draft.reference is None:
        raise AssertionError("the plan matches colours before there is a reference")
    return replace(draft, image=color.match_color(_picture(draft), draft.reference))


def _grayscale(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, image=adjust.grayscale(_picture(draft)))


def _remember(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, remembered=_picture(draft))


def _contrast(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, image=adjust.contrast(_picture(draft), key.contrast))


def _sharpen(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    sharp = key.sharpening
    image = adjust.unsharp(
        _picture(draft),
        kernel=sharp.kernel,
        sigma=sharp.sigma,
        amount=sharp.amount,
        threshold=sharp.threshold,
        mask=None if studio.masks is None else studio.masks.alpha,
    )
    return replace(draft, image=image)


def _noise_mask(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    mask = _composed(key.noise_mask, draft, key, studio)
    return replace(draft, noise_mask=None if mask is None else studio.turned(mask))


def _noise(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    image = noise.add_noise(
        _picture(draft),
        kind=key.noise.kind,
        amount=key.noise.amount,
        seed=key.noise.seed,
        octaves=key.noise.octaves,
        persistence=key.noise.persistence,
        mask=draft.noise_mask,
    )
    return replace(draft, image=image)


def _mask(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, mask=_composed(key.mask, draft, key, studio))


def _composed(expression: MaskExpression | None, draft: Draft, key: KeyFrame, studio: Studio) -> Mask | None:
    if expression is None or studio.masks is None:
        raise AssertionError("the plan composes a mask that it has not")
    return studio.masks.composed(expression, key.index, _picture(draft))


def _generated(draft: Draft, key: KeyFrame, studio: Studio, seed: int | None = None) -> Image:
    """Return what the engine makes of the draft: inside its mask alone, blended with the picture that guides it.

    Args:
        draft: gives picture and mask.
        key: gives the request and the guide.
        studio: gives the engine and the guided images.
        seed: in place of the request's own.
    """
    mask = draft.mask
    if mask is not None:
        mask = blurred(studio.turned(mask), studio.plan.settings.mask_overlay_blur)
        mask = None if is_blank(mask) else mask
    request = key.request if seed is None else replace(key.request, seed=seed)
    request = studio.controlled(request, key, draft.image)
    guide = key.guide
    if guide is None or guide.share is None:
        return studio.generated(request, draft.image, mask)
    picture, image = studio.guides[guide.number], _picture(draft)
    drawn = studio.generated(request, torch.lerp(image, picture, guide.share), mask)
    colors = color.ColorReference(torch.lerp(image, picture, guide.color_share), "LAB")
    return color.match_color(drawn, colors)


def _flow_redo(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    """Diffuse once, see where that moves things, and start from its picture pushed on the same way."""
    if draft.remembered is None:
        raise AssertionError("the plan follows a motion from a picture that it did not remember")
    drawn = _generated(draft, key, studio, key.flow_redo.seed)
    method = studio.plan.settings.optical_flow_redo_generation
    flow = studio.flow(method).estimate(draft.remembered, drawn)
    return replace(draft, image=moved_along(drawn, flow, key.flow_redo.factor))


def _redo(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    for seed in key.redo_seeds:
        draft = replace(draft, image=_generated(draft, key, studio, seed))
    if draft.reference is not None:
        draft = replace(draft, image=color.match_color(_picture(draft), draft.reference))
    return draft


def _diffuse(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    if key.retries is None:
        return replace(draft, image=_generated(draft, key, studio))
    for attempt in range(key.retries + 1):
        try:
            image = _generated(draft, key, studio, key.request.seed + attempt)
        except NotFinite:
            continue
        if float(image.max()) * 255 >= 0.5:
            return replace(draft, image=image)
    tries = f" {key.retries + 1} times" if key.retries else ""
    raise BlankFrame(messages.BLANK_FRAME(frame=key.index, tries=tries))


def _stabilize(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    stability = key.stability
    if stability is None:
        raise AssertionError("the plan holds a frame to no look")
    look = studio.look_of(stability.reference)
    if stability.former is not None:
        look = studio.look_of(stability.former).towards(look, stability.passed)
    return replace(draft, image=held_to(_picture(draft), look, stability.share))


def _overlay(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    return replace(draft, image=studio.overlaid(_picture(draft), key.index, draft.mask))


def _end(draft: Draft, key: KeyFrame, studio: Studio) -> Draft:
    end = studio.end_image if draft.first is None else draft.first
    if end is None:
        raise AssertionError("the plan leads a frame to no end")
    view, seen = studio.seen_from(key.index, end)
    image = led_to(_picture(draft), view, seen, key.ending, studio.plan.settings.seed)
    return replace(draft, image=image)


def _picture(draft: Draft) -> Image:
    if draft.image is None:
        raise AssertionError("the plan works on a picture before there is one")
    return draft.image


Apply = Callable[[Draft, KeyFrame, Studio], Draft]

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
