"""Jobs from submission to their end, over HTTP."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from fastapi.testclient import TestClient

from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.submission import Limits
from deforum_helpers.core.errors import ModelError, OutOfMemory, Problem, SettingsError
from tests.api.fake_renderer import LOCAL, WAIT_S, Renderer, ended, make_app, submit, until


def test_a_job_succeeds_with_all_three_set_in_one_update(client: TestClient) -> None:
    (job_id,) = submit(client, {"batch_name": "one", "max_frames": 3})
    job = ended(client, job_id)
    assert (job["status"], job["phase"], job["phase_progress"]) == ("SUCCEEDED", "DONE", 1.0)
    assert (job["frame"], job["max_frames"], job["error_type"]) == (3, 3, "NONE")
    assert job["outdir"].endswith("one")
    assert job["timestring"] == "20260102030405"
    assert job["deforum_settings"] == {"batch_name": "one", "max_frames": 3}
    assert job["execution_time"] == job["last_updated"] - job["started_at"]
    # claimed, prepared, 3 frames, post-processing, done
    assert job["updates"] == 7


def test_a_queued_job_shows_its_place(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    first, second, third = submit(client, {}, {}, {})
    until(client, first, lambda job: job["phase"] == "PREPARING")
    jobs = client.get("/deforum_api/jobs").json()
    assert [jobs[one]["queue_position"] for one in (first, second, third)] == [None, 0, 1]
    assert (jobs[second]["status"], jobs[second]["phase"]) == ("ACCEPTED", "QUEUED")
    assert jobs[second]["phase_progress"] == 0
    renderer.gate.set()


def test_jobs_run_one_at_a_time_in_the_order_of_submission(client: TestClient, renderer: Renderer) -> None:
    names = [f"job{number}" for number in range(8)]
    first = submit(client, *({"batch_name": name} for name in names[:4]))
    second = submit(client, *({"batch_name": name} for name in names[4:]))
    for job_id in first + second:
        assert ended(client, job_id)["status"] == "SUCCEEDED"
    assert [name for name, _ in renderer.runs] == names
    assert renderer.most_at_once == 1


@pytest.mark.parametrize(
    ("error", "error_type", "prefix"),
    [
        (OutOfMemory("The GPU is full."), "RETRYABLE", "generation error: The GPU is full."),
        (MemoryError(), "RETRYABLE", "generation error: there was not enough memory"),
        (ModelError("The VAE is broken."), "TERMINAL", "generation error: The VAE is broken."),
        (SettingsError([Problem("zoom is wrong.", "zoom")]), "TERMINAL", "invalid arguments: zoom is wrong."),
        (ZeroDivisionError("/secret/path"), "TERMINAL", "generation error: an unexpected ZeroDivisionError"),
    ],
)
def test_a_failed_job_says_why_and_leaves_its_neighbours_alone(
    client: TestClient, renderer: Renderer, error: Exception, error_type: str, prefix: str
) -> None:
    renderer.plans["bad"] = error
    before, bad, behind = submit(client, {"batch_name": "a"}, {"batch_name": "bad"}, {"batch_name": "b"})
    job = ended(client, bad)
    assert (job["status"], job["phase"], job["phase_progress"]) == ("FAILED", "GENERATING", 0.5)
    assert job["error_type"] == error_type
    assert job["message"].startswith(prefix)
    assert "secret" not in job["message"]
    assert ended(client, before)["status"] == "SUCCEEDED"
    assert ended(client, behind)["status"] == "SUCCEEDED"


def test_a_cancelled_queued_job_never_starts(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    first, second, third = submit(client, {"batch_name": "a"}, {"batch_name": "b"}, {"batch_name": "c"})
    answer = client.delete(f"/deforum_api/jobs/{second}")
    assert (answer.status_code, answer.json()) == (200, {"id": second, "message": "Job cancelled."})
    job = client.get(f"/deforum_api/jobs/{second}").json()
    assert (job["status"], job["phase"]) == ("CANCELLED", "QUEUED")
    renderer.gate.set()
    assert ended(client, first)["status"] == "SUCCEEDED"
    assert ended(client, third)["status"] == "SUCCEEDED"
    assert [name for name, _ in renderer.runs] == ["a", "c"]


def test_a_cancelled_running_job_stops_and_its_neighbour_goes_on(
    client: TestClient, renderer: Renderer
) -> None:
    renderer.gate.clear()
    first, second = submit(client, {"batch_name": "a"}, {"batch_name": "b"})
    until(client, first, lambda job: job["phase"] == "PREPARING")
    assert client.delete(f"/deforum_api/jobs/{first}").status_code == 200
    job = ended(client, first)
    assert (job["status"], job["message"]) == ("CANCELLED", "Cancelled after 0 of 4 frames.")
    renderer.gate.set()
    assert ended(client, second)["status"] == "SUCCEEDED"


def test_a_finished_job_cannot_be_cancelled_and_does_not_change(client: TestClient) -> None:
    (job_id,) = submit(client, {})
    before = ended(client, job_id)
    answer = client.delete(f"/deforum_api/jobs/{job_id}")
    assert answer.status_code == 400
    assert answer.json()["id"] == job_id
    assert client.get(f"/deforum_api/jobs/{job_id}").json() == before


def test_cancelling_twice_gives_the_same_end(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    first, second = submit(client, {}, {})
    until(client, first, lambda job: job["phase"] == "PREPARING")
    assert client.delete(f"/deforum_api/jobs/{second}").status_code == 200
    before = client.get(f"/deforum_api/jobs/{second}").json()
    assert client.delete(f"/deforum_api/jobs/{second}").status_code == 400
    assert client.get(f"/deforum_api/jobs/{second}").json() == before
    for _ in range(2):
        client.delete(f"/deforum_api/jobs/{first}")
    assert ended(client, first)["status"] == "CANCELLED"


def test_cancelling_a_batch_names_what_was_really_cancelled(client: TestClient, renderer: Renderer) -> None:
    (done,) = submit(client, {})
    ended(client, done)
    renderer.gate.clear()
    ids = submit(client, {}, {}, {})
    client.delete(f"/deforum_api/jobs/{ids[1]}")
    batch = ids[0].rsplit("-", 1)[0]
    answer = client.delete(f"/deforum_api/batches/{batch}").json()
    assert answer["ids"] == [ids[0], ids[2]]
    assert answer["message"] == answer["message:"] == "2 job(s) cancelled."
    assert ended(client, ids[0])["status"] == "CANCELLED"
    again = client.delete(f"/deforum_api/batches/{batch}").json()
    assert (again["ids"], again["message"]) == ([], "0 job(s) cancelled.")
    assert client.get(f"/deforum_api/jobs/{done}").json()["status"] == "SUCCEEDED"


def test_a_failed_job_resumes_from_its_last_frame_as_a_new_attempt(
    client: TestClient, renderer: Renderer
) -> None:
    renderer.plans["bad"] = OutOfMemory("Full.")
    (job_id,) = submit(client, {"batch_name": "bad"})
    ended(client, job_id)
    del renderer.plans["bad"]
    answer = client.post(f"/deforum_api/jobs/{job_id}/resume")
    assert (answer.status_code, answer.json()["status"]) == (202, "ACCEPTED")
    assert ended(client, job_id)["status"] == "SUCCEEDED"
    assert renderer.runs == [("bad", None), ("bad", "20260102030405")]
    assert client.post(f"/deforum_api/jobs/{job_id}/resume").status_code == 409


def test_a_job_that_is_being_cancelled_says_so_and_resumes_once_it_has_ended(
    client: TestClient, renderer: Renderer
) -> None:
    stopping = threading.Event()
    renderer.ending = stopping
    (job_id,) = submit(client, {"batch_name": "a"})
    until(client, job_id, lambda job: job["phase"] == "POST_PROCESSING")
    assert client.delete(f"/deforum_api/jobs/{job_id}").status_code == 200
    assert client.get(f"/deforum_api/jobs/{job_id}").json()["cancelling"] is True
    answer = client.post(f"/deforum_api/jobs/{job_id}/resume")
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert "is being cancelled" in answer.json()["message"]
    stopping.set()
    job = ended(client, job_id)
    assert (job["status"], job["cancelling"]) == ("CANCELLED", False)
    assert client.post(f"/deforum_api/jobs/{job_id}/resume").json()["cancelling"] is False
    assert ended(client, job_id)["status"] == "SUCCEEDED"


def test_a_job_that_the_tab_has_paused_says_so_and_can_be_resumed(
    client: TestClient, jobs: JobQueue, renderer: Renderer
) -> None:
    renderer.gate.clear()
    first, second = submit(client, {}, {})
    jobs.pause(second)
    job = client.get(f"/deforum_api/jobs/{second}").json()
    assert (job["status"], job["queue_position"]) == ("ACCEPTED", None)
    assert job["message"] == "Paused; resume the job to continue."
    answer = client.post(f"/deforum_api/jobs/{second}/resume")
    assert (answer.status_code, answer.json()["message"]) == (202, None)
    renderer.gate.set()
    for job_id in (first, second):
        assert ended(client, job_id)["status"] == "SUCCEEDED"


def test_a_job_cancelled_before_it_began_resumes_from_the_start(
    client: TestClient, renderer: Renderer
) -> None:
    renderer.gate.clear()
    first, second = submit(client, {}, {"batch_name": "b"})
    client.delete(f"/deforum_api/jobs/{second}")
    client.post(f"/deforum_api/jobs/{second}/resume")
    renderer.gate.set()
    assert ended(client, second)["status"] == "SUCCEEDED"
    assert renderer.runs[-1] == ("b", None)
    assert ended(client, first)["status"] == "SUCCEEDED"


def test_progress_that_clients_poll_never_falls(client: TestClient, renderer: Renderer) -> None:
    (job_id,) = submit(client, {"max_frames": 60})
    phases = ["QUEUED", "PREPARING", "GENERATING", "POST_PROCESSING", "DONE"]
    seen = [(-1, 0.0, 0, 0.0)]

    def one(job: dict) -> bool:
        seen.append((phases.index(job["phase"]), job["phase_progress"], job["updates"], job["last_updated"]))
        return job["status"] != "ACCEPTED"

    until(client, job_id, one)
    for earlier, later in pairwise(seen):
        assert earlier[0] <= later[0]
        assert earlier[2:] <= later[2:]
        if earlier[0] == later[0]:
            assert earlier[1] <= later[1]


def test_closing_parks_the_running_job_and_takes_no_more(renderer: Renderer) -> None:
    renderer.gate.clear()
    jobs = JobQueue(renderer.check, renderer.render)
    client = TestClient(make_app(jobs), base_url=LOCAL)
    running, waiting = submit(client, {}, {})
    until(client, running, lambda job: job["phase"] == "PREPARING")
    assert jobs.close(WAIT_S)
    assert (jobs.job(running).status, jobs.job(running).phase) == ("ACCEPTED", "QUEUED")
    assert jobs.job(waiting).queued
    assert len(renderer.runs) == 1
    answer = client.post("/deforum_api/batches", json={"deforum_settings": {}})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


def test_a_full_queue_says_when_to_come_back(renderer: Renderer) -> None:
    renderer.gate.clear()
    jobs = JobQueue(renderer.check, renderer.render, limits=Limits(queued=3, batch=3, finished=5))
    client = TestClient(make_app(jobs), base_url=LOCAL)
    (running,) = submit(client, {})
    until(client, running, lambda job: job["phase"] == "PREPARING")
    waiting = submit(client, {}, {})
    answer = client.post("/deforum_api/batches", json={"deforum_settings": [{}, {}]})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert list(client.get("/deforum_api/jobs").json()) == [running, *waiting]
    too_many = client.post("/deforum_api/batches", json={"deforum_settings": [{}] * 4})
    assert too_many.status_code == 400
    assert jobs.close(WAIT_S)


def test_old_finished_jobs_are_forgotten(client: TestClient) -> None:
    ids = [job_id for _ in range(4) for job_id in submit(client, {}, {}, {}, {})]
    for job_id in ids[-4:]:
        assert ended(client, job_id)["status"] == "SUCCEEDED"
    until(client, ids[-1], lambda _: len(client.get("/deforum_api/jobs").json()) == 12)
    assert list(client.get("/deforum_api/jobs").json()) == ids[-12:]


def test_twenty_clients_at_once_get_twenty_batches(client: TestClient, jobs: JobQueue) -> None:
    barrier = threading.Barrier(10)

    def post(number: int) -> str:
        barrier.wait(WAIT_S)
        body = {"deforum_settings": {"batch_name": str(number), "max_frames": 1}}
        return str(client.post("/deforum_api/batches", json=body).json()["batch_id"])

    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(post, range(10)))
    assert len(set(ids)) == 10
    orders = [job.order for job in jobs.store.page()]
    assert orders == sorted(set(orders))


def test_batch_ids_in_use_are_not_given_again(renderer: Renderer) -> None:
    numbers = iter([5, 5, 5, 6])
    jobs = JobQueue(renderer.check, renderer.render, draw=lambda: next(numbers))
    first, second = jobs.submit([{}]), jobs.submit([{}])
    assert (first[0].id, second[0].id) == ("batch(5)-0", "batch(6)-0")
    assert jobs.close(WAIT_S)
