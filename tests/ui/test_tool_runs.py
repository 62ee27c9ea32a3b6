"""Tools run one after the other beside the queue, tell how far they are, and end when they are told to."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from deforum_helpers.errors import DeforumError, MissingFeature
from deforum_helpers.tools.results import ToolResult, Work
from deforum_helpers.ui.tool_runs import KEPT, MAX_UNFINISHED, ToolRun, ToolRuns
from tests.ui.fake_service import FakeService, facts

WAIT_S = 120.0
MADE = ToolResult(Path("/made.mp4"), 5, 15.0)


@pytest.fixture
def runs(tmp_path: Path) -> ToolRuns:
    return ToolRuns(FakeService(facts(tmp_path)))


def ended(runs: ToolRuns, run_id: str) -> ToolRun:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        run = one(runs, run_id)
        if run.state not in ("waiting", "running"):
            return run
        time.sleep(0.005)
    raise AssertionError("The tool did not end in time.")


def one(runs: ToolRuns, run_id: str) -> ToolRun:
    return next(run for run in runs.listed() if run.id == run_id)


class Held:
    """A tool that works until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()

    def __call__(self, work: Work) -> ToolResult:
        work.report(0.25)
        self.began.set()
        while not self.go.wait(0.005):
            work.cancel.check()
        work.cancel.check()
        return MADE


def test_a_tool_gets_the_folder_and_its_film_is_kept(runs: ToolRuns, tmp_path: Path) -> None:
    seen: list[Work] = []

    def tool(work: Work) -> ToolResult:
        seen.append(work)
        return MADE

    run = ended(runs, runs.start("Enlarge", "a.mp4", tool))
    assert (run.state, run.share, run.result, run.title, run.source) == (
        "done",
        1.0,
        MADE,
        "Enlarge",
        "a.mp4",
    )
    assert seen[0].output_root == tmp_path


def test_the_second_waits_for_the_first(runs: ToolRuns) -> None:
    held = Held()
    first = runs.start("A", "a", held)
    second = runs.start("B", "b", lambda work: MADE)
    assert held.began.wait(WAIT_S)
    assert (one(runs, first).state, one(runs, first).share) == ("running", 0.25)
    assert one(runs, second).state == "waiting"
    assert [run.id for run in runs.listed()] == [second, first]
    held.go.set()
    assert ended(runs, first).state == ended(runs, second).state == "done"


def test_a_running_and_a_waiting_tool_are_cancelled(runs: ToolRuns) -> None:
    held, ran = Held(), []
    first = runs.start("A", "a", held)
    assert held.began.wait(WAIT_S)
    second = runs.start("B", "b", lambda work: ran.append(1) or MADE)  # type: ignore[func-returns-value]
    runs.cancel(second)
    assert one(runs, second).state == "cancelled"
    runs.cancel(first)
    assert ended(runs, first).state == "cancelled"
    third = runs.start("C", "c", lambda work: MADE)
    assert ended(runs, third).state == "done"
    assert ran == []


def test_those_that_are_cancelled_and_forgotten_while_they_wait_hinder_none(runs: ToolRuns) -> None:
    held = Held()
    first = runs.start("A", "a", held)
    assert held.began.wait(WAIT_S)
    for _ in range(KEPT + 1):
        runs.cancel(runs.start("B", "b", lambda work: MADE))
    last = runs.start("C", "c", lambda work: MADE)
    held.go.set()
    assert [ended(runs, run_id).state for run_id in (first, last)] == ["done", "done"]


def test_an_error_is_told_as_it_is_said(runs: ToolRuns) -> None:
    def missing(work: Work) -> ToolResult:
        raise MissingFeature("FILM needs its weights.")

    def broken(work: Work) -> ToolResult:
        raise ZeroDivisionError

    run = ended(runs, runs.start("A", "a", missing))
    assert (run.state, run.message) == ("failed", "FILM needs its weights.")
    run = ended(runs, runs.start("A", "a", broken))
    assert run.message == "It failed unexpectedly (ZeroDivisionError); the log says where."


def test_only_so_many_wait_and_the_oldest_are_forgotten(runs: ToolRuns) -> None:
    held = Held()
    for _ in range(MAX_UNFINISHED):
        last = runs.start("A", "a", held)
    with pytest.raises(DeforumError, match="wait already"):
        runs.start("A", "a", held)
    held.go.set()
    ended(runs, last)
    for _ in range(10):
        last = runs.start("B", "b", lambda work: MADE)
        ended(runs, last)
    assert len(runs.listed()) <= 13
    with pytest.raises(DeforumError, match="no run"):
        runs.cancel("tool-1")
