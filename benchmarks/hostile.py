"""GET of a job while 50 clients send the slowest allowed requests and a job renders."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from benchmarks.api import ask, burning, p99, served
from benchmarks.rows import Row
from deforum_helpers.settings import FIELDS

NAME = "hostile"
BAR = "GET one job, p99 while 50 clients send the slowest legal requests: 100 ms"

CLIENTS = 50
GETS = 300
SCHEDULES = [name for name, info in FIELDS.items() if info.kind == "schedule"]
WAVES = ",".join(f"{frame}:(1 + 0.001 * sin(t / {frame + 1}))" for frame in range(0, 1000, 50))
SMALL = {"W": 64, "H": 64, "prompts": {"0": "a hill"}}
HUNDRED = [{**SMALL, "max_frames": 1000, "animation_mode": "3D", "translation_z": "0:(sin(t))"}] * 100
LONG = {
    **SMALL,
    "max_frames": 100_000,
    "animation_mode": "3D",
    **dict.fromkeys(SCHEDULES, f"0:({WAVES[3:40]})"),
}
NESTED = b'{"deforum_settings": {"prompts": {"0": "a"}, "note": [' + b"[[[[[]]]]]," * 190_000 + b"[]]}}"
TICKS = {"prompts": {str(number): "`" * 19_000 for number in range(100)}}

Request = tuple[str, str, bytes]


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as outputs, served(outputs) as address:
        connection = http.client.HTTPConnection(address, timeout=60)
        path = f"/deforum_api/jobs/{burning(connection)}"
        large = _queued(connection, {**SMALL, "max_frames": 1, "note": "x" * 1_900_000})
        alone = p99(lambda: ask(connection, "GET", path), GETS)
        rows = [Row(f"GET one job, nobody else, p99 of {GETS}", alone)]
        for kind in _kinds(large):
            with hostile(address, kind, large):
                meanwhile = p99(lambda: ask(connection, "GET", path), GETS)
            rows.append(Row(f"GET one job, 50 clients send {kind}, p99 of {GETS}", meanwhile, 100.0))
        return rows


def _kinds(large: str) -> dict[str, list[Request]]:
    """Return requests by the reason why they are slow; those of `large` read a job of 2 MB."""
    validate = "/deforum_api/validate"
    bodies = [_body(HUNDRED), _body([LONG]), NESTED, _body([TICKS])]
    checks = [("POST", path, body) for body in bodies for path in (validate, f"{validate}?series=true")]
    reads = ["/deforum_api/jobs", f"/deforum_api/jobs/{large}", "/deforum_api/batches", "/deforum_api/health"]
    looks = [("GET", path, b"") for path in reads]
    return {"checks": checks, "reads": looks, "both": checks + looks}


def _body(settings: list[dict[str, Any]]) -> bytes:
    return json.dumps({"deforum_settings": settings}).encode()


def _queued(connection: http.client.HTTPConnection, settings: dict[str, Any]) -> str:
    return str(
        json.loads(ask(connection, "POST", "/deforum_api/batches", _body([settings]).decode()))["job_ids"][0]
    )


@contextmanager
def hostile(address: str, kind: str, large: str) -> Iterator[None]:
    """Let 50 clients in a separate process send requests of `kind`."""
    command = [sys.executable, "-m", "benchmarks.hostile", address, kind, large]
    program = subprocess.Popen(command)
    time.sleep(3.0)
    try:
        yield
    finally:
        program.kill()
        program.wait()


def attack(address: str, requests: list[Request]) -> None:
    """Send `requests` repeatedly from 50 threads, half of them without waiting for the responses."""

    def work(number: int) -> None:
        send = (_patient, _abandoned)[number % 2]
        for request in itertools.islice(itertools.cycle(requests), number, None):
            with suppress(OSError, http.client.HTTPException):
                send(address, request)

    for number in range(CLIENTS):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    threading.Event().wait()


def _patient(address: str, request: Request) -> None:
    connection = http.client.HTTPConnection(address, timeout=30)
    method, path, body = request
    try:
        connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        while answer.read(2**20):
            pass
        if answer.status == 429:
            time.sleep(0.05)
    finally:
        connection.close()


def _abandoned(address: str, request: Request) -> None:
    host, port = address.split(":")
    method, path, body = request
    head = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.2)


if __name__ == "__main__":
    attack(sys.argv[1], _kinds(sys.argv[3])[sys.argv[2]])
