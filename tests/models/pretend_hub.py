"""A hub on 127.0.0.1 that speaks as much of the real one's HTTP as its client needs to list and download a model."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class PretendHub:
    """What the hub has and how it behaves; tests change it.

    Args:
        files: content by path of the one model, "somebody/model".
        card: of the model's page.
        gated: whether its files need the token "hf_secret".
        broken: path of a file whose content breaks off in the middle, or "".
        damaged: path of a file that arrives with another byte than the hub says, or "".
        requests: (method, path, range) of each request for a file.
    """

    files: dict[str, bytes]
    card: Mapping[str, Any] = field(default_factory=dict)
    gated: bool = False
    broken: str = ""
    damaged: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def about(self) -> dict[str, Any]:
        """Return what the hub's API says of the model; large files have a SHA-256, others the hash of git."""
        entries = []
        for name, content in self.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob(content)}
            if name.endswith((".safetensors", ".gguf")):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        about: dict[str, Any] = {"id": "somebody/model", "sha": COMMIT, "siblings": entries}
        return {**about, "gated": "auto" if self.gated else False, "cardData": dict(self.card)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def serving(hub: PretendHub) -> Iterator[PretendHub]:
    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: PretendHub

    def do_HEAD(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def _respond(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:4] == ["api", "models", "somebody", "model"]:
            if parts[4:] in ([], ["revision", "main"], ["revision", COMMIT]):
                self._send(200, json.dumps(self.hub.about()).encode(), "application/json")
            else:
                self._refuse(404, "RevisionNotFound")
        elif parts[:3] == ["somebody", "model", "resolve"]:
            self._give("/".join(parts[4:]))
        else:
            self._refuse(404, "RepoNotFound")

    def _give(self, name: str) -> None:
        self.hub.requests.append((self.command, name, self.headers.get("Range", "")))
        if self.hub.gated and self.headers.get("Authorization") != "Bearer hf_secret":
            self._refuse(403, "GatedRepo")
        elif name not in self.hub.files:
            self._refuse(404, "EntryNotFound")
        else:
            self._send_file(name, self.hub.files[name])

    def _send_file(self, name: str, content: bytes) -> None:
        about = {"X-Repo-Commit": COMMIT, "ETag": f'"{blob(content)}"', "Accept-Ranges": "bytes"}
        if self.hub.damaged == name:
            content = bytes([content[0] ^ 1]) + content[1:]
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if first and self.hub.broken == name:
            self._refuse(503, "Busy")
            return
        rest = content[first:]
        if first:
            about["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        sent = rest[: len(rest) // 2] if self.hub.broken == name and self.command == "GET" else rest
        self._send(206 if first else 200, sent, "application/octet-stream", about, len(rest))
        if sent is not rest:
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        # A server may say anything, a token that it was sent too.
        said = f"No {self.headers.get('Authorization', '')}"
        self._send(status, said.encode(), "text/plain", {"X-Error-Code": code, "X-Error-Message": said})

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str,
        more: Mapping[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body) if length is None else length)}
        for name, value in {**headers, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
