"""The frame loop at 512x512."""

from __future__ import annotations

from benchmarks import loop
from benchmarks.rows import Row

NAME = "loop-512"
BAR = "<= 40 ms per written frame at cadence 1 on one thread; goal 20"


def run() -> list[Row]:
    """Return two rows for each cadence: wall time and one thread's time."""
    return loop.rows(512)
