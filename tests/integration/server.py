"""The real server as a subprocess, and the few words that tests say to it."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FLAGS = "DEFORUM_TEST_SERVER_FLAGS"  # further flags of every server, as "--deforum-ray local"
START_S = 240.0
WAIT_S = 240.0  # only a program that hangs takes so long, however busy the machine is
SMALL = {"W": 64, "H": 64, "max_frames": 4, "seed": 7, "prompts": {"0": "a hill"}, "animation_mode": "2D"}


class Client:
    """What tests ask a server at `url` for."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request; return status and the answer, parsed if it is JSON."""
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, payload, dict(headers or {}), method=method)
        if payload is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return answer.status, _parsed(answer)
        except urllib.error.HTTPError as error:
            return error.code, _parsed(error)

    def submit(self, *settings: dict[str, Any]) -> list[str]:
        status, reply = self.ask("POST", "/deforum_api/batches", {"deforum_settings": list(settings)})
        assert status == 202, reply
        return list(reply["job_ids"])

    def until(self, job_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            job = dict(self.ask("GET", f"/deforum_api/jobs/{job_id}")[1])
            if wanted(job):
                return job
            time.sleep(0.02)
        raise AssertionError(f"{job_id} never got there: {job}")

    def ended(self, job_id: str) -> dict[str, Any]:
        return self.until(job_id, lambda job: job["status"] != "ACCEPTED")

    def worker_id(self) -> str:
        """Return the id of a worker; those of a cluster join after the server has started."""
        deadline = time.monotonic() + WAIT_S
        while not (workers := self.ask("GET", "/deforum_api/workers")[1]):
            assert time.monotonic() < deadline, "no worker joined"
            time.sleep(0.1)
        return str(workers[0]["id"])


class Server(Client):
    """`python -m deforum_api.hosts.standalone` with the null engine on a free port of 127.0.0.1."""

    def __init__(self, outputs: Path, *arguments: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "deforum_api.hosts.standalone", "--deforum-engine", "null"]
        command += ["--port", str(port), "--deforum-outdir", str(outputs), *arguments]
        command += os.environ.get(FLAGS, "").split()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        first: queue.Queue[str] = queue.Queue()
        self._readers = (
            threading.Thread(target=self._read, args=(first,), daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        )
        for reader in self._readers:
            reader.start()
        super().__init__(first.get(timeout=START_S).split()[2])

    def _read(self, first: queue.Queue[str]) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("Running on "):
                first.put(line)
        first.put("it did not start")

    def _read_errors(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        for reader in self._readers:  # children that are still ending may hold the pipes open
            reader.join(WAIT_S)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _parsed(answer: Any) -> Any:
    content = answer.read()
    return json.loads(content) if "json" in answer.headers.get("content-type", "") else content
