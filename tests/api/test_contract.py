"""Every route: its success, its errors, its shapes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deforum_api.http.app import mount
from deforum_api.http.models import DeforumJobStatus, ErrorResponse
from deforum_api.http.security import Access
from deforum_api.queue.checks.processes import InlineChecker
from deforum_api.queue.jobs import JobQueue
from tests.api.fake_renderer import LOCAL, Renderer, ended, make_app, submit, until

ENVELOPE = {"id", "status", "message", "detail", "errors"}
UNKNOWN = "batch(000)-0"


def test_submit_answers_202_with_ids_in_order(client: TestClient) -> None:
    body = {"deforum_settings": [{"unknown": 1}, {}], "options_overrides": None, "whatever": 1}
    answer = client.post("/deforum_api/batches", json=body)
    assert answer.status_code == 202
    reply = answer.json()
    assert set(reply) == {"message", "batch_id", "job_ids", "warnings"}
    assert reply["message"] == "Job(s) accepted"
    assert re.fullmatch(r"batch\(\d{1,9}\)", reply["batch_id"])
    assert reply["job_ids"] == [f"{reply['batch_id']}-0", f"{reply['batch_id']}-1"]
    assert reply["warnings"] == {
        reply["job_ids"][0]: ["The setting 'unknown' is ignored."],
        reply["job_ids"][1]: [],
    }


@pytest.mark.parametrize("overrides", [{}, {"eta_ddim": 0.1}, None])
def test_overrides_may_be_given_empty_or_left_out(client: TestClient, overrides: Any) -> None:
    answer = client.post(
        "/deforum_api/batches", json={"deforum_settings": {}, "options_overrides": overrides}
    )
    (job_id,) = answer.json()["job_ids"]
    assert client.get(f"/deforum_api/jobs/{job_id}").json()["options_overrides"] == overrides


@pytest.mark.parametrize("found", [1.0, "1", True, [1], 10**6 + 1, -(10**6) - 1])
@pytest.mark.parametrize(
    "path", ["/deforum_api/batches", "/deforum_api/validate", "/deforum_api/tools/upscale"]
)
def test_a_priority_that_is_no_integer_within_its_bounds_is_refused(
    client: TestClient, path: str, found: Any
) -> None:
    answer = client.post(path, json={"deforum_settings": {}, "priority": found})
    assert answer.status_code == 422
    assert [entry["loc"] for entry in answer.json()["detail"]] == [["body", "priority"]]
    assert client.get("/deforum_api/batches").json() == {}


def test_one_key_with_another_priority_is_another_batch(client: TestClient) -> None:
    codes = []
    for priority in ({}, {"priority": 0}, {"priority": 3}):
        body = {"deforum_settings": {}, **priority}
        codes.append(
            client.post("/deforum_api/batches", json=body, headers={"Idempotency-Key": "a"}).status_code
        )
    assert codes == [202, 202, 422]


def test_a_batch_lists_its_jobs_in_the_order_of_submission(client: TestClient) -> None:
    ids = submit(client, {}, {}, {})
    batch = ids[0].rsplit("-", 1)[0]
    answer = client.get(f"/deforum_api/batches/{batch}")
    assert [job["id"] for job in answer.json()] == ids
    assert client.get("/deforum_api/batches").json() == {batch: ids}


@pytest.mark.parametrize("path", ["/deforum_api/jobs", "/deforum_api/batches", "/deforum/version"])
def test_a_trailing_slash_changes_nothing(client: TestClient, path: str) -> None:
    plain, slashed = client.get(path), client.get(f"{path}/", follow_redirects=False)
    assert (slashed.status_code, slashed.json()) == (200, plain.json())


def test_ids_work_raw_and_percent_encoded(client: TestClient) -> None:
    (job_id,) = submit(client, {})
    encoded = job_id.replace("(", "%28").replace(")", "%29")
    assert client.get(f"/deforum_api/jobs/{encoded}").json()["id"] == job_id
    assert client.get(f"/deforum_api/jobs/{job_id}/").json()["id"] == job_id


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/deforum_api/jobs/{UNKNOWN}"),
        ("DELETE", f"/deforum_api/jobs/{UNKNOWN}"),
        ("POST", f"/deforum_api/jobs/{UNKNOWN}/resume"),
        ("GET", f"/deforum_api/jobs/{UNKNOWN}/events"),
        ("GET", f"/deforum_api/jobs/{UNKNOWN}/outputs"),
        ("GET", f"/deforum_api/jobs/{UNKNOWN}/video"),
        ("GET", f"/deforum_api/jobs/{UNKNOWN}/preview"),
        ("GET", f"/deforum_api/jobs/{UNKNOWN}/frames/0"),
        ("GET", "/deforum_api/batches/batch(000)"),
        ("DELETE", "/deforum_api/batches/batch(000)"),
    ],
)
def test_an_unknown_id_is_404_in_the_envelope(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    reply = answer.json()
    assert answer.status_code == 404
    assert set(reply) == ENVELOPE
    assert reply["status"] == "NOT FOUND"
    assert reply["id"] in path
    assert reply["detail"] == reply["message"]
    assert reply["errors"] == []


def test_wrong_settings_are_400_with_every_error_and_nothing_is_accepted(client: TestClient) -> None:
    body = {
        "deforum_settings": [{}, {"max_frames": "x"}, {"max_frames": "y"}],
        "options_overrides": {"evil": 1},
    }
    answer = client.post("/deforum_api/batches", json=body)
    reply = answer.json()
    assert answer.status_code == 400
    assert set(reply) == ENVELOPE
    assert reply["status"] == "BAD REQUEST"
    keys = {"job", "setting", "frame", "column", "found", "allowed", "message", "code"}
    assert all(set(error) == keys for error in reply["errors"])
    assert [(error["job"], error["setting"], error["found"]) for error in reply["errors"]] == [
        (None, "options_overrides.evil", None),
        (1, "max_frames", "x"),
        (2, "max_frames", "y"),
    ]
    assert client.get("/deforum_api/jobs").json() == {}


@pytest.mark.parametrize("path", ["/deforum_api/batches", "/deforum_api/jobs", "/deforum/run"])
def test_another_method_is_405_in_the_envelope(client: TestClient, path: str) -> None:
    answer = client.put(path)
    assert answer.status_code == 405
    assert set(answer.json()) == ENVELOPE
    assert "PUT" not in answer.headers["allow"]


def test_all_methods_of_a_path_are_allowed(client: TestClient) -> None:
    assert client.put("/deforum_api/batches").headers["allow"] == "GET, HEAD, POST"


def test_job_status_has_the_keys_of_its_model(client: TestClient) -> None:
    (job_id,) = submit(client, {})
    job = ended(client, job_id)
    schema = make_app_schema(client)["DeforumJobStatus"]
    assert set(job) == set(schema["properties"])
    assert DeforumJobStatus(**job).id == job_id
    numbers = ("phase_progress", "started_at", "last_updated", "execution_time", "update_interval_time")
    assert all(isinstance(job[key], float) for key in numbers)
    assert all(isinstance(job[key], int) for key in ("updates", "frame", "max_frames"))


def make_app_schema(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").json()["components"]["schemas"])


def test_jobs_are_filtered_and_paged(client: TestClient, renderer: Renderer) -> None:
    (done,) = submit(client, {})
    ended(client, done)
    renderer.gate.clear()
    ids = submit(client, {}, {}, {})
    assert list(client.get("/deforum_api/jobs", params={"status": "SUCCEEDED"}).json()) == [done]
    first = client.get("/deforum_api/jobs", params={"limit": 2})
    assert list(first.json()) == [done, ids[0]]
    rest = client.get("/deforum_api/jobs", params={"limit": 2, "cursor": first.headers["x-next-cursor"]})
    assert list(rest.json()) == ids[1:]
    assert "x-next-cursor" not in rest.headers
    short = client.get("/deforum_api/jobs", params={"summary": "true"}).json()
    assert "deforum_settings" not in short[done]
    assert short[done]["status"] == "SUCCEEDED"
    renderer.gate.set()


@pytest.mark.parametrize(
    "query", ["status=HAPPY", "limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=-1", "summary=perhaps"]
)
def test_wrong_parameters_are_422_with_a_list_of_fields(client: TestClient, query: str) -> None:
    answer = client.get(f"/deforum_api/jobs?{query}")
    reply = answer.json()
    assert answer.status_code == 422
    assert reply["detail"][0]["loc"][-1] == query.split("=")[0]
    assert ErrorResponse(**reply).errors == []


def test_versions(client: TestClient) -> None:
    assert client.get("/deforum/api_version").json() == {"version": "1.0"}
    assert client.get("/deforum/version").json() == {"version": "6.5.0"}


def test_settings_and_health_are_served(client: TestClient) -> None:
    defaults = client.get("/deforum_api/settings/defaults").json()
    schema = client.get("/deforum_api/settings/schema").json()
    assert defaults["W"] == 512
    assert schema["properties"]["W"]["default"] == 512
    health = client.get("/deforum_api/health").json()
    assert (health["engine"], health["queue_length"]) == ("null", 0)


@pytest.mark.parametrize(
    ("flags", "served", "missing"),
    [
        ({"api": True}, ["/deforum_api/jobs", "/deforum/version"], []),
        ({"api": False}, ["/deforum/version"], ["/deforum_api/jobs", "/deforum_api/health"]),
    ],
)
def test_each_flag_mounts_its_own(
    jobs: JobQueue, flags: dict[str, bool], served: list[str], missing: list[str]
) -> None:
    client = TestClient(make_app(jobs, **flags), base_url=LOCAL)
    assert [client.get(path).status_code for path in served] == [200] * len(served)
    assert [client.get(path).status_code for path in missing] == [404] * len(missing)


def test_mounting_again_adds_nothing_and_exchanges_the_queue(jobs: JobQueue, client: TestClient) -> None:
    app = make_app(jobs)
    count = len(app.routes)
    mount(app, jobs, Access(accounts=("a:b",)), dict)
    assert len(app.routes) == count
    assert TestClient(app, base_url=LOCAL).get("/deforum_api/jobs").status_code == 401


def test_the_queue_outlives_the_app(jobs: JobQueue, client: TestClient) -> None:
    ids = submit(client, {})
    again = TestClient(make_app(jobs), base_url=LOCAL)
    assert list(again.get("/deforum_api/jobs").json()) == ids


def test_no_handler_of_the_host_app_is_touched(jobs: JobQueue) -> None:
    assert make_app(jobs).exception_handlers.keys() == FastAPI().exception_handlers.keys()


def test_an_unexpected_error_is_a_500_in_the_envelope(client: TestClient, jobs: JobQueue) -> None:
    jobs.checks = InlineChecker(lambda *_, **__: 1 / 0)
    answer = client.post("/deforum_api/batches", json={"deforum_settings": {}})
    assert answer.status_code == 500
    assert set(answer.json()) == ENVELOPE
    assert "ZeroDivisionError" in answer.json()["message"]


def test_updates_are_followed_as_events(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    (job_id,) = submit(client, {})
    until(client, job_id, lambda job: job["phase"] == "PREPARING")
    renderer.gate.set()
    answer = client.get(f"/deforum_api/jobs/{job_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["content-encoding"] == "identity"
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks(answer.text)]
    numbers = [int(event["id"]) for event in events]
    assert numbers == sorted(set(numbers))
    assert {event["event"] for event in events} <= {"status", "progress"}
    last = DeforumJobStatus(**json.loads(events[-1]["data"]))
    assert last.status == "SUCCEEDED"
    assert numbers[-1] == client.get(f"/deforum_api/jobs/{job_id}").json()["updates"]


def blocks(text: str) -> list[str]:
    return [block for block in text.strip().split("\n\n") if not block.startswith(":")]


def test_a_client_that_saw_the_end_gets_no_event_again(client: TestClient) -> None:
    (job_id,) = submit(client, {})
    updates = ended(client, job_id)["updates"]
    path = f"/deforum_api/jobs/{job_id}/events"
    assert blocks(client.get(path, headers={"Last-Event-ID": str(updates)}).text) in ([], [""])
    assert len(blocks(client.get(path, headers={"Last-Event-ID": str(updates - 1)}).text)) == 1
    assert len(blocks(client.get(path, headers={"Last-Event-ID": "nonsense"}).text)) == 1
