"""The only conversions between pictures of the outside (bytes, files, data URLs) and `Image`."""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from PIL import ImageOps

from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.image.types import Image

Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

LARGEST_PIXELS = 64_000_000
LARGEST_FILE_BYTES = 256_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def from_bytes(rgb_u8: Bytes, device: torch.device | str = "cpu") -> Image:
    """Return the `Image` of 8-bit pixels.

    Args:
        rgb_u8: (H, W, 3) uint8 RGB.
        device: where the image shall live.
    """
    levels = torch.from_numpy(np.require(rgb_u8, requirements=("C", "W"))).to(device)
    return levels.to(torch.float32).div_(255).permute(2, 0, 1)


def to_bytes(image: Image) -> Bytes:
    """Return (H, W, 3) uint8 RGB pixels, C-contiguous, rounded half to even.

    Args:
        image: (3, H, W) float32 RGB; values outside 0..1 are clamped.
    """
    rounded = (image.detach() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return rounded.permute(1, 2, 0).contiguous().cpu().numpy()


def on_8_bit_grid(image: Image) -> Image:
    """Return `image` rounded to 8 bits, equal to from_bytes(to_bytes(image)) bit for bit.

    Args:
        image: (3, H, W) float32 RGB.
    """
    return (image * 255).round_().clamp_(0, 255).div_(255)


def pixels(image: Image) -> Floats:
    """Return the (H, W, 3) float32 array of an image on the CPU: its own buffer where it is channels_last.

    Args:
        image: (3, H, W) float32, on the CPU.
    """
    return image.detach().permute(1, 2, 0).contiguous().numpy()


def from_pixels(rgb: Floats) -> Image:
    """Return the `Image` on the CPU that shares the buffer of (H, W, 3) float32 RGB pixels in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)


def clamp_pixels(rgb: Floats) -> Floats:
    """Clamp C-contiguous (H, W, 3) float32 to 0..1 in place and return it; torch's clamp would wait for its threads."""
    rows = rgb.reshape(len(rgb), -1)
    cv2.threshold(rows, 1, 1, cv2.THRESH_TRUNC, dst=rows)
    cv2.threshold(rows, 0, 1, cv2.THRESH_TOZERO, dst=rows)
    return rgb


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
    """Return the picture of a file or a data URL, upright as its EXIF tag says.

    Args:
        source: path, or "data:image/png;base64,...".
        setting: name of the setting that names it, for the error.
        device: where the image shall live.

    Raises:
        SettingsError: there is no such file, it is no picture, or it has more than 64 million pixels.
    """
    try:
        with Pillow.open(io.BytesIO(_contents(source, setting)), formats=FORMATS) as picture:
            width_px, height_px = picture.size
            if width_px * height_px > LARGEST_PIXELS:
                raise _problem(setting, f"a picture of {width_px}x{height_px} pixels", _size_limit())
            upright = ImageOps.exif_transpose(picture)
            return from_bytes(np.asarray(upright.convert("RGB")), device)
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise _problem(setting, "a picture of far too many pixels", _size_limit()) from None
    except (OSError, SyntaxError, ValueError, EOFError):
        raise _problem(
            setting, f"{_shown(source)}, which is no readable picture", ", ".join(FORMATS)
        ) from None


def _contents(source: str | Path, setting: str) -> bytes:
    text = str(source).strip()
    if text.startswith("data:"):
        return _data_url_contents(text, setting)
    if "://" in text:
        raise _problem(setting, f"the remote address {_shown(text)}", "a file of this machine, or a data URL")
    path = Path(text).expanduser()
    try:
        if not path.is_file():
            raise _problem(setting, f"{_shown(text)}, which is no file", "the path of a picture")
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise _problem(setting, f"{_shown(text)}, a file of over 256 MB", "at most 256 MB")
        return path.read_bytes()
    except (OSError, ValueError):
        raise _problem(setting, f"{_shown(text)}, which cannot be read", "the path of a picture") from None


def _data_url_contents(url: str, setting: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma or not head.endswith(";base64") or not head.startswith("data:image/"):
        raise _problem(setting, f"the data URL {_shown(head)}", "data:image/png;base64,...")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _problem(setting, "a data URL whose base64 is broken", "data:image/png;base64,...") from None


def _size_limit() -> str:
    return f"at most {LARGEST_PIXELS // 1_000_000} million pixels"


def _shown(source: str | Path) -> str:
    text = str(source)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _problem(setting: str, found: str, allowed: str) -> SettingsError:
    return SettingsError(
        [
            Problem(
                f"{setting} names {found}; allowed is {allowed}.",
                setting=setting,
                found=found,
                allowed=allowed,
            )
        ]
    )
