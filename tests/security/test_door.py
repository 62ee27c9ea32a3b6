"""Foreign hosts, foreign pages, foreign content types and missing logins are turned away on every route."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.http.routing import METHODS
from deforum_api.http.security import Access, access_of, host_name
from deforum_api.queue.jobs import JobQueue
from tests.api.fake_renderer import LOCAL, ended, make_app, serving

ROUTES = sorted(
    (method, path.replace("{id}", "batch(1)-0").replace("{n}", "0"))
    for path, methods in METHODS.items()
    if path.startswith("/deforum") and not path.endswith("/")
    for method in methods
)
CHANGING = [(method, path) for method, path in ROUTES if method != "GET"]
BODY = {"deforum_settings": {}}


def test_the_list_of_routes_is_complete(client: TestClient) -> None:
    documented = {
        (method.upper(), path)
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    ours = {(method, path) for path, methods in METHODS.items() for method in methods}
    assert documented <= ours
    assert len(CHANGING) == 9


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_trailing_slash_is_no_way_in(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, f"{path}/", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "10.0.0.7:7860", ""])
def test_a_foreign_host_is_421_everywhere(client: TestClient, method: str, path: str, host: str) -> None:
    answer = client.request(method, path, headers={"Host": host})
    assert (answer.status_code, answer.json()["status"]) == (421, "MISDIRECTED REQUEST")


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "GET", "DELETE", "ANY"])
def test_a_foreign_host_is_421_for_any_method(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path, headers={"Host": "evil.example"}).status_code == 421


# The camera needs a plan, which the check of this queue does not make; api/test_camera.py asks for it.
@pytest.mark.parametrize(
    ("method", "path"), [case for case in ROUTES if case[0] == "GET" and not case[1].endswith("/camera")]
)
def test_looking_changes_nothing(client: TestClient, jobs: JobQueue, method: str, path: str) -> None:
    (job,) = jobs.submit([{}])
    ended(client, job.id)
    before = jobs.store.page()
    path = path.replace("batch(1)-0", job.id if "/jobs/" in path else job.batch_id)
    answer = client.request(method, f"{path}?purge=true", headers={"Origin": "https://evil.example"})
    assert answer.status_code in (200, 404)
    assert jobs.store.page() == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_answer_is_taken_for_a_page(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, json=BODY if method == "POST" else None)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "html" not in answer.headers["content-type"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:7860", "[::1]:7860", "[::1]"])
def test_this_machine_has_several_names(client: TestClient, host: str) -> None:
    assert client.get("/deforum_api/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(("method", "path"), CHANGING)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://[", "file://", ""]
)
def test_a_foreign_page_may_change_nothing(client: TestClient, method: str, path: str, origin: str) -> None:
    answer = client.request(method, path, headers={"Origin": origin}, json=BODY)
    assert (answer.status_code, answer.json()["status"]) == (403, "FORBIDDEN")
    assert client.get("/deforum_api/jobs").json() == {}


@pytest.mark.parametrize(("method", "path"), CHANGING)
@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "x"]
)
def test_what_a_form_can_send_is_not_taken(client: TestClient, method: str, path: str, kind: str) -> None:
    answer = client.request(method, path, headers={"Content-Type": kind}, content=b'{"deforum_settings":{}}')
    takes_forms = path.startswith("/deforum/run") and "urlencoded" in kind
    assert answer.status_code == (422 if takes_forms else 415)
    assert client.get("/deforum_api/jobs").json() == {}


def test_our_own_page_and_programs_may(client: TestClient) -> None:
    own = client.post("/deforum_api/batches", json=BODY, headers={"Origin": LOCAL})
    program = client.post("/deforum_api/batches", json=BODY)
    silent = client.post("/deforum_api/batches", content=b'{"deforum_settings": {}}')
    assert [own.status_code, program.status_code, silent.status_code] == [202, 202, 202]


@pytest.mark.parametrize(("origin", "code"), [("https://studio.example", 202), ("https://evil.example", 403)])
def test_allowed_origins_may(jobs: JobQueue, origin: str, code: int) -> None:
    app = make_app(jobs, Access(origins=("https://studio.example",)))
    client = TestClient(app, base_url=LOCAL)
    assert client.post("/deforum_api/batches", json=BODY, headers={"Origin": origin}).status_code == code


def login(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.fixture
def guarded(jobs: JobQueue) -> Iterator[TestClient]:
    with serving(jobs, Access(accounts=("ann:sécret", "bob:b:c"))) as made:
        yield made


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_login_nothing_answers(guarded: TestClient, method: str, path: str) -> None:
    answer = guarded.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "headers",
    [
        login("ann:"),
        login("ann"),
        login("ann:secret"),
        login("bob:b"),
        login("ann:sécret,bob:b:c"),
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic é".encode("latin-1").decode("latin-1")},
        {"Authorization": "Bearer " + base64.b64encode(b"bob:b:c").decode()},
        {"Authorization": "Basic"},
        {"Authorization": ""},
    ],
)
def test_a_wrong_login_is_turned_away(guarded: TestClient, headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert guarded.get("/deforum_api/jobs", headers=raw).status_code == 401


@pytest.mark.parametrize("account", ["ann:sécret", "bob:b:c"])
def test_each_account_may_log_in(guarded: TestClient, account: str) -> None:
    assert guarded.get("/deforum_api/jobs", headers=login(account)).status_code == 200


def test_every_account_is_compared_in_constant_time(
    guarded: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, account: bytes) -> bool:
        compared.append((given, account))
        return given == account

    monkeypatch.setattr("deforum_api.http.security.secrets.compare_digest", compare)
    guarded.get("/deforum_api/jobs", headers=login("ann:sécret"))
    assert [account.decode() for _, account in compared] == ["ann:sécret", "bob:b:c"]


class Flags:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def test_a_webui_without_our_flags_has_no_login_and_only_this_machine() -> None:
    assert access_of(Flags(api_auth=None, listen=None)) == Access()


def test_listening_everywhere_takes_every_address_but_no_foreign_name(jobs: JobQueue) -> None:
    access = access_of(Flags(listen=True, api_auth="a:b, c:d", server_name="Box.lan"))
    assert access.accounts == ("a:b", "c:d")
    client = TestClient(make_app(jobs, access), base_url=LOCAL, headers=login("a:b"))
    codes = {
        host: client.get("/deforum_api/jobs", headers={"Host": host}).status_code
        for host in ("10.0.0.7:7860", "[fe80::1]:7860", "box.lan", access.hosts[-1], "evil.example")
    }
    assert list(codes.values()) == [200, 200, 200, 200, 421]


@pytest.mark.parametrize(
    ("host", "name"),
    [("LocalHost:80", "localhost"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("a", "a"), (" b ", "b")],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


def test_origins_of_a_flag_are_compared_as_browsers_send_them() -> None:
    access = access_of(
        Flags(cors_allow_origins="http://LocalHost:3000/, https://studio.example/page,*, null")
    )
    assert access.origins == ("http://localhost:3000", "https://studio.example", "*", "null")
