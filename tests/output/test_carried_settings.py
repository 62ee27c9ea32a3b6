"""Settings inside images and videos that unpack large, nest deep or never end: refused before they are parsed."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.output.metadata import PNG_SIGNATURE, SETTINGS_KEYWORD, png_chunk, read_settings
from deforum_helpers.schedule.parseq import read_manifest

KEYWORD = SETTINGS_KEYWORD.encode() + b"\0"
LISTS = b"[" + b"[]," * 5_000_000 + b"[]]"
DEEP = b'{"a":' * 100_000
MOST_GROWTH_BYTES = 60_000_000


def packed(text: bytes) -> bytes:
    return png_chunk(b"iTXt", KEYWORD + b"\x01\x00\x00\x00" + zlib.compress(text, 9))


def png_bytes(*chunks: bytes) -> bytes:
    return PNG_SIGNATURE + b"".join(chunks) + png_chunk(b"IEND", b"")


def mp4_bytes(comment: bytes) -> bytes:
    content = struct.pack(">II", 1, 0) + comment
    for name in (b"data", b"\xa9cmt", b"ilst"):
        content = struct.pack(">I4s", len(content) + 8, name) + content
    content = bytes(4) + content
    for name in (b"meta", b"udta", b"moov"):
        content = struct.pack(">I4s", len(content) + 8, name) + content
    return content


FILES: dict[str, tuple[str, bytes]] = {
    "many lists in an image": (".png", png_bytes(packed(LISTS))),
    "deep in an image": (".png", png_bytes(packed(DEEP))),
    "plain in an image": (".png", png_bytes(png_chunk(b"tEXt", KEYWORD + DEEP))),
    "too long in an image": (".png", png_bytes(packed(b" " * (17 << 20)))),
    "junk many times in an image": (
        ".png",
        png_bytes(
            *[png_chunk(b"iTXt", KEYWORD + b"\x01\x00\x00\x00" + zlib.compress(bytes(16 << 20))[:-9])] * 99
        ),
    ),
    "many chunks": (".png", png_bytes(*[png_chunk(b"tEXt", b"")] * 200_000)),
    "many lists in a video": (".mp4", mp4_bytes(LISTS)),
    "deep in a video": (".mp4", mp4_bytes(DEEP)),
    "many boxes": (".mp4", struct.pack(">I4s", 8, b"free") * 200_000),
    "many lists in a file": (".json", LISTS),
    "deep in a file": (".txt", DEEP),
}


def peak_of(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(SettingsError):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FILES)
def test_what_unpacks_to_too_much_is_refused(name: str, tmp_path: Path) -> None:
    ending, content = FILES[name]
    path = tmp_path / f"file{ending}"
    path.write_bytes(content)
    assert peak_of(lambda: read_settings(path)) < MOST_GROWTH_BYTES + 4 * len(content)


def test_a_manifest_that_holds_too_much_is_refused() -> None:
    assert (
        peak_of(lambda: read_manifest('{"a": ' + LISTS.decode() + "}", uses_deltas=False)) < MOST_GROWTH_BYTES
    )


@pytest.mark.parametrize("ending", [".png", ".mp4"])
def test_what_is_small_is_read(ending: str, tmp_path: Path) -> None:
    text = json.dumps({"W": 64, "prompts": {"0": "[{,:" * 1000}}).encode()
    path = tmp_path / f"file{ending}"
    path.write_bytes(png_bytes(packed(text)) if ending == ".png" else mp4_bytes(text))
    assert read_settings(path)["W"] == 64
