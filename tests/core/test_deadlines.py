"""Calls that are made on a thread of their own: what they answer, raise and leave behind."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import pytest

from deforum_helpers.core.deadlines import within


class Held:
    """Something that a caller works with."""


def test_answers_and_errors_come_back() -> None:
    assert within(60, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)


def test_an_error_keeps_nothing_of_its_caller_alive() -> None:
    def works_with(held: Held) -> None:
        with suppress(ZeroDivisionError):
            within(60, lambda: 1 // 0)

    gc.collect()
    gc.disable()
    try:
        held = Held()
        alive = weakref.ref(held)
        works_with(held)
        del held
        assert alive() is None
    finally:
        gc.enable()
