"""The job queue against a model: random submits, cancels, ends and resumes, in any order."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deforum_api.errors import AlreadyFinished, NotResumable
from deforum_api.jobs import JobQueue
from deforum_api.record import Job
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


class QueueMachine(RuleBasedStateMachine):
    """The model: ids that wait, in order; the one that works; how each of the others ended."""

    def __init__(self) -> None:
        super().__init__()
        self.puppet = PuppetRenderer()
        self.jobs = JobQueue(self.puppet.check, self.puppet.render)
        self.order: list[str] = []
        self.waiting: list[str] = []
        self.working: str | None = None
        self.doomed = False
        self.ends: dict[str, str] = {}
        self.seen: dict[str, Job] = {}

    def teardown(self) -> None:
        while self.working:
            self.command("finish", "SUCCEEDED")
        assert self.jobs.close(WAIT_S)

    def take_next(self) -> None:
        if self.working is None and self.waiting:
            self.working, self.doomed = self.waiting.pop(0), False
            assert self.puppet.ready.acquire(timeout=WAIT_S)

    def command(self, what: str, end: str | None) -> None:
        """Let the working job do one step, and wait until that is over."""
        assert self.working
        job_id, end = self.working, "CANCELLED" if self.doomed else end
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
        self.jobs.cancel(job_id)
        if job_id == self.working:
            self.doomed = True
        else:
            self.waiting.remove(job_id)
            self.ends[job_id] = "CANCELLED"

    @precondition(lambda self: self.working)
    @rule(step=st.sampled_from([("frame", None), ("finish", "SUCCEEDED"), ("fail", "FAILED")]))
    def cancel_and_work(self, step: tuple[str, str | None]) -> None:
        assert self.working
        self.jobs.cancel(self.working)
        self.doomed = True
        self.command(*step)

    @precondition(lambda self: self.order)
    @rule(pick=st.integers(0, 99))
    def resume(self, pick: int) -> None:
        job_id = self.order[pick % len(self.order)]
        if self.ends.get(job_id) in ("FAILED", "CANCELLED"):
            assert self.jobs.resume(job_id).attempt == self.seen[job_id].attempt + 1
            del self.ends[job_id]
            self.waiting = sorted([*self.waiting, job_id], key=self.order.index)
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
TestQueue.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
