"""Bad requests to every route: each is answered in one shape, changes nothing, and tells nothing of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.store import MemoryStore
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.settings import FIELDS, defaults
from tests.api.fake_renderer import Renderer, ended, serving, strict_queue, submit

API = "/deforum_api"
JOB, BATCH = "batch(999999999)-0", "batch(999999999)"
OF_A_JOB = ("outputs", "video", "gif", "subtitles", "settings", "preview", "frames/0", "events")
ODD_IDS = (
    *("x", "0", "-1", "batch(1)", "batch()-0", "batch(1)-", "batch(1)--1", "batch(1)-0-0", "BATCH(1)-0"),
    *(
        "%00",
        "a%0ab",
        "%2e%2e",
        "%F0%9F%8E%AC",
        "%ff",
        "'%20OR%201=1--",
        "%22%3B--",
        "a" * 3000,
        "null",
        "*",
        "%25",
    ),
    *("batch(%D9%A1)-0", "batch(1)-0%20", "%3Cscript%3E"),
)
# (method, path, headers, body, status)
Row = tuple[str, str, dict[str, str], bytes | None, int]
ROWS: list[Row] = [
    # ids
    *(("GET", f"{API}/jobs/{odd}", {}, None, 404) for odd in ODD_IDS),
    *(("GET", f"{API}/batches/{odd}", {}, None, 404) for odd in ODD_IDS[:6] + ODD_IDS[9:14]),
    *(("DELETE", f"{API}/jobs/{odd}", {}, None, 404) for odd in ODD_IDS[8:14]),
    *(("DELETE", f"{API}/jobs/{odd}?purge=true", {}, None, 404) for odd in ODD_IDS[8:14]),
    *(("GET", f"{API}/jobs/{JOB}/{place}", {}, None, 404) for place in OF_A_JOB),
    ("POST", f"{API}/jobs/{JOB}/resume", {}, None, 404),
    ("DELETE", f"{API}/batches/{BATCH}", {}, None, 404),
    ("DELETE", f"{API}/jobs/{JOB}?purge=maybe", {}, None, 422),
    ("DELETE", f"{API}/jobs/{JOB}?purge=", {}, None, 422),
    # frames
    *(
        ("GET", f"{API}/jobs/{JOB}/frames/{n}", {}, None, 422)
        for n in ("-1", "x", "1.5", "1e3", "1000000000", "9" * 400, "%00", "0x1", "NaN", "null", "+")
    ),
    ("GET", f"{API}/jobs/{JOB}/frames/0?depth=deep", {}, None, 422),
    # filters and cursors
    *(
        ("GET", f"{API}/jobs?cursor={cursor}", {}, None, 422)
        for cursor in ("", "-1", "x", "1.0", "9" * 16, "%D9%A1", "%00", "1,2", "+1", "0x1", "1e3", "%20")
    ),
    *(
        ("GET", f"{API}/jobs?limit={n}", {}, None, 422)
        for n in ("0", "-1", "1001", "x", "", "1e2", "1.5", "9" * 5000)
    ),
    *(
        ("GET", f"{API}/jobs?status={status}", {}, None, 422)
        for status in ("", "done", "failed", "ACCEPTED,FAILED")
    ),
    ("GET", f"{API}/jobs?summary=perhaps", {}, None, 422),
    ("POST", f"{API}/validate?series=perhaps", {}, b'{"deforum_settings": {}}', 422),
    # methods
    *(
        (method, path, {}, None, 405)
        for method, path in (
            ("PUT", f"{API}/jobs"),
            ("POST", f"{API}/jobs"),
            ("DELETE", f"{API}/jobs"),
            ("DELETE", f"{API}/batches"),
            ("PATCH", f"{API}/jobs/{JOB}"),
            ("GET", f"{API}/validate"),
            ("GET", f"{API}/jobs/{JOB}/resume"),
            ("POST", f"{API}/health"),
            ("POST", f"{API}/metrics"),
            ("GET", "/deforum/run"),
            ("OPTIONS", f"{API}/batches"),
            ("TRACE", f"{API}/batches"),
            ("NONSENSE", "/deforum/version"),
        )
    ),
    # headers
    *(
        ("POST", f"{API}/batches", {"Content-Type": kind}, b"{}", 415)
        for kind in ("text/plain", "a", "/", "*/*", "\xff")
    ),
    (
        "POST",
        f"{API}/batches",
        {"Content-Type": "application/json; charset=utf-16"},
        '{"a": 1}'.encode("utf-16"),
        422,
    ),
    ("POST", f"{API}/batches", {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08\x00\x00", 415),
    ("POST", f"{API}/batches", {"Content-Encoding": "Identity"}, b'{"deforum_settings": 1}', 422),
    ("POST", f"{API}/batches", {"Idempotency-Key": ""}, b'{"deforum_settings": {}}', 422),
    ("POST", f"{API}/batches", {"Idempotency-Key": "k" * 201}, b'{"deforum_settings": {}}', 422),
    ("POST", f"{API}/batches", {"Origin": "null"}, b'{"deforum_settings": {}}', 403),
    ("POST", f"{API}/batches", {"Content-Length": "99999999999999999999"}, b"{}", 413),
    ("GET", f"{API}/jobs", {"Host": "[::1"}, None, 200),
    ("GET", f"{API}/jobs", {"Host": "::::"}, None, 421),
    ("GET", f"{API}/jobs", {"Host": "a" * 5000}, None, 421),
    ("GET", f"{API}/jobs", {"Authorization": "Basic %%%"}, None, 200),
    # the simple API
    *(
        ("POST", f"/deforum/run?settings_json={text}", {}, None, 422)
        for text in ("", "x", "[]", "null", "3", "%7B", "%7B%22a%22:NaN%7D", "%ff")
    ),
    (
        "POST",
        "/deforum/run",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"&".join([b"a=1"] * 20),
        422,
    ),
    (
        "POST",
        "/deforum/run",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"settings_json=\xff",
        422,
    ),
    ("POST", "/deforum/run?settings_json=%7B%22W%22:1%7D&allowed_params=W", {}, None, 400),
]
SMALL: dict[str, Any] = {"max_frames": 8, "W": 64, "H": 64, "prompts": {"0": "a"}}
# (settings at the bound, settings just over it, the setting)
BOUNDS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"W": 4096}, {"W": 4160}, "W"),
    ({"H": 64}, {"H": 56}, "H"),
    ({"steps": 1}, {"steps": 0}, "steps"),
    ({"max_frames": 1}, {"max_frames": 0}, "max_frames"),
    ({"fps": 1}, {"fps": 0}, "fps"),
    ({"diffusion_cadence": 1}, {"diffusion_cadence": 0}, "diffusion_cadence"),
    ({"seed": -1}, {"seed": -2}, "seed"),
    ({"strength_schedule": "0: (1)"}, {"strength_schedule": "0: (1e400)"}, "strength_schedule"),
]


def name_of(case: object) -> str:
    return str(case)[:60]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Path]]:
    """A server with the real checks, and the folder that it would write to."""
    root = Path(tmp_path_factory.mktemp("bad")) / "outputs"
    queue = make_queue(
        own_facts("null", None, root), lambda: pytest.fail("a bad job was rendered"), MemoryStore()
    )
    with serving(queue) as client:
        yield client, root
    assert queue.close(20)


@pytest.mark.parametrize(("method", "path", "headers", "body", "code"), ROWS, ids=name_of)
def test_every_bad_request_has_one_answer(
    world: tuple[TestClient, Path],
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    code: int,
) -> None:
    client, root = world
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.request(method, path, headers=raw, content=body)
    assert answer.status_code == code, answer.text
    if code >= 400:
        assert set(answer.json()) == {"id", "status", "message", "detail", "errors"}
        assert answer.json()["message"]
        assert len(answer.content) < 8000
        assert "Traceback" not in answer.text
        assert str(root.parent) not in answer.text
        assert str(Path(__file__).parents[2]) not in answer.text
    assert client.get(f"{API}/jobs").json() == {}
    assert not root.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"max_frames": 3}', "has no deforum_settings; put the settings inside it"),
        ('[{"max_frames": 3}]', 'must be an object, {"deforum_settings": ...}; found a list'),
        ("null", "found nothing"),
        ("", "found nothing"),
        ('"run"', "found text"),
        ('{"deforum_settings": "run"}', "an object of settings or a list of such objects; found text"),
        ('{"deforum_settings": null}', "found nothing"),
        ('{"deforum_settings": 3}', "found a number"),
        ('{"deforum_settings": [{}, [], 3]}', "found a list in the list"),
        ('{"deforum_settings": {}, "options_overrides": true}', "found true or false"),
    ],
)
def test_a_body_of_the_wrong_form_is_told_in_a_plain_sentence(
    world: tuple[TestClient, Path], body: str, said: str
) -> None:
    client, _ = world
    for path in ("batches", "validate"):
        answer = client.post(f"{API}/{path}", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert said in answer.json()["message"]
        assert answer.json()["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(("good", "bad", "named"), BOUNDS, ids=name_of)
def test_each_bound_is_taken_and_what_lies_over_it_is_not(
    world: tuple[TestClient, Path], good: dict[str, Any], bad: dict[str, Any], named: str
) -> None:
    client, _ = world
    body = {"deforum_settings": [{**SMALL, **good}, {**SMALL, **bad}]}
    first, second = client.post(f"{API}/validate", json=body).json()["jobs"]
    assert first["errors"] == []
    assert {error["setting"] for error in second["errors"]} == {named}


BOUNDED = [
    (name, info.kind, bound, bound + step)
    for name, info in FIELDS.items()
    if info.kind in ("int", "float") and info.loaded and info.minimum is not None and info.maximum is not None
    if name != "max_frames"  # planning the longest video takes seconds
    if not info.clamped
    for bound, step in ((info.minimum, -1), (info.maximum, 1))
]


def test_every_number_has_two_bounds_that_hold(world: tuple[TestClient, Path]) -> None:
    client, _ = world
    for start in range(0, len(BOUNDED), 20):
        some = BOUNDED[start : start + 20]
        exact = {"int": int, "float": float}
        jobs = [{**SMALL, name: exact[kind](value)} for name, kind, *two in some for value in two]
        answers = client.post(f"{API}/validate", json={"deforum_settings": jobs}).json()["jobs"]
        for (name, _, bound, beyond), at, over in zip(some, answers[::2], answers[1::2], strict=True):
            assert name not in {error["setting"] for error in at["errors"]}, (name, bound)
            told = [error["setting"] for error in over["errors"]]
            # What has no effect on this video does not keep it from being rendered.
            assert told == [name] or any(text.startswith(name) for text in over["warnings"]), (name, beyond)
    assert len(BOUNDED) > 80


@pytest.mark.parametrize(
    "value", [[], [[]], {"a": {"b": []}}, True, -1e308, "\u202e\x1b[2J", "<b>", "9" * 2000], ids=name_of
)
def test_no_setting_of_a_wrong_kind_is_a_server_error(world: tuple[TestClient, Path], value: Any) -> None:
    client, root = world
    names = list(defaults())
    jobs = [{**SMALL, **dict.fromkeys(names[start::12], value)} for start in range(12)]
    answer = client.post(f"{API}/validate", json={"deforum_settings": jobs})
    assert answer.status_code == 200, answer.text
    problems = [error for job in answer.json()["jobs"] for error in job["errors"]]
    assert problems
    assert all(error["setting"] and len(error["message"]) < 1200 for error in problems)
    assert not root.exists()


@pytest.mark.parametrize(("count", "code"), [(5, 202), (6, 400)])
def test_a_batch_has_a_size(renderer: Renderer, count: int, code: int) -> None:
    queue = strict_queue(renderer)
    with serving(queue) as client:
        answer = client.post(f"{API}/batches", json={"deforum_settings": [SMALL] * count})
        assert answer.status_code == code
    assert queue.close(20)


@pytest.mark.parametrize(
    "event_id", ["", "-1", "x", "1.5", "9" * 15, "9" * 16, "9" * 4000, "\xb2", "0x1", "1,2", "\x00"]
)
def test_any_last_event_id_is_answered_to_the_end(client: TestClient, event_id: str) -> None:
    (job_id,) = submit(client, {})
    ended(client, job_id)
    answer = client.get(f"{API}/jobs/{job_id}/events", headers={"Last-Event-ID": event_id.encode("latin-1")})
    assert answer.status_code == 200
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert told[-1]["status"] == "SUCCEEDED" if told else event_id == "9" * 15


RANGES = (
    *(
        "bytes=a-b",
        "bytes=1",
        "bytes",
        "=",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes= 0-1",
        "bytes=0-1;2",
        "BYTES=0-1",
    ),
    *(
        "bytes=" + "9" * 19 + "-",
        "bytes=0-" + "9" * 4000,
        "bytes=\xb2-",
        "bytes=+0-1",
        "bytes=0x0-1",
        "," * 10_000,
    ),
    *("bytes=" + "0-0," * 10_000, "bytes=" + "," * 10_000 + "0-1", "bytes=0-1,0-1"),
)


@pytest.mark.parametrize("asked", RANGES, ids=name_of)
def test_a_range_that_is_none_gets_the_whole_file_once(client: TestClient, asked: str) -> None:
    (job_id,) = submit(client, {"batch_name": "run"})
    ended(client, job_id)
    answer = client.get(f"{API}/jobs/{job_id}/video", headers={"Range": asked.encode("latin-1")})
    assert (answer.status_code, answer.content) == (200, bytes(range(200)))
