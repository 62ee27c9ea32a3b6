"""A server on workers of its own Ray cluster, in a process of its own: what it shows, and what a kill leaves behind.

One server serves the tests of this module in their order, as it takes long to start; the last one kills it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from tests.faults.farm import VIDEO_SETTINGS
from tests.faults.processes import alive, descendants
from tests.integration.server import WAIT_S, Server

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(900),  # Ray starts twice, for minutes on a machine with other work
]

FLAGS = ("--deforum-ray", "local", "--deforum-workers", "2", "--deforum-webhook-allow", "127.0.0.1")
# Long enough for a look at it and a kill, even if nothing else keeps the machine busy.
LONG = {**VIDEO_SETTINGS, "max_frames": 150}
ENDLESS = {**VIDEO_SETTINGS, "max_frames": 5000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder, *FLAGS)
    workers_when(made, lambda workers: len(workers) == 2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of a receiver of webhooks, and what it has got."""
    got: list[dict[str, Any]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}/ends", got
        listening.shutdown()
        thread.join()


def workers_when(server: Server, wanted: Any) -> dict[str, dict[str, Any]]:
    """Return the workers by id as soon as they are as wanted."""
    with patience() as look:
        while look():
            workers = {worker["id"]: worker for worker in server.ask("GET", "/deforum_api/workers")[1]}
            if wanted(workers):
                return workers
    raise AssertionError((workers, server.ask("GET", "/deforum_api/health")[1], server.errors[-20:]))


@contextmanager
def patience() -> Iterator[Any]:
    """Give a function that returns True until the longest time has passed, with a pause at each call."""
    deadline = time.monotonic() + WAIT_S

    def look() -> bool:
        time.sleep(0.02)
        return time.monotonic() < deadline

    yield look


def cancel(server: Server, *job_ids: str) -> None:
    for job_id in job_ids:
        server.ask("DELETE", f"/deforum_api/jobs/{job_id}")
    for job_id in job_ids:
        assert server.ended(job_id)["status"] == "CANCELLED"


def test_workers_are_listed_measured_drained_and_get_the_job_of_the_highest_priority(
    server: Server, receiver: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = receiver
    first, second = server.submit({**ENDLESS, "batch_name": "first"}, {**ENDLESS, "batch_name": "second"})
    workers = workers_when(
        server, lambda workers: {worker["job"] for worker in workers.values()} == {first, second}
    )
    assert {worker["state"] for worker in workers.values()} == {"busy"}
    server.until(first, lambda job: job["frame"] > 0)
    metrics = server.ask("GET", "/deforum_api/metrics")[1].decode().splitlines()
    for worker_id in workers:
        assert f'deforum_worker_state{{worker="{worker_id}",state="busy"}} 1' in metrics
        assert f'deforum_worker_frames{{worker="{worker_id}"}} {ENDLESS["max_frames"]}' in metrics
    assert "deforum_jobs_running 2" in metrics

    by_job = {worker["job"]: worker_id for worker_id, worker in workers.items()}
    one, other = by_job[first], by_job[second]
    assert server.ask("POST", f"/deforum_api/workers/{one}/drain")[1]["state"] == "draining"
    short = {**VIDEO_SETTINGS, "max_frames": 2}
    later, sooner = (
        server.ask(
            "POST",
            "/deforum_api/batches",
            {"deforum_settings": {**short, "batch_name": name}, "priority": priority, "webhook_url": url},
        )[1]["job_ids"][0]
        for name, priority in (("later", 0), ("sooner", 5))
    )
    cancel(server, first)
    workers_when(server, lambda workers: workers[one]["state"] == "drained")
    assert server.ask("GET", f"/deforum_api/jobs/{sooner}")[1]["phase"] == "QUEUED"
    cancel(server, second)
    ends = [server.ended(job_id) for job_id in (sooner, later)]
    assert [end["status"] for end in ends] == ["SUCCEEDED"] * 2
    assert ends[0]["last_updated"] <= ends[1]["last_updated"]
    assert any(f"{sooner} runs on worker {other} " in line for line in server.errors)
    assert server.ask("POST", f"/deforum_api/workers/{one}/undrain")[1]["state"] == "idle"
    with patience() as look:
        while len(got) < 2 and look():
            pass
    assert sorted(end["job_id"] for end in got) == sorted((sooner, later))


def test_a_killed_server_leaves_no_process_and_the_next_one_goes_on(
    server: Server, receiver: tuple[str, list[dict[str, Any]]], folder: Path, tmp_path: Path
) -> None:
    """The last test, as it ends the server."""
    workers_when(server, lambda workers: {worker["state"] for worker in workers.values()} == {"idle"})
    ids = server.submit(*({**LONG, "batch_name": name} for name in ("left", "right", "behind")))
    for job_id in ids[:2]:
        server.until(job_id, lambda job: job["frame"] >= 3)
    programs = descendants(server.process.pid)
    assert sum("RenderWorker" in name for name in programs.values()) == 2
    server.process.kill()
    server.process.wait()
    with patience() as look:
        while alive(programs) and look():
            pass
    assert alive(programs) == {}
    runs = [run for name in ("left", "right") for run in folder.rglob(f"*{name}*/*_settings.txt")]
    assert len(runs) == 2
    for run in runs:
        written = len(list(run.parent.glob("*_[0-9]*.png")))
        assert 0 < written < LONG["max_frames"], "its worker went on without the server"
    again = Server(folder, *FLAGS)
    try:
        jobs = [again.ended(job_id) for job_id in ids]
    finally:
        again.stop()
        again.close()
    prepared = prepare(LONG, own_facts("null", None, tmp_path))
    undisturbed = run_job(prepared, NullEngine(), CancelToken(), lambda progress: None)
    wanted = sorted(undisturbed.outdir.glob("*_[0-9]*.png"))
    for job in jobs:
        assert job["status"] == "SUCCEEDED", job["message"]
        made = sorted(Path(job["outdir"]).glob(f"{job['timestring']}_[0-9]*.png"))
        assert [path.name[14:] for path in made] == [path.name[14:] for path in wanted]
        for frame, same in zip(made, wanted, strict=True):
            np.testing.assert_array_equal(read_frame(frame), read_frame(same))
        assert count_frames(Path(job["outdir"], f"{job['timestring']}.mp4")) == len(wanted)
        assert len(list(Path(job["outdir"]).glob("*_settings.txt"))) == 1, "it was begun anew"
