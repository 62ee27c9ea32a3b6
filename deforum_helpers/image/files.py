"""Image files: opening and checking untrusted files and data URLs, with 16-bit and float levels reduced to 8 bits."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import UnusableFile, read_regular
from deforum_helpers.core.messages import Message
from deforum_helpers.image import messages
from deforum_helpers.image.file_headers import Oversized, check_headers, format_of, orientation, tiff_size


def float_tiff(content: bytes, most_pixels: int) -> npt.NDArray[np.uint8] | None:
    """Return the (H, W) or (H, W, 3) RGB uint8 levels of a float TIFF that Pillow cannot read (color, or 64 bits).

    Returns None for any other file, and for more than `most_pixels`.
    """
    size = tiff_size(content)
    if size is None or not 0 < size[0] * size[1] <= most_pixels:
        return None
    import cv2  # slow to import, and such files are rare

    try:
        levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if levels is None or levels.dtype.kind != "f" or levels.shape[2:] not in ((), (3,), (4,)):
        return None
    colors = levels if levels.ndim == 2 else levels[..., 2::-1]
    return in_8_bits(colors)


def in_8_bits(levels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return float levels as uint8: 0..1 is black to white; levels outside of 0..1 are scaled by their range.

    NaN is black; a constant image above 1 is white.
    """
    finite = levels[np.isfinite(levels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if (low >= 0 and high <= 1) or low == high:
        low, high = 0.0, 1.0
    shares = (levels.astype(np.float64) - low) / (high - low)
    shares = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    return np.rint(shares * 255).astype(np.uint8)


LARGEST_PIXELS = 64_000_000
LARGEST_FILE_BYTES = 256_000_000
# Transforms that turn the EXIF orientations 2 to 8 upright.
_TURNS = (
    Pillow.Transpose.FLIP_LEFT_RIGHT,
    Pillow.Transpose.ROTATE_180,
    Pillow.Transpose.FLIP_TOP_BOTTOM,
    Pillow.Transpose.TRANSPOSE,
    Pillow.Transpose.ROTATE_270,
    Pillow.Transpose.TRANSVERSE,
    Pillow.Transpose.ROTATE_90,
)
_MOST_SHOWN = 80
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


@contextmanager
def open_image_file(source: str | Path, *, setting: str) -> Iterator[Pillow.Image]:
    """Open the image of a file or data URL, oriented by its EXIF tag, with 16-bit grays reduced to 8 bits.

    Args:
        source: path, or "data:image/png;base64,...".
        setting: name of the setting that names it, for the error.

    Raises:
        SettingsError: the file is missing, is not an image, or has more than 64 million pixels.
    """
    with _opened(source, setting) as image:
        yield _in_8_bits(_upright(image))


def _upright(image: Pillow.Image) -> Pillow.Image:
    """Return the image upright. Pillow's own function unpacks all tags, even those that all point at the same bytes."""
    image.load()  # a PNG may have its tags after the pixels
    if isinstance(image, TiffImageFile):  # loading turned it upright
        return image
    number = orientation(_tags_of(image), _xmp_of(image))
    return image if number == 1 else image.transpose(_TURNS[number - 2])


def _tags_of(image: Pillow.Image) -> bytes:
    if isinstance(exif := image.info.get("exif"), bytes):
        return exif
    hexadecimal = str(image.info.get("Raw profile type exif", "")).split("\n")[3:]
    try:
        return bytes.fromhex("".join(hexadecimal))
    except ValueError:
        return b""


def _xmp_of(image: Pillow.Image) -> bytes:
    text = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text)


def _in_8_bits(image: Pillow.Image) -> Pillow.Image:
    """Return the image in 8 bits. Pillow's own conversion of 16-bit grays and floats clips levels above 255."""
    if image.mode == "F":
        return Pillow.fromarray(in_8_bits(np.asarray(image)))
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image).clip(0, 65535).astype(np.uint32)
    return Pillow.fromarray(((levels + 128) // 257).astype(np.uint8))


def check_image_file(source: str | Path, *, setting: str) -> tuple[int, int]:
    """Return the size (width, height) of an image after decoding all of it; an unchanged file is decoded once.

    Raises:
        SettingsError: as `open_image_file`, or the file is truncated.
    """
    text = str(source).strip()
    about = None
    if not _is_data_url(text):
        with suppress(OSError, ValueError, RuntimeError):
            about = Path(text).expanduser().stat()
    return _decoded_size(text, setting, (about.st_size, about.st_mtime_ns) if about else None)


@lru_cache(maxsize=1024)
def _decoded_size(source: str, setting: str, seen: tuple[int, int] | None) -> tuple[int, int]:
    with _opened(source, setting) as image:
        image.load()
        return image.size


def has_alpha(image: Pillow.Image) -> bool:
    """Tell whether an image has an alpha channel or a transparent color."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


@contextmanager
def open_frames(source: str | Path, *, setting: str) -> Iterator[Pillow.Image]:
    """Open an image file as stored, before its first frame is decoded; raises as `open_image_file`."""
    with _opened(source, setting) as image:
        yield image


@contextmanager
def _opened(source: str | Path, setting: str) -> Iterator[Pillow.Image]:
    content = b""
    try:
        content = _contents(source, setting)
        check_headers(content)
        with _decoder(content) as image:
            width_px, height_px = image.size
            if width_px * height_px > LARGEST_PIXELS:
                found = f"an image of {width_px}x{height_px} pixels"
                raise _problem(messages.TOO_MANY_PIXELS, setting, found, _size_limit())
            yield image
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        found = "an image of far too many pixels"
        raise _problem(messages.TOO_MANY_PIXELS, setting, found, _size_limit()) from None
    except Oversized as error:
        found = f"{_shown(source)}, which {error}"
        raise _problem(messages.IMAGE_OVERSIZED, setting, found, "an image without them") from None
    except (OSError, SyntaxError, ValueError, EOFError):
        allowed = f"a file in one of the formats {', '.join(FORMATS)}"
        kind = format_of(content)
        state = "damaged " if kind in FORMATS else ""
        found = f"the {state}{kind} file {_shown(source)}" if kind else _shown(source)
        raise _problem(messages.IMAGE_UNREADABLE, setting, found, allowed) from None


def _decoder(content: bytes) -> Pillow.Image:
    try:
        return Pillow.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        if (levels := float_tiff(content, LARGEST_PIXELS)) is not None:
            return Pillow.fromarray(levels)
        raise


def _contents(source: str | Path, setting: str) -> bytes:
    text = str(source).strip()
    if _is_data_url(text):
        return _data_url_contents(text, setting)
    if "://" in text:
        found, allowed = f"the remote address {_shown(text)}", "a local file or a data URL"
        raise _problem(messages.REMOTE_IMAGE, setting, found, allowed)
    try:
        return read_regular(Path(text).expanduser(), LARGEST_FILE_BYTES)
    except UnusableFile as error:
        why, passing = str(error), error.passing
    except RuntimeError:  # ~name of an unknown user
        why, passing = "is not a path", False
    allowed = "the path of an image"
    message = messages.NO_IMAGE_FILE(setting=setting, found=_shown(text), why=why, allowed=allowed)
    raise SettingsError([Problem(message, setting, found=_shown(text), allowed=allowed, passing=passing)])


def _is_data_url(text: str) -> bool:
    return text[:5].casefold() == "data:"


def _data_url_contents(url: str, setting: str) -> bytes:
    head, comma, body = url.partition(",")
    kind = head.casefold()
    if not comma or not kind.endswith(";base64") or not kind.startswith("data:image/"):
        found = f"the data URL {_shown(head)}"
        raise _problem(messages.BAD_DATA_URL, setting, found, "data:image/png;base64,...")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        found = "a data URL with invalid base64"
        raise _problem(messages.BAD_DATA_URL, setting, found, "data:image/png;base64,...") from None


def _size_limit() -> str:
    return f"at most {LARGEST_PIXELS // 1_000_000} million pixels"


def _shown(source: str | Path) -> str:
    """Quote a source in at most 80 characters: the beginning of a data URL or address, the end of a path."""
    text = str(source)
    if len(text) > _MOST_SHOWN:
        is_path = not _is_data_url(text) and "://" not in text
        text = f"...{text[3 - _MOST_SHOWN :]}" if is_path else f"{text[: _MOST_SHOWN - 3]}..."
    return repr(text)


def _problem(message: Message, setting: str, found: str, allowed: str) -> SettingsError:
    text = message(setting=setting, found=found, allowed=allowed)
    return SettingsError([Problem(text, setting=setting, found=found, allowed=allowed)])
