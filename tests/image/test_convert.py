"""Bytes, files and data URLs to images and back."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.image.convert import (
    bytes_anywhere,
    from_bytes,
    on_8_bit_grid,
    pixels,
    read_image,
    resized,
    to_bytes,
)
from deforum_helpers.image.files import check_image_file
from tests.image.sample_images import random_image, soft_image
from tests.refusals import refuses


def encoded(rgb: np.ndarray, format_name: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(rgb).save(file, format_name, **options)
    return file.getvalue()


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32))
def test_bytes_come_back(height_px: int, width_px: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    image = from_bytes(rgb)
    assert image.shape == (3, height_px, width_px)
    assert image.permute(1, 2, 0).is_contiguous()
    back = to_bytes(image)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, rgb)


def test_rounding_is_half_to_even_and_clamped() -> None:
    values = torch.tensor([-1.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 0.999, 2.0]).repeat(3, 1, 1)
    assert to_bytes(values)[0, :, 0].tolist() == [0, 0, 2, 2, 255, 255]


@given(st.integers(0, 2**32), st.sampled_from([1, 3, 4]))
def test_the_fast_bytes_are_those_of_the_readable_form(seed: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(channels, 9, 7, generator=generator) * 1.4 - 0.2
    halves = torch.randint(-20, 530, (channels, 9, 7), generator=generator) / 2 / 255
    within = halves.clamp(0, 1)
    extreme = torch.tensor([3e38, -3e38, float("inf"), -float("inf"), 1e7, -1e7, 1.0]).repeat(channels, 9, 1)
    for image in (
        values,
        halves,
        within,
        extreme,
        values[None].contiguous(memory_format=torch.channels_last)[0],
    ):
        fast = to_bytes(image)
        assert fast.flags.c_contiguous
        np.testing.assert_array_equal(fast, bytes_anywhere(image))


@given(st.integers(0, 2**32))
def test_the_8_bit_grid_is_what_a_file_holds(seed: int) -> None:
    image = torch.rand(3, 9, 7, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.1
    rounded = (image * 255).round().clamp(0, 255) / 255
    assert torch.equal(on_8_bit_grid(image), rounded)
    assert torch.equal(from_bytes(to_bytes(image)), rounded)


def test_pixels_share_the_buffer() -> None:
    image = random_image(4, 5)
    assert pixels(image).ctypes.data == image.data_ptr()
    assert pixels(image.contiguous()).shape == (4, 5, 3)


def test_resized() -> None:
    image = soft_image(64, 96)
    small = resized(image, 48, 32)
    assert small.shape == (3, 32, 48)
    assert small.permute(1, 2, 0).is_contiguous()
    assert (small.mean((1, 2)) - image.mean((1, 2))).abs().max() < 0.01
    same = resized(image, 96, 64)
    assert torch.equal(same, image)
    assert same.data_ptr() != image.data_ptr()


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG"])
def test_files_and_data_urls(tmp_path: Path, format_name: str) -> None:
    rgb = to_bytes(soft_image(20, 30))
    content = encoded(rgb, format_name, **({"lossless": True} if format_name == "WEBP" else {}))
    (tmp_path / "image").write_bytes(content)
    from_file = read_image(tmp_path / "image", setting="init_image")
    url = f"data:image/{format_name.lower()};base64," + base64.b64encode(content).decode()
    assert torch.equal(read_image(url, setting="init_image"), from_file)
    tolerance = 12 if format_name in ("JPEG", "GIF") else 0
    assert np.abs(to_bytes(from_file).astype(int) - rgb).mean() <= tolerance


def test_images_stand_upright(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turned by a quarter
    (tmp_path / "photo.jpg").write_bytes(encoded(np.zeros((20, 30, 3), np.uint8), "JPEG", exif=exif))
    assert read_image(tmp_path / "photo.jpg", setting="init_image").shape == (3, 30, 20)


def test_gray_and_transparent_images_are_rgb(tmp_path: Path) -> None:
    for name, shape in (("gray.png", (5, 6)), ("clear.png", (5, 6, 4))):
        (tmp_path / name).write_bytes(encoded(np.full(shape, 51, np.uint8)))
        assert read_image(tmp_path / name, setting="init_image").unique().tolist() == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("format_name", "kind"), [("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", np.int32)]
)
def test_greys_of_16_bits_keep_their_lights(tmp_path: Path, format_name: str, kind: type) -> None:
    (tmp_path / "deep").write_bytes(encoded(np.array([[0, 257, 32896, 65535]], kind), format_name))
    levels = to_bytes(read_image(tmp_path / "deep", setting="mask_file"))[0, :, 0]
    assert levels.tolist() == [0, 1, 128, 255]


def png_header(width_px: int, height_px: int) -> bytes:
    """Return a PNG that claims a size and holds nothing."""
    head = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(9000, 8000), (12000, 10000), (60000, 60000)])
def test_huge_images_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(*size))
    with pytest.raises(SettingsError, match="64 million pixels"):
        read_image(tmp_path / "huge.png", setting="init_image")


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("no/such/file.png", "image_not_usable"),
        ("https://example.com/a.png", "image_remote"),
        ("data:image/png;base64,@@@", "image_bad_data_url"),
        ("data:text/html;base64,AAAA", "image_bad_data_url"),
        ("data:image/png;base64,AAAA", "image_unreadable"),
        ("", "image_not_usable"),
        ("a\0b", "image_not_usable"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(source: str, code: str) -> None:
    with refuses(SettingsError, code) as caught:
        read_image(source, setting="color_coherence_image_path")
    assert isinstance(caught.value, SettingsError)
    (problem,) = caught.value.problems
    assert problem.setting == "color_coherence_image_path"
    assert problem.message.startswith("color_coherence_image_path names ")


def test_broken_files_are_refused(tmp_path: Path) -> None:
    whole = encoded(to_bytes(random_image(30, 30)))
    for cut in (10, 60, len(whole) - 100):
        (tmp_path / "cut.png").write_bytes(whole[:cut])
        with refuses(SettingsError, "image_unreadable"):
            read_image(tmp_path / "cut.png", setting="init_image")


@pytest.mark.parametrize(
    "head", ["data:image/png;base64,", "DATA:image/PNG;BASE64,", "data:image/png;charset=utf-8;base64,"]
)
def test_the_head_of_a_data_url_may_be_written_in_any_case(head: str) -> None:
    picture = random_image(20, 30)
    text = head + base64.b64encode(encoded(to_bytes(picture))).decode()
    np.testing.assert_array_equal(to_bytes(read_image(text, setting="init_image")), to_bytes(picture))
    assert check_image_file(text, setting="init_image") == (30, 20)
