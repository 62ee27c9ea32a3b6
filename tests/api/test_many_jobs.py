"""As many jobs as are taken: they wait in their order, are listed in pages, outlive a restart, and end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from deforum_api.http.routes import jobs as routes
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.submission import Limits
from tests.api.fake_renderer import LOCAL, WAIT_S, Renderer, make_app, until
from tests.api.puppet import QuickStore

MANY = Limits().queued


def opened(renderer: Renderer, path: Path) -> tuple[JobQueue, TestClient]:
    queue = JobQueue(renderer.check, renderer.render, store=QuickStore(path))
    return queue, TestClient(make_app(queue), base_url=LOCAL)


def test_a_thousand_jobs_wait_and_the_next_is_told_to_come_back(
    renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer.gate.clear()
    queue, client = opened(renderer, tmp_path / "jobs.sqlite3")
    running = queue.submit([{"max_frames": 1}])[0].id
    until(client, running, lambda job: job["phase"] == "PREPARING")
    ids = [job.id for _ in range(MANY // 100) for job in queue.submit([{"max_frames": 1}] * 100)]
    answer = client.post("/deforum_api/batches", json={"deforum_settings": {"max_frames": 1}})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert "1000 jobs are waiting" in answer.json()["message"]
    listed = client.get("/deforum_api/jobs").json()
    assert list(listed) == [running, *ids]
    assert [listed[job_id]["queue_position"] for job_id in ids] == list(range(MANY))
    monkeypatch.setattr(routes, "LISTED_CHARACTERS", 1)
    assert client.get("/deforum_api/jobs").json() == listed
    assert queue.close(WAIT_S)
    queue.store.close()
    renderer.gate.set()
    all_end(renderer, tmp_path / "jobs.sqlite3", [running, *ids])


def all_end(renderer: Renderer, path: Path, ids: list[str]) -> None:
    """Start again, cancel all batches but the first and last, and page through what became of them."""
    renderer.gate.clear()
    queue, client = opened(renderer, path)
    batches = list(client.get("/deforum_api/batches").json())
    for batch in batches[2:-1]:
        assert len(client.delete(f"/deforum_api/batches/{batch}").json()["ids"]) == 100
    renderer.gate.set()
    until(client, ids[-1], lambda job: job["status"] == "SUCCEEDED", WAIT_S * 5)
    seen: dict[str, str] = {}
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = client.get("/deforum_api/jobs", params={"limit": 300, "summary": "true", **more})
        seen |= {job_id: job["status"] for job_id, job in page.json().items()}
        cursor = page.headers.get("x-next-cursor")
    assert list(seen) == ids
    assert Counter(seen.values()) == {"SUCCEEDED": 201, "CANCELLED": MANY - 200}
    assert queue.close(WAIT_S)
    queue.store.close()
