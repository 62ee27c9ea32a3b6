"""The rows of the benchmarks, none of which runs here."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from benchmarks.__main__ import MODULES, load


@pytest.mark.parametrize("name", MODULES)
def test_every_row_can_be_named(name: str) -> None:
    row = load(name)
    assert name == row.NAME
    assert row.BAR
    assert callable(row.run)
