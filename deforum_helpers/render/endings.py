"""Ending on a given image: the last frames of a run blend into it, or into frame 0 for a loop."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

from deforum_helpers.image.crossfade import dissolve_blend, dissolve_order
from deforum_helpers.image.types import Image
from deforum_helpers.schedule.seeds import derived_seed

# Width of the soft edge around the visible part of the end image, as a share of the shorter side. It is wide at first,
# so that no rim shows between two skies, and narrow near the end.
WIDEST_EDGE = 0.25
NARROWEST_EDGE_PX = 9


def blend_ending(image: Image, end: Image, visible: torch.Tensor, share: float, seed: int) -> Image:
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


def ones_inside_edge(image: Image) -> Image:
    """Return ones of the shape of `image` with a one-pixel edge of 0: warped, it is 0 outside the image."""
    ones = torch.zeros_like(image)
    ones[:, 1:-1, 1:-1] = 1
    return ones


def visible_mask(warped: Image) -> torch.Tensor:
    """Return a warped `ones_inside_edge` as a mask (H, W): 1 where the end image is visible, else 0."""
    return (warped[0] > 0.999).float()


def _feathered(visible: torch.Tensor, edge_px: int) -> torch.Tensor:
    """Return a mask (H, W) that rises smoothly from 0 at the edge of its area to 1 inside; a full mask stays 1."""
    width_px = edge_px | 1
    inside = visible[None, None]
    for window, margin in (((1, width_px), (0, width_px // 2)), ((width_px, 1), (width_px // 2, 0))):
        inside = avg_pool2d(inside, window, 1, margin, count_include_pad=False)
    inside = inside[0, 0]
    rising = (2 * inside - 1).clamp(0, 1)
    return rising * rising * (3 - 2 * rising)
