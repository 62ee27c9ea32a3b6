"""Failures that may pass, programs that end, requests that come twice: what the queue does by itself."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.queue.errors import KeyReused, StoreUnavailable
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.owners import ServerIdentity
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import SqliteStore
from deforum_api.queue.submission import Limits, digest_of
from deforum_helpers.core.errors import (
    DiskFull,
    DownloadFailed,
    ModelError,
    OutOfMemory,
    Problem,
    RenderError,
    SettingsError,
)
from tests.api.fake_renderer import WAIT_S, Renderer, asking

FOUR_S = 4.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def retrying(renderer: Renderer, clock: Clock) -> Any:
    queue = JobQueue(renderer.check, renderer.render, limits=Limits(retry_after_s=(1.0, FOUR_S)), clock=clock)
    yield queue
    assert queue.close(WAIT_S)


def until(queue: JobQueue, job_id: str, wanted: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if wanted(job := queue.job(job_id)):
            return job
        time.sleep(0.002)
    raise AssertionError(f"{job} never got there")


def submitted(queue: JobQueue, *names: str) -> list[str]:
    return [job.id for job in queue.submit([{"batch_name": name} for name in names])]


DISK = Problem("The disk is too small.", "max_frames", passing=True)
NAME = Problem("There is no such sampler.", "sampler")


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemory("Full."),
        DiskFull("Full."),
        DownloadFailed("The hub cannot be reached."),
        SettingsError([DISK]),
        MemoryError(),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA error"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes."),
        type("error", (Exception,), {"__module__": "cv2"})(
            "(-4:Insufficient memory) Failed to allocate 9 bytes"
        ),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
    ids=[
        "engine",
        "disk",
        "download",
        "disk or address when it begins",
        "memory",
        "device",
        "torch",
        "opencv",
        "system",
    ],
)
def test_a_failure_that_may_pass_is_tried_again_later(
    retrying: JobQueue, renderer: Renderer, clock: Clock, error: Exception
) -> None:
    renderer.plans["bad"] = error
    bad, behind = submitted(retrying, "bad", "good")
    waiting = until(retrying, bad, lambda job: job.delays == 1)
    assert (waiting.status, waiting.phase, waiting.not_before) == ("ACCEPTED", "QUEUED", 1001.0)
    assert waiting.message is not None
    assert waiting.message.endswith("The job is tried again after 1 s.")
    until(retrying, behind, lambda job: job.status == "SUCCEEDED")
    clock.now += 1
    assert until(retrying, bad, lambda job: job.delays == 2).not_before == 1005.0
    del renderer.plans["bad"]
    clock.now += FOUR_S
    done = until(retrying, bad, lambda job: job.finished)
    assert (done.status, done.message, done.attempt) == ("SUCCEEDED", None, 3)
    assert [run for run in renderer.runs if run[0] == "bad"] == [
        ("bad", None),
        ("bad", "20260102030405"),
        ("bad", "20260102030405"),
    ]


def test_after_the_last_try_it_fails_and_can_be_resumed(
    retrying: JobQueue, renderer: Renderer, clock: Clock
) -> None:
    renderer.plans["bad"] = OutOfMemory("Full.")
    (bad,) = submitted(retrying, "bad")
    for delays in (1, 2):
        until(retrying, bad, lambda job, delays=delays: job.delays == delays)
        clock.now += FOUR_S
    failed = until(retrying, bad, lambda job: job.finished)
    assert (failed.status, failed.error_type, failed.message) == (
        "FAILED",
        "RETRYABLE",
        "generation error: Full.",
    )
    retrying.resume(bad)
    assert until(retrying, bad, lambda job: job.delays == 1).attempt == 5


@pytest.mark.parametrize(
    ("error", "prefix"),
    [
        (ModelError("Broken."), "generation error: Broken."),
        (RenderError("Broken."), "generation error: Broken."),
        (SettingsError([NAME]), "invalid arguments: There is no such sampler."),
        (SettingsError([DISK, NAME]), "invalid arguments: The disk is too small. There is"),
        (
            ZeroDivisionError("secret"),
            "generation error: an unexpected ZeroDivisionError; see the server's log",
        ),
    ],
)
def test_a_failure_that_stays_is_not_tried_again(
    retrying: JobQueue, renderer: Renderer, error: Exception, prefix: str
) -> None:
    renderer.plans["bad"] = error
    (bad,) = submitted(retrying, "bad")
    job = until(retrying, bad, lambda job: job.finished)
    assert (job.status, job.error_type, job.attempt) == ("FAILED", "TERMINAL", 1)
    assert (job.message or "").startswith(prefix)
    assert len(renderer.runs) == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("can't create new thread at interpreter shutdown"), OutOfMemory("Full.")]
)
def test_what_fails_while_the_program_ends_is_begun_again_at_the_next_start(
    renderer: Renderer, error: Exception
) -> None:
    began, ends = threading.Event(), threading.Event()

    def render(prepared: Any, cancel: Any, report: Any) -> Any:
        began.set()
        assert ends.wait(WAIT_S)
        raise error

    queue = JobQueue(renderer.check, render)
    (job_id,) = submitted(queue, "a")
    assert began.wait(WAIT_S)
    queue.runner.begin_close()
    ends.set()
    assert queue.close(WAIT_S)
    job = queue.job(job_id)
    assert (job.status, job.phase, job.attempt, job.message) == ("ACCEPTED", "QUEUED", 1, None)


def test_a_clock_that_is_set_back_holds_no_job_up(
    retrying: JobQueue, renderer: Renderer, clock: Clock
) -> None:
    renderer.plans["bad"] = OutOfMemory("Full.")
    (bad,) = submitted(retrying, "bad")
    until(retrying, bad, lambda job: job.delays == 1)
    clock.now -= 24 * 3600
    until(retrying, bad, lambda job: job.delays == 2)


def test_a_delayed_job_with_frames_that_is_cancelled_is_made_into_a_video(
    retrying: JobQueue, renderer: Renderer
) -> None:
    renderer.plans["bad"] = OutOfMemory("Full.")
    (bad,) = submitted(retrying, "bad")
    until(retrying, bad, lambda job: job.delays == 1)
    retrying.cancel(bad)
    assert until(retrying, bad, lambda job: job.finished).message == "Cancelled after 2 of 4 frames."
    assert len(renderer.runs) == 2


def ended_program(path: Path) -> SqliteStore:
    """The store of a program that is over: no process began when it says it did."""
    return SqliteStore(path, replace(ServerIdentity.now(), id="ended", began="1"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite3"


def interrupted(path: Path, **known: Any) -> Job:
    """A job that worked when its program ended."""
    old = ended_program(path)
    job = Job("batch(1)-0", "batch(1)", 0, '{"batch_name": "a"}', "null", 1.0, 1.0, max_frames=4)
    old.add([job, replace(job, id="batch(1)-1", order=1)])
    now = {"phase": "GENERATING", "frame": 2, "outdir": "/o", "timestring": "20260102030405", **known}
    working = replace(job, updates=5, **now)
    old.swap(job, replace(job, phase="PREPARING", updates=1))
    old.swap(replace(job, updates=1), working)
    old.close()
    return working


def test_after_a_restart_the_working_job_goes_on_and_the_others_follow(
    path: Path, renderer: Renderer
) -> None:
    job = interrupted(path)
    store = SqliteStore(path)
    queue = JobQueue(renderer.check, renderer.render, store=store)
    done = until(queue, job.id, lambda job: job.finished)
    until(queue, "batch(1)-1", lambda job: job.finished)
    assert (done.status, done.attempt, done.interruptions) == ("SUCCEEDED", 2, 1)
    assert done.updates > job.updates
    assert renderer.runs == [("a", "20260102030405"), ("a", None)]
    assert queue.close(WAIT_S)
    store.close()


def test_a_job_that_was_interrupted_three_times_fails(path: Path, renderer: Renderer) -> None:
    job = interrupted(path, interruptions=2, attempt=3)
    store = SqliteStore(path)
    queue = JobQueue(renderer.check, renderer.render, store=store)
    failed = queue.job(job.id)
    assert (failed.status, failed.phase, failed.error_type) == ("FAILED", "GENERATING", "RETRYABLE")
    assert failed.message is not None
    assert "interrupted by restart" in failed.message
    queue.resume(job.id)
    assert until(queue, job.id, lambda job: job.finished).status == "SUCCEEDED"
    assert queue.close(WAIT_S)
    store.close()


@pytest.mark.parametrize(("known", "runs"), [({}, 1), ({"interruptions": 2}, 0)])
def test_a_job_that_was_being_cancelled_ends_as_cancelled(
    path: Path, renderer: Renderer, known: dict[str, Any], runs: int
) -> None:
    job = interrupted(path, cancel_requested=True, held=True, **known)
    store = SqliteStore(path)
    queue = JobQueue(renderer.check, renderer.render, store=store)
    ended = until(queue, job.id, lambda job: job.finished)
    assert ended.status == "CANCELLED"
    assert ended.message is not None
    assert ("which are in /o. The server ended 3 times" in ended.message) == (not runs)
    until(queue, "batch(1)-1", lambda job: job.finished)
    assert len(renderer.runs) == runs + 1
    assert queue.close(WAIT_S)
    store.close()


def test_two_queues_on_one_database_run_each_job_once(path: Path, tmp_path: Path) -> None:
    renderers = [Renderer(tmp_path), Renderer(tmp_path)]
    stores = [SqliteStore(path), SqliteStore(path)]
    queues = [
        JobQueue(renderer.check, renderer.render, store=store)
        for renderer, store in zip(renderers, stores, strict=True)
    ]
    names = [f"job{number}" for number in range(20)]
    ids = submitted(queues[0], *names)
    for job_id in ids[:2]:
        until(queues[1], job_id, lambda job: job.phase == "PREPARING")
    for renderer in renderers:
        renderer.gate.set()
    for job_id in ids:
        assert until(queues[1], job_id, lambda job: job.finished).status == "SUCCEEDED"
    runs = [name for renderer in renderers for name, _ in renderer.runs]
    assert sorted(runs) == sorted(names)
    assert all(renderer.runs for renderer in renderers)
    for queue, store in zip(queues, stores, strict=True):
        assert queue.close(WAIT_S)
        store.close()


def test_another_server_cancels_and_follows_a_job_that_works_here(path: Path, renderer: Renderer) -> None:
    here, there = SqliteStore(path), SqliteStore(path)
    working = JobQueue(renderer.check, renderer.render, store=here)
    renderer.gate.clear()
    (job_id,) = submitted(working, "a")
    until(working, job_id, lambda job: job.phase == "PREPARING")
    idle = JobQueue(renderer.check, renderer.render, store=there)
    told = threading.Event()
    with idle.listen(job_id, told.set):
        assert told.wait(WAIT_S)
        told.clear()
        assert idle.cancel(job_id).cancel_requested
        assert until(working, job_id, lambda job: job.finished).status == "CANCELLED"
        while not idle.job(job_id).finished or not told.is_set():
            assert told.wait(WAIT_S)
    for queue, store in ((working, here), (idle, there)):
        assert queue.close(WAIT_S)
        store.close()


def test_a_job_that_another_program_took_is_let_go(path: Path, renderer: Renderer) -> None:
    here, there = SqliteStore(path), SqliteStore(path)
    queue = JobQueue(renderer.check, renderer.render, store=here)
    renderer.gate.clear()
    (job_id,) = submitted(queue, "a")
    working = until(queue, job_id, lambda job: job.phase == "PREPARING" and job.outdir is not None)
    taken = replace(working, attempt=2, updates=working.updates + 1, message="Elsewhere.")
    assert there.swap(working, taken)
    deadline = time.monotonic() + WAIT_S
    while queue.runner.token(job_id):
        assert time.monotonic() < deadline
        renderer.gate.set()
    assert queue.job(job_id) == taken
    assert queue.close(WAIT_S)
    here.close()
    there.close()


def test_an_end_that_cannot_be_recorded_is_recorded_later(
    path: Path, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(path)
    queue = JobQueue(renderer.check, renderer.render, store=store)
    renderer.gate.clear()
    (job_id,) = submitted(queue, "a")
    until(queue, job_id, lambda job: job.outdir is not None)
    swap, refusals = store.swap, []

    def refuse(old: Job, new: Job) -> bool:
        refusals.append(new)
        raise StoreUnavailable("The disk is full.")

    monkeypatch.setattr(store, "swap", refuse)
    renderer.gate.set()
    deadline = time.monotonic() + WAIT_S
    while not any(job.finished for job in refusals):
        assert time.monotonic() < deadline
    monkeypatch.setattr(store, "swap", swap)
    assert until(queue, job_id, lambda job: job.finished).status == "SUCCEEDED"
    assert queue.close(WAIT_S)
    store.close()


def test_the_same_key_gets_the_same_reply(client: TestClient, jobs: JobQueue) -> None:
    body = {"deforum_settings": {"batch_name": "a", "unknown": 1}}
    key = {"Idempotency-Key": "run of the day"}
    first = client.post("/deforum_api/batches", json=body, headers=key)
    again = client.post("/deforum_api/batches", json=body, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert len(jobs.store.page()) == 1
    assert client.post("/deforum_api/batches", json=body).json() != first.json()
    other = client.post("/deforum_api/batches", json=body, headers={"Idempotency-Key": "other"})
    assert other.json()["batch_id"] != first.json()["batch_id"]


def test_the_same_key_with_another_body_is_422(client: TestClient, jobs: JobQueue) -> None:
    key = {"Idempotency-Key": "k"}
    assert client.post("/deforum_api/batches", json={"deforum_settings": {}}, headers=key).status_code == 202
    changed = {"deforum_settings": {}, "options_overrides": {"deforum_ffmpeg_crf": 3}}
    answer = client.post("/deforum_api/batches", json=changed, headers=key)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["message"]
    assert len(jobs.store.page()) == 1


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_has_a_length(client: TestClient, key: str) -> None:
    body = {"deforum_settings": {}}
    answer = client.post("/deforum_api/batches", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 422


def test_a_refused_batch_leaves_its_key_free(client: TestClient) -> None:
    key = {"Idempotency-Key": "k"}
    bad = {"deforum_settings": {"max_frames": "many"}}
    assert client.post("/deforum_api/batches", json=bad, headers=key).status_code == 400
    good = {"deforum_settings": {"max_frames": 3}}
    assert client.post("/deforum_api/batches", json=good, headers=key).status_code == 202


@pytest.mark.parametrize("durable", [False, True])
def test_twenty_at_once_with_one_key_are_one_batch(path: Path, renderer: Renderer, durable: bool) -> None:
    store = SqliteStore(path) if durable else None
    queue = JobQueue(renderer.check, renderer.render, store=store)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: queue.submit_once("k", asking([{"batch_name": "a"}])), range(20)))
    assert len(set(replies)) == 1
    assert [job.id for job in queue.store.page()] == json.loads(replies[0])["job_ids"]
    assert queue.close(WAIT_S)
    queue.store.close()


def test_a_key_is_kept_for_a_day(retrying: JobQueue, clock: Clock) -> None:
    first = retrying.submit_once("k", asking([{}]))
    clock.now += 24 * 3600
    assert retrying.submit_once("k", asking([{}])) == first
    with pytest.raises(KeyReused):
        retrying.submit_once("k", asking([{}, {}]))
    clock.now += 1
    assert retrying.submit_once("k", asking([{}, {}])) != first


def test_a_database_that_fails_is_a_503_with_what_to_do(
    client: TestClient, jobs: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StoreUnavailable("The disk is full: free some space.")

    monkeypatch.setattr(jobs.store, "add", refuse)
    answer = client.post("/deforum_api/batches", json={"deforum_settings": {}})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert answer.json()["message"] == "The disk is full: free some space."


def test_settings_of_any_order_have_one_digest() -> None:
    assert digest_of([{"a": 1, "b": 2}], None) == digest_of([{"b": 2, "a": 1}], None)
    assert digest_of([{"a": 1}], None) != digest_of([{"a": 1}], {})
