"""A dissolve: the old scene keeps moving with the camera while the new scene replaces it place by place."""

from __future__ import annotations

from dataclasses import replace

from deforum_helpers.image.convert import on_8_bit_grid, rounded
from deforum_helpers.image.crossfade import dissolve_blend, dissolve_order
from deforum_helpers.image.types import Image
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.state import Frame
from deforum_helpers.render.transitions import smoothstep, transition_progress
from deforum_helpers.schedule.seeds import derived_seed


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
