"""The served documentation: complete, and without any address outside this machine. Fast, no model."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.integration.server import ROOT, Server

FIRST_TABLE = [
    ("post", "/deforum_api/batches", "Batches", "202", {"400", "413", "415", "422", "429", "503"}),
    ("get", "/deforum_api/batches", "Batches", "200", set()),
    ("get", "/deforum_api/batches/{id}", "Batches", "200", {"404"}),
    ("delete", "/deforum_api/batches/{id}", "Batches", "200", {"404"}),
    ("get", "/deforum_api/jobs", "Jobs", "200", set()),
    ("get", "/deforum_api/jobs/{id}", "Jobs", "200", {"404"}),
    ("delete", "/deforum_api/jobs/{id}", "Jobs", "200", {"400", "404"}),
    ("get", "/deforum/api_version", "Simple API", "200", set()),
    ("get", "/deforum/version", "Simple API", "200", set()),
    ("post", "/deforum/run", "Simple API", "200", {"400", "422", "500"}),
]
MODELS = {
    "Batch",
    "BatchCancelResponse",
    "BatchSubmitResponse",
    "DeforumJobStatus",
    "ErrorResponse",
    "JobCancelResponse",
    "SimpleRunResponse",
    "VersionResponse",
}


@pytest.fixture(scope="module")
def schema(server: Server) -> dict:
    status, found = server.ask("GET", "/openapi.json")
    assert status == 200
    return dict(found)


@pytest.mark.parametrize("row", FIRST_TABLE, ids=lambda row: f"{row[0]} {row[1]}")
def test_every_route_is_documented(schema: dict, row: tuple) -> None:
    method, path, tag, success, errors = row
    operation = schema["paths"][path][method]
    assert operation["tags"] == [tag]
    assert operation["summary"]
    assert operation["description"]
    assert {success} | errors <= set(operation["responses"])
    assert operation["responses"][success]["content"]["application/json"]["schema"]
    for code, answer in operation["responses"].items():
        if int(code) >= 400:
            reference = answer["content"]["application/json"]["schema"]["$ref"]
            assert reference.endswith("/ErrorResponse")


def test_every_model_is_documented(schema: dict) -> None:
    assert set(schema["components"]["schemas"]) >= MODELS


def test_a_missing_id_is_documented_with_the_error_envelope(schema: dict) -> None:
    assert set(schema["components"]["schemas"]["ErrorResponse"]["required"]) == {
        "id",
        "status",
        "message",
        "detail",
        "errors",
    }


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_load_everything_from_here(server: Server, page: str) -> None:
    status, html = server.ask("GET", page)
    assert status == 200
    text = html.decode()
    links = re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    assert links
    assert not [link for link in links if "//" in link]
    for link in links:
        if link != "#":
            status, content = server.ask("GET", link)
            assert status == 200
            assert b"https://cdn." not in content


def test_the_root_leads_to_a_page(server: Server) -> None:
    status, page = server.ask("GET", "/")
    assert status == 200
    assert b"<html" in page


@pytest.mark.parametrize("path", ["/deforum_api/jobs/x", "/deforum_api/batches/x", "/nothing"])
def test_what_is_not_there_is_404(server: Server, path: str) -> None:
    assert server.ask("GET", path)[0] == 404


@pytest.mark.parametrize("path", ["/deforum_api/jobs", "/deforum_api/batches"])
def test_lists_are_objects(server: Server, path: str) -> None:
    status, found = server.ask("GET", path)
    assert status == 200
    assert isinstance(found, dict)


def test_the_manual_check_passes(server: Server) -> None:
    command = [sys.executable, "tests/manual_api_test.py", server.url]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "[ ]" not in ended.stdout


def test_the_manual_check_fails_where_the_api_is_not(server: Server) -> None:
    command = [sys.executable, "tests/manual_api_test.py", f"{server.url}/elsewhere"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == ended.stdout.count("[ ]") > 30


def test_the_manual_check_says_that_no_server_answers() -> None:
    command = [sys.executable, "tests/manual_api_test.py", "http://127.0.0.1:9"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout.startswith("No server answers at http://127.0.0.1:9: ")
