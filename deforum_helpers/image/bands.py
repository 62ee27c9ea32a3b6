"""Work on a picture in bands of rows: what a band needs stays in the cache, and every core takes bands.

OpenCV shares some operations among the cores, not all, and each reads and writes the whole picture. A chain of
operations on one band after the other takes two thirds of the time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache

import cv2

BAND_PIXELS = 131072
MARGINS_PER_BAND = 8


def in_bands(work: Callable[[slice], object], height_px: int, width_px: int, *, margin_px: int = 0) -> None:
    """Call `work` with the rows of each band of a picture, on as many threads as OpenCV may use.

    Args:
        work: called from several threads at once, each time with other rows; the order is open.
        height_px, width_px: size of the picture, >= 1.
        margin_px: rows beyond both ends of a band that `work` goes through as well; a band is eight times as tall,
            so that at most a quarter more is done than without bands.

    Raises:
        Exception: whatever `work` raised, after all threads have left it.
    """
    rows = max(1, BAND_PIXELS // width_px, MARGINS_PER_BAND * margin_px)
    bands = iter([slice(top, min(top + rows, height_px)) for top in range(0, height_px, rows)])

    def take_bands() -> None:
        for band in bands:
            work(band)

    helpers = _begun(take_bands, min(cv2.getNumThreads(), -(-height_px // rows)) - 1)
    try:
        take_bands()
    finally:
        # a helper that never began has nothing to do any more
        errors = [helper.exception() for helper in helpers if not helper.cancel()]
    for error in filter(None, errors):
        raise error


def _begun(work: Callable[[], None], count: int) -> list[Future[None]]:
    begun: list[Future[None]] = []
    # no thread can begin any more, or Python is shutting down: those that began and the caller do all
    with suppress(RuntimeError):
        while len(begun) < count:
            begun.append(_threads().submit(work))
    return begun


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="deforum-bands")


if hasattr(os, "register_at_fork"):
    # a forked program has none of the threads: what it gave them would wait forever, and keep its pictures
    os.register_at_fork(after_in_child=_threads.cache_clear)
