"""The frame loop at 512x512."""

from __future__ import annotations

from benchmarks import loop
from benchmarks.rows import Row

NAME = "loop-512"
BAR = "<= 40 ms per written frame at cadence 1; goal 20"


def run() -> list[Row]:
    """Return one row for each cadence."""
    return loop.rows(512)
