"""The program itself, as a user starts it: stopped, killed, and started on a database that it cannot use."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deforum_api.store_sqlite import FILE_NAME
from tests.integration.server import ROOT, SMALL, WAIT_S, Server

Start = Callable[[], Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def make() -> Server:
        servers.append(Server(tmp_path / "outputs"))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def test_what_was_accepted_outlives_the_program(start: Start) -> None:
    first = start()
    ids = first.submit({**SMALL, "max_frames": 60, "batch_name": "long"}, {**SMALL, "batch_name": "behind"})
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(WAIT_S)
    second = start()
    assert list(second.ask("GET", "/deforum_api/jobs")[1]) == ids
    second.until(ids[0], lambda job: job["frame"] > 0)
    assert second.stop() == 0
    third = start()
    for job_id, frames in zip(ids, (60, 4), strict=True):
        job = third.ended(job_id)
        assert job["status"] == "SUCCEEDED", job["message"]
        pictures = Path(job["outdir"]).glob(f"{job['timestring']}_[0-9]*.png")
        assert len(list(pictures)) == frames
    assert not [line for server in (second, third) for line in server.errors if "Traceback" in line]


def test_a_damaged_database_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database " * 1000)
    command = [sys.executable, "-m", "deforum_api.standalone", "--deforum-engine", "null", "--port", "0"]
    command += ["--deforum-outdir", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "is damaged" in ended.stderr
    assert "move it away" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert path.read_bytes() == b"not a database " * 1000
