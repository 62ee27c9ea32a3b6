"""A Ray cluster of several nodes on this machine, and a queue whose jobs its workers render."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from deforum_api.hosts.own_host import local_executor, make_queue
from deforum_api.queue.executors import Executor, WorkerInfo
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.ray.executor import RayExecutor
from deforum_api.queue.ray.settings import RaySettings, WorkerSetup
from deforum_api.queue.record import Job
from deforum_api.queue.submission import Limits
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.host_facts import own_facts
from tests.faults.serving import SETTINGS
from tests.integration.server import ROOT

WAIT_S = 240.0
# Keeps Ray's ports on 127.0.0.1, and lets it notice the end of a node and of the head node sooner: after five failed
# questions, and after so many seconds (by default 15 and 60 s).
RAY_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
}
# Folder in which each process that generates a frame leaves a file.
NOTES = "DEFORUM_FARM_NOTES"
FRAMES = 16
# Each frame depends on the one before it.
VIDEO_SETTINGS: dict[str, Any] = {**SETTINGS, "diffusion_cadence": 1, "max_frames": FRAMES}
SLOW_ENGINE = "tests.faults.farm:gated_engine"
GATE = "DEFORUM_TEST_GATE"


class GatedEngine(NullEngine):
    """Waits at the frame that the file of the gate names, for as long as there is such a file."""

    def generate(self, request: Any, cancel: Any) -> Any:
        while request.seed - VIDEO_SETTINGS["seed"] >= gate_at():
            cancel.check_cancel()
            time.sleep(0.02)
        if folder := os.environ.get(NOTES):
            (Path(folder) / str(os.getpid())).touch()
        return super().generate(request, cancel)


def gated_engine(name: str, **_: object) -> GatedEngine:
    return GatedEngine()


def gate_at() -> float:
    try:
        return int(Path(os.environ[GATE]).read_text())
    except (KeyError, OSError, ValueError):
        return float("inf")


@contextmanager
def gate(frame: int) -> Iterator[None]:
    """Let no job get beyond `frame` while the context lasts, on whatever worker."""
    path = Path(os.environ[GATE])
    path.write_text(str(frame))
    try:
        yield
    finally:
        path.unlink()


class Farm:
    """A cluster; by default its head node renders nothing."""

    def __init__(self, folder: Path, head_cpus: int = 0) -> None:
        os.environ |= {**RAY_ENVIRONMENT, "PYTHONPATH": str(ROOT), GATE: str(folder / "gate")}
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        self.notes = Path(tempfile.mkdtemp())
        os.environ[NOTES] = str(self.notes)
        from ray._private.authentication_test_utils import reset_auth_token_state
        from ray.cluster_utils import Cluster

        reset_auth_token_state()  # a test before this one may have loaded Ray without the token
        head = self.of_node(head_cpus)
        self.cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
        self.nodes: list[Any] = []

    @staticmethod
    def of_node(cpus: int) -> dict[str, Any]:
        return {
            "num_cpus": cpus,
            "num_gpus": 0,
            "include_dashboard": False,
            "object_store_memory": 80 * 2**20,
            "node_ip_address": "127.0.0.1",
        }

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add_node(self) -> None:
        self.nodes.append(patiently(lambda: self.cluster.add_node(wait=False, **self.of_node(2))))

    def kill_node(self) -> None:
        """End all processes of the oldest node."""
        self.cluster.remove_node(self.nodes.pop(0), allow_graceful=False)

    def kill_head(self) -> None:
        """End all processes of the head node, and so the cluster."""
        self.cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)

    def close(self) -> None:
        self.cluster.shutdown()
        shutil.rmtree(self.notes, ignore_errors=True)
        del self.cluster
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray leaves files open
            gc.collect()


def patiently(start: Callable[[], Any], tries: int = 20) -> Any:
    """Start a node; Ray gives one half a minute, which a loaded machine may exceed."""
    try:
        return start()
    except Exception:
        if tries == 1:
            raise
    time.sleep(2.0)
    return patiently(start, tries - 1)


class Site:
    """A queue in this process and its workers."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.executor = queue.runner.executor

    def submit(self, *settings: dict[str, Any]) -> list[str]:
        return [job.id for job in self.queue.submit([{**VIDEO_SETTINGS, **one} for one in settings])]

    def until(self, job_id: str, wanted: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + WAIT_S
        while not wanted(job := self.queue.job(job_id)):
            assert time.monotonic() < deadline, (job, self.executor.lacks(), self.executor.workers())
            time.sleep(0.01)
        return job

    def until_any(self, job_ids: list[str], wanted: Callable[[Job], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not any(wanted(self.queue.job(job_id)) for job_id in job_ids):
            assert time.monotonic() < deadline, (self.executor.lacks(), self.executor.workers())
            time.sleep(0.01)

    def ended(self, job_id: str) -> Job:
        return self.until(job_id, lambda job: job.finished)

    def worker_of(self, job_id: str) -> WorkerInfo:
        return next(worker for worker in self.executor.workers() if worker.job == job_id)

    def kill_worker_of(self, job_id: str) -> None:
        assert isinstance(self.executor, RayExecutor)
        os.kill(self.executor.process_ids[self.worker_of(job_id).id], signal.SIGKILL)

    def wait_for_workers(self, count: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while sum(worker.state in ("idle", "busy") for worker in self.executor.workers()) < count:
            assert time.monotonic() < deadline, (self.executor.lacks(), self.executor.workers())
            time.sleep(0.05)


@contextmanager
def site(root: Path, address: str, make_engine: str = SLOW_ENGINE, **more: Any) -> Iterator[Site]:
    """Open a queue on the workers of a cluster; `more`: fields of `RaySettings`, and `expected` versions."""
    expected = more.pop("expected", None)
    setup = WorkerSetup("null", None, False, root.resolve(), make_engine)
    here = local_executor(own_facts("null", None, root))
    with open_site(root, RayExecutor(RaySettings(address, **more), setup, here, expected)) as made:
        yield made


@contextmanager
def open_site(root: Path, executor: Executor | None = None) -> Iterator[Site]:
    """Open a queue on an executor, by default on this process."""
    limits = Limits(retry_after_s=(0.5, 1.0, 5.0))
    queue = make_queue(own_facts("null", None, root), GatedEngine, limits=limits, executor=executor)
    try:
        yield Site(queue)
    finally:
        queue.close(WAIT_S)
        queue.store.close()


def frames_of(job: Job) -> list[Path]:
    return sorted(Path(str(job.outdir)).glob(f"{job.timestring}_[0-9]*.png"))


def check_video(job: Job, undisturbed: Job) -> None:
    """The job's frames are those of one that was never disturbed, none is missing, and its video has all of them."""
    assert job.status == "SUCCEEDED", job.message
    made, wanted = frames_of(job), frames_of(undisturbed)
    assert [path.name[14:] for path in made] == [path.name[14:] for path in wanted]
    for frame, same in zip(made, wanted, strict=True):
        np.testing.assert_array_equal(read_frame(frame), read_frame(same))
    folder = Path(str(job.outdir))
    assert count_frames(folder / f"{job.timestring}.mp4") == len(wanted)
    assert not list(folder.glob(f".*{job.timestring}*.part"))
    assert len(list(folder.glob("*_settings.txt"))) == 1, "it was begun anew and left a run behind"
