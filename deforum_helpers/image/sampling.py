"""Fetching an image at given coordinates: the one resampling of every camera move.

On the CPU OpenCV does it where its `remap` interpolates exactly; older versions round the coordinates to 1/32 of a
pixel, which shows after some frames, so there and on a GPU torch's `grid_sample` does it. Both use the bicubic kernel
with a = -0.75.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from deforum_helpers.camera.types import Plane
from deforum_helpers.image.convert import Floats, clamp_pixels, from_pixels, pixels
from deforum_helpers.image.types import Image

Sampling = Literal["bicubic", "bilinear", "nearest"]
Padding = Literal["border", "reflection", "zeros", "wrap"]

INTERPOLATIONS = {"bicubic": cv2.INTER_CUBIC, "bilinear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST}
BORDERS = {
    "border": cv2.BORDER_REPLICATE,
    "reflection": cv2.BORDER_REFLECT,
    "zeros": cv2.BORDER_CONSTANT,
    "wrap": cv2.BORDER_WRAP,
}
LARGEST_REMAP_PX = 32766


def sample_cpu(image: Image, map_x: Plane, map_y: Plane, sampling: Sampling, padding: Padding) -> Image:
    """Return `image` fetched at (map_x, map_y), clamped to 0..1, on the CPU.

    Args:
        image: (3, H, W) float32 RGB on the CPU.
        map_x, map_y: (H', W') float32 columns and rows in pixels, (0, 0) = centre of the first pixel; finite.
        sampling: interpolation.
        padding: what lies outside the image: its edge, its mirror image, black, or its other side.
    """
    if max(image.shape[1:]) > LARGEST_REMAP_PX or not remap_is_exact():
        return sample(image, torch.from_numpy(map_x), torch.from_numpy(map_y), sampling, padding)
    height_px, width_px = image.shape[1:]
    if padding in ("reflection", "wrap"):
        map_x, map_y = (
            _folded(along, side, mirrored=padding == "reflection")
            for along, side in ((map_x, width_px), (map_y, height_px))
        )
    fetched = cv2.remap(pixels(image), map_x, map_y, INTERPOLATIONS[sampling], borderMode=BORDERS[padding])
    if sampling == "bicubic":
        clamp_pixels(fetched)
    return from_pixels(fetched)


def sample(
    image: Image, map_x: torch.Tensor, map_y: torch.Tensor, sampling: Sampling, padding: Padding
) -> Image:
    """Return `image` fetched at (map_x, map_y), clamped to 0..1, on any device.

    Args:
        image: (3, H, W) float32 RGB.
        map_x, map_y: (H', W') float32 columns and rows in pixels, on the image's device; finite.
        sampling: interpolation.
        padding: what lies outside the image.
    """
    height_px, width_px = image.shape[1:]
    if padding == "wrap":
        image, map_x, map_y = _tiled(image, map_x, map_y)
        height_px, width_px = image.shape[1:]
    grid = torch.stack([(2 * map_x + 1) / width_px - 1, (2 * map_y + 1) / height_px - 1], -1)
    fetched = F.grid_sample(
        image[None],
        grid[None],
        mode=sampling,
        padding_mode="border" if padding == "wrap" else padding,
        align_corners=False,
    )
    return fetched.clamp_(0, 1).contiguous(memory_format=torch.channels_last)[0]


@lru_cache(maxsize=1)
def remap_is_exact() -> bool:
    """Tell whether OpenCV's `remap` interpolates at the very coordinates it is given, by one tiny sampling."""
    steps = np.linspace(2, 13, 40, dtype=np.float32)
    across, down = np.meshgrid(steps, steps)
    row = np.linspace(0, 1, 16, dtype=np.float32)
    ramp: Floats = np.repeat(np.tile(row, (16, 1))[..., None], 3, axis=2)
    columns, rows = torch.from_numpy(across), torch.from_numpy(down)
    wanted = sample(from_pixels(ramp), columns, rows, "bicubic", "border")
    cubic, linear = (
        cv2.remap(ramp, across, down, INTERPOLATIONS[name], borderMode=cv2.BORDER_REPLICATE)
        for name in ("bicubic", "bilinear")
    )
    worst = max(np.abs(cubic - pixels(wanted)).max(), np.abs(linear[..., 0] - across / 15).max())
    return bool(worst < 1e-5)


def _folded(along: Plane, side_px: int, *, mirrored: bool) -> Plane:
    """Return coordinates brought within one picture of the image, where they name the same place in the pattern."""
    if -side_px <= along.min() and along.max() <= 2 * side_px - 1:
        return along
    period = np.float32(2 * side_px if mirrored else side_px)
    return np.mod(along + np.float32(0.5), period) - np.float32(0.5)


def _tiled(
    image: Image, map_x: torch.Tensor, map_y: torch.Tensor
) -> tuple[Image, torch.Tensor, torch.Tensor]:
    """Return `image` with its other sides laid around it, and coordinates within."""
    height_px, width_px = image.shape[1:]
    rows = torch.arange(-2, height_px + 3, device=image.device) % height_px
    columns = torch.arange(-2, width_px + 3, device=image.device) % width_px
    return image[:, rows][:, :, columns], map_x % width_px + 2, map_y % height_px + 2
