"""What is made of films and pictures that are there already: one after the other, beside the queue of jobs."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from deforum_helpers.cancel import CancelToken
from deforum_helpers.errors import Cancelled, DeforumError
from deforum_helpers.tools.results import ToolResult, Work
from deforum_helpers.ui.service import JobService

log = logging.getLogger(__name__)

ToolState = Literal["waiting", "running", "done", "failed", "cancelled"]
Tool = Callable[[Work], ToolResult]

UNFINISHED: tuple[ToolState, ...] = ("waiting", "running")
MAX_UNFINISHED = 8
KEPT = 12


@dataclass(frozen=True)
class ToolRun:
    """One tool at work, or what it has made.

    Args:
        id: its id.
        title: what the tool does.
        source: name of what it works on.
        state: what became of it so far.
        share: share that is done, 0..1.
        message: why it failed, or empty.
        result: what it made, or None.
    """

    id: str
    title: str
    source: str
    state: ToolState = "waiting"
    share: float = 0.0
    message: str = ""
    result: ToolResult | None = None


class ToolRuns:
    """The tools at work and what the last ones have made; it is asked from any thread.

    Args:
        service: of the tab; tells where to write and how to encode.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._runs: dict[str, ToolRun] = {}
        self._tokens: dict[str, CancelToken] = {}
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[tuple[str, Tool]] = queue.SimpleQueue()
        self._started = 0

    def start(self, title: str, source: str, tool: Tool) -> str:
        """Let `tool` work as soon as those that were started before it have ended; return the run's id.

        Raises:
            DeforumError: too many wait already.
        """
        with self._lock:
            if sum(run.state in UNFINISHED for run in self._runs.values()) >= MAX_UNFINISHED:
                raise DeforumError(f"{MAX_UNFINISHED} tools wait already; let one of them end, or cancel it.")
            self._started += 1
            run = ToolRun(f"tool-{self._started}", title, source)
            self._runs[run.id] = run
            self._tokens[run.id] = CancelToken()
            self._forget_oldest()
            self._waiting.put((run.id, tool))
            if self._started == 1:
                threading.Thread(target=self._work, name="deforum-tools", daemon=True).start()
        return run.id

    def cancel(self, run_id: str) -> None:
        """End a run; one that has ended already stays as it is.

        Raises:
            DeforumError: there is no such run.
        """
        with self._lock:
            if run_id not in self._runs:
                raise DeforumError(f"There is no run {run_id[:60]!r} of a tool.")
            self._tokens[run_id].cancel()
            if self._runs[run_id].state == "waiting":
                self._runs[run_id] = replace(self._runs[run_id], state="cancelled")

    def listed(self) -> tuple[ToolRun, ...]:
        """Return the runs, newest first."""
        with self._lock:
            return tuple(self._runs.values())[::-1]

    def _work(self) -> None:
        while True:
            run_id, tool = self._waiting.get()
            if self._begins(run_id):
                self._run(run_id, tool)

    def _begins(self, run_id: str) -> bool:
        """Mark a run as running, unless it was cancelled while it waited."""
        with self._lock:
            run = self._runs.get(run_id)  # a cancelled one may be forgotten by now
            if run is None or run.state != "waiting":
                return False
            self._runs[run_id] = replace(run, state="running")
            return True

    def _run(self, run_id: str, tool: Tool) -> None:
        try:
            result = tool(self._work_of(run_id))
        except Cancelled:
            self._change(run_id, state="cancelled")
        except DeforumError as error:
            self._change(run_id, state="failed", message=str(error))
        except Exception as error:
            log.exception("%s failed", run_id)
            message = f"It failed unexpectedly ({type(error).__name__}); the log says where."
            self._change(run_id, state="failed", message=message)
        else:
            self._change(run_id, state="done", share=1.0, result=result)

    def _work_of(self, run_id: str) -> Work:
        facts = self._service.facts
        return Work(
            facts.output_root,
            self._service.options(),
            self._tokens[run_id],
            lambda share: self._change(run_id, share=share),
            facts.device,
        )

    def _change(self, run_id: str, **changes: object) -> None:
        with self._lock:
            self._runs[run_id] = replace(self._runs[run_id], **changes)  # type: ignore[arg-type]

    def _forget_oldest(self) -> None:
        ended = [run.id for run in self._runs.values() if run.state not in UNFINISHED]
        for run_id in ended[: max(0, len(self._runs) - KEPT)]:
            del self._runs[run_id], self._tokens[run_id]
