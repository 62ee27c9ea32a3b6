"""Parallel work on an image in bands of rows: a band stays in the cache, and every core takes bands.

OpenCV runs only some operations on several cores, and each operation reads and writes the whole image. A chain of
operations band by band takes two thirds of the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache

import cv2

# For more pixels OpenCV wakes threads of its own, beside those that take the bands.
BAND_PIXELS = 65536
MARGINS_PER_BAND = 8


def in_bands(work: Callable[[slice], object], height_px: int, width_px: int, *, margin_px: int = 0) -> None:
    """Call `work` with the rows of each band of an image, on as many threads as OpenCV may use.

    Args:
        work: called from several threads at once, with different rows each time, in any order.
        height_px, width_px: size of the image, >= 1.
        margin_px: rows beyond both ends of a band that `work` also processes. A band is at least eight times as tall,
            so the margins add at most a quarter of the work.

    Raises:
        Exception: the first exception that `work` raised, after all threads have finished.
    """
    rows = max(1, BAND_PIXELS // width_px, MARGINS_PER_BAND * margin_px)
    bands = iter([slice(top, min(top + rows, height_px)) for top in range(0, height_px, rows)])

    def take_bands() -> None:
        for band in bands:
            work(band)

    helpers = _start_threads(take_bands, min(cv2.getNumThreads(), -(-height_px // rows)) - 1)
    try:
        take_bands()
    finally:
        # a helper that has not started is no longer needed
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in filter(None, errors):
        raise error


def _start_threads(work: Callable[[], None], count: int) -> list[Future[None]]:
    started: list[Future[None]] = []
    # no thread can be started, or Python is shutting down: the started ones and the caller do all the work
    with suppress(RuntimeError):
        while len(started) < count:
            started.append(_threads().submit(work))
    return started


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="deforum-bands")


if hasattr(os, "register_at_fork"):
    # a forked process has none of the threads: work submitted to them would wait forever and keep its images alive
    os.register_at_fork(after_in_child=_threads.cache_clear)
