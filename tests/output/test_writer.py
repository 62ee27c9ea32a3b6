"""The writer's threads: items in order, in a bounded queue, errors raised where items come from."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from deforum_helpers.output.writer import Background

_about: ContextVar[str] = ContextVar("about", default="-")


def test_items_are_worked_off_in_order_on_another_thread() -> None:
    done: list[tuple[int, str]] = []
    with Background[int](
        lambda item: done.append((item, threading.current_thread().name)), "files", 2
    ) as work:
        for item in range(20):
            work.put(item)
        work.close()
    assert done == [(item, "files") for item in range(20)]


def test_its_log_lines_are_about_what_the_callers_are_about() -> None:
    seen: list[str] = []
    token = _about.set("batch(1)-0")
    with Background[int](
        lambda item: seen.append(_about.get()), "files", 2, lambda: seen.append("begun")
    ) as work:
        work.put(1)
        work.close()
    _about.reset(token)
    assert seen == ["begun", "batch(1)-0"]


def test_an_error_is_raised_where_the_next_item_comes_from_and_drops_the_rest() -> None:
    done: list[int] = []

    def fail(item: int) -> None:
        done.append(item)
        raise OSError("no")

    work = Background[int](fail, "files", 1)
    with work:
        work.put(1)
        while not done:
            time.sleep(0.001)
        with pytest.raises(OSError, match="no"):
            puts(work)
        with pytest.raises(OSError, match="no"):
            work.close()
    assert done == [1]


def puts(work: Background[int]) -> None:
    for _ in range(1000):
        work.put(2)
        time.sleep(0.001)


def test_leaving_works_off_what_is_queued() -> None:
    done: list[int] = []
    gate = threading.Event()

    def slowly(item: int) -> None:
        assert gate.wait(20)
        done.append(item)

    with Background[int](slowly, "files", 9) as work:
        for item in range(5):
            work.put(item)
        gate.set()
    assert done == list(range(5))
