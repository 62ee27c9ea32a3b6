"""Response times of the server while a job renders: one job, 1,000 jobs, a submission."""

from __future__ import annotations

import http.client
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from benchmarks.rows import Row
from deforum_helpers.settings import defaults

NAME = "api"
BAR = "p99 while a worker burns a core: GET one job 50 ms, GET 1,000 jobs 100 ms, POST 500 ms"

BURNER = {"W": 1024, "H": 1024, "max_frames": 9000, "animation_mode": "3D", "batch_name": "burner"}
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
WAITING = {**defaults(), "W": 64, "H": 64, "max_frames": 10}


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as outputs, served(outputs) as address:
        return _measured(http.client.HTTPConnection(address, timeout=60))


@contextmanager
def served(outputs: str) -> Iterator[str]:
    """Serve `outputs` with the null engine; yield host and port."""
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--deforum-engine",
        "null",
        "--port",
        "0",
    ]
    server = subprocess.Popen(
        [*command, "--deforum-outdir", outputs],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **ONE_CORE},
    )
    try:
        assert server.stdout
        yield urlsplit(server.stdout.readline().split()[2]).netloc
    finally:
        server.kill()
        server.wait()
        if server.stdout:
            server.stdout.close()


def burning(connection: http.client.HTTPConnection) -> str:
    """Submit a job that keeps a core busy; return its id."""
    job_id = str(json.loads(submit(connection, [BURNER]))["job_ids"][0])
    while json.loads(ask(connection, "GET", f"/deforum_api/jobs/{job_id}"))["phase"] != "GENERATING":
        time.sleep(0.1)
    return job_id


def _measured(connection: http.client.HTTPConnection) -> list[Row]:
    path = f"/deforum_api/jobs/{burning(connection)}"
    for _ in range(9):
        submit(connection, [WAITING] * 100)
    posts = p99(lambda: submit(connection, [WAITING]), 99)
    one = p99(lambda: ask(connection, "GET", path), 500)
    every = p99(lambda: ask(connection, "GET", "/deforum_api/jobs"), 200)
    short = p99(lambda: ask(connection, "GET", "/deforum_api/jobs?summary=true"), 200)
    return [
        Row("GET one job, p99 of 500", one, 50.0),
        Row("GET 1,000 jobs, p99 of 200", every, 100.0),
        Row("GET 1,000 jobs without settings, p99 of 200", short),
        Row("POST one job, p99 of 99", posts, 500.0),
    ]


def submit(connection: http.client.HTTPConnection, settings: list[dict[str, Any]]) -> bytes:
    """Queue jobs; return the response."""
    return ask(connection, "POST", "/deforum_api/batches", json.dumps({"deforum_settings": settings}))


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
    """Send a request; return the body of the response."""
    headers = {"Content-Type": "application/json"} if body else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
    return content


def p99(work: Callable[[], Any], times: int) -> float:
    """Return the 99th percentile of `times` runs in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1000 * percentile(taken)


def percentile(seconds: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]
