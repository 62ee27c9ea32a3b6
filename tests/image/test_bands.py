"""Pictures worked on in bands of rows by several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.image import bands
from deforum_helpers.image.adjust import unsharp
from deforum_helpers.image.bands import BAND_PIXELS, in_bands
from deforum_helpers.image.color import ColorReference, match_color
from tests.image.pictures import random_image


@given(st.integers(1, 3000), st.integers(1, 3 * BAND_PIXELS))
def test_every_row_is_worked_on_once(height_px: int, width_px: int) -> None:
    rows: list[int] = []
    in_bands(lambda band: rows.extend(range(height_px)[band]), height_px, width_px)
    assert sorted(rows) == list(range(height_px))


def test_a_band_is_small_enough_for_the_cache_and_never_empty() -> None:
    seen: list[slice] = []
    in_bands(seen.append, 1000, 1024)
    assert all(0 < (band.stop - band.start) * 1024 <= BAND_PIXELS for band in seen)


@pytest.mark.skipif(cv2.getNumThreads() < 2, reason="OpenCV has one thread")
def test_bands_are_worked_on_at_the_same_time() -> None:
    together = threading.Barrier(2)
    in_bands(lambda _band: together.wait(timeout=60), 2, BAND_PIXELS)


@pytest.mark.parametrize("mistaken", range(8))
def test_what_the_work_raises_is_raised_once_all_have_left_it(mistaken: int) -> None:
    inside: set[int] = set()

    def work(band: slice) -> None:
        inside.add(band.start)
        try:
            if band.start == mistaken:
                raise ValueError(f"row {band.start}")
        finally:
            inside.remove(band.start)

    with pytest.raises(ValueError, match=f"row {mistaken}"):
        in_bands(work, 8, BAND_PIXELS)
    assert not inside


def test_without_helpers_the_caller_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    monkeypatch.setattr(bands, "_threads", lambda: closed)
    workers: list[int] = []
    in_bands(lambda _band: workers.append(threading.get_ident()), 5, BAND_PIXELS)
    assert workers == [threading.get_ident()] * 5


def test_with_busy_helpers_the_caller_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(done.wait, 60)
        monkeypatch.setattr(bands, "_threads", lambda: busy)
        workers: list[int] = []
        in_bands(lambda _band: workers.append(threading.get_ident()), 5, BAND_PIXELS)
        done.set()
    assert workers == [threading.get_ident()] * 5


@pytest.mark.parametrize("band_pixels", [1, 700, 5000])
@pytest.mark.parametrize("kernel", [1, 5, 31, 99])
def test_sharpening_does_not_depend_on_the_bands(
    kernel: int, band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = random_image(61, 97)
    settings = {"kernel": kernel, "sigma": 0.0, "amount": 0.7, "threshold": 4.0}
    whole = unsharp(image, **settings)
    monkeypatch.setattr(bands, "BAND_PIXELS", band_pixels)
    assert torch.equal(unsharp(image, **settings), whole)


@pytest.mark.parametrize("band_pixels", [1, 700, 5000])
@pytest.mark.parametrize("mode", ["LAB", "HSV", "RGB"])
def test_colours_do_not_depend_on_the_bands(
    mode: str, band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, wanted = random_image(61, 97), random_image(40, 50)
    whole = match_color(image, ColorReference(wanted, mode))
    monkeypatch.setattr(bands, "BAND_PIXELS", band_pixels)
    assert torch.equal(match_color(image, ColorReference(wanted, mode)), whole)
