"""The images of a video's end: what the camera sees of it beforehand, and how frames come to show it."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

from deforum_helpers.image.crossfade import dissolve_order, placewise_blend
from deforum_helpers.image.types import Image
from deforum_helpers.schedule.seeds import derived_seed

# Width of the soft edge of what is seen of the end beforehand, as a share of the shorter side: wide at first, so that
# no rim shows between two skies, and narrow where the end is near and whole.
WIDEST_EDGE = 0.25
NARROWEST_EDGE_PX = 9


def led_to(image: Image, end: Image, seen: torch.Tensor, share: float, seed: int) -> Image:
    """Return a frame with its part of the end.

    Args:
        image: (3, H, W) float32 0..1.
        end: (3, H, W) the end as it is seen from this frame.
        seen: (H, W) 0..1, where it is seen.
        share: 0..1, of the end in the frame.
        seed: of the pattern in which places give way; the same for all frames.
    """
    height, width = image.shape[1:]
    seen = _softened(seen, max(NARROWEST_EDGE_PX, round(WIDEST_EDGE * (1 - share) * min(height, width))))
    if share >= 1:
        return torch.lerp(image, end, seen)
    order = dissolve_order(width, height, derived_seed("ending", seed), image.device)
    return torch.lerp(image, placewise_blend(image, end, order, share), seen)


def all_but_edge(image: Image) -> Image:
    """Return an image of ones like `image` whose edge is 0: moved, it is 0 wherever nothing was seen."""
    ones = torch.zeros_like(image)
    ones[:, 1:-1, 1:-1] = 1
    return ones


def where_seen(moved: Image) -> torch.Tensor:
    """Return `all_but_edge` after its move as a mask (H, W), 1 where the end is seen and 0 elsewhere."""
    return (moved[0] > 0.999).float()


def _softened(seen: torch.Tensor, edge_px: int) -> torch.Tensor:
    """Return a mask (H, W) that rises from 0 at the edge of its area to 1 within; one without an edge stays."""
    width_px = edge_px | 1
    inside = seen[None, None]
    for window, margin in (((1, width_px), (0, width_px // 2)), ((width_px, 1), (width_px // 2, 0))):
        inside = avg_pool2d(inside, window, 1, margin, count_include_pad=False)
    inside = inside[0, 0]
    rising = (2 * inside - 1).clamp(0, 1)
    return rising * rising * (3 - 2 * rising)
