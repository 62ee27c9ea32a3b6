"""Settings embedded in images and videos, and how they are read back."""

from __future__ import annotations

import importlib.util
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from deforum_helpers.core.bounded_json import MOST_BYTES, JsonTooLarge, parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import UnusableFile, open_regular
from deforum_helpers.output import messages
from deforum_helpers.settings import read_settings_file

SETTINGS_KEYWORD = "deforum_settings"
MAX_SETTINGS_BYTES = MOST_BYTES
# An image given as a data URL in the settings would be repeated in every frame.
MAX_TEXT_IN_FRAME = 64 * 1024

# isal compresses three times faster than zlib at its fastest level, to smaller files; its checksums take a tenth.
isal_zlib = importlib.import_module("isal.isal_zlib") if importlib.util.find_spec("isal") else None
igzip = None if isal_zlib is None else importlib.import_module("isal.igzip_lib")
_crc32 = zlib.crc32 if isal_zlib is None else isal_zlib.crc32

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COMPRESS_FROM_BYTES = 1024
# Limit for the chunks of a PNG file, and for the boxes on each level of an mp4 file.
MOST_PARTS = 100_000
_COMMENT = b"\xa9cmt"


def frame_text(saved_settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the text embedded in every frame of a run: its settings, without images given as data URLs."""
    short = {
        name: "" if isinstance(value, str) and len(value) > MAX_TEXT_IN_FRAME else value
        for name, value in saved_settings.items()
    }
    return {SETTINGS_KEYWORD: json.dumps(short, ensure_ascii=False)}


def png_text_chunks(text: Mapping[str, str]) -> bytes:
    """Return the PNG chunks for `text`: tEXt for short ASCII values, compressed iTXt for others.

    Args:
        text: keyword (1..79 printable ASCII characters) -> value.

    Raises:
        ValueError: PNG does not allow a keyword.

    See the PNG specification, section 11.3.3.
    """
    return b"".join(_text_chunk(keyword, value) for keyword, value in text.items())


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a frame (.png) or video (.mp4) of a run; other files are read as settings files.

    Raises:
        SettingsError: the file contains no settings.
    """
    readers = {".png": read_png_settings, ".mp4": read_video_settings}
    return readers.get(path.suffix.lower(), read_settings_file)(path)


def read_png_settings(path: Path) -> dict[str, Any]:
    """Return the settings embedded in a frame.

    Raises:
        SettingsError: the file is not a PNG image, or contains no settings.
    """
    with _opened(path) as file:
        if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            raise _unreadable(messages.CARRIER_NOT_PNG(name=path.name))
        for kind, content in _png_chunks(file):
            value = _text_value(kind, content)
            if value is not None:
                return _parsed(path, value)
    raise _unreadable(messages.CARRIER_WITHOUT_SETTINGS(name=path.name))


def read_video_settings(path: Path) -> dict[str, Any]:
    """Return the settings in the comment of a run's mp4 video.

    Raises:
        SettingsError: the file is not an mp4 video, or contains no settings.

    The boxes are defined in ISO/IEC 14496-12; the item list is QuickTime's.
    """
    with _opened(path) as file:
        file.seek(0, 2)
        end = file.tell()
        span: tuple[int, int] | None = (0, end)
        for name in (b"moov", b"udta", b"meta", b"ilst", _COMMENT, b"data"):
            if span is None:
                break
            # `meta` is a full box: its version and flags stand before its children.
            start = span[0] + (4 if name == b"ilst" else 0)
            span = _box(file, start, span[1], name)
        if span is None or not 8 < span[1] - span[0] <= MAX_SETTINGS_BYTES:
            raise _unreadable(messages.CARRIER_WITHOUT_SETTINGS(name=path.name))
        file.seek(span[0] + 8)  # type and locale of the text
        return _parsed(path, file.read(span[1] - span[0] - 8))


def ffmetadata(comment: str) -> str:
    """Return the text of an ffmpeg metadata file that sets the video's comment."""
    escaped = "".join(f"\\{char}" if char in "=;#\\\n" else char for char in comment)
    return f";FFMETADATA1\ncomment={escaped}\n"


@lru_cache(maxsize=1)  # the settings are the same in all frames of a run
def _text_chunk(keyword: str, value: str) -> bytes:
    if not (
        0 < len(keyword) < 80 and keyword.isascii() and keyword.isprintable() and keyword == keyword.strip()
    ):
        raise ValueError(
            f"Expected a PNG keyword of 1 to 79 printable ASCII characters; found {keyword[:90]!r}."
        )
    name = keyword.encode("ascii")
    value = value.replace("\x00", "")
    if value.isascii() and len(value) < _COMPRESS_FROM_BYTES:
        return png_chunk(b"tEXt", name + b"\x00" + value.encode("ascii"))
    packed = zlib.compress(value.encode("utf-8", "replace"), 1)
    return png_chunk(b"iTXt", name + b"\x00\x01\x00\x00\x00" + packed)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG file: length, kind, content, checksum."""
    return b"".join(
        (
            struct.pack(">I", len(content)),
            kind,
            content,
            struct.pack(">I", _crc32(content, _crc32(kind))),
        )
    )


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(MOST_PARTS):
        if len(head := file.read(8)) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"tEXt", b"iTXt") and length <= MAX_SETTINGS_BYTES:
            yield kind, file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def _text_value(kind: bytes, content: bytes) -> bytes | None:
    keyword, _, rest = content.partition(b"\x00")
    if keyword != SETTINGS_KEYWORD.encode():
        return None
    if kind == b"tEXt":
        return rest
    compressed, parts = rest[:1] == b"\x01", rest[2:].split(b"\x00", 2)
    if len(parts) < 3:
        return b""
    if not compressed:
        return parts[2]
    unpacker = zlib.decompressobj()
    try:
        return unpacker.decompress(parts[2], MAX_SETTINGS_BYTES + 1)  # one byte too many is detected later
    except zlib.error:
        return b""


def _box(file: BinaryIO, start: int, end: int, name: bytes) -> tuple[int, int] | None:
    for _ in range(MOST_PARTS):
        if start + 8 > end:
            return None
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8).rjust(8, b"\x00"))[0], 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            return None
        if kind == name:
            return start + head, start + size
        start += size
    return None


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        settings = parse_json(text, most_bytes=MAX_SETTINGS_BYTES)
    except JsonTooLarge as error:
        raise _unreadable(messages.CARRIER_JSON_TOO_LARGE(name=path.name, why=error)) from None
    except ValueError:
        raise _unreadable(messages.CARRIER_WITHOUT_SETTINGS(name=path.name)) from None
    if not isinstance(settings, dict):
        raise _unreadable(messages.CARRIER_WITHOUT_SETTINGS(name=path.name))
    return settings


def _opened(path: Path) -> BinaryIO:
    try:
        return open_regular(path)
    except UnusableFile as error:
        raise _unreadable(messages.CARRIER_UNUSABLE(name=path.name, why=error)) from error


def _unreadable(message: str) -> SettingsError:
    return SettingsError([Problem(message)])
