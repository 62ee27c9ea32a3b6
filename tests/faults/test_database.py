"""A job database that is full of jobs, locked, read-only or damaged: clear words, a way out, nothing overwritten."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue import runner
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore
from deforum_api.queue.submission import Limits
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.pipeline.host_facts import own_facts
from tests.api.fake_renderer import asking, serving
from tests.faults.conftest import Start
from tests.faults.serving import SETTINGS, WAIT_S, FaultyEngine, ended
from tests.integration.server import ROOT

MANY = 1000
TINY = {**SETTINGS, "max_frames": 1}


def test_a_thousand_waiting_jobs_are_served_and_survive_a_kill(start: Start, tmp_path: Path) -> None:
    text = json.dumps(SETTINGS)
    store = SqliteStore(tmp_path / "outputs" / FILE_NAME)
    for batch in range(MANY // 100):
        numbers = range(batch * 100, batch * 100 + 100)
        store.add(
            [
                Job(f"batch({batch})-{n % 100}", f"batch({batch})", n, text, "null", 1.0, 1.0, max_frames=8)
                for n in numbers
            ]
        )
    ids = store.queued()
    store.close()
    assert len(ids) == MANY
    server = start("hold")
    server.until(ids[0], lambda job: job["frame"] == 3)
    code, listed = server.ask("GET", "/deforum_api/jobs")
    assert (code, tuple(listed)) == (200, ids)
    assert server.ask("GET", "/deforum_api/health")[1]["queue_length"] == MANY - 1
    assert server.ask("POST", "/deforum_api/batches", {"deforum_settings": [TINY]})[0] == 202
    code, refused = server.ask("POST", "/deforum_api/batches", {"deforum_settings": [TINY]})
    assert code == 429
    assert "The queue is full" in refused["message"]
    assert server.ask("DELETE", f"/deforum_api/jobs/{ids[500]}")[0] == 200
    assert len(server.ask("DELETE", "/deforum_api/batches/batch(9)")[1]["ids"]) == 100
    server.kill()
    again = start("hold")
    again.until(ids[0], lambda job: job["phase"] == "GENERATING")
    listed = again.ask("GET", "/deforum_api/jobs?summary=true")[1]
    assert len(listed) == MANY + 1
    waiting = {job_id: job["queue_position"] for job_id, job in listed.items() if job["status"] == "ACCEPTED"}
    expected = [job_id for job_id in ids[:900] if job_id != ids[500]]
    assert list(waiting)[: len(expected)] == expected
    assert [waiting[job_id] for job_id in expected] == [None, *range(len(expected) - 1)]


def test_a_lock_of_another_program_is_told_and_outlived(start: Start, tmp_path: Path) -> None:
    server = start("impatient")
    (job_id,) = server.submit({**SETTINGS, "batch_name": "locked out"})
    server.until(job_id, lambda job: job["frame"] == 3)
    with closing(
        sqlite3.connect(tmp_path / "outputs" / FILE_NAME, isolation_level=None, timeout=WAIT_S)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        code, answer = server.ask("POST", "/deforum_api/batches", {"deforum_settings": [TINY]})
        assert code == 503
        assert "is locked by another program; close that program" in answer["message"]
        assert server.ask("GET", f"/deforum_api/jobs/{job_id}")[0] == 200, "what is there is still told"
        server.go.touch()
        deadline = time.monotonic() + WAIT_S
        while "its end is not recorded yet" not in server.log():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        other.execute("ROLLBACK")
    assert server.ended(job_id)["status"] == "SUCCEEDED"
    assert "Traceback" not in server.log()


def started(folder: Path) -> subprocess.CompletedProcess[str]:
    """The program, as a user starts it, on a database that it cannot use."""
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--deforum-engine",
        "null",
        "--port",
        "0",
    ]
    command += ["--deforum-outdir", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_a_damaged_database_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database " * 1000)
    ended = started(tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "is damaged" in ended.stderr
    assert "move it away" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert path.read_bytes() == b"not a database " * 1000


def test_a_database_that_is_locked_at_the_start_is_told(tmp_path: Path) -> None:
    SqliteStore(tmp_path / FILE_NAME).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = started(tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "is locked by another program; close that program, then try again" in ended.stderr
    assert "Traceback" not in ended.stderr


class Clock:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    monkeypatch.setattr(runner, "LOOK_EVERY_S", 0.02)
    facts = own_facts("null", None, tmp_path / "outputs")
    queue = make_queue(facts, NullEngine, SqliteStore(tmp_path / FILE_NAME), Limits(retry_after_s=()))
    yield queue
    assert queue.close(WAIT_S)
    queue.store.close()


@pytest.fixture
def client(jobs: JobQueue) -> Iterator[TestClient]:
    with serving(jobs) as made:
        yield made


def test_a_database_that_became_read_only_is_told_and_serves_what_it_has(
    jobs: JobQueue, client: TestClient
) -> None:
    (job,) = jobs.submit([TINY])
    ended(jobs, job.id)
    writer = jobs.store._writer  # type: ignore[attr-defined]
    writer.execute("PRAGMA query_only = ON")
    answer = client.post("/deforum_api/batches", json={"deforum_settings": TINY})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "cannot be written" in answer.json()["message"]
    assert "give this user write access" in answer.json()["message"]
    assert client.get(f"/deforum_api/jobs/{job.id}").json()["status"] == "SUCCEEDED"
    writer.execute("PRAGMA query_only = OFF")
    assert client.post("/deforum_api/batches", json={"deforum_settings": TINY}).status_code == 202


def test_a_database_that_fails_while_the_program_runs_is_told_once_and_tried_again(
    jobs: JobQueue, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def broken(query: str, *values: Any) -> Any:
        tries.append(1)
        raise StoreUnavailable("The job database is damaged (malformed); it was left as it is.")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.store, "_read", broken)
        patch.setattr(jobs.store, "_jobs", broken)
        deadline = time.monotonic() + WAIT_S
        while len(tries) < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        answer = client.get("/deforum_api/jobs/batch(1)-0")
        assert (answer.status_code, answer.json()["status"]) == (503, "SERVICE UNAVAILABLE")
        assert "it was left as it is" in answer.json()["message"]
        unavailable = client.get("/deforum_api/health").json()["unavailable"]
        assert "damaged" in unavailable[-1]["reason"]
    said = [record for record in caplog.records if record.name == "deforum_api.queue.runner"]
    assert len(said) == 1
    assert said[0].exc_info is None
    (job,) = jobs.submit([TINY])
    assert ended(jobs, job.id).status == "SUCCEEDED"


def test_a_clock_that_is_set_back_changes_nothing_but_the_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    def before(number: int, cancel: Any) -> None:
        if number == 2:
            clock.offset = -3600.0

    engine = FaultyEngine(NullEngine(), before)
    facts = own_facts("null", None, tmp_path / "outputs")
    made = make_queue(facts, lambda: engine, SqliteStore(tmp_path / FILE_NAME))
    assert made.close(WAIT_S)
    jobs = JobQueue(made.check, made.runner.render, store=made.store, clock=clock)
    updates: list[Job] = []
    (job,) = jobs.submit([SETTINGS])
    with jobs.listen(job.id, lambda: updates.append(jobs.job(job.id))):
        done = ended(jobs, job.id)
    assert done.status == "SUCCEEDED"
    assert all(one.last_updated <= other.last_updated for one, other in pairwise(updates))
    assert all(update.update_interval_time >= 0 for update in updates)
    first = jobs.submit_once("key", asking([TINY]))
    clock.offset = -7200.0
    assert jobs.submit_once("key", asking([TINY])) == first
    (later,) = jobs.submit([TINY])
    assert ended(jobs, later.id).status == "SUCCEEDED"
    assert [one.id for one in jobs.store.page()][-1] == later.id, "the order is that of submission"
    assert jobs.close(WAIT_S)
    jobs.store.close()
