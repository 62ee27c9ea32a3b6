"""Blends of two images by bands of detail (Laplacian pyramids; Burt and Adelson 1983)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate

from deforum_helpers.image.types import Image

# Smallest side of a band; a smaller one would describe single objects.
LEAST_SIDE_PX = 16


def split_bands(image: torch.Tensor, levels: int) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the bands of an image, finest first, and the rest; `join_bands` is the inverse except for rounding.

    Args:
        image: (C, H, W) float32.
        levels: number of bands, each at half the resolution of the one before; small images have fewer.
    """
    sizes = list(_halved(image, levels))
    bands = [(larger - _enlarged(smaller, larger))[0] for larger, smaller in pairwise(sizes)]
    return bands, sizes[-1][0]


def _halved(image: torch.Tensor, times: int) -> Iterator[torch.Tensor]:
    """Yield `image` (C, H, W) as a batch, then halves of the one before, down to the least size."""
    rest = image[None]
    yield rest
    for _ in range(times):
        if min(rest.shape[-2:]) < 2 * LEAST_SIDE_PX:
            break
        rest = avg_pool2d(rest, kernel_size=4, stride=2, padding=1, count_include_pad=False)
        yield rest


def join_bands(bands: Sequence[torch.Tensor], rest: torch.Tensor) -> torch.Tensor:
    """Return the image (C, H, W), channels_last, from its bands and rest."""
    image = rest[None]
    for band in reversed(bands):
        image = _enlarged(image, band) + band
    return image.contiguous(memory_format=torch.channels_last)[0]


def _enlarged(image: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    size = (int(like.shape[-2]), int(like.shape[-1]))
    return interpolate(image, size, mode="bilinear", align_corners=False)


# Number of detail bands. Five bands hold structures of up to 32 px.
BANDS = 5
# Cells of the dissolve pattern along the longer side.
PATTERN_CELLS = 6
# Share of the dissolve over which one place changes, in the coarsest band; finer bands change faster.
EDGE_SHARE = 0.3


def sharp_blend(old: Image, new: Image, share: float) -> Image:
    """Return a blend of structures coarser than 32 px with the detail of the new image.

    Args:
        old, new: (3, H, W) float32 0..1.
        share: share of the new image in the coarse structures, 0..1.
    """
    # Splitting and joining are linear: only the rest of the difference is added, and no band of the new image is split.
    *sizes, rest = _halved(old - new, BANDS)
    for larger in reversed(sizes):
        rest = _enlarged(rest, larger)
    blend = torch.add(new, rest[0], alpha=1 - share).clamp_(0, 1)
    return blend[None].contiguous(memory_format=torch.channels_last)[0]


def dissolve_blend(old: Image, new: Image, order: torch.Tensor, share: float) -> Image:
    """Return an image in which places change from the old image to the new one, with softer edges in coarser bands.

    Args:
        old, new: (3, H, W) float32 0..1.
        order: (H, W) 0..1, share at which each place changes.
        share: progress of the dissolve, 0 = old, 1 = new.
    """
    (old_bands, old_rest), (new_bands, new_rest) = split_bands(old, BANDS), split_bands(new, BANDS)
    levels = len(old_bands) + 1
    mixed = [
        torch.lerp(before, after, _progress(order, share, EDGE_SHARE * (level + 1) / levels, before))
        for level, (before, after) in enumerate(
            zip((*old_bands, old_rest), (*new_bands, new_rest), strict=True)
        )
    ]
    return join_bands(mixed[:-1], mixed[-1]).clamp_(0, 1)


def dissolve_order(width_px: int, height_px: int, seed: int, device: torch.device) -> torch.Tensor:
    """Return the order in which places change in a dissolve, (H, W) 0..1: a smooth random pattern.

    Args:
        width_px, height_px: size of the frames.
        seed: 0..2**64-1; the same seed gives the same pattern.
        device: device of the result.
    """
    longer = max(width_px, height_px)
    cells = [max(2, round(PATTERN_CELLS * side / longer)) for side in (height_px, width_px)]
    count = cells[0] * cells[1]
    places = np.random.default_rng(seed).permutation(count).reshape(cells)
    coarse = torch.from_numpy((places + 0.5) / count).float()[None, None]
    smooth = interpolate(coarse, (height_px, width_px), mode="bicubic", align_corners=False)
    return smooth[0, 0].clamp(0, 1).to(device)


def _progress(order: torch.Tensor, share: float, edge: float, like: torch.Tensor) -> torch.Tensor:
    """Return the progress of each place, 0..1, at the size of `like`; at share 0 all are 0, at share 1 all are 1."""
    size = (int(like.shape[-2]), int(like.shape[-1]))
    places = interpolate(order[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    return ((share * (1 + edge) - places) / edge).clamp(0, 1)
