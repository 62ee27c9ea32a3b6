from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from deforum_helpers.core.errors import DiskFull, RenderError, SettingsError
from deforum_helpers.output import frames
from deforum_helpers.output.frames import encode_png, read_frame, write_frame
from deforum_helpers.output.metadata import SETTINGS_KEYWORD, read_png_settings
from tests.output.small_videos import chart


@pytest.mark.parametrize("compressed_by", ["isal", "zlib"])
@given(
    pixels=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 150), st.integers(1, 40), st.just(3))
        | st.tuples(st.integers(1, 150), st.integers(1, 40)),
    )
)
def test_what_is_read_is_what_was_written(compressed_by: str, pixels: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if compressed_by == "zlib":
            patch.setattr(frames, "igzip", None)
        else:
            assert frames.igzip is not None
        png = encode_png(pixels)
    read = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read if pixels.ndim == 2 else read[..., ::-1], pixels)
    with Image.open(io.BytesIO(png)) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_a_frame_is_rgb_for_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_frame(path, chart(9, 5))
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), chart(9, 5))
    assert np.array_equal(read_frame(path), chart(9, 5))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_depth_map_is_grey(tmp_path: Path) -> None:
    write_frame(tmp_path / "d.png", np.arange(12, dtype=np.uint8).reshape(3, 4))
    with Image.open(tmp_path / "d.png") as image:
        assert image.mode == "L"


def test_text_travels_in_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    long = '{"prompts": {"0": "' + "城 château " * 400 + '"}}'
    write_frame(path, chart(8, 8), {"Software": "Deforum", SETTINGS_KEYWORD: long})
    with Image.open(path) as image:
        image.load()
        assert image.text == {"Software": "Deforum", SETTINGS_KEYWORD: long}
    assert read_png_settings(path) == {"prompts": {"0": "城 château " * 400}}
    assert np.array_equal(read_frame(path), chart(8, 8))


def test_short_settings_travel_too(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", chart(8, 8), {SETTINGS_KEYWORD: '{"W": 8}'})
    assert read_png_settings(tmp_path / "a.png") == {"W": 8}


@pytest.mark.parametrize("keyword", ["", "a" * 80, "ä", " a", "a\nb"])
def test_keywords_are_those_of_png(keyword: str) -> None:
    with pytest.raises(ValueError, match="keyword"):
        encode_png(chart(8, 8), {keyword: "x"})


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", encode_png(chart(8, 8)), encode_png(chart(8, 8), {SETTINGS_KEYWORD: "[1]"})],
    ids=["empty", "text", "without", "another kind"],
)
def test_a_file_without_settings_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SettingsError, match=r"a\.png"):
        read_png_settings(tmp_path / "a.png")


@given(st.binary(max_size=200))
def test_broken_chunks_raise_only_our_error(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + noise)
    with pytest.raises(SettingsError):
        read_png_settings(path)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)])
def test_other_arrays_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        write_frame(tmp_path / "a.png", pixels)


def test_a_full_disk_leaves_no_half_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(descriptor: int) -> None:
        os.ftruncate(descriptor, 10)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", half)
    with pytest.raises(DiskFull, match=r"a\.png") as caught:
        write_frame(tmp_path / "a.png", chart(8, 8))
    assert caught.value.retryable
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"a\.png could not be written"):
        write_frame(tmp_path / "none" / "a.png", chart(8, 8))


def test_a_frame_is_replaced_whole(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", chart(8, 8))
    with pytest.raises(ValueError, match="uint8"):
        write_frame(tmp_path / "a.png", np.zeros((8, 8, 3)))
    assert np.array_equal(read_frame(tmp_path / "a.png"), chart(8, 8))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", None])
def test_an_unreadable_frame_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RenderError, match=r"a\.png"):
        read_frame(tmp_path / "a.png")
