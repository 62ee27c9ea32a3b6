"""Workers over HTTP: the list, draining, metrics, health, the job's log and the tab's list of jobs."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_renderer import WAIT_S, Renderer, ended, submit, until
from fastapi.testclient import TestClient

from deforum_api.http.metrics import WORKER_STATES
from deforum_api.http.models import WorkerState, WorkerStatus
from deforum_api.queue.executors import LocalExecutor, WorkerInfo
from deforum_api.queue.jobs import JobQueue
from deforum_api.tab.service import QueueService
from deforum_helpers.pipeline.host_facts import own_facts

WORKERS = "/deforum_api/workers"


def workers(client: TestClient) -> list[dict[str, Any]]:
    answer = client.get(WORKERS)
    assert answer.status_code == 200
    return list(answer.json())


def reasons(client: TestClient) -> list[str]:
    unavailable = client.get("/deforum_api/health").json()["unavailable"]
    return [one["reason"] for one in unavailable if one["feature"] == "workers"]


def test_a_drained_worker_finishes_its_job_and_takes_no_other(client: TestClient, renderer: Renderer) -> None:
    (idle,) = workers(client)
    described = client.get("/openapi.json").json()["components"]["schemas"]["WorkerStatus"]
    assert set(idle) == set(described["properties"])
    assert WorkerStatus(**idle).id == idle["id"]
    assert (idle["state"], idle["job"]) == ("idle", None)
    assert reasons(client) == []
    renderer.gate.clear()
    first, second = submit(client, {}, {})
    until(client, first, lambda job: job["phase"] != "QUEUED")
    path = f"{WORKERS}/{idle['id']}"
    draining = client.post(f"{path}/drain").json()
    assert (draining["state"], draining["job"]) == ("draining", first)
    assert client.post(f"{path}/drain").json()["since"] == draining["since"], "twice is once"
    renderer.gate.set()
    assert ended(client, first)["status"] == "SUCCEEDED"
    deadline = time.monotonic() + WAIT_S
    while workers(client)[0]["state"] == "draining" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert workers(client)[0]["state"] == "drained"
    assert client.get(f"/deforum_api/jobs/{second}").json()["phase"] == "QUEUED"
    assert "--undrain" in reasons(client)[0]
    assert client.post(f"{path}/undrain").json()["state"] in ("idle", "busy")
    assert ended(client, second)["status"] == "SUCCEEDED"


@pytest.mark.parametrize("act", ["drain", "undrain"])
def test_an_unknown_worker_is_a_404(client: TestClient, act: str) -> None:
    answer = client.post(f"{WORKERS}/none%20such/{act}")
    assert (answer.status_code, answer.json()["id"]) == (404, "none such")


def test_each_worker_has_its_metrics(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    (job_id,) = submit(client, {"max_frames": 7})
    until(client, job_id, lambda job: job["phase"] != "QUEUED")
    lines = client.get("/deforum_api/metrics").text.splitlines()
    assert 'deforum_worker_state{worker="local",state="busy"} 1' in lines
    assert 'deforum_worker_state{worker="local",state="idle"} 0' in lines
    assert 'deforum_worker_frames{worker="local"} 7' in lines
    assert sum(line.startswith("deforum_worker_info{worker=") for line in lines) == 1
    renderer.gate.set()
    ended(client, job_id)
    assert set(WORKER_STATES) == {state.value for state in WorkerState}


def test_the_log_of_a_job_names_its_worker(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "deforum_api"):
        (job_id,) = submit(client, {})
        ended(client, job_id)
    assert any(job_id in line and "worker local" in line for line in caplog.messages)


class Several(LocalExecutor):
    """One worker that renders, and more that only are there."""

    others: tuple[WorkerInfo, ...] = ()
    missing: tuple[str, ...] = ()

    def workers(self) -> tuple[WorkerInfo, ...]:
        return (*super().workers(), *self.others)

    def lacks(self) -> tuple[str, ...]:
        return self.missing


def test_the_tab_names_the_worker_of_a_job_if_there_are_several_and_health_what_is_missing(
    client: TestClient, jobs: JobQueue, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = QueueService(jobs, own_facts("null", None, tmp_path))
    renderer.gate.clear()
    running, waiting = submit(client, {}, {})
    until(client, running, lambda job: job["phase"] != "QUEUED")
    assert {one.worker for one in service.jobs(9)} == {""}
    several = Several()
    (local,) = jobs.workers()
    several._table.join(replace(local, job=running, node="here"))
    several.others = (WorkerInfo("far", "there", "cuda:0", state="idle"),)
    several.missing = ("The node there has no GPU.",)
    with monkeypatch.context() as patch:
        patch.setattr(jobs.runner, "executor", several)
        found = {one.id: one.worker for one in service.jobs(9)}
        assert found == {running: "local (here)", waiting: ""}
        assert service.job(running).worker == "local (here)"
        assert reasons(client) == ["The node there has no GPU."]
        assert [one["id"] for one in workers(client)] == ["local", "far"]
    renderer.gate.set()
    ended(client, waiting)
