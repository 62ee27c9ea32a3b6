"""Conversions between `Image` and bytes, files and data URLs; no other module converts them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from deforum_helpers.image.files import open_image_file
from deforum_helpers.image.transfers import HostCopy, constant, to_device, to_host
from deforum_helpers.image.types import Image

Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]


def from_bytes(rgb_u8: Bytes, device: torch.device | str = "cpu") -> Image:
    """Return the `Image` of 8-bit pixels.

    Args:
        rgb_u8: (H, W, 3) uint8 RGB.
        device: device of the result.
    """
    if torch.device(device).type == "cpu":
        # numpy, as torch would share the division among threads that take longer to wake
        return from_pixels(np.divide(rgb_u8, 255, dtype=np.float32, order="C"))
    levels = torch.from_numpy(np.require(rgb_u8, requirements=("C", "W")))
    return to_device(levels, torch.device(device)).to(torch.float32).div_(255).permute(2, 0, 1)


def to_bytes(image: Image) -> Bytes:
    """Return (H, W, 3) uint8 RGB pixels, C-contiguous, rounded half to even.

    Args:
        image: (3, H, W) float32 RGB; values outside 0..1 are clamped.
    """
    if image.device.type != "cpu":
        return bytes_anywhere(image)
    rgb = pixels(image)
    rows = rgb.reshape(len(rgb), -1)  # OpenCV drops a single channel
    if rows.min(initial=0) >= 0 and rows.max(initial=0) <= 1:
        levels = cv2.convertScaleAbs(rows, alpha=255)
    else:
        # Capped first, as values too large for an integer would become 0.
        _, capped = cv2.threshold(rows, 1, 1, cv2.THRESH_TRUNC)
        levels = cv2.addWeighted(capped, 255, capped, 0, 0, dtype=cv2.CV_8U)
    return np.asarray(levels, np.uint8).reshape(rgb.shape)


def bytes_anywhere(image: Image) -> Bytes:
    """Return `to_bytes` of an image on any device; the reference of the faster CPU form."""
    return _levels(image).cpu().numpy()


def begin_to_bytes(image: Image) -> HostCopy:
    """Return `to_bytes` of an image; from a GPU it is copied while the render thread goes on."""
    return HostCopy(to_bytes(image)) if image.device.type == "cpu" else to_host(_levels(image))


def _levels(image: Image) -> torch.Tensor:
    rounded = (image.detach() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return rounded.permute(1, 2, 0).contiguous()


def on_8_bit_grid(image: Image) -> Image:
    """Return `image` rounded to 8 bits, equal to from_bytes(to_bytes(image)) bit for bit.

    Args:
        image: (3, H, W) float32 RGB.
    """
    return rounded(image)[0]


def rounded(image: Image) -> tuple[Image, HostCopy | None]:
    """Return `on_8_bit_grid` of an image, and the 8-bit pixels that it was made from; on a GPU None."""
    if image.device.type != "cpu":
        return (image * 255).round_().clamp_(0, 255).div_(255), None
    levels = to_bytes(image)
    return from_bytes(levels), HostCopy(levels)


def pixels(image: Image) -> Floats:
    """Return the (H, W, 3) float32 array of an image on the CPU, without a copy if it is channels_last.

    Args:
        image: (3, H, W) float32, on the CPU.
    """
    return image.detach().permute(1, 2, 0).contiguous().numpy()


def from_pixels(rgb: Floats) -> Image:
    """Return the `Image` on the CPU that shares the buffer of (H, W, 3) float32 RGB pixels in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)


def clamp_pixels(rgb: Floats) -> Floats:
    """Clamp (H, W, 3) float32 to 0..1 in place and return it.

    torch's clamp is slower, and OpenCV's threshold wakes other threads, even for the rows of a band.
    """
    return np.clip(rgb, 0, 1, out=rgb)


def resized(image: Image, width_px: int, height_px: int) -> Image:
    """Return `image` at another size, antialiased bicubic, clamped to 0..1.

    Args:
        image: (3, H, W) float32 RGB.
        width_px, height_px: the new size, >= 1.
    """
    if image.shape[1:] == (height_px, width_px):
        return image.clone(memory_format=torch.preserve_format)
    larger = F.interpolate(image[None], (height_px, width_px), mode="bicubic", antialias=True)
    return larger.clamp_(0, 1).contiguous(memory_format=torch.channels_last)[0]


def read_image(source: str | Path, *, setting: str, device: torch.device | str = "cpu") -> Image:
    """Return the image of a file or data URL, oriented by its EXIF tag.

    Args:
        source: path, or "data:image/png;base64,...".
        setting: name of the setting that names it, for the error.
        device: device of the result.

    Raises:
        SettingsError: the file is missing, is not an image, or has more than 64 million pixels.
    """
    with open_image_file(source, setting=setting) as file:
        return from_bytes(np.asarray(file.convert("RGB")), device)


Triple = tuple[float, float, float]

# Of the ImageNet images, per channel.
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION: Triple = (0.229, 0.224, 0.225)


def standardized(
    images: torch.Tensor, mean: Triple = IMAGENET_MEAN, deviation: Triple = IMAGENET_DEVIATION
) -> torch.Tensor:
    """Return (images - mean) / deviation per channel.

    Args:
        images: (..., 3, H, W) float RGB, 0..1.
        mean, deviation: of the images that a network was trained on.
    """
    center, scale = (constant(triple, images.device)[:, None, None] for triple in (mean, deviation))
    return (images - center) / scale
