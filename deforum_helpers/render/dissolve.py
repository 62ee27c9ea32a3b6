"""A dissolve: the scene of the old prompt moves on with the camera while the new one takes its place."""

from __future__ import annotations

from dataclasses import replace

from deforum_helpers.image.convert import on_8_bit_grid
from deforum_helpers.image.crossfade import dissolve_order, placewise_blend
from deforum_helpers.image.types import Image
from deforum_helpers.render.context import Studio
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.state import Frame
from deforum_helpers.render.transitions import eased, passed_share
from deforum_helpers.schedule.seeds import derived_seed


def dissolved(
    frames: tuple[Frame, ...], leaving: Image, key: KeyFrame, studio: Studio
) -> tuple[tuple[Frame, ...], Image | None]:
    """Return the frames as they are shown, and the old scene after them; None once nothing of it is left.

    Args:
        frames: of the new scene, key.index .. key.stop - 1.
        leaving: (3, H, W) the old scene at key.index - 1, rounded to 8 bits.
        key: their key frame, which lies in a dissolve.
        studio: what the video is made with.
    """
    settings, begun = studio.plan.settings, key.dissolve
    if begun is None:
        raise AssertionError("the plan dissolves a scene outside of a dissolve")
    seed = derived_seed("dissolve", settings.seed, begun)
    order = dissolve_order(settings.W, settings.H, seed, leaving.device)
    shown: list[Frame] = []
    for frame in frames:
        share = eased(passed_share(settings, begun, frame.index))
        if share >= 1:
            return (*shown, *frames[len(shown) :]), None
        leaving = studio.moved(leaving, frame.index)
        image = on_8_bit_grid(placewise_blend(leaving, frame.image, order, share))
        shown.append(replace(frame, image=image))
    return tuple(shown), on_8_bit_grid(leaving)
