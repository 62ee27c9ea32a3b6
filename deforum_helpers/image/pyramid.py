"""An image as bands of detail, finest first, and what is left below them (Burt and Adelson 1983)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import avg_pool2d, interpolate

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
