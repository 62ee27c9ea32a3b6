"""Bodies that are too big, too deep or not JSON: each is answered, none gets further."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

MIB = 2**20
IMAGE = "data:image/png;base64," + "A" * (3 * MIB)


def post(client: TestClient, body: bytes | str, path: str = "/deforum_api/batches") -> int:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert set(answer.json()) == {"id", "status", "message", "detail", "errors"} or answer.status_code == 202
    return answer.status_code


@pytest.mark.parametrize("path", ["/deforum_api/batches", "/deforum_api/validate", "/deforum/run"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"{}",
        b'{"deforum_settings": null, "settings_json": null}',
        b'{"deforum_settings": 3, "settings_json": 3}',
        b'{"deforum_settings": "text", "settings_json": "text"}',
        b'{"deforum_settings": [], "settings_json": []}',
        b'{"deforum_settings": [1], "settings_json": [1]}',
        b'{"deforum_settings": [{}, null], "settings_json": "[{}]"}',
        b'{"deforum_settings": {}, "options_overrides": [1], "settings_json": {}, "allowed_params": []}',
        b'{"deforum_settings": {}, "options_overrides": "x", "settings_json": {}, "allowed_params": 3}',
        b'{"deforum_settings": {"seed": NaN}, "settings_json": "{\\"seed\\": NaN}"}',
        b'{"deforum_settings": {"seed": Infinity}, "settings_json": {"seed": -Infinity}}',
        b'{"deforum_settings": {"seed": 1e999}, "settings_json": {"seed": 1e999}}',
        b'{"deforum_settings": {"seed": ' + b"9" * 5000 + b'}, "settings_json": {"seed": -1}',
        b'{"deforum_settings": {"a": "\\ud800"}, "settings_json": {"a": "\\udfff"}}',
        b'{"deforum_settings": {"a": "\xff"}, "settings_json": {}}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"deforum_settings": ' * 50_000,
        b'{"deforum_settings": {"a": ' + b"[" * 40 + b"]" * 40 + b'}, "settings_json": 1}',
        b'{"deforum_settings": {}} trailing',
        b"{'deforum_settings': {}}",
        b'{"deforum_settings": {},}',
    ],
)
def test_what_is_not_a_request_is_422_and_leaves_nothing(client: TestClient, path: str, body: bytes) -> None:
    assert post(client, body, path) == 422
    assert client.get("/deforum_api/jobs").json() == {}


def test_of_equal_keys_the_last_holds(client: TestClient) -> None:
    body = b'{"deforum_settings": {"max_frames": "x", "max_frames": 1}}'
    assert post(client, body) == 202


def test_a_byte_order_mark_is_skipped(client: TestClient) -> None:
    assert post(client, b"\xef\xbb\xbf" + b'{"deforum_settings": {}}') == 202


def test_32_levels_are_taken(client: TestClient) -> None:
    inner = "[" * 30 + "]" * 30
    assert post(client, f'{{"deforum_settings": {{"a": {inner}}}}}') == 202
    inner = "[" * 31 + "]" * 31
    assert post(client, f'{{"deforum_settings": {{"a": {inner}}}}}') == 422


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"a": "x" * (MIB + MIB // 2)}, 202),
        ({"a": "x" * (2 * MIB)}, 413),
        ({"init_image": IMAGE}, 202),
        ({"init_image": IMAGE, "a": "x" * (2 * MIB)}, 413),
        ({"init_image": IMAGE, "image_path": IMAGE, "mask_file": IMAGE}, 413),
    ],
)
def test_two_mib_are_taken_and_eight_with_inline_images(
    client: TestClient, settings: dict[str, str], code: int
) -> None:
    assert post(client, json.dumps({"deforum_settings": settings})) == code


def test_a_body_that_is_announced_too_big_is_not_read(client: TestClient) -> None:
    def never() -> bytes:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Length": str(9 * MIB), "Content-Type": "application/json"}
    answer = client.post("/deforum_api/batches", content=never(), headers=headers)
    assert answer.status_code == 413


def test_a_body_without_length_is_bounded_while_it_is_read(client: TestClient) -> None:
    sent = []

    def endless() -> bytes:
        for _ in range(100):
            sent.append(1)
            yield b" " * MIB

    answer = client.post("/deforum_api/batches", content=endless())
    assert answer.status_code == 413
