"""What no route has foreseen, and long answers that leave others their turns."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import JSONResponse, StreamingResponse

from deforum_api.http.app import FaultLog
from deforum_api.http.sse import EventResponse, Streams
from deforum_api.http.views import SLICE_BYTES, SlicedResponse, whole
from deforum_api.queue.errors import Busy
from deforum_api.queue.jobs import JobQueue
from tests.api.event_loops import run_elsewhere
from tests.api.fake_renderer import LOCAL, Renderer, serving, submit, until


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI()

    async def broken() -> None:
        raise KeyError("the cause")

    async def told() -> JSONResponse:
        return JSONResponse({}, 500)

    async def breaks_off() -> StreamingResponse:
        async def pieces() -> Any:
            yield b"begun"
            raise KeyError("the cause")

        return StreamingResponse(pieces())

    for path, answer in (("/broken", broken), ("/told", told), ("/breaks-off", breaks_off)):
        made.add_api_route(path, answer, response_model=None)
    return made


def test_every_500_leaves_its_cause_and_its_route_in_the_log(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(FaultLog(app), base_url=LOCAL, raise_server_exceptions=False)
    answer = client.get("/broken?secret=1")
    assert answer.status_code == 500
    assert "GET /broken met an unexpected error" in caplog.text
    assert "KeyError: 'the cause'" in caplog.text
    assert "secret" not in caplog.text
    assert client.get("/told").status_code == 500
    assert "GET /told was answered with 500" in caplog.text


def test_a_500_of_a_route_has_the_mark_that_the_log_has(
    client: TestClient, jobs: JobQueue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "positions", lambda: 1 / 0)
    (job_id,) = submit(client, {})
    answer = client.get(f"/deforum_api/batches/{job_id[:-2]}")
    assert answer.status_code == 500
    found = re.search(r"under ([0-9a-f]{8})", answer.json()["message"])
    assert found
    assert f"GET /deforum_api/batches/{job_id[:-2]} met an unexpected error ({found[1]})" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_that_breaks_off_is_not_taken_for_whole(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(FaultLog(app), base_url=LOCAL)
    with pytest.raises(KeyError):
        client.get("/breaks-off")
    assert "GET /breaks-off met an unexpected error" in caplog.text


def test_others_have_their_turns_between_the_slices_of_a_long_answer() -> None:
    sent: list[str] = []
    content = bytes(20 * SLICE_BYTES)

    def sending(name: str) -> Any:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.body" and message["body"]:
                sent.append(name)
                assert len(message["body"]) <= SLICE_BYTES

        return send

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def run() -> None:
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
        long = SlicedResponse(whole(content))(scope, receive, sending("long"))
        short = JSONResponse({})(scope, receive, sending("short"))
        await asyncio.gather(long, short)

    run_elsewhere(run())
    assert sent.count("long") == 20
    assert sent.index("short") < 3


def test_streams_are_counted_as_long_as_they_last(renderer: Renderer, jobs: JobQueue) -> None:
    renderer.gate.clear()
    with serving(jobs) as client:
        streams = client.app.state.deforum.streams  # type: ignore[attr-defined]
        streams._most = 1
        (job_id,) = submit(client, {})
        until(client, job_id, lambda job: job["phase"] == "PREPARING")
        streams.begin()
        for path in (f"/deforum_api/jobs/{job_id}/events", "/deforum/run?settings_json={}"):
            answer = client.request("GET" if "events" in path else "POST", path)
            assert (answer.status_code, "Retry-After" in answer.headers) == (429, True)
        assert client.head(f"/deforum_api/jobs/{job_id}/events").status_code == 429
        streams.end()
        renderer.gate.set()
        for _ in range(3):
            assert client.get(f"/deforum_api/jobs/{job_id}/events").status_code == 200
            assert client.head(f"/deforum_api/jobs/{job_id}/events").status_code == 200
        assert streams.now == 0


def test_a_stream_that_cannot_begin_is_not_counted() -> None:
    streams = Streams(most=0)
    with pytest.raises(Busy):
        EventResponse(whole(b""), streams)  # type: ignore[arg-type]
    assert streams.now == 0
