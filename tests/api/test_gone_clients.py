"""Clients that go away in the middle of an answer leave nothing behind."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient

from deforum_api.queue.jobs import JobQueue
from tests.api.fake_renderer import WAIT_S, Renderer, ended, make_app, submit, until

CLIENTS = 20
VIDEO_BYTES = 32 * 2**20


@pytest.fixture
def port(jobs: JobQueue) -> Iterator[int]:
    """A real server's port, as only a real connection can break."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(jobs), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(WAIT_S)
    listening.close()


def asked(port: int, path: str, until_sent: bytes) -> socket.socket:
    """Ask for `path` and return the connection once so much of the answer is there."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    got = b""
    while until_sent not in got:
        got += connection.recv(4096)
    return connection


def break_off(connection: socket.socket) -> None:
    """Reset the connection, as a machine does that is switched off."""
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
    )
    connection.close()


def comes(wanted: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not wanted():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_in_the_middle_of_events(port: int, client: TestClient, jobs: JobQueue, renderer: Renderer) -> None:
    renderer.gate.clear()
    (job_id,) = submit(client, {})
    until(client, job_id, lambda job: job["phase"] == "PREPARING")
    path = f"/deforum_api/jobs/{job_id}/events"
    followers = [asked(port, path, b"\ndata: ") for _ in range(CLIENTS)]
    stays = asked(port, path, b"\ndata: ")
    assert listeners(jobs, job_id) == CLIENTS + 1
    for follower in followers:
        break_off(follower)
    assert comes(lambda: listeners(jobs, job_id) == 1)
    renderer.gate.set()
    assert ended(client, job_id)["status"] == "SUCCEEDED"
    told = b""
    while b"SUCCEEDED" not in told:
        told += stays.recv(65536)
    stays.close()
    assert comes(lambda: listeners(jobs, job_id) == 0)


def listeners(jobs: JobQueue, job_id: str) -> int:
    return len(jobs.records._listeners.get(job_id, ()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files cannot be listed on this system")
def test_in_the_middle_of_a_download(port: int, client: TestClient, renderer: Renderer) -> None:
    (job_id,) = submit(client, {"batch_name": "run"})
    job = ended(client, job_id)
    video = Path(job["outdir"], f"{job['timestring']}.mp4")
    video.write_bytes(bytes(VIDEO_BYTES))
    path = f"/deforum_api/jobs/{job_id}/video"
    downloads = [asked(port, path, b"\r\n\r\n") for _ in range(CLIENTS)]
    assert comes(lambda: opened(video) > 0)
    for download in downloads:
        break_off(download)
    assert comes(lambda: opened(video) == 0)
    assert len(client.get(path).content) == VIDEO_BYTES


def opened(file: Path) -> int:
    """Return how often this program has `file` open."""
    numbers = os.listdir("/proc/self/fd")
    return sum(os.path.realpath(f"/proc/self/fd/{number}") == str(file.resolve()) for number in numbers)
