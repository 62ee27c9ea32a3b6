"""Clients that send the slowest requests that are allowed, and go: nobody else waits for them, the server still ends.

Nothing is timed. What is asserted is what comes first, and what is left: answers to others come while the slow requests
are at work, and no checking program outlives its client or the server.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.test_gone_clients import cut, until
from tests.integration.server import SMALL, WAIT_S, Server

CLIENTS = 50
LARGE = {**SMALL, "max_frames": 100_000, "animation_mode": "3D"}
NESTED = b'{"deforum_settings": {"note": [' + b"[[[[]]]]," * 200_000 + b"[]]}}"

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "outputs")
    yield made
    made.close()


Ask = Callable[[bytes], socket.socket]


@pytest.fixture
def ask(server: Server) -> Iterator[Ask]:
    """Opens connections and asks on each for the check of a body; nobody reads the answer yet."""
    lines: list[socket.socket] = []
    address = urlsplit(server.url)

    def asked(body: bytes) -> socket.socket:
        lines.append(socket.create_connection((address.hostname, address.port), WAIT_S))
        head = "POST /deforum_api/validate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        lines[-1].sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return lines[-1]

    yield asked
    for line in lines:
        line.close()


def is_answered(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return bool(line.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        line.settimeout(WAIT_S)


def status(line: socket.socket) -> int:
    return int(line.recv(64).split()[1])


def programs(server: Server) -> list[int]:
    """The checking programs of a server."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == server.process.pid and b"deforum_api.queue.checks.check_process" in command:
                found.append(int(entry.name))
    return found


@needs_proc
def test_large_requests_keep_nobody_waiting_and_go_with_their_clients(server: Server, ask: Ask) -> None:
    (job_id,) = server.submit({**SMALL, "batch_name": "looked at"})
    server.ended(job_id)
    body = json.dumps({"deforum_settings": [LARGE] * 5}).encode()
    first = ask(body)
    lines = [first, *(ask(body) for _ in range(CLIENTS - 1))]
    for path in ("jobs", f"jobs/{job_id}", f"jobs/{job_id}/outputs", "batches", "health"):
        assert server.ask("GET", f"/deforum_api/{path}")[0] == 200
    assert not is_answered(first), "the answers above came while it was being checked"
    assert len(programs(server)) <= 2
    turned_away = [line for line in lines if is_answered(line)]
    assert turned_away, "only so many may wait"
    assert {status(line) for line in turned_away} == {429}
    for line in lines:
        cut(line)
    # What is small has a program of its own, and what its client has left is no longer worked on.
    # Until the server has seen that they are gone it may still ask for a moment.
    small: list[str] = []
    settings = {"deforum_settings": {**SMALL, "batch_name": "small"}}

    def is_taken() -> bool:
        status, reply = server.ask("POST", "/deforum_api/batches", settings)
        assert status in (202, 429), reply
        small.extend(reply["job_ids"] if status == 202 else ())
        return status == 202

    until(is_taken)
    assert server.ended(small[0])["status"] == "SUCCEEDED"
    until(lambda: all(_is_at_rest(program) for program in programs(server)))


def _is_at_rest(program: int) -> bool:
    """Whether a program waits for its next question."""
    try:
        return Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    except (FileNotFoundError, ProcessLookupError):
        return True


@needs_proc
def test_a_server_that_checks_ends_when_it_is_told_to(server: Server, ask: Ask) -> None:
    body = json.dumps({"deforum_settings": [LARGE] * 5}).encode()
    for number in range(CLIENTS):
        ask(body if number % 2 else NESTED)
    until(lambda: bool(programs(server)))
    left = programs(server)
    assert server.stop() == 0
    until(lambda: not any(os.path.exists(f"/proc/{program}/stat") for program in left))
    assert not [line for line in server.errors if "Traceback" in line]


def test_a_killed_server_leaves_no_checking_program(server: Server, ask: Ask) -> None:
    server.submit({**SMALL, "max_frames": 1})
    ask(json.dumps({"deforum_settings": [LARGE] * 5}).encode())
    if sys.platform != "linux":
        pytest.skip("processes are counted in /proc")
    until(lambda: bool(programs(server)))
    left = programs(server)
    server.process.kill()
    server.process.wait(WAIT_S)
    until(lambda: not any(os.path.exists(f"/proc/{program}/stat") for program in left))
