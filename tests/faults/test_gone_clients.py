"""Clients that are gone in the middle of an answer: nothing of theirs is left behind, and nobody else notices."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import Start
from tests.faults.serving import SETTINGS, WAIT_S, FaultyServer

MANY = 10
LARGE_BYTES = 64 * 2**20

# Headers with which a server ends the connection behind its answer, and one with which it goes on.
CLOSING = ("Connection: close\r\n", "Connection: keep-alive, Close\r\n", "")
TOO_LARGE_BYTES = 8 * 2**20 + 1
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")


def started_request(server: FaultyServer, path: str) -> socket.socket:
    """A connection on which the answer to GET `path` has begun."""
    address = urlsplit(server.url)
    line = socket.create_connection((address.hostname, address.port), WAIT_S)
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert line.recv(400).startswith(b"HTTP/1.1 200")
    return line


def cut(line: socket.socket) -> None:
    """End a connection without a word, as a program that is killed does."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def open_files(server: FaultyServer) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def connections(server: FaultyServer) -> int:
    """Open sockets of the server; other files come and go while it renders."""
    opened = Path(f"/proc/{server.process.pid}/fd").iterdir()
    return sum(_target(file).startswith("socket:") for file in opened)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # closed since it was listed
        return ""


@needs_proc
def test_followers_that_vanish_leave_nothing_behind(start: Start) -> None:
    server = start("hold")
    (job_id,) = server.submit({**SETTINGS, "batch_name": "followed"})
    server.until(job_id, lambda job: job["frame"] == 3)
    before = connections(server)
    path = f"/deforum_api/jobs/{job_id}/events"
    loyal = started_request(server, path)
    gone = [started_request(server, path) for _ in range(MANY)]
    assert connections(server) >= before + MANY
    for line in gone:
        cut(line)
    until(lambda: connections(server) <= before + 2)
    server.go.touch()
    said = b""
    while b'"status": "SUCCEEDED"' not in said:
        more = loyal.recv(65536)
        assert more, "the stream ended before the job did"
        said += more
    loyal.close()
    assert server.ended(job_id)["status"] == "SUCCEEDED"
    assert "Traceback" not in server.log()


@needs_proc
def test_downloads_that_break_off_leave_nothing_behind(start: Start) -> None:
    server = start()
    (job_id,) = server.submit({**SETTINGS, "batch_name": "large"})
    job = server.ended(job_id)
    with Path(job["outdir"], f"{job['timestring']}.mp4").open("r+b") as video:
        video.truncate(LARGE_BYTES)
    before = open_files(server)
    path = f"/deforum_api/jobs/{job_id}/video"
    slow = started_request(server, path)
    gone = [started_request(server, path) for _ in range(MANY)]
    assert server.ask("GET", f"/deforum_api/jobs/{job_id}")[0] == 200, "others are answered meanwhile"
    for line in gone:
        cut(line)
    until(lambda: open_files(server) <= before + 3)
    received = 400
    while received < LARGE_BYTES:
        more = slow.recv(2**20)
        assert more, "who is slow gets the whole file all the same"
        received += len(more)
    slow.close()
    until(lambda: open_files(server) <= before + 1)
    assert "Traceback" not in server.log()


def test_a_submission_that_breaks_off_is_no_job(start: Start) -> None:
    server = start()
    address = urlsplit(server.url)
    line = socket.create_connection((address.hostname, address.port), WAIT_S)
    head = "POST /deforum_api/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    line.sendall(f"{head}Content-Length: 100\r\n\r\n".encode() + b'{"deforum_settings": {')
    time.sleep(0.1)
    cut(line)
    assert server.ask("GET", "/deforum_api/jobs") == (200, {})
    (job_id,) = server.submit({**SETTINGS, "max_frames": 1})
    assert server.ended(job_id)["status"] == "SUCCEEDED"
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("header", CLOSING)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_a_client_that_sends_before_it_reads_sees_why_its_body_is_refused(
    start: Start, version: str, header: str, announced: bool
) -> None:
    if not announced and version == "1.0":
        pytest.skip("HTTP/1.0 knows no chunks")
    server = start()
    address = urlsplit(server.url)
    body = b" " * TOO_LARGE_BYTES
    length = f"Content-Length: {len(body)}" if announced else "Transfer-Encoding: chunked"
    if not announced:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = f"POST /deforum_api/batches HTTP/{version}\r\nHost: 127.0.0.1\r\n{header}{length}\r\n\r\n"
    for _ in range(3):
        with socket.create_connection((address.hostname, address.port), WAIT_S) as line:
            line.settimeout(WAIT_S)
            line.sendall(head.encode() + body)
            assert b" 413 " in line.recv(400)
