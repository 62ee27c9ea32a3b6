"""One image passing into another without showing both: light and colour blend, detail comes from one of the two."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from deforum_helpers.image.pyramid import bands_of, joined
from deforum_helpers.image.types import Image

# Bands of detail that are never averaged: 512 px have 32 px and finer in them.
BANDS = 5
# Grain of the pattern in which one scene gives way to the other: cells along the longer side.
PATTERN_CELLS = 6


def sharp_blend(old: Image, new: Image, share: float, taken: torch.Tensor | None = None) -> Image:
    """Return an image between two: what is coarser than 32 px is blended, all finer detail comes from one of them.

    Averaged detail shows two edges where images disagree, and less contrast where they agree but for grain.

    Args:
        old, new: (3, H, W) float32 0..1.
        share: of the new image in light and colour, 0..1.
        taken: (H, W) 0..1, where detail is the new image's; None = everywhere.
    """
    (old_bands, old_rest), (new_bands, new_rest) = bands_of(old, BANDS), bands_of(new, BANDS)
    bands = new_bands
    if taken is not None:
        bands = [
            torch.lerp(before, after, _at_size_of(before, taken))
            for before, after in zip(old_bands, new_bands, strict=True)
        ]
    return joined(bands, torch.lerp(old_rest, new_rest, share)).clamp_(0, 1)


def dissolve_order(width_px: int, height_px: int, seed: int, device: torch.device) -> torch.Tensor:
    """Return in which order places pass from one scene to the next, (H, W) 0..1: a smooth random pattern.

    Args:
        width_px, height_px: size of the frames.
        seed: 0..2**64-1; the same seed gives the same pattern.
        device: where it is wanted.
    """
    longer = max(width_px, height_px)
    cells = [max(2, round(PATTERN_CELLS * side / longer)) for side in (height_px, width_px)]
    count = cells[0] * cells[1]
    places = np.random.default_rng(seed).permutation(count).reshape(cells)
    coarse = torch.from_numpy((places + 0.5) / count).float()[None, None]
    smooth = interpolate(coarse, (height_px, width_px), mode="bicubic", align_corners=False)
    return smooth[0, 0].clamp(0, 1).to(device)


def taken_by(order: torch.Tensor, share: float) -> torch.Tensor:
    """Return which places have passed at `share` 0..1 of the way, (H, W) 0..1: an edge that wanders, an eighth wide."""
    return ((share * 1.125 - order) * 8).clamp(0, 1)


def _at_size_of(image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    size = (int(image.shape[-2]), int(image.shape[-1]))
    return interpolate(places[None, None], size, mode="bilinear", align_corners=False)[0, 0]
