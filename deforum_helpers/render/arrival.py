"""The images of a video's end: what the camera sees of it beforehand, and how frames come to show it."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

from deforum_helpers.image.crossfade import dissolve_order, placewise_blend
from deforum_helpers.image.types import Image
from deforum_helpers.schedule.seeds import derived_seed

# Width of the soft edge of what the camera, looking back from the end, does not see any more.
EDGE_PX = 31


def led_to(image: Image, end: Image, seen: torch.Tensor, share: float, seed: int) -> Image:
    """Return a frame with its part of the end.

    Args:
        image: (3, H, W) float32 0..1.
        end: (3, H, W) the end as it is seen from this frame.
        seen: (H, W) 0..1, where it is seen.
        share: 0..1, of the end in the frame.
        seed: of the pattern in which places give way; the same for all frames.
    """
    if share >= 1:
        return torch.lerp(image, end, seen)
    height, width = image.shape[1:]
    order = dissolve_order(width, height, derived_seed("ending", seed), image.device)
    return torch.lerp(image, placewise_blend(image, end, order, share), seen)


def all_but_edge(image: Image) -> Image:
    """Return an image of ones like `image` whose edge is 0: moved, it is 0 wherever nothing was seen."""
    ones = torch.zeros_like(image)
    ones[:, 1:-1, 1:-1] = 1
    return ones


def soft(seen: Image) -> torch.Tensor:
    """Return `all_but_edge` after its move as a mask (H, W) that rises within the area from 0 to 1."""
    inside = (seen[:1] > 0.999).float()[None]
    return (2 * avg_pool2d(inside, EDGE_PX, 1, EDGE_PX // 2)[0, 0] - 1).clamp(0, 1)
