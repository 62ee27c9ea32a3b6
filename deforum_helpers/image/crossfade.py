"""An image as bands of detail, finest first, and what is left below them (Burt and Adelson 1983)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate

from deforum_helpers.image.types import Image

# A band is made only of images whose sides have this many pixels; below, it would describe single objects.
LEAST_SIDE_PX = 16


def bands_of(image: torch.Tensor, levels: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the bands of an image and its rest; `joined` puts them together again, exact but for rounding.

    Args:
        image: (C, H, W) float32.
        levels: number of bands, each of half the resolution of the one before; small images have fewer.
    """
    bands, rest = [], image[None]
    for _ in range(levels):
        if min(rest.shape[-2:]) < 2 * LEAST_SIDE_PX:
            break
        smaller = avg_pool2d(rest, kernel_size=4, stride=2, padding=1, count_include_pad=False)
        bands.append((rest - _enlarged(smaller, rest))[0])
        rest = smaller
    return bands, rest[0]


def joined(bands: Sequence[torch.Tensor], rest: torch.Tensor) -> torch.Tensor:
    """Return the image (C, H, W) of its bands and its rest, channels_last."""
    image = rest[None]
    for band in reversed(bands):
        image = _enlarged(image, band) + band
    return image.contiguous(memory_format=torch.channels_last)[0]


def _enlarged(image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    size = (int(like.shape[-2]), int(like.shape[-1]))
    return interpolate(image, size, mode="bilinear", align_corners=False)


# Number of detail bands. Five bands hold structures of up to 32 px.
BANDS = 5
# Grain of the pattern in which one scene gives way to the other: cells along the longer side.
PATTERN_CELLS = 6
# How much of the change each place takes, at its coarsest; finer detail takes less of it.
EDGE_SHARE = 0.3


def sharp_blend(old: Image, new: Image, share: float) -> Image:
    """Return the detail of an image over the light and colour of two: what is coarser than 32 px is blended.

    Args:
        old, new: (3, H, W) float32 0..1.
        share: of the new image in light and colour, 0..1.
    """
    _, old_rest = bands_of(old, BANDS)
    bands, new_rest = bands_of(new, BANDS)
    return joined(bands, torch.lerp(old_rest, new_rest, share)).clamp_(0, 1)


def placewise_blend(old: Image, new: Image, order: torch.Tensor, share: float) -> Image:
    """Return an image in which places have passed from an old to a new one, with edges as soft as the detail is coarse.

    Args:
        old, new: (3, H, W) float32 0..1.
        order: (H, W) 0..1, at which share each place passes.
        share: of the change, 0 = old, 1 = new.
    """
    (old_bands, old_rest), (new_bands, new_rest) = bands_of(old, BANDS), bands_of(new, BANDS)
    levels = len(old_bands) + 1
    mixed = [
        torch.lerp(before, after, _passed(order, share, EDGE_SHARE * (level + 1) / levels, before))
        for level, (before, after) in enumerate(
            zip((*old_bands, old_rest), (*new_bands, new_rest), strict=True)
        )
    ]
    return joined(mixed[:-1], mixed[-1]).clamp_(0, 1)


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


def _passed(order: torch.Tensor, share: float, edge: float, like: torch.Tensor) -> torch.Tensor:
    """Return how far each place has passed, 0..1, at the size of `like`; all are at 0 and 1 with the share."""
    size = (int(like.shape[-2]), int(like.shape[-1]))
    places = interpolate(order[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return ((share * (1 + edge) - places) / edge).clamp(0, 1)
