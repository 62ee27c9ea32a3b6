"""The frame loop at 1024x1024."""

from __future__ import annotations

from benchmarks import loop
from benchmarks.rows import Row

NAME = "loop-1024"
BAR = "<= 170 ms per written frame at cadence 1; goal 95"


def run() -> list[Row]:
    """Return one row for each cadence."""
    return loop.rows(1024)
