"""Fits an image to a frame of another aspect ratio: stretched, cropped, or with bars."""

from __future__ import annotations

from typing import Literal

import torch

from deforum_helpers.image.convert import resized
from deforum_helpers.image.types import Image

Fit = Literal["stretch", "inner", "outer"]


def fitted(image: Image, width_px: int, height_px: int, fit: Fit) -> Image:
    """Return `image` at the size of a frame.

    An image of 100x50 in a frame of 64x64 keeps its center 50x50 with "inner"; with "outer" it is 64x32 between two
    bars of 16 rows, in the color of its border.

    Args:
        image: (C, H, W) float32 in 0..1.
        width_px, height_px: size of the frame, >= 1.
        fit: "stretch" changes the aspect ratio; "inner" crops the image; "outer" adds bars.
    """
    if fit == "inner":
        return resized(_middle(image, width_px, height_px), width_px, height_px)
    if fit == "outer":
        return _between_bars(image, width_px, height_px)
    return resized(image, width_px, height_px)


def _middle(image: Image, width_px: int, height_px: int) -> Image:
    """Return the largest center part with the frame's aspect ratio."""
    height, width = image.shape[1:]
    kept_width = min(width, max(1, round(height * width_px / height_px)))
    kept_height = min(height, max(1, round(width * height_px / width_px)))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return image[:, top : top + kept_height, left : left + kept_width]


def _between_bars(image: Image, width_px: int, height_px: int) -> Image:
    height, width = image.shape[1:]
    scale = min(width_px / width, height_px / height)
    shown_width = min(width_px, max(1, round(width * scale)))
    shown_height = min(height_px, max(1, round(height * scale)))
    top, left = (height_px - shown_height) // 2, (width_px - shown_width) // 2
    shown = resized(image, shown_width, shown_height)
    frame = _border_color(shown)[:, None, None].expand(-1, height_px, width_px)
    frame = frame[None].contiguous(memory_format=torch.channels_last)[0]
    frame[:, top : top + shown_height, left : left + shown_width] = shown
    return frame


def _border_color(image: Image) -> torch.Tensor:
    """Return the median color of the outermost pixels, (C,); a mean would follow a single bright line."""
    rows, columns = image[:, [0, -1]].flatten(1), image[:, :, [0, -1]].flatten(1)
    return torch.cat([rows, columns], 1).median(1).values
