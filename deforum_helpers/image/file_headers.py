"""Checks of image files before decoding: tags and comments, orientation, and the size of TIFF files.

EXIF and TIFF tags may all point at the same bytes, so the tags of a 1 MB file can unpack to gigabytes. GIF
comments are joined block by block, which takes minutes for 20 MB.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

MOST_TEXT_BYTES = 1 << 20

# Bytes per value of each tag type; unknown types are not read.
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_TAG_BYTES = 12
_ORIENTATION = 0x0112
# Tags that point to further directories: EXIF, GPS, interoperability.
_DIRECTORIES = frozenset({0x8769, 0x8825, 0xA005})
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(?:=["']|>)([1-8])""")
_XMP_BYTES = 64 * 1024
_WIDTH, _HEIGHT = 256, 257
_EXIF, _MULTI_PICTURE = b"Exif\0\0", b"MPF\0"
# JPEG markers without a length, and those after which the pixels begin.
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_PIXELS_BEGIN = frozenset({0xD9, 0xDA})


# Beginnings of image files, and of others that are often given as images.
_FORMATS = (
    (re.compile(rb"\x89PNG"), "PNG"),
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "AVIF"),
    (re.compile(rb".{4}ftyp(?:hei[cfmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"8BPS"), "Photoshop"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"\x76\x2f\x31\x01"), "OpenEXR"),
    (re.compile(rb"#\?RADIANCE"), "Radiance HDR"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}<(?:!DOCTYPE html|html|head)", re.IGNORECASE), "HTML"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}<(?:\?xml|svg)", re.IGNORECASE), "SVG or XML"),
)


class Oversized(ValueError):
    """A file whose tags or comments unpack to too much; `str()` continues a sentence about the file."""


class _Tag(NamedTuple):
    number: int
    type: int
    length: int
    value: bytes


def format_of(content: bytes) -> str:
    """Return the format of a file by its beginning, such as "PNG" or "HEIC", or nothing if it is unknown."""
    return next((name for begin, name in _FORMATS if begin.match(content)), "")


def check_headers(content: bytes) -> None:
    """Check the size of an image file's tags and comments.

    Args:
        content: the whole file, of any format.

    Raises:
        Oversized: they unpack to too much.
    """
    if content[:2] == b"\xff\xd8":
        for block in _jpeg_tags(content):
            check_tags(block)
    elif content[:2] in (b"II", b"MM"):
        check_tags(content)
    elif content[:6] in (b"GIF87a", b"GIF89a"):
        _check_gif(content)


def check_tags(block: bytes) -> None:
    """Check that the tags of a TIFF structure take no more bytes than it has; raises `Oversized`."""
    room, visited, starts = len(block) + MOST_TEXT_BYTES, set[int](), [_first(block)]
    while starts:
        start = starts.pop()
        if start is None or start in visited:
            continue
        visited.add(start)
        for tag in _tags(block, start):
            room -= _TAG_BYTES + tag.length * _TYPE_BYTES.get(tag.type, 0)
            if room < 0:
                raise Oversized("has tags that unpack to more than the whole file")
            if tag.number in _DIRECTORIES:
                starts.append(struct.unpack_from(_order(block) + "I", tag.value)[0])


def tiff_size(content: bytes) -> tuple[int, int] | None:
    """Return the size (width, height) of a TIFF file's first image, or None where it is not given."""
    sides: dict[int, int] = {}
    for tag in _tags(content, _first(content)):
        if tag.number in (_WIDTH, _HEIGHT) and tag.type in (3, 4) and tag.length == 1:
            kind = "H" if tag.type == 3 else "I"
            sides[tag.number] = struct.unpack_from(_order(content) + kind, tag.value)[0]
    return (sides[_WIDTH], sides[_HEIGHT]) if len(sides) == 2 else None


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 = upright as stored.

    Args:
        exif: the EXIF block, with or without its prefix.
        xmp: the XMP text, used where the block has no orientation.
    """
    block = exif.removeprefix(_EXIF)
    for tag in _tags(block, _first(block)):
        if tag.number == _ORIENTATION and tag.type == 3 and tag.length == 1:
            number = struct.unpack_from(_order(block) + "H", tag.value)[0]
            return number if 1 <= number <= 8 else 1
    found = _XMP_ORIENTATION.search(xmp[:_XMP_BYTES])
    return int(found[1]) if found else 1


def _order(block: bytes) -> str:
    return ">" if block[:2] == b"MM" else "<"


def _first(block: bytes) -> int | None:
    """Return the offset of the first directory of a TIFF structure; None for other data."""
    if block[:2] not in (b"II", b"MM") or len(block) < 16:
        return None
    kind, place = ("Q", 8) if _is_large(block) else ("I", 4)
    return int(struct.unpack_from(_order(block) + kind, block, place)[0])


def _is_large(block: bytes) -> bool:
    return struct.unpack_from(_order(block) + "H", block, 2)[0] == 43


def _tags(block: bytes, start: int | None) -> Iterator[_Tag]:
    """Yield the tags of a directory, up to the end of the TIFF structure."""
    order = _order(block)
    head, entry = ("Q", "HHQ8s") if start is not None and _is_large(block) else ("H", "HHI4s")
    if start is None or start + struct.calcsize(order + head) > len(block):
        return
    (count,) = struct.unpack_from(order + head, block, start)
    start += struct.calcsize(order + head)
    size = struct.calcsize(order + entry)
    for number in range(min(count, (len(block) - start) // size)):
        yield _Tag(*struct.unpack_from(order + entry, block, start + number * size))


def _jpeg_tags(content: bytes) -> Iterator[bytes]:
    """Yield the TIFF structures before the pixels of a JPEG: multi-picture lists, and the EXIF of all parts joined."""
    place, exif = 2, []
    while place + 4 <= len(content):
        mark, kind = content[place], content[place + 1]
        if mark != 0xFF:  # decoders skip to the next marker too
            place = content.find(b"\xff", place)
            if place < 0:
                break
            continue
        if kind == 0xFF:
            place += 1
            continue
        if kind in _PIXELS_BEGIN:
            break
        if kind in _BARE or kind == 0:
            place += 2
            continue
        length = struct.unpack_from(">H", content, place + 2)[0]
        body = content[place + 4 : place + 2 + length]
        if kind == 0xE1 and body.startswith(_EXIF):
            exif.append(body[len(_EXIF) :])
        elif kind == 0xE2 and body.startswith(_MULTI_PICTURE):
            yield body[len(_MULTI_PICTURE) :]
        place += 2 + max(length, 2)
    yield b"".join(exif)


def _check_gif(content: bytes) -> None:
    """Check the extension blocks before the first image of a GIF."""
    if len(content) < 13:
        return
    place = 13 + (3 << ((content[10] & 7) + 1) if content[10] & 0x80 else 0)
    begins = place
    while content[place : place + 1] == b"!":
        place += 2
        while place < len(content) and content[place]:
            place += 1 + content[place]
            if place - begins > MOST_TEXT_BYTES:
                raise Oversized("has comments of over 1 MiB")
        place += 1
