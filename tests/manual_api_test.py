"""Checks a running server from outside: `python tests/manual_api_test.py [URL] [--auth user:password]`.

The URL is http://127.0.0.1:7860 unless given. Nothing is rendered. Needs only the standard library; the exit code
is the number of checks that failed, or 1 where no server answers.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

ROUTES = (
    ("post", "/deforum_api/batches"),
    ("get", "/deforum_api/batches"),
    ("get", "/deforum_api/batches/{id}"),
    ("delete", "/deforum_api/batches/{id}"),
    ("get", "/deforum_api/jobs"),
    ("get", "/deforum_api/jobs/{id}"),
    ("delete", "/deforum_api/jobs/{id}"),
    ("get", "/deforum/api_version"),
    ("get", "/deforum/version"),
    ("post", "/deforum/run"),
    ("post", "/deforum_api/validate"),
    ("get", "/deforum_api/settings/schema"),
    ("get", "/deforum_api/settings/defaults"),
    ("get", "/deforum_api/jobs/{id}/events"),
    ("get", "/deforum_api/jobs/{id}/outputs"),
    ("get", "/deforum_api/jobs/{id}/video"),
    ("get", "/deforum_api/jobs/{id}/preview"),
    ("get", "/deforum_api/jobs/{id}/frames/{n}"),
    ("get", "/deforum_api/jobs/{id}/subtitles"),
    ("get", "/deforum_api/jobs/{id}/settings"),
    ("post", "/deforum_api/jobs/{id}/resume"),
    ("get", "/deforum_api/health"),
)
MODELS = (
    "Batch",
    "BatchSubmitResponse",
    "BatchCancelResponse",
    "DeforumJobStatus",
    "JobCancelResponse",
    "VersionResponse",
    "SimpleRunResponse",
    "ErrorResponse",
)
TIMEOUT_S = 20.0

Ask = Callable[..., tuple[int, Any]]


def asker(url: str, auth: str | None) -> Ask:
    """Return a function (method, path, body=None) -> (status, parsed answer)."""

    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url + path, payload, method=method)
        request.add_header("Content-Type", "application/json")
        if auth:
            request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status, parsed(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, parsed(error.read())

    return ask


def parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")


def checks(ask: Ask) -> dict[str, Callable[[], bool]]:
    """Return what is checked, by its line on the terminal."""
    documented: dict[str, Any] = {}

    def load_schema() -> bool:
        status, schema = ask("GET", "/openapi.json")
        documented.update(schema if status == 200 else {})
        return status == 200

    def has_route(method: str, path: str) -> bool:
        operation = documented.get("paths", {}).get(path, {}).get(method, {})
        return bool(operation.get("summary") and operation.get("tags"))

    found: dict[str, Callable[[], bool]] = {
        "Swagger UI is there": lambda: "swagger-ui" in ask("GET", "/docs")[1],
        "ReDoc is there": lambda: "redoc" in ask("GET", "/redoc")[1],
        "the schema is there": load_schema,
    }
    for method, path in ROUTES:
        found[f"documented: {method.upper()} {path}"] = lambda method=method, path=path: has_route(
            method, path
        )
    for model in MODELS:
        found[f"documented: {model}"] = lambda model=model: model in documented["components"]["schemas"]
    for path in ("/deforum_api/jobs", "/deforum_api/batches"):
        found[f"an object: GET {path}"] = lambda path=path: is_list(ask("GET", path))
        found[f"404 in the envelope: GET {path}/none"] = lambda path=path: is_404(ask("GET", f"{path}/none"))
    found["versions"] = lambda: (
        ask("GET", "/deforum/api_version") == (200, {"version": "1.0"})
        and "version" in ask("GET", "/deforum/version")[1]
    )
    found["a body that is no object is 422"] = lambda: ask("POST", "/deforum_api/batches", [])[0] == 422
    found["wrong settings are 400"] = lambda: ask("POST", "/deforum_api/batches", WRONG)[0] == 400
    found["settings can be checked"] = lambda: ask("POST", "/deforum_api/validate", RIGHT)[0] == 200
    return found


RIGHT = {"deforum_settings": {"max_frames": 2}}
WRONG = {"deforum_settings": {"max_frames": "many"}}


def is_list(answer: tuple[int, Any]) -> bool:
    return answer[0] == 200 and isinstance(answer[1], dict)


def is_404(answer: tuple[int, Any]) -> bool:
    return answer[0] == 404 and set(answer[1]) == {"id", "status", "message", "detail", "errors"}


def passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (OSError, KeyError, TypeError):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:7860")
    parser.add_argument("--auth", metavar="USER:PASSWORD")
    flags = parser.parse_args()
    failed = 0
    ask = asker(flags.url.rstrip("/"), flags.auth)
    try:
        ask("GET", "/openapi.json")
    except OSError as error:
        print(f"No server answers at {flags.url}: {getattr(error, 'reason', error)}")
        return 1
    for name, check in checks(ask).items():
        passed = passes(check)
        failed += not passed
        print(f"[{'x' if passed else ' '}] {name}")
    print("Everything is as it should be." if not failed else f"{failed} checks failed.")
    return failed


if __name__ == "__main__":
    sys.exit(main())
