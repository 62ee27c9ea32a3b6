"""Picture files and data URLs, opened within bounds; imported without torch."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from deforum_helpers.errors import Problem, SettingsError

LARGEST_PIXELS = 64_000_000
LARGEST_FILE_BYTES = 256_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


@contextmanager
def open_picture(source: str | Path, *, setting: str) -> Iterator[Pillow.Image]:
    """Give the picture of a file or a data URL, upright as its EXIF tag says, greys of 16 bits in 8.

    Args:
        source: path, or "data:image/png;base64,...".
        setting: name of the setting that names it, for the error.

    Raises:
        SettingsError: there is no such file, it is no picture, or it has more than 64 million pixels.
    """
    with _opened(source, setting) as picture:
        yield _in_8_bits(ImageOps.exif_transpose(picture))


def _in_8_bits(picture: Pillow.Image) -> Pillow.Image:
    """Pillow's own conversion of 16-bit greys cuts off all that is brighter than 255 of 65535."""
    if not picture.mode.startswith("I"):
        return picture
    levels = np.asarray(picture).clip(0, 65535).astype(np.uint32)
    return Pillow.fromarray(((levels + 128) // 257).astype(np.uint8))


def check_picture(source: str | Path, *, setting: str) -> tuple[int, int]:
    """Return the size (width, height) of a picture by its head alone; its pixels are not decoded.

    Raises:
        SettingsError: as `open_picture`.
    """
    with _opened(source, setting) as picture:
        return picture.size


def has_alpha(picture: Pillow.Image) -> bool:
    """Tell whether a picture can be transparent."""
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


@contextmanager
def _opened(source: str | Path, setting: str) -> Iterator[Pillow.Image]:
    try:
        with Pillow.open(io.BytesIO(_contents(source, setting)), formats=FORMATS) as picture:
            width_px, height_px = picture.size
            if width_px * height_px > LARGEST_PIXELS:
                raise _problem(setting, f"a picture of {width_px}x{height_px} pixels", _size_limit())
            yield picture
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
