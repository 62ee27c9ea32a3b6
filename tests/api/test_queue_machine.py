"""The job queue against a model: all that clients, time and the machine can do to it, in any order."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from deforum_api.queue.checks.request import CheckRequest
from deforum_api.queue.errors import (
    AlreadyFinished,
    KeyReused,
    NotFinished,
    NotResumable,
    StillEnding,
    UnknownId,
)
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import MAX_ATTEMPTS, MAX_DELAY_S, WORKING, Job
from deforum_api.queue.submission import Limits
from tests.api.fake_renderer import WAIT_S, asking
from tests.api.puppet import FRAMES, PuppetRenderer, QuickStore

RETRY_AFTER_S = (5.0, 30.0)
ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")
JOBS = st.integers(0, 99)
LAST = st.sampled_from(["frame", "finish", "fail", "lapse"])


@dataclass
class Known:
    """What the model knows of a job.

    Args:
        state: "waiting", "paused", "working" or one of `ENDS`.
        doomed: it was cancelled and has not ended yet.
        held: it works, and pauses at its next frame.
        parking: it works, and leaves off at its next frame.
    """

    number: int
    place: int
    state: str = "waiting"
    doomed: bool = False
    held: bool = False
    parking: bool = False
    in_video: bool = False
    generated: int = 0
    frames: int = 0
    frames_in_video: int = 0
    attempt: int = 1
    delays: int = 0
    crashes: int = 0
    not_before: float = 0.0
    priority: int = 0

    @property
    def key(self) -> tuple[bool, int, int, int]:
        """Sort key of waiting jobs: those before all others, then by priority and place."""
        first = self.place < 0
        return not first, 0 if first else -self.priority, self.place, self.number

    @property
    def finished(self) -> bool:
        return self.state in ENDS

    def leave(self, state: str, *, with_video: bool = True) -> None:
        """Stop working; `with_video`: where it is cancelled, its frames are a video."""
        self.state = "CANCELLED" if self.doomed and state in (*ENDS, "waiting") else state
        self.doomed = self.doomed and not self.finished
        if self.state == "CANCELLED" and with_video:
            self.frames_in_video = self.frames
        self.held = self.parking = self.in_video = False
        self.generated = 0


class QueueMachine(RuleBasedStateMachine):
    """Submits, cancels, pauses, moves, resumes and forgets jobs, lets them end, and the server stop and die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="deforum-machine-")
        self.now = 1e9
        self.known: dict[str, Known] = {}
        self.submitted = 0
        self.receipts: dict[str, tuple[int, str]] = {}
        self.seen: dict[str, Job] = {}
        self.start()

    def teardown(self) -> None:
        while working := self.working:
            self.do("finish", working)
        self.stop()
        self.folder.cleanup()

    def start(self) -> None:
        self.puppet = PuppetRenderer()
        self.store = QuickStore(Path(self.folder.name, "jobs.sqlite3"))
        self.jobs = JobQueue(
            self.puppet.check,
            self.puppet.render,
            store=self.store,
            clock=lambda: self.now,
            limits=Limits(retry_after_s=RETRY_AFTER_S),
        )
        self.take_next()

    def stop(self, last: str = "frame") -> None:
        self.jobs.runner.begin_close()
        if self.working:
            self.puppet.commands.put(last)
        assert self.jobs.close(WAIT_S)
        self.store.close()

    @property
    def working(self) -> str | None:
        return next((job_id for job_id, known in self.known.items() if known.state == "working"), None)

    @property
    def waiting(self) -> list[str]:
        """The ids that wait, in their order."""
        waiting = [job_id for job_id, known in self.known.items() if known.state == "waiting"]
        return sorted(waiting, key=lambda job_id: self.known[job_id].key)

    def picked(self, pick: int) -> str:
        return list(self.known)[pick % len(self.known)]

    def take_next(self) -> None:
        """Let the first job that is due work, if none does, and wait until it does."""
        if self.working is None:
            due = (
                one for one in self.waiting if not 0 < self.known[one].not_before - self.now <= MAX_DELAY_S
            )
            if first := next(due, None):
                self.known[first].state = "working"
                assert self.puppet.ready.acquire(timeout=WAIT_S), f"{first} was not taken"

    def do(self, command: str, job_id: str) -> None:
        """Let the working job obey a command, and wait until that is over."""
        known = self.known[job_id]
        self.puppet.commands.put(command)
        if command in ("frame", "video") and not (known.doomed or known.parking):
            known.generated = min(known.generated + (command == "frame"), FRAMES)
            known.frames = max(known.frames, known.generated)
            known.in_video = known.in_video or command == "video"
            assert self.puppet.ready.acquire(timeout=WAIT_S)
            return
        fails = command in ("fail", "lapse")
        if command == "lapse" and not known.doomed and known.delays < len(RETRY_AFTER_S):
            known.not_before = self.now + RETRY_AFTER_S[known.delays]
            known.delays += 1
            known.attempt += 1
            command = "frame"
        if command == "finish" and not known.doomed:
            known.frames = FRAMES
        ends = {"finish": "SUCCEEDED", "fail": "FAILED", "lapse": "FAILED"}
        known.leave(ends.get(command, "paused" if known.held else "waiting"), with_video=not fails)
        self.take_next()
        deadline = time.monotonic() + WAIT_S
        while self.working is None and self.jobs.job(job_id).phase in WORKING and not self.over(job_id):
            assert time.monotonic() < deadline, f"{job_id} did not end"
            time.sleep(0.0005)

    def over(self, job_id: str) -> bool:
        return self.jobs.job(job_id).finished

    @rule(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        self.accept([job.id for job in self.jobs.submit([{}] * count)])

    @rule(priority=st.integers(-1, 1))
    def submit_with_a_priority(self, priority: int) -> None:
        body = json.dumps({"deforum_settings": {}, "priority": priority}).encode()
        self.accept([job.id for job in self.jobs.submit_request(CheckRequest("submit", body, 100))], priority)

    @rule(key=st.sampled_from("ab"), count=st.integers(1, 2))
    def submit_with_a_key(self, key: str, count: int) -> None:
        before = self.receipts.get(key)
        if before and before[0] != count:
            refuses(KeyReused, lambda: self.jobs.submit_once(key, asking([{}] * count)))
            return
        reply = self.jobs.submit_once(key, asking([{}] * count))
        if before:
            assert reply == before[1]
        else:
            self.receipts[key] = count, reply
            self.accept(json.loads(reply)["job_ids"])

    def accept(self, ids: list[str], priority: int = 0) -> None:
        for job_id in ids:
            self.known[job_id] = Known(self.submitted, self.submitted, priority=priority)
            self.submitted += 1
        self.take_next()

    @precondition(lambda self: self.working)
    @rule(command=st.sampled_from(["frame", "frame", "video", "finish", "fail", "lapse"]))
    def work(self, command: str) -> None:
        assert self.working
        self.do(command, self.working)

    @precondition(lambda self: self.known)
    @rule(pick=JOBS)
    def cancel(self, pick: int) -> None:
        job_id = self.picked(pick)
        known, before = self.known[job_id], self.jobs.job(job_id)
        if known.finished:
            refuses(AlreadyFinished, lambda: self.jobs.cancel(job_id))
        elif known.doomed:
            assert self.jobs.cancel(job_id) == before
        else:
            self.jobs.cancel(job_id)
            known.not_before, known.held = 0.0, False
            if known.state == "working" or known.frames > known.frames_in_video:
                known.doomed = True
                known.state = "waiting" if known.state == "paused" else known.state
            else:
                known.state = "CANCELLED"
            self.take_next()

    @precondition(lambda self: self.working)
    @rule(
        command=LAST,
        first=st.sampled_from(["cancel", "pause"]),
    )
    def ask_and_work(self, first: str, command: str) -> None:
        """As `cancel` or `pause`, then `work`, which else seldom meet on one job."""
        assert self.working
        job_id, place = self.working, list(self.known).index(self.working)
        getattr(self, first)(place)
        self.do(command, job_id)

    @precondition(lambda self: self.known)
    @rule(pick=JOBS)
    def pause(self, pick: int) -> None:
        job_id = self.picked(pick)
        known = self.known[job_id]
        if known.finished or (known.in_video and not known.doomed):
            refuses(AlreadyFinished, lambda: self.jobs.pause(job_id))
        elif known.doomed:
            refuses(StillEnding, lambda: self.jobs.pause(job_id))
        else:
            self.jobs.pause(job_id)
            known.held = known.parking = known.state == "working"
            known.state = "working" if known.held else "paused"

    @precondition(lambda self: self.known)
    @rule(pick=JOBS)
    def resume(self, pick: int) -> None:
        job_id = self.picked(pick)
        known = self.known[job_id]
        if known.doomed:
            refuses(StillEnding, lambda: self.jobs.resume(job_id))
        elif known.held:
            self.jobs.resume(job_id)
            known.held = False
        elif known.state == "paused":
            self.jobs.resume(job_id)
            known.state = "waiting"
        elif known.state in ("FAILED", "CANCELLED"):
            self.jobs.resume(job_id)
            known.state, known.attempt = "waiting", known.attempt + 1
            known.delays, known.crashes, known.not_before = 0, 0, 0.0
        else:
            refuses(NotResumable, lambda: self.jobs.resume(job_id))
        self.take_next()

    @precondition(lambda self: self.known)
    @rule(pick=JOBS)
    def move_up(self, pick: int) -> None:
        job_id, waiting = self.picked(pick), self.waiting
        self.jobs.move_up(job_id)
        if job_id in waiting[1:]:
            known, other = self.known[job_id], self.known[waiting[waiting.index(job_id) - 1]]
            known.place, other.place = other.place, known.place
            known.priority, other.priority = other.priority, known.priority

    @precondition(lambda self: self.known)
    @rule(pick=JOBS)
    def forget(self, pick: int) -> None:
        job_id = self.picked(pick)
        if not self.known[job_id].finished:
            refuses(NotFinished, lambda: self.jobs.forget(job_id))
            return
        self.jobs.forget(job_id)
        del self.known[job_id]
        refuses(UnknownId, lambda: self.jobs.job(job_id))

    @rule(seconds=st.sampled_from([1.0, 5.0, 30.0, 200.0, -3.0, -10_000.0]))
    def time_passes(self, seconds: float) -> None:
        """Or the clock is set back."""
        self.now += seconds
        self.jobs.runner.wake()
        self.take_next()

    @rule(last=LAST)
    def restart(self, last: str) -> None:
        """What works is parked, also if it fails, unless it is being cancelled, and goes on in its place."""
        self.stop(last)
        if self.working:
            known = self.known[self.working]
            if last == "finish" and not known.doomed:
                known.frames = FRAMES
                known.leave("SUCCEEDED")
            else:
                known.leave("paused" if known.held else "waiting")
        self.start()

    @rule(last=LAST)
    def crash(self, last: str) -> None:
        """Nothing is recorded; what worked goes on in its place, or is given up after the third time."""
        self.store.killed = True
        self.stop(last)
        if self.working:
            known = self.known[self.working]
            known.crashes += 1
            if known.crashes >= MAX_ATTEMPTS:
                known.leave("FAILED", with_video=False)
            else:
                known.attempt += 1
                doomed, known.doomed = known.doomed, False
                known.leave("paused" if known.held else "waiting")
                known.doomed = doomed
        self.start()

    @invariant()
    def the_queue_is_as_the_model_says(self) -> None:
        assert list(self.jobs.store.queued()) == self.waiting
        assert [job.id for job in self.jobs.store.page()] == list(self.known)
        for job in self.jobs.store.page():
            known = self.known[job.id]
            assert job.status == (known.state if known.finished else "ACCEPTED")
            assert (not job.finished and job.phase in WORKING) == (known.state == "working")
            assert job.held == (known.held or known.state == "paused")
            assert job.finished or job.cancel_requested == known.doomed
            assert (job.frame, job.attempt, job.delays) == (known.frames, known.attempt, known.delays)

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


def refuses(error: type[Exception], ask: Callable[[], Any]) -> None:
    """Ask for what must be refused."""
    with suppress(error):
        ask()
        raise AssertionError(f"{error.__name__} was not raised")


TestQueue = pytest.mark.timeout(3600)(QueueMachine.TestCase)
THOROUGH = os.environ.get("DEFORUM_TEST_PROFILE") == "thorough"
TestQueue.settings = settings(max_examples=500 if THOROUGH else 25, stateful_step_count=20, deadline=None)
