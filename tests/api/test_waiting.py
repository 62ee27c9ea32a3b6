"""Pausing, moving and forgetting jobs: what the tab can do to the queue beside the API."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_renderer import WAIT_S, Renderer
from fastapi.testclient import TestClient

from deforum_api.queue.errors import AlreadyFinished, NotFinished, UnknownId
from deforum_api.queue.events import Moved
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.runner import is_preview


def until(jobs: JobQueue, job_id: str, wanted: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        job = jobs.job(job_id)
        if wanted(job):
            return job
        time.sleep(0.002)
    raise AssertionError(f"{job_id} never got there: {job}")


def started(jobs: JobQueue, name: str = "first") -> str:
    job = jobs.submit([{"batch_name": name}])[0]
    until(jobs, job.id, lambda one: one.phase != "QUEUED")
    return job.id


def paused(job: Job) -> bool:
    return job.held and job.phase == "QUEUED"


def test_a_paused_job_lets_others_pass_and_goes_on_where_it_was(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(jobs)
    jobs.pause(first)
    until(jobs, first, paused)
    renderer.gate.set()
    other = jobs.submit([{"batch_name": "other"}])[0].id
    until(jobs, other, lambda job: job.status == "SUCCEEDED")
    assert paused(jobs.job(first))
    jobs.resume(first)
    assert until(jobs, first, lambda job: job.finished).status == "SUCCEEDED"
    assert jobs.job(first).attempt == 1
    assert [name for name, _ in renderer.runs] == ["first", "other", "first"]


def test_a_job_that_is_resumed_before_it_stopped_goes_on_too(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(jobs)
    jobs.pause(first)
    jobs.resume(first)
    renderer.gate.set()
    assert until(jobs, first, lambda job: job.finished).status == "SUCCEEDED"


def test_a_waiting_job_can_be_paused(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(jobs)
    second, third = (job.id for job in jobs.submit([{"batch_name": "b"}, {"batch_name": "c"}]))
    jobs.pause(second)
    assert jobs.positions() == {third: 0}
    renderer.gate.set()
    until(jobs, third, lambda job: job.finished)
    assert paused(jobs.job(second))
    assert jobs.job(first).finished
    jobs.resume(second)
    until(jobs, second, lambda job: job.status == "SUCCEEDED")


def test_a_paused_job_with_frames_that_is_cancelled_is_made_into_a_video(
    jobs: JobQueue, renderer: Renderer
) -> None:
    renderer.gate.clear()
    first = started(jobs)
    job = jobs.job(first)
    assert jobs.records.change(job, jobs_reported(2)) is not None
    jobs.pause(first)
    until(jobs, first, paused)
    jobs.cancel(first)
    assert until(jobs, first, lambda one: one.finished).status == "CANCELLED"
    assert len(renderer.runs) == 2


def jobs_reported(frame: int) -> object:
    from deforum_api.queue.record import Reported

    return Reported("GENERATING", 0.5, frame, 4, "/out", "20260102030405")


def test_a_paused_job_without_frames_is_cancelled_at_once(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(jobs)
    jobs.pause(first)
    until(jobs, first, paused)
    assert jobs.cancel(first).status == "CANCELLED"
    assert len(renderer.runs) == 1


def test_waiting_jobs_change_places(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(jobs)
    a, b, c = (job.id for job in jobs.submit([{"batch_name": name} for name in "abc"]))
    jobs.move_up(c)
    jobs.move_up(c)
    jobs.move_up(c)
    jobs.move_up(first)
    assert jobs.positions() == {c: 0, a: 1, b: 2}
    renderer.gate.set()
    until(jobs, b, lambda job: job.finished)
    assert [name for name, _ in renderer.runs] == ["first", "c", "a", "b"]


def test_a_higher_priority_is_taken_first_and_moving_up_exchanges_priorities(
    client: TestClient, jobs: JobQueue, renderer: Renderer
) -> None:
    renderer.gate.clear()
    started(jobs)

    def submitted(name: str, priority: int | None) -> str:
        body = {"deforum_settings": {"batch_name": name}, "priority": priority}
        return str(client.post("/deforum_api/batches", json=body).json()["job_ids"][0])

    a, b, c, d = (submitted(*one) for one in (("a", None), ("b", -1), ("c", 7), ("d", 7)))
    assert jobs.positions() == {c: 0, d: 1, a: 2, b: 3}
    jobs.move_up(a)
    assert jobs.positions() == {c: 0, a: 1, d: 2, b: 3}
    assert [client.get(f"/deforum_api/jobs/{one}").json()["priority"] for one in (a, d)] == [7, 0]
    renderer.gate.set()
    until(jobs, b, lambda job: job.finished)
    assert [name for name, _ in renderer.runs] == ["first", "c", "a", "d", "b"]


@pytest.mark.parametrize("meanwhile", ["cancelled", "forgotten", "changed"])
def test_a_job_changes_places_whole_or_not_at_all(
    jobs: JobQueue, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """The one before it ends, or gets another record, between the look at both and the change."""
    renderer.gate.clear()
    started(jobs)
    a, b = (job.id for job in jobs.submit([{"batch_name": name} for name in "ab"]))
    plain, places = jobs.records.change_together, [jobs.job(one).place for one in (a, b)]
    tried = []

    def change(*changes: Any) -> Any:
        if len(changes) == 2 and not tried:
            tried.append(changes)
            if meanwhile == "changed":
                assert jobs.records.change(jobs.job(a), Moved(places[0]))
            else:
                jobs.cancel(a)
            if meanwhile == "forgotten":
                jobs.forget(a)
        return plain(*changes)

    monkeypatch.setattr(jobs.records, "change_together", change)
    jobs.move_up(b)
    assert tried
    assert jobs.job(b).place == places[meanwhile != "changed"]
    assert jobs.positions() == ({b: 0, a: 1} if meanwhile == "changed" else {b: 0})


def test_only_finished_jobs_are_forgotten_and_their_files_stay(jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(jobs)
    with pytest.raises(NotFinished, match="cancel it first"):
        jobs.forget(first)
    renderer.gate.set()
    outdir = until(jobs, first, lambda job: job.finished).outdir
    jobs.forget(first)
    with pytest.raises(UnknownId):
        jobs.job(first)
    assert outdir
    assert list(Path(outdir).glob("*.png"))


def test_a_finished_job_cannot_be_paused(jobs: JobQueue) -> None:
    job = jobs.submit([{}])[0]
    until(jobs, job.id, lambda one: one.finished)
    with pytest.raises(AlreadyFinished):
        jobs.pause(job.id)


def test_motion_previews_are_made_beside_the_queue(jobs: JobQueue, renderer: Renderer) -> None:
    """Two of them, one after the other, while a job works and another waits for it."""
    started, done, render = threading.Event(), threading.Event(), jobs.runner.render

    def held_unless_preview(prepared: Any, cancel: Any, report: Any) -> Any:
        if prepared.name == "run":
            started.set()
            assert done.wait(WAIT_S)
        return render(prepared, cancel, report)

    jobs.runner.render = held_unless_preview
    try:
        first, second = (job.id for job in jobs.submit([{"batch_name": "run"}] * 2))
        assert started.wait(WAIT_S)
        asked = [{"batch_name": name, "motion_preview_mode": True} for name in "ab"]
        for preview in jobs.submit(asked):
            until(jobs, preview.id, lambda job: job.status == "SUCCEEDED")
        assert [jobs.job(one).phase for one in (first, second)] == ["PREPARING", "QUEUED"]
        assert (jobs.runner.running, renderer.most_at_once) == ((first,), 1)
    finally:
        done.set()
    until(jobs, second, lambda job: job.status == "SUCCEEDED")


@pytest.mark.parametrize(
    ("settings", "preview"),
    [
        ({"motion_preview_mode": True}, True),
        ({"motion_preview_mode": False}, False),
        ({"prompts": {"0": '"motion_preview_mode": true'}}, False),
        ({}, False),
    ],
)
def test_a_preview_is_told_by_its_setting(jobs: JobQueue, settings: dict[str, Any], preview: bool) -> None:
    (job,) = jobs.submit([settings])
    assert is_preview(job) == preview
