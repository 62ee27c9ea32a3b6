"""Laying a video over the frames: where it shows, decided by a mask made of both, and how much of it."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps

from deforum_helpers.image.mask import Mask, inverse, luma, masked
from deforum_helpers.image.types import Image


def composite(frame: Image, video: Image, mask: Mask | None, alpha: float) -> Image:
    """Return `frame` with `alpha` of a picture laid over it that is the frame where the mask is white, else the video.

    Args:
        frame, video: (3, H, W) float32 RGB, 0..1.
        mask: (H, W) float32, or None for a picture that is all video.
        alpha: share of that picture, 0..1.
    """
    over = video if mask is None else masked(frame, video, mask)
    return torch.lerp(frame, over, alpha)


def blend_mask(frame: Image, video: Image, alpha: float) -> Mask:
    """Return the greys of both pictures mixed, `alpha` of the video's."""
    return torch.lerp(luma(frame), luma(video), alpha)


def difference_mask(frame: Image, video: Image) -> Mask:
    """Return how far the greys of both pictures are apart."""
    return (luma(frame) - luma(video)).abs()


def finished_mask(
    mask: Mask,
    *,
    invert: bool,
    equalize: str,
    contrast: float,
    cutoffs_percent: tuple[float, float] | None,
) -> Mask:
    """Return a mask as it is used.

    Args:
        mask: (H, W) float32 0..1.
        invert: swaps black and white, first of all.
        equalize: when the greys are spread evenly: "None", "Before" the contrast, "After" it, or "Both".
        contrast: factor of every grey's distance from the mean grey.
        cutoffs_percent: percentiles (low, high) that become black and white, or None.
    """
    if invert:
        mask = inverse(mask)
    if equalize in ("Before", "Both"):
        mask = equalized(mask)
    if contrast != 1:
        mean = mask.mean()
        mask = (mean + (mask - mean) * contrast).clamp(0, 1)
    if cutoffs_percent is not None:
        mask = stretched(mask, *cutoffs_percent)
    return equalized(mask) if equalize in ("After", "Both") else mask


def equalized(mask: Mask) -> Mask:
    """Return a mask whose 256 greys are spread evenly, as far as whole greys can be."""
    levels = (mask * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    spread = np.asarray(ImageOps.equalize(Pillow.fromarray(levels)), np.float32) / 255
    return torch.from_numpy(spread).to(mask.device)


def stretched(mask: Mask, low_percent: float, high_percent: float) -> Mask:
    """Return a mask stretched so that two percentiles of its greys become black and white, clamped; flat ones stay."""
    low, high = np.percentile(mask.cpu().numpy(), (low_percent, high_percent))
    if high <= low:
        return mask
    return ((mask - float(low)) / float(high - low)).clamp(0, 1)
