"""What a benchmark measures, and how it is printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MEASURED_S = 2.0


@dataclass(frozen=True)
class Row:
    """One measurement.

    Args:
        label: what was done.
        milliseconds: the time it took.
        bar_ms: the time it may take, or None where only the number is of interest.
    """

    label: str
    milliseconds: float
    bar_ms: float | None = None

    @property
    def ratio(self) -> float | None:
        """Time over bar: 1 or less meets the bar."""
        return None if self.bar_ms is None else self.milliseconds / self.bar_ms


def best_of(work: Callable[[], Any], repeats: int = 5) -> float:
    """Return the shortest time of a run of `work` in milliseconds: of at least `repeats` runs, and of two seconds.

    A shared machine computes at half its pace now and then, and so does a process in its first moments.
    """
    work()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < repeats or time.perf_counter() < began + MEASURED_S:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def table(rows: Iterable[Row]) -> str:
    """Return the rows as aligned lines: label, ms, bar, ratio and whether the bar is met."""
    return "\n".join(map(_line, rows))


def _line(row: Row) -> str:
    line = f"  {row.label:<56} {row.milliseconds:>10.2f} ms"
    if row.bar_ms is None or row.ratio is None:
        return line
    verdict = "met" if row.ratio <= 1 else "MISSED"
    return f"{line}   bar {row.bar_ms:>8.2f} ms   ratio {row.ratio:>5.2f}   {verdict}"
