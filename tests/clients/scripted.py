"""A server on 127.0.0.1 that answers as it is told, one answer per request, and can break off any of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer; `announced` bytes are promised where that is more than there are, and `status` 0 is none at all."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None
    silent_s: float = 0.0


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def told(value: Any, status: int = 200, **headers: str) -> Answer:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **names})


def unknown(message: str) -> Answer:
    """Deforum's own 404."""
    return told({"id": "", "status": "NOT FOUND", "message": message, "detail": message, "errors": []}, 404)


NOT_YET = told({"detail": "Not Found"}, 404)  # of a WebUI that has not loaded Deforum


def events(*jobs: Mapping[str, Any]) -> Answer:
    blocks = [f"id: {job['updates']}\nevent: progress\ndata: {json.dumps(job)}\n\n" for job in jobs]
    text = ": waiting\n\n" + "".join(blocks)
    return Answer(body=text.encode(), headers={"Content-Type": "text/event-stream; charset=utf-8"})


def record(updates: int, status: str = "ACCEPTED", **more: Any) -> dict[str, Any]:
    job = {"id": "batch(1)-0", "updates": updates, "status": status, "phase": "GENERATING", "message": None}
    job |= {"phase_progress": 0.5, "frame": 3, "max_frames": 6, "eta_seconds": 61, "cancelling": False}
    return {**job, **more}


DROPPED = Answer(status=0)


class Scripted:
    """The server; `asked` are the requests that it got."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def left(self) -> int:
        return len(self._answers)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                scripted.asked.append(
                    Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                )
                answer = scripted._answers.pop(0) if scripted._answers else told({}, 500)
                if not answer.status:
                    self.connection.close()
                    return
                self.send_response(answer.status)
                for name, text in answer.headers.items():
                    self.send_header(name, text)
                if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                    size = len(answer.body) if answer.announced is None else answer.announced
                    self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.flush()
                if answer.silent_s:
                    threading.Event().wait(answer.silent_s)
                self.wfile.write(answer.body)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *args: Any) -> None:
                """The tests look at `asked` instead."""

        return Handler
