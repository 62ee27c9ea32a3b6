"""Images in floating point, and images that break off."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.image.convert import read_image
from deforum_helpers.image.files import check_image_file, float_tiff, in_8_bits
from tests.refusals import refuses

RAMP = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)


def read(path: Path) -> np.ndarray:
    """The levels 0..1 of an image, (3, H, W)."""
    assert check_image_file(path, setting="init_image") == (64, 48)
    return read_image(path, setting="init_image").numpy()


@pytest.mark.parametrize("kind", ["one channel", "three channels", "64 bits"])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (-1, 1), (300, 9000), (0, 1e-3)])
def test_a_float_tiff_is_scaled_to_its_range(tmp_path: Path, kind: str, low: float, high: float) -> None:
    levels = RAMP * (high - low) + low
    if kind == "three channels":
        levels = np.dstack([levels, levels[::-1], levels])
    cv2.imwrite(str(tmp_path / "a.tiff"), levels.astype(np.float64) if kind == "64 bits" else levels)
    shown = RAMP * high if high < 1 else RAMP
    image = read(tmp_path / "a.tiff")
    assert np.abs(image[0] - shown).max() < 0.01
    assert np.abs(image[1] - (shown[::-1] if kind == "three channels" else shown)).max() < 0.01


def test_what_is_no_number_is_black_and_too_bright_is_white() -> None:
    levels = np.array([[np.nan, -np.inf, np.inf, 0.5]], np.float32)
    assert in_8_bits(levels).tolist() == [[0, 0, 255, 128]]
    assert in_8_bits(np.full((1, 1), 7.0)).tolist() == [[255]]
    assert in_8_bits(np.full((1, 1), np.nan)).tolist() == [[0]]


def test_a_float_tiff_of_far_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tiff"), np.dstack([RAMP] * 3))
    content = (tmp_path / "a.tiff").read_bytes()
    assert float_tiff(content, 64 * 48) is not None
    assert float_tiff(content, 64 * 48 - 1) is None
    assert float_tiff(b"II*\0" + bytes(40), 10**6) is None
    assert float_tiff(b"text", 10**6) is None


@pytest.mark.parametrize("end", ["png", "jpg", "webp", "tiff", "gif", "bmp"])
def test_an_image_that_breaks_off_is_refused_before_a_job_is_accepted(tmp_path: Path, end: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    path = tmp_path / f"a.{end}"
    PIL.Image.fromarray(noise).save(path)
    assert check_image_file(path, setting="init_image") == (128, 96)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refuses(SettingsError, "image_unreadable", "init_image"):
        check_image_file(path, setting="init_image")
