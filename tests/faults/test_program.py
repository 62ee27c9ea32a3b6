"""The program itself, as a user starts it: stopped and killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.server import SMALL, WAIT_S, Server

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
        images = Path(job["outdir"]).glob(f"{job['timestring']}_[0-9]*.png")
        files = sorted(path.name for path in Path(job["outdir"]).iterdir())
        assert len(list(images)) == frames, (job, files, second.errors, third.errors)
    assert not [line for server in (second, third) for line in server.errors if "Traceback" in line]
