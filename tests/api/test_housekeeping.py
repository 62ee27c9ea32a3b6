"""Forgetting jobs, and how the server tells how it is."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.logs import FORMAT, OneLineFormatter
from tests.api.fake_renderer import Renderer, ended, submit, until


def numbers(client: TestClient) -> dict[str, float]:
    """The samples of the metrics: name with labels -> value."""
    answer = client.get("/deforum_api/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize("purge", ["true", "1"])
def test_a_finished_job_is_forgotten_and_its_files_stay(
    client: TestClient, renderer: Renderer, purge: str
) -> None:
    (first, second) = submit(client, {"batch_name": "kept"}, {})
    for job_id in (first, second):
        ended(client, job_id)
    answer = client.delete(f"/deforum_api/jobs/{first}?purge={purge}")
    assert (answer.status_code, answer.json()) == (
        200,
        {"id": first, "message": "Record deleted; the job's files are kept."},
    )
    assert client.get(f"/deforum_api/jobs/{first}").status_code == 404
    assert list(client.get("/deforum_api/jobs").json()) == [second]
    assert len(list((renderer.root / "img2img-images" / "kept").glob("*.png"))) == 4
    assert client.delete(f"/deforum_api/jobs/{first}?purge={purge}").status_code == 404


def test_an_unfinished_job_is_not_forgotten(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    running, waiting = submit(client, {}, {})
    until(client, running, lambda job: job["phase"] != "QUEUED")
    for job_id in (running, waiting):
        answer = client.delete(f"/deforum_api/jobs/{job_id}?purge=true")
        assert (answer.status_code, answer.json()["id"]) == (409, job_id)
        assert client.get(f"/deforum_api/jobs/{job_id}").json()["status"] == "ACCEPTED"
    renderer.gate.set()


def test_a_purge_that_is_no_yes_or_no_is_refused(client: TestClient) -> None:
    (job_id,) = submit(client, {})
    assert client.delete(f"/deforum_api/jobs/{job_id}?purge=all").status_code == 422
    assert ended(client, job_id)["status"] == "SUCCEEDED"


def test_metrics_follow_the_jobs(client: TestClient, renderer: Renderer) -> None:
    before = numbers(client)
    assert before['deforum_info{host="standalone",engine="null",model="none",version="6.5.0"}'] == 1
    assert before['deforum_jobs{status="SUCCEEDED"}'] == before["deforum_jobs_running"] == 0
    assert (before["deforum_free_disk_bytes"], before["deforum_accepting_jobs"]) == (1, 1)
    renderer.gate.clear()
    running, waiting = submit(client, {"max_frames": 7}, {})
    until(client, running, lambda job: job["phase"] != "QUEUED")
    during = numbers(client)
    assert (during["deforum_jobs_running"], during["deforum_jobs_waiting"]) == (1, 1)
    assert (during["deforum_running_frames"], during["deforum_running_frames_written"]) == (7, 0)
    assert during['deforum_jobs{status="ACCEPTED"}'] == 2
    assert client.get("/deforum_api/health").json()["running"] == running
    renderer.gate.set()
    ended(client, waiting)
    after = numbers(client)
    assert (after['deforum_jobs{status="SUCCEEDED"}'], after["deforum_jobs_waiting"]) == (2, 0)


def test_labels_are_escaped(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = client.app.state.deforum.health()  # type: ignore[attr-defined]
    monkeypatch.setitem(facts, "model", 'a"b\\c\nd')
    assert 'model="a\\"b\\\\c\\nd"' in client.get("/deforum_api/metrics").text


def test_every_sample_is_announced(client: TestClient) -> None:
    text = client.get("/deforum_api/metrics").text
    names = {name.partition("{")[0] for name in numbers(client)}
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")} == names
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")} == names


def test_health_says_that_the_records_cannot_be_used(
    client: TestClient, jobs: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise StoreUnavailable("The disk is full: free some space.")

    with monkeypatch.context() as patch:
        patch.setattr(jobs.store, "queued", broken)
        health = client.get("/deforum_api/health")
        metrics = client.get("/deforum_api/metrics")
    assert health.status_code == 200
    assert health.json()["accepting"] is False
    assert health.json()["unavailable"][-1] == {
        "feature": "jobs",
        "reason": "The disk is full: free some space.",
    }
    assert "deforum_accepting_jobs 0" in metrics.text


def test_lines_of_a_job_name_it(
    client: TestClient, renderer: Renderer, caplog: pytest.LogCaptureFixture
) -> None:
    renderer.plans["bad"] = RuntimeError("a\nforged line")
    caplog.handler.setFormatter(OneLineFormatter(FORMAT))
    caplog.set_level("INFO", "deforum_api")
    (job_id,) = submit(client, {"batch_name": "bad"})
    assert ended(client, job_id)["status"] == "FAILED"
    lines = [line for line in caplog.text.splitlines() if "deforum_api.queue.worker:" in line]
    assert lines
    assert all(f" {job_id} deforum_api.queue.worker:" in line for line in lines)
    assert "\nforged line" not in caplog.text
