"""The rows of benchmarks and their printed table."""

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
        label: name of the measured work.
        value: measured, in `unit`.
        bar: limit in the same unit, or None for information only.
        unit: of both numbers; most rows are times in milliseconds.
    """

    label: str
    value: float
    bar: float | None = None
    unit: str = "ms"

    @property
    def ratio(self) -> float | None:
        """Value divided by limit; at most 1 meets the limit."""
        return None if self.bar is None else self.value / self.bar


def best_of(work: Callable[[], Any], repeats: int = 5) -> float:
    """Return the shortest time of `work` in milliseconds, over at least `repeats` runs and two seconds.

    A shared machine, and a process that has just started, run at half speed now and then.
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
    """Return the rows as aligned lines: label, value, limit, ratio, and whether the limit is met."""
    return "\n".join(map(_line, rows))


def _line(row: Row) -> str:
    line = f"  {row.label:<56} {row.value:>10.2f} {row.unit:<2}"
    if row.bar is None or row.ratio is None:
        return line.rstrip()
    verdict = "met" if row.ratio <= 1 else "MISSED"
    return f"{line}   bar {row.bar:>8.2f} {row.unit:<2}   ratio {row.ratio:>5.2f}   {verdict}"
