"""Compositing of hybrid video: masks made from frame and video, and the blend through them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps

from deforum_helpers.image.mask import Mask, inverse, luma, masked
from deforum_helpers.image.types import Image


def composite(frame: Image, video: Image, mask: Mask | None, alpha: float) -> Image:
    """Return `frame` composited with `video`, which shows where the mask is 0, by `alpha`.

    Args:
        frame, video: (3, H, W) float32 RGB, 0..1.
        mask: (H, W) float32 0..1, 1 = frame; None = video everywhere.
        alpha: share of the composite in the result, 0..1.
    """
    blended = video if mask is None else masked(frame, video, mask)
    return torch.lerp(frame, blended, alpha)


def blend_mask(frame: Image, video: Image, alpha: float) -> Mask:
    """Return the blend of both images' luma, `alpha` of the video, as a mask (H, W)."""
    return torch.lerp(luma(frame), luma(video), alpha)


def difference_mask(frame: Image, video: Image) -> Mask:
    """Return the absolute difference of both images' luma as a mask (H, W)."""
    return (luma(frame) - luma(video)).abs()


def adjusted_mask(
    mask: Mask,
    *,
    invert: bool,
    equalize: str,
    contrast: float,
    cutoffs_percent: tuple[float, float] | None,
) -> Mask:
    """Return a composite mask after its adjustments.

    Args:
        mask: (H, W) float32 0..1.
        invert: whether the mask is inverted, before anything else.
        equalize: when the histogram is equalized: "None", "Before" the contrast, "After" it, or "Both".
        contrast: factor of every level's distance from the mean.
        cutoffs_percent: percentiles (low, high) that become 0 and 1, or None.
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
    """Return a mask with its histogram of 256 levels equalized."""
    levels = (mask * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    spread = np.asarray(ImageOps.equalize(Pillow.fromarray(levels)), np.float32) / 255
    return torch.from_numpy(spread).to(mask.device)


def stretched(mask: Mask, low_percent: float, high_percent: float) -> Mask:
    """Return a mask stretched so that two percentiles become 0 and 1, clamped; a constant mask stays unchanged."""
    low, high = np.percentile(mask.cpu().numpy(), (low_percent, high_percent))
    if high <= low:
        return mask
    return ((mask - float(low)) / float(high - low)).clamp(0, 1)
