"""`/deforum/run`: one request that renders and waits."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.queue.jobs import JobQueue
from deforum_helpers.core.errors import OutOfMemory
from tests.api.fake_renderer import WAIT_S, Renderer, serving, until

SETTINGS = json.dumps({"max_frames": 3, "W": 128, "nonsense": 1})
ARGUMENTS = {"settings_json": SETTINGS, "allowed_params": "max_frames; W;nonsense"}


def send(client: TestClient, how: str, arguments: dict[str, Any]) -> Any:
    return client.post("/deforum/run", **{how: arguments})


@pytest.mark.parametrize("how", ["params", "data", "json"])
def test_the_arguments_come_as_query_form_or_json(client: TestClient, jobs: JobQueue, how: str) -> None:
    answer = send(client, how, ARGUMENTS)
    assert answer.status_code == 200
    reply = answer.json()
    job = jobs.job(reply["job_id"])
    settings = json.loads(job.settings_json)
    assert set(reply) == {"outdir", "job_id"}
    assert reply["outdir"] == job.outdir
    assert reply["outdir"].endswith(settings["batch_name"])
    assert settings == {"max_frames": 3, "W": 128, "batch_name": settings["batch_name"]}


def test_in_json_the_settings_may_be_an_object(client: TestClient, jobs: JobQueue) -> None:
    body = {"settings_json": {"max_frames": 2}, "allowed_params": "max_frames"}
    reply = client.post("/deforum/run", json=body).json()
    assert jobs.job(reply["job_id"]).max_frames == 2


def test_nothing_is_taken_unless_it_is_allowed(client: TestClient, jobs: JobQueue) -> None:
    reply = client.post("/deforum/run", data={"settings_json": SETTINGS}).json()
    assert set(json.loads(jobs.job(reply["job_id"]).settings_json)) == {"batch_name"}


def test_each_run_gets_a_fresh_batch_name(client: TestClient, jobs: JobQueue) -> None:
    body = {"settings_json": {"batch_name": "mine"}, "allowed_params": "batch_name"}
    names = set()
    for _ in range(2):
        reply = client.post("/deforum/run", json=body).json()
        names.add(json.loads(jobs.job(reply["job_id"]).settings_json)["batch_name"])
    assert len(names) == 2
    assert "mine" not in names


@pytest.mark.parametrize("how", ["params", "data", "json"])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, 422),
        ({"settings_json": "{"}, 422),
        ({"settings_json": "[]"}, 422),
        ({"settings_json": '{"a": NaN}'}, 422),
        ({"settings_json": '{"max_frames": "x"}', "allowed_params": "max_frames"}, 400),
        ({"settings_json": '{"max_frames": 2}', "allowed_params": "max_frames,W"}, 422),
    ],
)
def test_wrong_arguments(client: TestClient, how: str, arguments: dict[str, Any], code: int) -> None:
    assert send(client, how, arguments).status_code == code
    assert client.get("/deforum_api/jobs").json() == {}


@pytest.mark.parametrize(
    "form", [b"settings_json=%ff", b"&".join(b"a%d=1" % number for number in range(50)), b"\xff=1"]
)
def test_a_broken_form_is_422(client: TestClient, form: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/deforum/run", content=form, headers=headers).status_code == 422


def test_a_failed_job_is_a_500_with_its_message(client: TestClient, jobs: JobQueue) -> None:
    def fail(*_: Any) -> None:
        raise OutOfMemory("The GPU is full.")

    jobs.runner.render = fail
    answer = client.post("/deforum/run", data=ARGUMENTS)
    assert answer.status_code == 500
    assert answer.json()["message"] == "generation error: The GPU is full."
    assert answer.json()["id"] in client.get("/deforum_api/jobs").json()


def test_while_it_waits_the_server_answers_and_lists_the_job(renderer: Renderer, jobs: JobQueue) -> None:
    renderer.gate.clear()
    with serving(jobs) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, "/deforum/run", data=ARGUMENTS)
        while not client.get("/deforum_api/jobs").json():
            assert not waiting.done()
        (job_id,) = client.get("/deforum_api/jobs").json()
        until(client, job_id, lambda job: job["phase"] == "PREPARING")
        renderer.gate.set()
        assert waiting.result(WAIT_S).json()["job_id"] == job_id


def test_a_cancelled_job_ends_the_wait(renderer: Renderer, jobs: JobQueue) -> None:
    renderer.gate.clear()
    with serving(jobs) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, "/deforum/run", data=ARGUMENTS)
        while not client.get("/deforum_api/jobs").json():
            assert not waiting.done()
        (job_id,) = client.get("/deforum_api/jobs").json()
        client.delete(f"/deforum_api/jobs/{job_id}")
        assert waiting.result(WAIT_S).status_code == 500


def test_a_stopping_server_ends_the_wait(renderer: Renderer) -> None:
    renderer.gate.clear()
    queue = JobQueue(renderer.check, renderer.render)
    with serving(queue) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.post, "/deforum/run", data=ARGUMENTS)
        while not client.get("/deforum_api/jobs").json():
            assert not waiting.done()
        threading.Thread(target=queue.close, args=(WAIT_S,)).start()
        assert waiting.result(WAIT_S).status_code == 503
