"""The frame loop at 1024x1024."""

from __future__ import annotations

from benchmarks import loop
from benchmarks.rows import Row

NAME = "loop-1024"
BAR = "<= 170 ms per written frame at cadence 1 on one thread; goal 95"


def run() -> list[Row]:
    """Return two rows for each cadence: wall time and one thread's time."""
    return loop.rows(1024)
