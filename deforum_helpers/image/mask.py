"""Masks: (H, W) float32 in 0..1, 1 = inside; soft masks stay soft.

Masks combine per pixel: "and" is the minimum, "or" the maximum, "not" is 1 - a. For masks of 0 and 1 this is Boolean
logic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F

from deforum_helpers.image.adjust import LUMA
from deforum_helpers.image.convert import read_image, resized
from deforum_helpers.image.files import has_alpha, open_image_file
from deforum_helpers.image.transfers import constant
from deforum_helpers.image.types import Image

Mask: TypeAlias = torch.Tensor


def inverse(mask: Mask) -> Mask:
    """Return 1 - `mask`."""
    return 1 - mask


def difference(a: Mask, b: Mask) -> Mask:
    """Return the pixels in `a` but not in `b`."""
    return torch.minimum(a, 1 - b)


def exclusive(a: Mask, b: Mask) -> Mask:
    """Return the pixels in exactly one of both masks."""
    return torch.maximum(torch.minimum(a, 1 - b), torch.minimum(b, 1 - a))


PAIRS: Mapping[Literal["!", "&", "\\", "^", "|"], Callable[[Mask, Mask], Mask]] = {
    "&": torch.minimum,
    "\\": difference,
    "^": exclusive,
    "|": torch.maximum,
}


def luma(image: Image) -> Mask:
    """Return 0.299 R + 0.587 G + 0.114 B of an image (3, H, W) as a mask."""
    weights = constant(LUMA, image.device)[:, None, None]
    return (image * weights).sum(0)


def as_image(mask: Mask) -> Image:
    """Return a mask as a gray image (3, H, W)."""
    return mask[None].repeat(3, 1, 1)[None].contiguous(memory_format=torch.channels_last)[0]


def mask_of(
    image: Image, width_px: int, height_px: int, *, brightness: float = 1, contrast: float = 1
) -> Mask:
    """Return the luma of an image, resized and adjusted, as a mask.

    Args:
        image: (3, H, W) float32 RGB, 0..1.
        width_px, height_px: size of the mask.
        brightness: factor of every level, before the contrast.
        contrast: factor of every level's distance from the mean level.
    """
    levels = resized(image, width_px, height_px)
    if brightness != 1:
        levels = (levels * brightness).clamp_(0, 1)
    if contrast != 1:
        mean = luma(levels).mean()
        levels = (mean + (levels - mean) * contrast).clamp_(0, 1)
    return luma(levels).clamp_(0, 1)


def read_mask(
    source: str | Path,
    width_px: int,
    height_px: int,
    *,
    setting: str,
    device: torch.device | str = "cpu",
    brightness: float = 1,
    contrast: float = 1,
) -> Mask:
    """Return the mask in an image file or data URL.

    Args:
        source: path or data URL.
        width_px, height_px: size of the mask.
        setting: name of the setting that names it, for the error.
        device: device of the mask.
        brightness, contrast: as in `mask_of`.

    Raises:
        SettingsError: the file is missing, is not an image, or is too large.
    """
    image = read_image(source, setting=setting, device=device)
    return mask_of(image, width_px, height_px, brightness=brightness, contrast=contrast)


def read_alpha(
    source: str | Path, width_px: int, height_px: int, *, setting: str, device: torch.device | str = "cpu"
) -> Mask | None:
    """Return the alpha of an image, 1 = opaque; None without alpha, or where it is 0 or 1 everywhere.

    Raises:
        SettingsError: as `read_mask`.
    """
    with open_image_file(source, setting=setting) as file:
        if not has_alpha(file):
            return None
        levels = bytearray(file.convert("RGBA").getchannel("A").tobytes())
        size = (file.height, file.width)
    alpha = torch.frombuffer(levels, dtype=torch.uint8).reshape(size).to(device, torch.float32) / 255
    if bool((alpha == alpha[0, 0]).all()) and float(alpha[0, 0]) in (0.0, 1.0):
        return None
    return F.interpolate(alpha[None, None], (height_px, width_px), mode="bicubic", antialias=True)[
        0, 0
    ].clamp_(0, 1)


def is_blank(mask: Mask) -> bool:
    """Tell whether a mask is 0 everywhere in 8 bits."""
    return bool(mask.max() * 255 < 0.5)


def blurred(mask: Mask, radius_px: float) -> Mask:
    """Return a mask blurred by a Gaussian of deviation `radius_px`, with edge pixels repeated outside."""
    if radius_px <= 0:
        return mask
    reach = int(3 * radius_px + 0.5)
    place = torch.arange(-reach, reach + 1, device=mask.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (place / radius_px) ** 2)
    weights /= weights.sum()
    plane = F.pad(mask[None, None], (reach, reach, reach, reach), mode="replicate")
    plane = F.conv2d(F.conv2d(plane, weights[None, None, None]), weights[None, None, :, None])
    return plane[0, 0].clamp_(0, 1)


def masked(over: Image, under: Image, mask: Mask) -> Image:
    """Return `over` where the mask is 1 and `under` where it is 0.

    Args:
        over, under: (3, H, W) float32 RGB, 0..1.
        mask: (H, W) float32.
    """
    return torch.lerp(under, over, mask[None])
