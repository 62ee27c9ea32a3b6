"""The job queue against a model: submits, cancels, ends, resumes, restarts and crashes, in any order."""

from __future__ import annotations

import os
import queue
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deforum_api.errors import AlreadyFinished, NotResumable, StoreUnavailable
from deforum_api.jobs import JobQueue
from deforum_api.owners import Me
from deforum_api.record import MAX_ATTEMPTS, Job
from deforum_api.store_sqlite import SqliteStore
from deforum_helpers.cancel import CancelToken
from deforum_helpers.errors import ModelError
from tests.api.fake_renderer import WAIT_S, Step

FRAMES = 4


class PuppetRenderer:
    """Does one step of a job for every command: "frame", "finish" or "fail"."""

    def __init__(self) -> None:
        self.commands: queue.Queue[str] = queue.Queue()
        self.ready = threading.Semaphore(0)
        self.started = 0

    def check(self, submitted: Mapping[str, Any], overrides: Any, *, resume: str | None = None) -> Any:
        return SimpleNamespace(summary={"frames": FRAMES}, warnings=(), resume=resume)

    def render(self, prepared: Any, cancel: CancelToken, report: Callable[[Any], None]) -> Any:
        self.started += 1
        frame = 0
        report(Step("PREPARING", 1.0, 0, FRAMES, "/out", "20260102030405"))
        while True:
            self.ready.release()
            command = self.commands.get(timeout=WAIT_S)
            if command == "fail":
                raise ModelError("broken")
            if command == "finish":
                return SimpleNamespace(outdir="/out", timestring="20260102030405", frames=FRAMES, warnings=())
            cancel.check()  # an end may come too late to see a cancel; a frame never does
            frame = min(frame + 1, FRAMES)
            report(Step("GENERATING", frame / FRAMES, frame, FRAMES, "/out", "20260102030405"))


class QuickStore(SqliteStore):
    """Does not wait for the disk; another one that opens its file takes its program for dead."""

    killed = False

    def __init__(self, path: Path) -> None:
        super().__init__(path, replace(Me.now(), id=str(next(NUMBERS)), began="long ago"))

    @contextmanager
    def _change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        if self.killed:
            raise StoreUnavailable("It was killed.")
        with super()._change(durable=False) as change:
            yield change


NUMBERS = count()


class QueueMachine(RuleBasedStateMachine):
    """The model: ids that wait, in order; the one that works; how each of the others ended."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="deforum-machine-")
        self.start()
        self.order: list[str] = []
        self.waiting: list[str] = []
        self.working: str | None = None
        self.doomed: set[str] = set()
        self.crashes: Counter[str] = Counter()
        self.ends: dict[str, str] = {}
        self.seen: dict[str, Job] = {}

    def teardown(self) -> None:
        while self.working:
            self.command("finish", "SUCCEEDED")
        self.stop()
        self.folder.cleanup()

    def start(self) -> None:
        self.puppet = PuppetRenderer()
        self.store = QuickStore(Path(self.folder.name, "jobs.sqlite3"))
        self.jobs = JobQueue(self.puppet.check, self.puppet.render, store=self.store)

    def stop(self) -> None:
        self.jobs.runner.begin_close()
        if self.working:
            self.puppet.commands.put("frame")
        assert self.jobs.close(WAIT_S)
        self.store.close()

    def take_next(self) -> None:
        if self.working is None and self.waiting:
            self.working = self.waiting.pop(0)
            assert self.puppet.ready.acquire(timeout=WAIT_S)

    def wait_again(self, job_id: str) -> None:
        self.waiting = sorted([*self.waiting, job_id], key=self.order.index)

    @rule()
    def restart(self) -> None:
        """What works is parked, unless it was being cancelled, and goes on first."""
        self.stop()
        if self.working in self.doomed:
            self.ends[self.working] = "CANCELLED"
        elif self.working:
            self.wait_again(self.working)
        self.working = None
        self.start()
        self.take_next()

    @rule()
    def crash(self) -> None:
        """Nothing is recorded; what worked goes on first, or is given up after the third time."""
        self.store.killed = True
        self.stop()
        if self.working:
            self.crashes[self.working] += 1
            if self.crashes[self.working] < MAX_ATTEMPTS:
                self.wait_again(self.working)
            else:
                self.ends[self.working] = "CANCELLED" if self.working in self.doomed else "FAILED"
        self.working = None
        self.start()
        self.take_next()

    def command(self, what: str, end: str | None) -> None:
        """Let the working job do one step, and wait until that is over."""
        assert self.working
        job_id, end = self.working, "CANCELLED" if self.working in self.doomed else end
        done = threading.Event()
        with self.jobs.listen(job_id, done.set):
            self.puppet.commands.put(what)
            if end is None:
                assert self.puppet.ready.acquire(timeout=WAIT_S)
                return
            while not self.jobs.job(job_id).finished:
                assert done.wait(WAIT_S)
                done.clear()
        self.working, self.ends[job_id] = None, end
        self.take_next()

    @rule(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        ids = [job.id for job in self.jobs.submit([{}] * count)]
        self.order += ids
        self.waiting += ids
        self.take_next()

    @precondition(lambda self: self.working)
    @rule(
        step=st.sampled_from([("frame", None), ("frame", None), ("finish", "SUCCEEDED"), ("fail", "FAILED")])
    )
    def work(self, step: tuple[str, str | None]) -> None:
        self.command(*step)

    @precondition(lambda self: self.order)
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        job_id = self.order[pick % len(self.order)]
        if job_id in self.ends:
            before = self.jobs.job(job_id)
            try:
                self.jobs.cancel(job_id)
            except AlreadyFinished:
                assert self.jobs.job(job_id) == before
                return
            raise AssertionError("a finished job was cancelled")
        before = self.jobs.cancel(job_id)
        if job_id == self.working or (before.frame and self.crashes[job_id]):
            self.doomed.add(job_id)
        else:
            self.waiting.remove(job_id)
            self.ends[job_id] = "CANCELLED"

    @precondition(lambda self: self.working)
    @rule(step=st.sampled_from([("frame", None), ("finish", "SUCCEEDED"), ("fail", "FAILED")]))
    def cancel_and_work(self, step: tuple[str, str | None]) -> None:
        assert self.working
        self.jobs.cancel(self.working)
        self.doomed.add(self.working)
        self.command(*step)

    @precondition(lambda self: self.order)
    @rule(pick=st.integers(0, 99))
    def resume(self, pick: int) -> None:
        job_id = self.order[pick % len(self.order)]
        if self.ends.get(job_id) in ("FAILED", "CANCELLED"):
            assert self.jobs.resume(job_id).attempt == self.seen[job_id].attempt + 1
            del self.ends[job_id], self.crashes[job_id]
            self.doomed.discard(job_id)
            self.wait_again(job_id)
            self.take_next()
            return
        try:
            self.jobs.resume(job_id)
        except NotResumable:
            return
        raise AssertionError("a job that neither failed nor was cancelled was resumed")

    @invariant()
    def the_queue_is_as_the_model_says(self) -> None:
        assert list(self.jobs.store.queued()) == self.waiting
        for job in self.jobs.store.page():
            assert self.ends.get(job.id, "ACCEPTED") == job.status
            working = (job.phase not in ("QUEUED", "DONE")) and job.status == "ACCEPTED"
            assert working == (job.id == self.working)

    @invariant()
    def nothing_ever_falls(self) -> None:
        for job in self.jobs.store.page():
            before = self.seen.get(job.id, job)
            assert job.updates >= before.updates
            assert job.last_updated >= before.last_updated
            if job.attempt == before.attempt and job.phase == before.phase:
                assert job.phase_progress >= before.phase_progress
            if before.finished and job.attempt == before.attempt:
                assert job == before
            self.seen[job.id] = job


TestQueue = QueueMachine.TestCase
THOROUGH = os.environ.get("DEFORUM_TEST_PROFILE") == "thorough"
TestQueue.settings = settings(max_examples=500 if THOROUGH else 25, stateful_step_count=20, deadline=None)
