"""Contrast, exposure, saturation, hue, sharpening, grayscale."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

from deforum_helpers.image.bands import in_bands
from deforum_helpers.image.convert import Floats, clamp_pixels, from_pixels, pixels
from deforum_helpers.image.transfers import constant
from deforum_helpers.image.types import Image

LUMA = (0.299, 0.587, 0.114)
# Sums of the chroma Cb and Cr of BT.601 by R, G, B, and back.
_CHROMA = ((-0.299 / 1.772, -0.587 / 1.772, 0.5), (0.5, -0.587 / 1.402, -0.114 / 1.402))
_RGB_OF_CHROMA = ((0.0, 1.402), (-0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587), (1.772, 0.0))


def contrast(image: Image, factor: float) -> Image:
    """Return `image` times `factor`, clamped to 0..1: 0.5 at factor 1.5 becomes 0.75.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        factor: 1 changes nothing.
    """
    return (image * factor).clamp_(0, 1)


def expose(image: Image, stops: float) -> Image:
    """Return `image` with its light multiplied by 2 ** `stops`, clamped to 0..1: 0.5 at 1 stop becomes 0.6858.

    Light is linear: sRGB values are decoded, multiplied and encoded.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        stops: 0 changes nothing.
    """
    if stops == 0:
        return image.clone(memory_format=torch.preserve_format)
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    light = (linear * 2.0**stops).clamp_(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).clamp_(0, 1)


def saturate(image: Image, factor: float, hue_deg: float = 0.0) -> Image:
    """Return `image` with its chroma multiplied by `factor` and turned by `hue_deg`, clamped to 0..1.

    The luma of `grayscale` stays. Positive angles lead from red over yellow to green. A pure red, (1, 0, 0), has the
    luma 0.299; at 180 degrees it becomes (0, 0.598, 0.598).

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        factor: 1 changes nothing, 0 is gray.
        hue_deg: 0 and its multiples of 360 change nothing.
    """
    if factor == 1 and hue_deg % 360 == 0:
        return image.clone(memory_format=torch.preserve_format)
    cosine, sine = (factor * turn(math.radians(hue_deg % 360)) for turn in (math.cos, math.sin))
    # sums instead of products of matrices, which GPUs may round to ten bits
    luma, blue, red = (
        image[0] * of_red + image[1] * of_green + image[2] * of_blue
        for of_red, of_green, of_blue in (LUMA, *_CHROMA)
    )
    turned = blue * cosine - red * sine, blue * sine + red * cosine
    rows = [luma + of_blue * turned[0] + of_red * turned[1] for of_blue, of_red in _RGB_OF_CHROMA]
    return torch.stack(rows).clamp_(0, 1)[None].contiguous(memory_format=torch.channels_last)[0]


def grayscale(image: Image) -> Image:
    """Return `image` with all channels equal to 0.299 R + 0.587 G + 0.114 B.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
    """
    weights = constant(LUMA, image.device).to(image.dtype)[:, None, None]
    luma = (image * weights).sum(0, keepdim=True)
    return luma.repeat(3, 1, 1)[None].contiguous(memory_format=torch.channels_last)[0]


def unsharp(
    image: Image,
    *,
    kernel: int,
    sigma: float,
    amount: float,
    threshold: float,
    mask: torch.Tensor | None = None,
) -> Image:
    """Return `image` sharpened: (1 + amount) · image - amount · blurred, clamped to 0..1.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        kernel: side of the Gaussian in pixels; even sides become one larger, sides below 1 become 1.
        sigma: deviation of the Gaussian in pixels; 0 or less derives it from the kernel.
        amount: strength; 0 or less changes nothing.
        threshold: in 8-bit levels; pixels that differ less from their blur stay unchanged. 0 = off.
        mask: (H, W) float32 0..1 on the image's device, 0 = unchanged. None = everywhere.
    """
    if amount <= 0:
        return image.clone(memory_format=torch.preserve_format)
    side_px = max(1, kernel) | 1
    if image.device.type == "cpu":
        sharp = from_pixels(_unsharp_pixels(pixels(image), side_px, sigma, amount, threshold))
    else:
        sharp = unsharp_anywhere(image, side_px, sigma, amount, threshold)
    return sharp if mask is None else torch.lerp(image, sharp, mask[None].to(image.dtype))


def unsharp_anywhere(image: Image, side_px: int, sigma: float, amount: float, threshold: float) -> Image:
    """Return the sharpened image on any device; the reference of the faster CPU form.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        side_px: odd side of the Gaussian.
        sigma, amount, threshold: as in `unsharp`.
    """
    taps = cv2.getGaussianKernel(side_px, sigma)[:, 0].tolist()
    radius = side_px // 2
    height_px, width_px = image.shape[1:]
    rows, columns = (_mirrored(side, radius, image.device) for side in (height_px, width_px))
    # sums instead of convolutions, which GPUs may round to ten bits
    down = image[:, rows]
    blurred = sum(tap * down[:, i : i + height_px] for i, tap in enumerate(taps))[:, :, columns]
    blurred = sum(tap * blurred[:, :, i : i + width_px] for i, tap in enumerate(taps))
    sharp = (image * (1 + amount) - blurred * amount).clamp_(0, 1)
    if threshold > 0:
        sharp = torch.where((image - blurred).abs() * 255 < threshold, image, sharp)
    return sharp[None].contiguous(memory_format=torch.channels_last)[0]


def _unsharp_pixels(rgb: Floats, side_px: int, sigma: float, amount: float, threshold: float) -> Floats:
    """Return the sharpened (H, W, 3) image."""
    sharp = np.empty_like(rgb)
    radius = side_px // 2

    def sharpen(band: slice) -> None:
        padded = slice(max(0, band.start - radius), band.stop + radius)
        blurred = cv2.GaussianBlur(rgb[padded], (side_px, side_px), sigma, borderType=cv2.BORDER_REFLECT_101)
        blurred = blurred[band.start - padded.start :][: band.stop - band.start]
        cv2.addWeighted(rgb[band], 1 + amount, blurred, -amount, 0.0, dst=sharp[band])
        clamp_pixels(sharp[band])
        if threshold > 0:
            still = cv2.absdiff(rgb[band], blurred) * 255 < threshold
            np.copyto(sharp[band], rgb[band], where=still)

    in_bands(sharpen, *rgb.shape[:2], margin_px=radius)
    return sharp


def _mirrored(side_px: int, radius: int, device: torch.device) -> torch.Tensor:
    """Return row numbers padded by `radius` at both ends, mirrored about the first and the last row."""
    if side_px == 1:
        return torch.zeros(1 + 2 * radius, dtype=torch.long, device=device)
    period = 2 * (side_px - 1)
    place = torch.arange(-radius, side_px + radius, device=device) % period
    return torch.minimum(place, period - place)
