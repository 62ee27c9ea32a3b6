"""The rows of the benchmarks, none of which runs here, and their table."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from benchmarks.__main__ import MODULES, load
from benchmarks.rows import Row, table


@pytest.mark.parametrize("name", MODULES)
def test_every_row_can_be_named(name: str) -> None:
    row = load(name)
    assert name == row.NAME
    assert row.BAR
    assert callable(row.run)


def test_the_table_has_the_unit_of_each_row() -> None:
    rows = [Row("time", 3.0, 4.0), Row("share", 93.5, unit="%"), Row("size", 12.0, 10.0, unit="kB")]
    time, share, size = (line.split() for line in table(rows).splitlines())
    assert time == ["time", "3.00", "ms", "bar", "4.00", "ms", "ratio", "0.75", "met"]
    assert share == ["share", "93.50", "%"]
    assert size == ["size", "12.00", "kB", "bar", "10.00", "kB", "ratio", "1.20", "MISSED"]
