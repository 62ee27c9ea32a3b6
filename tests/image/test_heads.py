"""What stands beside the pixels of a file: bounded before it is unpacked; its orientation is read as others do."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.image.file_headers import Oversized, check_tags, orientation
from deforum_helpers.image.files import check_image_file, open_image_file

# Pillow itself takes up to 64 MiB of texts.
MOST_GROWTH_BYTES = 80_000_000


def encoded(format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    chart = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    Pillow.fromarray(chart).save(buffer, format_name, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def tags(count: int, size: int, *, begins: bytes = b"II*\0", directory: int | None = None) -> bytes:
    """A TIFF structure with `count` tags that all point at its own `size` bytes."""
    order = "<" if begins[:2] == b"II" else ">"
    entries = [struct.pack(order + "HHII", 40_000 + number % 20_000, 7, size, 8) for number in range(count)]
    if directory is not None:
        inner = 8 + 2 + 12 + 4
        outer = struct.pack(order + "HHHIII", 1, directory, 4, 1, inner, 0)
        entries_of = struct.pack(order + "H", count) + b"".join(entries)
        return (begins + struct.pack(order + "I", 8) + outer + entries_of + bytes(4)).ljust(size + 8, b"\0")
    body = begins + struct.pack(order + "IH", 8, count) + b"".join(entries) + bytes(4)
    return body.ljust(size + 8, b"\0")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(*chunks: bytes) -> bytes:
    whole = encoded("PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def jpeg_with(mark: int, *bodies: bytes) -> bytes:
    whole = encoded("JPEG")
    parts = (bytes([0xFF, mark]) + struct.pack(">H", len(body) + 2) + body for body in bodies)
    return whole[:2] + b"".join(parts) + whole[2:]


def gif_with_comment(blocks: int) -> bytes:
    whole = encoded("GIF")
    begins = 13 + (3 << ((whole[10] & 7) + 1) if whole[10] & 0x80 else 0)
    return whole[:begins] + b"!\xfe" + (b"\xff" + b"c" * 255) * blocks + b"\0" + whole[begins:]


LARGE = tags(4000, 60_000)
BOMBS: dict[str, bytes] = {
    "EXIF of a JPEG": jpeg_with(0xE1, b"Exif\0\0" + LARGE),
    "EXIF of a JPEG in parts": jpeg_with(0xE1, b"Exif\0\0" + LARGE[:30_000], b"Exif\0\0" + LARGE[30_000:]),
    "images of a JPEG": jpeg_with(0xE2, b"MPF\0" + LARGE),
    "EXIF behind fill bytes": encoded("JPEG")[:2]
    + b"\xff\xff\xff"
    + jpeg_with(0xE1, b"Exif\0\0" + LARGE)[2:],
    "EXIF of a PNG": png_with(png_chunk(b"eXIf", tags(4000, 1_000_000))),
    "hexadecimal EXIF of a PNG": png_with(
        png_chunk(
            b"zTXt",
            b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  60008\n" + LARGE.hex().encode(), 9),
        )
    ),
    "texts of a PNG": png_with(
        *(png_chunk(b"zTXt", b"k%d\0\0" % n + zlib.compress(bytes(1_000_000), 9)) for n in range(200))
    ),
    "profile of a PNG": png_with(png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(200_000_000), 9))),
    "EXIF of a WebP": encoded("WEBP", exif=b"Exif\0\0" + tags(4000, 1_000_000)),
    "comment of a GIF": gif_with_comment(200_000),
    "tags of a TIFF": tags(4000, 1_000_000),
    "tags of a TIFF from the other side": tags(4000, 1_000_000, begins=b"MM\0*"),
    "EXIF of a TIFF": tags(4000, 1_000_000, directory=0x8769),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_more_than_it_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(BOMBS[name])
    tracemalloc.start()
    try:
        for read in (check_image_file, opened):
            with suppress(SettingsError):
                read(path, setting="init_image")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(BOMBS[name]) * 4 + MOST_GROWTH_BYTES


def opened(path: Path, *, setting: str) -> tuple[int, int]:
    with open_image_file(path, setting=setting) as image:
        return image.size


@pytest.mark.parametrize("name", [name for name in BOMBS if name.split()[0] in ("comment", "tags", "images")])
def test_they_are_refused_in_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(BOMBS[name])
    with pytest.raises(SettingsError, match=r"tags that unpack|comments of over"):
        check_image_file(path, setting="init_image")


def test_directories_that_lead_to_each_other_end() -> None:
    loop = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 0)
    check_tags(loop.ljust(64, b"\0"))


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0+" + b"\xff" * 20, b"Exif\0\0II*\0"]
)
def test_blocks_that_are_cut_off(block: bytes) -> None:
    assert orientation(block) == 1
    check_tags(block)


def test_tags_that_are_large_because_the_file_is(tmp_path: Path) -> None:
    check_tags(tags(1, 5_000_000))
    with pytest.raises(Oversized):
        check_tags(tags(3, 5_000_000))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("number", range(10))
def test_images_stand_as_others_show_them(format_name: str, number: int, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = number
    lossless = {"lossless": True} if format_name == "WEBP" else {}
    path = tmp_path / "image"
    path.write_bytes(encoded(format_name, exif=exif, **lossless))
    with Pillow.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    with open_image_file(path, setting="init_image") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)


def test_the_orientation_that_only_xmp_tells() -> None:
    assert orientation(b"", b'<x tiff:Orientation="6"/>') == 6
    assert orientation(b"", b"<tiff:Orientation>3</tiff:Orientation>") == 3
    assert orientation(b"", b"tiff:Orientation=" * 10_000) == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"\0\0\0\x20ftypavif", "the AVIF file"),
        (b"\0\0\0\x24ftypheic", "the HEIC file"),
        (b"\xff\x0a\0", "the JPEG XL file"),
        (b"8BPS\0\1", "the Photoshop file"),
        (b"\n<!doctype html><html>", "the HTML file"),
        (b'<svg xmlns="', "the SVG or XML file"),
        (encoded("JPEG")[:200], "the damaged JPEG file"),
        (encoded("PNG")[:45], "the damaged PNG file"),
        (encoded("WEBP")[:40], "the damaged WEBP file"),
        (b"hello", "names '"),
    ],
)
def test_what_a_file_is_instead_of_an_image_is_told(content: bytes, named: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        check_image_file(path, setting="init_image")
    assert named in error.value.problems[0].message
