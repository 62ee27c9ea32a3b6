"""Walks every route of the standalone app, gradio's included, and knocks at each: run as a program.

python -m tests.security.endpoints            the routes and what was found, as JSON
python -m tests.security.endpoints --write    the table in docs/security.md
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from starlette.routing import Mount, Route

from deforum_api.hosts import standalone
from deforum_api.hosts.flags import make_parser
from deforum_api.tab.page import TabPage
from deforum_api.tab.routes import EVENT_PATH, FILE_PATH, PAGE_FILES, UPLOAD_PATH, is_open

DOCS = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- endpoints: begin -->", "<!-- endpoints: end -->"
LOCAL = "http://127.0.0.1:7860"
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"ann:secret").decode()}
OWN = {
    EVENT_PATH: "the tab's events: text, numbers, yes and no; 8 MiB",
    UPLOAD_PATH: "a form with files, 520 MiB; gives ids",
    FILE_PATH: "videos, GIFs, frames, stills and subtitles below the output folder; no link, no dot file",
}
CLOSED, SHADOWED = "closed: 404", "never asked: a route of ours stands before it"
Row = tuple[str, str, str, str]


def main() -> None:
    """Print what was found, or write the table."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--deforum-engine", "null", "--deforum-outdir", folder, "--api-auth", "ann:secret"]
        queue, app = standalone.build(make_parser().parse_args(arguments), "null")
        with TestClient(app, base_url=LOCAL) as client:
            tab = _made(client, app)
            rows = sorted(set(_rows(app, tab)), key=lambda row: (row[1], row[0], *row))
            faults = [fault for row in rows for fault in _knocked(client, row)]
        queue.close(1.0)
        queue.store.close()
    if "--write" in sys.argv:
        before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
        table = f"{BEGIN}\n{table_of(rows)}\n{END}"
        DOCS.write_text(before + table + rest.partition(END)[2], encoding="utf-8", newline="\n")
    else:
        sys.stdout.write("FOUND" + json.dumps({"rows": rows, "faults": faults}) + "\n")


def table_of(rows: list[Row]) -> str:
    """Return the table of the open routes as Markdown; the page says that all others answer 404."""
    known = set(rows)
    plain = [(method, path[:-1] or path, *others) for method, path, *others in rows if path.endswith("/")]
    doubled = {
        (method, f"{path}/", *others) for method, path, *others in plain if (method, path, *others) in known
    }
    rows = [row for row in rows if row not in doubled and row[3] not in (CLOSED, SHADOWED)]
    head = ["| method | path | whose | behind the gate |", "|---|---|---|---|"]
    return "\n".join(
        head + [f"| {method} | `{path}` | {whose} | {gate} |" for method, path, whose, gate in rows]
    )


def _made(client: TestClient, app: Any) -> Any:
    (page,) = [
        route.app for route in app.routes if isinstance(route, Mount) and isinstance(route.app, TabPage)
    ]
    deadline = time.monotonic() + 120
    while page.app is None:
        assert time.monotonic() < deadline
        client.get("/", headers=LOGIN)
        time.sleep(0.05)
    return page.app


def _rows(app: Any, tab: Any) -> Iterator[Row]:
    ours = set(_walked(app.routes))
    for method, path in ours:
        yield (
            method,
            path,
            "ours",
            "reads" if method == "GET" else "changes something: our own page or a program, JSON",
        )
    for method, path in _walked(tab.routes):
        if path in OWN:
            yield method, path, "the tab", OWN[path]
        elif (method, path) in ours or any(_example(path) == _example(own) for own in OWN):
            yield method, path, "gradio", SHADOWED
        elif is_open(method, _example(path)):
            (about,) = {
                about
                for _, its, about in PAGE_FILES
                if its == path or (len(its) > 1 and path.startswith(its))
            }
            yield method, path, "gradio", about
        else:
            yield method, path, "gradio", CLOSED


def _walked(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every method and path; what is neither a route nor a folder of them is a fault of this walk."""
    for route in routes:
        if isinstance(route, Mount):
            inner = getattr(route.app, "routes", None)
            if isinstance(route.app, TabPage):
                continue  # walked by itself
            if inner:
                yield from _walked(inner, prefix + route.path)
            else:
                yield "GET", f"{prefix}{route.path}/{{path}}"
        elif isinstance(route, Route):
            yield from (
                (method, prefix + route.path) for method in sorted(route.methods or ()) if method != "HEAD"
            )
        elif hasattr(route, "original_router"):  # newer FastAPI keeps an included router whole
            yield from _walked(route.original_router.routes, prefix)
        else:
            raise TypeError(f"{route!r} is no kind of route that this walk knows")


def _example(path: str) -> str:
    while "{" in path:
        before, _, rest = path.partition("{")
        path = f"{before}x{rest.partition('}')[2]}"
    return path


def _knocked(client: TestClient, row: Row) -> Iterator[str]:
    """Yield what is wrong with the gate of a route."""
    method, path, _, gate = row
    knocks = {
        "a foreign host": ({**LOGIN, "Host": "evil.example"}, {421}),
        "no login": ({}, {401} if method in ("GET", "OPTIONS") else {401, 415}),
        "a page that loads it": (
            {**LOGIN, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
            {403},
        ),
    }
    if method not in ("GET", "OPTIONS"):
        knocks["a foreign origin"] = ({**LOGIN, "Origin": "http://127.0.0.1:3000"}, {403})
        knocks["plain text"] = ({**LOGIN, "Content-Type": "text/plain"}, {415})
    if gate == CLOSED:
        kind = "application/json"
        knocks["everything in order"] = ({**LOGIN, "Origin": LOCAL, "Content-Type": kind}, {404})
    for name, (headers, codes) in knocks.items():
        answer = client.request(method, _example(path), headers=headers)
        if answer.status_code not in codes:
            yield f"{method} {path}: {name} is answered {answer.status_code}"
        if any(one.startswith("access-control-") for one in answer.headers):
            yield f"{method} {path}: {name} gets a CORS header"


if __name__ == "__main__":
    main()
