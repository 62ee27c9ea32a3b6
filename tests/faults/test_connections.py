"""Clients that hold connections: closed by limits, while jobs keep their descriptors and others are answered."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.serving import SETTINGS, WAIT_S
from tests.integration.server import Server

LIMIT = 256
FLOOD = 320
LONG = {**SETTINGS, "max_frames": 400, "diffusion_cadence": 1}
LIMITED = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))"

HALF_A_BODY = b"POST /deforum_api/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{"

needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
Connect = Callable[..., socket.socket]


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that may have 256 descriptors."""
    folder = tmp_path / "limited"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LIMITED)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    server = Server(tmp_path / "outputs")
    monkeypatch.delenv("PYTHONPATH")
    yield server
    server.close()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections to a server, and sends what they begin with."""
    opened: list[socket.socket] = []

    def make(server: Server, first_bytes: bytes = b"") -> socket.socket:
        address = urlsplit(server.url)
        opened.append(socket.create_connection((address.hostname, address.port), WAIT_S))
        with suppress(ConnectionError):  # it may be turned away at once
            opened[-1].sendall(first_bytes)
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@needs_limits
@pytest.mark.parametrize(
    "first_bytes",
    [b"", b"GET / HTTP/1.1\r\nHost: 127", HALF_A_BODY],
    ids=["idle", "headers", "body"],
)
def test_a_flood_of_connections_costs_no_job_and_nobody_an_answer(
    limited: Server, connect: Connect, first_bytes: bytes
) -> None:
    running, behind = limited.submit({**LONG, "batch_name": "one"}, {**SETTINGS, "batch_name": "two"})
    limited.until(running, lambda job: job["frame"] > 0)
    for number in range(FLOOD):
        connect(limited, first_bytes)
        if number % 40 == 0:
            assert limited.ask("GET", f"/deforum_api/jobs/{running}")[0] == 200
    assert limited.submit({**SETTINGS, "max_frames": 1, "batch_name": "three"})
    for job_id in (running, behind):
        job = limited.ended(job_id)
        assert (job["status"], job["error_type"]) == ("SUCCEEDED", "NONE"), job["message"]
    assert not [line for line in limited.errors if "Traceback" in line or "Too many open files" in line]


@needs_limits
def test_streams_are_counted_and_leave_connections_to_others(limited: Server, connect: Connect) -> None:
    (job_id,) = limited.submit({**LONG, "batch_name": "followed"})
    asked = f"GET /deforum_api/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    first_lines = [connect(limited, asked).recv(12) for _ in range(100)]
    assert {line[9:] for line in first_lines} == {b"200", b"429"}
    assert limited.ended(job_id)["status"] == "SUCCEEDED"
