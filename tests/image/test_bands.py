"""Images worked on in bands of rows by several threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.image import adjust, bands
from deforum_helpers.image.adjust import unsharp
from deforum_helpers.image.bands import BAND_PIXELS, in_bands
from deforum_helpers.image.color import ColorReference, match_color
from deforum_helpers.image.warp import Padding, sample_cpu
from tests.image.sample_images import random_image


@given(st.integers(1, 3000), st.integers(1, 3 * BAND_PIXELS))
def test_every_row_is_worked_on_once(height_px: int, width_px: int) -> None:
    rows: list[int] = []
    in_bands(lambda band: rows.extend(range(height_px)[band]), height_px, width_px)
    assert sorted(rows) == list(range(height_px))


def test_a_band_is_small_enough_for_the_cache_and_never_empty() -> None:
    seen: list[slice] = []
    in_bands(seen.append, 1000, 1024)
    assert all(0 < (band.stop - band.start) * 1024 <= BAND_PIXELS for band in seen)


@given(st.integers(1, 3000), st.integers(1, 5000), st.integers(0, 200))
def test_margins_add_a_quarter_at_most(height_px: int, width_px: int, margin_px: int) -> None:
    seen: list[int] = []

    def work(band: slice) -> None:
        seen.append(min(band.stop + margin_px, height_px) - max(0, band.start - margin_px))

    in_bands(work, height_px, width_px, margin_px=margin_px)
    # the last band may be shorter than the others
    assert sum(seen) <= height_px * 1.25 + margin_px


def test_sharpening_tells_its_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    margins: list[int] = []
    monkeypatch.setattr(adjust, "in_bands", lambda *_size, margin_px: margins.append(margin_px))
    unsharp(random_image(8, 8), kernel=31, sigma=0.0, amount=1.0, threshold=0.0)
    assert margins == [15]


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


class NoSecondThread(ThreadPoolExecutor):
    """A pool in a place that allows one thread and no more."""

    def submit(self, *work: object) -> Future[None]:  # type: ignore[override]
        if self._threads:
            raise RuntimeError("can't start new thread")
        return super().submit(*work)  # type: ignore[arg-type]


def test_the_helper_that_began_is_waited_for_where_the_next_cannot_begin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caller, started = threading.get_ident(), threading.Event()
    left: list[int] = []

    def work(_band: slice) -> None:
        if threading.get_ident() == caller:
            assert started.wait(60)
            return
        started.set()
        threading.Event().wait(0.2)
        left.append(threading.get_ident())

    with NoSecondThread(2) as pool:
        monkeypatch.setattr(bands, "_threads", lambda: pool)
        monkeypatch.setattr(cv2, "getNumThreads", lambda: 3)
        in_bands(work, 3, BAND_PIXELS)
        assert left


IN_A_CHILD = """
import os
from deforum_helpers.image import adjust, bands
bands.cv2.getNumThreads = lambda: 2
bands.in_bands(lambda band: None, 4, bands.BAND_PIXELS)
child = os.fork()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for _ in range(3):
    bands.in_bands(lambda band: None, 4, bands.BAND_PIXELS)
bands._threads().submit(int).result(timeout=60)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="programs do not fork here")
def test_a_forked_program_has_helpers_of_its_own() -> None:
    run = subprocess.run([sys.executable, "-c", IN_A_CHILD], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


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
    whole = unsharp(image, kernel=kernel, sigma=0.0, amount=0.7, threshold=4.0)
    monkeypatch.setattr(bands, "BAND_PIXELS", band_pixels)
    monkeypatch.setattr(bands, "MARGINS_PER_BAND", 0)
    assert torch.equal(unsharp(image, kernel=kernel, sigma=0.0, amount=0.7, threshold=4.0), whole)


@pytest.mark.parametrize("band_pixels", [1, 700, 5000])
@pytest.mark.parametrize("mode", ["LAB", "HSV", "RGB"])
def test_colours_do_not_depend_on_the_bands(
    mode: str, band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, wanted = random_image(61, 97), random_image(40, 50)
    whole = match_color(image, ColorReference.of(wanted, mode))
    monkeypatch.setattr(bands, "BAND_PIXELS", band_pixels)
    assert torch.equal(match_color(image, ColorReference.of(wanted, mode)), whole)


@pytest.mark.parametrize("band_pixels", [1, 700, 5000])
@pytest.mark.parametrize("padding", ["border", "reflection", "zeros", "wrap"])
def test_sampling_does_not_depend_on_the_bands(
    padding: Padding, band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, places = random_image(61, 97), random_image(50, 80).numpy()
    map_x, map_y = places[0] * 300 - 100, places[1] * 200 - 60
    whole = sample_cpu(image, map_x, map_y, "bicubic", padding)
    monkeypatch.setattr(bands, "BAND_PIXELS", band_pixels)
    assert torch.equal(sample_cpu(image, map_x, map_y, "bicubic", padding), whole)
