"""No endpoint without a gate: every route of the standalone app is walked, knocked at, and in the documentation."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from deforum_api.http.app import Gate
from deforum_api.http.security import Access
from tests.security.endpoints import BEGIN, CLOSED, DOCS, END, table_of

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "http://127.0.0.1:7860"
STUDIO = "https://studio.example"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    # In a process of its own: importing gradio leaves sockets open.
    command = [sys.executable, "-W", "ignore", "-m", "tests.security.endpoints"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    read: dict[str, Any] = json.loads(done.stdout.partition("FOUND")[2])
    return read


def test_every_route_has_the_gate(found: dict[str, Any]) -> None:
    assert found["faults"] == []
    assert len(found["rows"]) > 80


def test_every_open_route_is_in_the_documentation(found: dict[str, Any]) -> None:
    """Write them there with: python -m tests.security.endpoints --write"""
    listed = DOCS.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()
    missing = set(table_of([tuple(row) for row in found["rows"]]).splitlines()) - set(listed)
    assert missing == set()
    assert {path for _, path, _, gate in found["rows"] if gate == CLOSED} >= {"/login", "/monitoring"}


def app_with(access: Access) -> TestClient:
    """An app with a route that knows nothing of a gate, and that speaks of CORS by itself."""
    app = FastAPI()

    @app.api_route("/new", methods=["GET", "POST"])
    def new() -> Any:
        from starlette.responses import PlainTextResponse

        return PlainTextResponse("x", headers={"Access-Control-Allow-Origin": "*"})

    @app.websocket("/socket")
    async def socket(websocket: Any) -> None:
        await websocket.accept()

    app.add_middleware(Gate, access=access)
    return TestClient(app, base_url=LOCAL)


@pytest.mark.parametrize(
    ("method", "headers", "code"),
    [
        ("GET", {}, 200),
        ("POST", {}, 200),
        ("GET", {"Host": "evil.example"}, 421),
        ("POST", {"Origin": "http://localhost:3000"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Content-Type": "text/plain"}, 415),
        ("POST", {"Content-Length": "99999999999999999999999"}, 413),
        ("POST", {"Content-Length": "-1"}, 413),
        (
            "GET",
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
            403,
        ),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403),
        (
            "GET",
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
            403,
        ),
        (
            "GET",
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
            200,
        ),
        (
            "POST",
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
            403,
        ),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
    ],
)
def test_a_route_that_knows_nothing_of_the_gate_is_behind_it(
    method: str, headers: dict[str, str], code: int
) -> None:
    answer = app_with(Access()).request(method, "/new", headers=headers)
    assert answer.status_code == code
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("origin", [STUDIO, "http://localhost:3000", "null", "https://evil.example"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_only_an_origin_that_is_allowed_gets_a_cors_header(origin: str, method: str) -> None:
    preflight = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
    client = app_with(Access(origins=(STUDIO,), accounts=("ann:secret",)))
    answer = client.request(method, "/new", headers={"Origin": origin, **preflight})
    assert answer.headers.get("access-control-allow-origin") == (STUDIO if origin == STUDIO else None)
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.status_code != 200 or method == "OPTIONS"
    foreign = client.request(method, "/new", headers={"Origin": origin, "Host": "evil.example", **preflight})
    assert foreign.status_code == 421
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost:3000"}, {"Host": "evil.example"}])
def test_no_websocket_is_opened(headers: dict[str, str]) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), app_with(Access()).websocket_connect("/socket", headers=headers):
        pass
