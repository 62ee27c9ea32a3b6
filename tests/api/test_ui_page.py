"""The page at `/`: made when it is asked for, behind the same door as the API."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from fake_renderer import FACTS, LOCAL, WAIT_S
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from deforum_api.hosts.standalone import make_app
from deforum_api.http import app
from deforum_api.http.security import Access
from deforum_api.queue.jobs import JobQueue
from deforum_api.tab.page import TabPage

Open = Callable[..., TestClient]


def serve(app: FastAPI) -> None:
    @app.get("/")
    async def home() -> PlainTextResponse:
        return PlainTextResponse("the tab")

    @app.post("/gradio_api/run/predict")
    async def upload(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def opened(jobs: JobQueue) -> Iterator[Open]:
    clients = []

    def open_page(access: Access | None = None, serve: Callable[[FastAPI], None] = serve) -> TestClient:
        page = TabPage(serve)
        app = make_app(jobs, access or Access(), lambda: FACTS, tab=page.mount)
        client = TestClient(app, base_url=LOCAL).__enter__()
        clients.append(client)
        return client

    yield open_page
    for client in clients:
        client.__exit__(None, None, None)


def made(client: TestClient, **headers: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while "getting ready" in client.get("/", headers=headers).text:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_first_visitor_is_asked_to_wait_and_the_api_answers_meanwhile(opened: Open) -> None:
    calls = []
    proceed = threading.Event()

    def slow(app: FastAPI) -> None:
        calls.append(1)
        assert proceed.wait(WAIT_S)
        serve(app)

    client = opened(serve=slow)
    assert calls == []
    first = client.get("/")
    assert (first.status_code, "getting ready" in first.text) == (200, True)
    assert 'http-equiv="refresh"' in first.text
    assert client.get("/deforum_api/health").status_code == 200
    assert client.get("/favicon.ico").status_code == 404
    proceed.set()
    made(client)
    assert client.get("/").text == "the tab"
    assert client.get("/docs").status_code == 200
    assert calls == [1]


@pytest.mark.parametrize(
    ("method", "path", "code", "allowed"),
    [
        ("PUT", "/deforum_api/batches", 405, "GET, HEAD, POST"),
        ("PATCH", "/deforum_api/jobs/x", 405, "DELETE, GET, HEAD"),
        ("HEAD", "/deforum_api/jobs/x/video/", 404, None),
        ("HEAD", "/deforum_api/jobs/x/resume", 405, "POST"),
        ("GET", "/deforum/run", 405, "POST"),
        ("GET", "/deforum_api/job", 404, None),
        ("POST", "/deforum/runs", 404, None),
    ],
)
def test_a_mistyped_request_to_the_api_is_none_to_the_tab(
    opened: Open, method: str, path: str, code: int, allowed: str | None
) -> None:
    calls: list[int] = []
    client = opened(serve=lambda app: calls.append(1))
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (code, allowed)
    assert calls == [], "it made the tab"
    if method != "HEAD":
        assert set(answer.json()) == {"id", "status", "message", "detail", "errors"}


def test_a_tab_that_cannot_be_made_says_where_the_reason_is(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(app: FastAPI) -> None:
        raise RuntimeError("gradio is upset")

    client = opened(serve=broken)
    made(client)
    answer = client.get("/")
    assert (answer.status_code, "server's log" in answer.text) == (500, True)
    assert "gradio is upset" in caplog.text
    assert client.get("/deforum_api/health").status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"content-length": "999999999"}, 413),
        ({"origin": LOCAL}, 200),
        ({}, 200),
    ],
)
def test_the_page_has_the_door_of_the_api(opened: Open, headers: dict[str, str], code: int) -> None:
    client = opened()
    made(client)
    assert client.post("/gradio_api/run/predict", content=b"abc", headers=headers).status_code == code


def test_the_page_asks_for_the_login_of_the_api(opened: Open) -> None:
    client = opened(Access(accounts=("me:secret",)))
    answer = client.get("/")
    assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
    client.auth = ("me", "secret")
    made(client)
    assert client.get("/").text == "the tab"


def test_what_the_tab_runs_ends_with_the_server(jobs: JobQueue) -> None:
    told = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        told.append("begins")
        yield
        told.append("ends")

    def lively(app: FastAPI) -> None:
        app.router.lifespan_context = lifespan
        serve(app)

    app = make_app(jobs, Access(), lambda: FACTS, tab=TabPage(lively).mount)
    with TestClient(app, base_url=LOCAL) as client:
        made(client)
        assert told == ["begins"]
    assert told == ["begins", "ends"]


def test_a_body_that_grows_too_big_is_cut(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY_BYTES", 100)
    client = opened()
    made(client)

    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b"0123456789"

    with pytest.raises(Exception, match=r".*"):
        client.post("/gradio_api/run/predict", content=parts()).raise_for_status()


def test_videos_that_are_dropped_may_be_larger_than_what_pages_send(opened: Open) -> None:
    client = opened()
    made(client)
    large = {"content-length": str(200 << 20)}
    form = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/gradio_api/run/predict", headers=large).status_code == 413
    assert client.post("/gradio_api/upload", headers=large | form).status_code == 404
    too_large = {"content-length": str(600 << 20)}
    assert client.post("/gradio_api/upload", headers=too_large | form).status_code == 413


def test_without_a_tab_home_leads_to_the_documentation(jobs: JobQueue) -> None:
    with TestClient(make_app(jobs, Access(), lambda: FACTS), base_url=LOCAL) as client:
        assert client.get("/", follow_redirects=False).headers["location"] == "/docs"
