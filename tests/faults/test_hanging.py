"""An engine that hangs: the watchdog names it, cancel ends it, the program goes on when it lets go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deforum_api.hosts.own_host import health, make_queue
from deforum_api.http.metrics import server_state
from deforum_api.queue import runner
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.store import MemoryStore
from deforum_api.queue.submission import Limits
from deforum_api.queue.watchdog import OUTSIDE_FRAMES_FACTOR, SLOW_FACTOR, Attempt, SilenceLimits
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.media.containers import count_frames
from deforum_helpers.pipeline.host_facts import own_facts
from tests.faults.serving import FRAMES, SETTINGS, WAIT_S, FaultyEngine


class Hanging:
    """Lets an engine hang at its second image until `released`; it does not ask its token meanwhile."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.hangs = threading.Event()

    def before(self, number: int, cancel: Any) -> None:
        if number == 2:
            self.hangs.set()
            assert self.released.wait(WAIT_S)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.released.set()


@pytest.fixture
def jobs(
    tmp_path: Path, hanging: Hanging, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[JobQueue]:
    monkeypatch.setattr(runner, "LOOK_EVERY_S", 0.02)
    facts = own_facts("null", None, tmp_path / "outputs")
    engine = FaultyEngine(NullEngine(), hanging.before)
    limits = Limits(retry_after_s=(), hang_after_s=0.3, abandon_after_s=getattr(request, "param", 0.3))
    queue = make_queue(facts, lambda: engine, MemoryStore(), limits)
    yield queue
    hanging.released.set()
    assert queue.close(WAIT_S)


def until(jobs: JobQueue, job_id: str, wanted: Callable[[Job], Any]) -> Job:
    deadline = time.monotonic() + WAIT_S
    while not wanted(job := jobs.job(job_id)):
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job


def why_not_rendering(jobs: JobQueue) -> str:
    """What health says of rendering, "" = nothing."""
    facts = health(own_facts("null", None, Path("outputs")))
    unavailable = server_state(facts, jobs)["unavailable"]
    return "".join(each["reason"] for each in unavailable if each["feature"] == "rendering")


def test_a_hanging_engine_is_named_in_status_health_and_log(
    jobs: JobQueue, hanging: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    (job,) = jobs.submit([SETTINGS])
    assert hanging.hangs.wait(WAIT_S)
    # On a slow machine an earlier stage of the same frame may be named before.
    where = f"frame 3 of {FRAMES} was being generated (in deforum_helpers.render."
    named = until(jobs, job.id, lambda job: where in (job.message or ""))
    assert (named.status, named.phase) == ("ACCEPTED", "GENERATING")
    assert (named.message or "").startswith("No progress since ")
    assert why_not_rendering(jobs) == named.message
    said = [record.getMessage() for record in caplog.records if "No progress" in record.getMessage()]
    # A machine as slow as a hanging one is named, too.
    busy = [text for text in caplog.messages if "it moves again" in text]
    assert len(said) == 1 + len(busy)
    assert job.id in said[-1]
    assert any("self.released.wait" in text for text in caplog.messages), "the log tells where it stands"
    hanging.released.set()
    done = until(jobs, job.id, lambda job: job.finished)
    assert (done.status, done.message) == ("SUCCEEDED", None)
    assert why_not_rendering(jobs) == ""


def test_a_hanging_job_that_is_cancelled_ends_and_the_next_begins_when_the_device_is_free(
    jobs: JobQueue, hanging: Hanging
) -> None:
    job, behind, further = jobs.submit(
        [{**SETTINGS, "batch_name": "hangs"}, {**SETTINGS, "batch_name": "next"}, SETTINGS]
    )
    assert hanging.hangs.wait(WAIT_S)
    until(jobs, job.id, lambda job: job.frame == 3)
    jobs.cancel(job.id)
    ended = until(jobs, job.id, lambda job: job.finished)
    assert (ended.status, ended.frame) == ("CANCELLED", 3)
    assert f"frames, which are in {ended.outdir}. The job did not respond" in (ended.message or "")
    assert job.id in why_not_rendering(jobs)
    assert jobs.cancel(further.id).status == "CANCELLED"
    assert jobs.job(behind.id).phase == "QUEUED", "two engines on one device would be worse than none"
    hanging.released.set()
    assert until(jobs, behind.id, lambda job: job.finished).status == "SUCCEEDED"
    assert jobs.job(job.id) == ended
    assert why_not_rendering(jobs) == ""
    video = Path(ended.outdir or "", f"{ended.timestring}.mp4")
    assert count_frames(video) == 3


def test_a_job_that_was_given_up_and_resumed_has_its_files_to_itself(
    jobs: JobQueue, hanging: Hanging
) -> None:
    (job,) = jobs.submit([SETTINGS])
    assert hanging.hangs.wait(WAIT_S)
    until(jobs, job.id, lambda job: job.frame == 3)
    jobs.cancel(job.id)
    ended = until(jobs, job.id, lambda job: job.finished)
    jobs.resume(job.id)
    hanging.released.set()
    done = until(jobs, job.id, lambda job: job.finished)
    assert (done.status, done.frame, done.attempt) == ("SUCCEEDED", FRAMES, 2)
    assert done.timestring == ended.timestring
    video = Path(done.outdir or "", f"{done.timestring}.mp4")
    assert count_frames(video) == FRAMES


@pytest.mark.parametrize("jobs", [1.5], indirect=True, ids=["patient"])
def test_a_cancelled_job_that_makes_its_video_is_not_given_up(
    jobs: JobQueue, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deforum_helpers.output.writer import RunWriter

    finish = RunWriter.finish

    def slowly(writer: RunWriter, report: Callable[[float], None]) -> Any:
        time.sleep(3.0)
        return finish(writer, report)

    monkeypatch.setattr(RunWriter, "finish", slowly)
    (job,) = jobs.submit([SETTINGS])
    assert hanging.hangs.wait(WAIT_S)
    until(jobs, job.id, lambda job: job.frame == 3)
    jobs.cancel(job.id)
    hanging.released.set()
    ended = until(jobs, job.id, lambda job: job.finished)
    assert ended.message == f"Cancelled after 3 of {FRAMES} frames."


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def attempt_at_frames(clock: Clock) -> Attempt:
    attempt = Attempt(Job("batch(1)-0", "batch(1)", 0, "{}", "null", 0.0, 0.0), CancelToken(), clock)
    attempt.phase, attempt._frame = "GENERATING", 1
    return attempt


def test_a_machine_is_given_the_time_that_it_has_been_seen_to_need() -> None:
    clock, patience = Clock(), SilenceLimits(600.0, 30.0)
    attempt = attempt_at_frames(clock)
    assert patience.hanging_after_s(at_frames=True) == 600.0
    assert patience.abandoned_after_s == 30.0
    clock.now += 90.0
    attempt.token.beat()
    assert attempt.silence_s(patience) == 0.0
    assert patience.hanging_after_s(at_frames=True) == SLOW_FACTOR * 90.0
    assert patience.abandoned_after_s == 180.0
    clock.now += 700.0
    assert attempt.silence_s(patience) == 700.0 < patience.hanging_after_s(at_frames=True)


def test_loading_a_model_takes_longer_and_says_nothing_about_frames() -> None:
    clock, patience = Clock(), SilenceLimits(600.0, 30.0)
    attempt = attempt_at_frames(clock)
    attempt.phase = "PREPARING"
    assert not attempt.at_frames
    assert patience.hanging_after_s(at_frames=False) == OUTSIDE_FRAMES_FACTOR * 600.0
    clock.now += 3000.0
    attempt.token.beat()
    attempt.silence_s(patience)
    assert patience.hanging_after_s(at_frames=True) == 600.0


def test_a_cancelled_job_is_given_its_time_from_the_moment_it_was_asked() -> None:
    clock, patience = Clock(), SilenceLimits(600.0, 30.0)
    attempt = attempt_at_frames(clock)
    clock.now += 500.0
    assert (attempt.silence_s(patience), attempt.unanswered_s()) == (500.0, 0.0)
    attempt.token.cancel()
    assert attempt.unanswered_s() == 0.0
    clock.now += 29.0
    assert attempt.unanswered_s() == 29.0
    attempt.token.beat()
    attempt.silence_s(patience)
    clock.now += 3.0
    assert attempt.unanswered_s() == 3.0


def test_the_watchdog_can_be_switched_off() -> None:
    assert SilenceLimits(0.0, 30.0).hanging_after_s(at_frames=True) == float("inf")


def test_every_look_at_the_token_is_a_sign_of_life() -> None:
    token = CancelToken()
    token.check_cancel()
    token.check()
    token.beat()
    assert token.signs == 3
