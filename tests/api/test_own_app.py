"""The standalone app: documentation behind the same door, and CORS where it is asked for."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.standalone import make_app
from deforum_api.http.security import Access
from deforum_api.queue.jobs import JobQueue
from tests.api.fake_renderer import LOCAL

STUDIO = "https://studio.example"


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/docs-files/favicon.png"])
def test_the_documentation_is_behind_the_same_door(jobs: JobQueue, path: str) -> None:
    client = TestClient(make_app(jobs, Access(accounts=("ann:pw",)), dict), base_url=LOCAL)
    assert client.get(path).status_code == 401
    assert client.get(path, auth=("ann", "pw")).status_code == 200
    assert client.get(path, auth=("ann", "pw"), headers={"Host": "evil.example"}).status_code == 421


def test_head_is_answered_wherever_get_is_and_documented_nowhere(jobs: JobQueue) -> None:
    client = TestClient(make_app(jobs, Access(), dict), base_url=LOCAL)
    for path in ("/docs", "/redoc", "/openapi.json", "/docs-files/favicon.png", "/deforum_api/client.js"):
        got, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))
    paths = client.get("/openapi.json").json()["paths"]
    assert "head" not in {method for methods in paths.values() for method in methods}
    assert client.head("/docs", headers={"Host": "evil.example"}).status_code == 421


def test_the_documentation_does_not_document_itself(jobs: JobQueue) -> None:
    client = TestClient(make_app(jobs, Access(), dict), base_url=LOCAL)
    assert all(path.startswith("/deforum") for path in client.get("/openapi.json").json()["paths"])


@pytest.mark.parametrize(("origins", "allowed"), [((STUDIO,), STUDIO), ((), None)])
def test_a_page_of_an_allowed_origin_may_ask(
    jobs: JobQueue, origins: tuple[str, ...], allowed: str | None
) -> None:
    client = TestClient(make_app(jobs, Access(origins=origins), dict), base_url=LOCAL)
    question = {"Origin": STUDIO, "Access-Control-Request-Method": "POST"}
    answer = client.options("/deforum_api/batches", headers=question)
    assert answer.headers.get("access-control-allow-origin") == allowed
    body = {"deforum_settings": {}}
    answer = client.post("/deforum_api/batches", json=body, headers={"Origin": STUDIO})
    assert answer.status_code == (202 if allowed else 403)
