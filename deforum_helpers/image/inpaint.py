"""Inpainting with any engine: smears, crops, generates and pastes the masked part of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from deforum_helpers.image.convert import resized
from deforum_helpers.image.mask import Mask, masked
from deforum_helpers.image.types import Image

Paint = Callable[[Image, Mask], Image]

# A mask below half a level of 8 bits has no effect.
VISIBLE = 0.5 / 255


@dataclass(frozen=True)
class Box:
    """A part of an image: first row and column, height and width, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: torch.Tensor) -> torch.Tensor:
        """Return this part of (..., H, W)."""
        return image[..., self.top : self.top + self.height, self.left : self.left + self.width]


def repaint(image: Image, mask: Mask, paint: Paint, *, smear: bool, padding_px: int | None) -> Image:
    """Return `image` with the masked part generated anew; pixels outside the mask stay the same bit for bit.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        mask: (H, W) float32 0..1, 1 = repaint; not 0 everywhere.
        paint: takes an image and a mask of the size of `image` and returns such an image.
        smear: whether the masked part is first filled from its surroundings.
        padding_px: None = the whole image is generated; a number = only the masked part, with at least as many pixels
            around it, enlarged to the size of the image.
    """
    init_image = fill_from_rim(image, mask) if smear else image
    if padding_px is None:
        return masked(paint(init_image, mask), image, mask)
    height_px, width_px = mask.shape
    box = box_around(mask, padding_px)
    part = _image(box.of(init_image))
    part_mask = F.interpolate(
        box.of(mask)[None, None], (height_px, width_px), mode="bilinear", antialias=True
    )[0, 0]
    painted = resized(paint(resized(part, width_px, height_px), part_mask), box.width, box.height)
    result = image.clone(memory_format=torch.preserve_format)
    box.of(result).copy_(masked(painted, _image(box.of(image)), box.of(mask)))
    return result


def box_around(mask: Mask, padding_px: int) -> Box:
    """Return the padded bounding box of a mask, with the image's aspect ratio where it fits.

    A mask of one pixel in the center of 512x512, padded by 32, is in a box of 65x65.

    Args:
        mask: (H, W), not 0 everywhere.
        padding_px: pixels on each side, up to the image's edge.
    """
    sides = []
    for axis, side_px in ((1, mask.shape[0]), (0, mask.shape[1])):
        masked_at = torch.nonzero(mask.amax(axis) > VISIBLE)
        first, last = int(masked_at.min()), int(masked_at.max())
        sides.append((max(first - padding_px, 0), min(last + 1 + padding_px, side_px)))
    (top, bottom), (left, right) = sides
    height_px, width_px = mask.shape
    height, width = bottom - top, right - left
    ratio = width_px / height_px
    tall = min(max(height, round(width / ratio)), height_px)
    wide = min(max(width, round(height * ratio)), width_px)
    return Box(_grown(top, bottom, tall, height_px), _grown(left, right, wide, width_px), tall, wide)


def _grown(first: int, end: int, length: int, side_px: int) -> int:
    """Return the start of the range first..end grown evenly to `length` and kept within the side."""
    return min(max(first - (length - (end - first)) // 2, 0), side_px - length)


def fill_from_rim(image: Image, mask: Mask) -> Image:
    """Return `image` with the masked part filled from its surroundings, from the rim inwards.

    Known pixels are averaged into smaller and smaller images; unknown pixels come from the next smaller one.

    Args:
        image: (3, H, W) float32 RGB.
        mask: (H, W), 1 = unknown.
    """
    known = (1 - mask)[None, None]
    return _image(_filled(image[None] * known, known)[0].clamp(0, 1))


def _filled(colors: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return colors (1, 3, H, W), premultiplied by the weights `known` (1, 1, H, W), with unknown pixels filled."""
    height_px, width_px = known.shape[2:]
    if max(height_px, width_px) == 1:
        return torch.where(known > 0, colors / known.clamp(min=1e-6), 0.5)
    odd = (0, width_px % 2, 0, height_px % 2)
    halves = [F.avg_pool2d(F.pad(plane, odd, mode="replicate"), 2) for plane in (colors, known)]
    share = halves[1].clamp(min=1e-6)
    strength = (halves[1] * 4).clamp(max=1)
    smaller = _filled(halves[0] / share * strength, strength)
    larger = F.interpolate(smaller, (height_px, width_px), mode="bilinear", align_corners=False)
    return colors + larger * (1 - known)


def _image(pixels: torch.Tensor) -> Image:
    return pixels[None].contiguous(memory_format=torch.channels_last)[0]
