"""A renderer that does one step of a job for every command, and a store that does not wait for the disk."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.owners import ServerIdentity
from deforum_api.queue.sqlite import SqliteStore
from deforum_helpers.core.errors import ModelError, OutOfMemory
from deforum_helpers.core.progress import CancelToken
from tests.api.fake_renderer import WAIT_S, Step

FRAMES = 4
OUT = "/out", "20260102030405"


class PuppetRenderer:
    """Obeys the commands "frame", "video", "finish", "fail" (for good) and "lapse" (it may succeed later)."""

    def __init__(self) -> None:
        self.commands: queue.Queue[str] = queue.Queue()
        self.ready = threading.Semaphore(0)

    def check(
        self, submitted: Mapping[str, Any], overrides: Any, *, resume: str | None = None, kind: str = ""
    ) -> Any:
        return SimpleNamespace(summary={"frames": FRAMES}, work=1.0, warnings=(), resume=resume)

    def render(self, prepared: Any, cancel: CancelToken, report: Callable[[Any], None]) -> Any:
        frame = 0
        report(Step("PREPARING", 1.0, 0, FRAMES, *OUT))
        while True:
            self.ready.release()
            command = self.commands.get(timeout=WAIT_S)
            if command == "fail":
                raise ModelError("broken")
            if command == "lapse":
                raise OutOfMemory("full")
            if command == "finish":
                return SimpleNamespace(outdir=OUT[0], timestring=OUT[1], frames=FRAMES, warnings=())
            cancel.check()  # an end may come too late to see a cancel; a frame never does
            frame = min(frame + (command == "frame"), FRAMES)
            phase = "GENERATING" if command == "frame" else "POST_PROCESSING"
            report(Step(phase, frame / FRAMES, frame, FRAMES, *OUT))


class QuickStore(SqliteStore):
    """Does not wait for the disk; another one that opens its file takes its program for dead."""

    killed = False

    def __init__(self, path: Path) -> None:
        super().__init__(path, replace(ServerIdentity.now(), id=str(next(NUMBERS)), began="long ago"))

    @contextmanager
    def _change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        if self.killed:
            raise StoreUnavailable("It was killed.")
        with super()._change(durable=False) as change:
            yield change


NUMBERS = count()
