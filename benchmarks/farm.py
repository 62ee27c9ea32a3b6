"""Workers of Ray on this machine: time per job and frame against one process, from a kill to the next frame, and of one
video that they share.

An image costs a fixed time without a processor, so that the number of cores does not count.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rows import Row
from deforum_api.hosts.own_host import local_executor, make_queue
from deforum_api.queue.executors import Executor
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.ray.executor import RayExecutor
from deforum_api.queue.ray.settings import OWN_CLUSTER, RaySettings, WorkerSetup
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.pipeline.host_facts import own_facts

NAME = "farm"
BAR = (
    "overhead per frame against one process 3 %, from a kill to the next frame 15 s, a shared video at most 1.15 times "
    "its share of the images' time"
)

IMAGE_S = 0.25
SLOWER = 1.03
SHARED_SLACK = 1.15
KILL_BAR_MS = 15_000.0
JOB: dict[str, Any] = {
    "W": 256,
    "H": 256,
    "max_frames": 40,
    "diffusion_cadence": 1,
    "animation_mode": "2D",
    "prompts": {"0": "a hill"},
    "zoom": "0: (1.02)",
    "seed": 7,
}
SHORT = {**JOB, "max_frames": 16}
# Each frame stands alone.
SHARED = {**JOB, "animation_mode": "Interpolation", "max_frames": 120}


class SlowEngine(NullEngine):
    """The engine without a model, slowed down to a fixed time per image."""

    def generate(self, request: Any, cancel: Any) -> Any:
        began = time.monotonic()
        image = super().generate(request, cancel)
        time.sleep(max(0.0, IMAGE_S - (time.monotonic() - began)))
        return image


def slow_engine(name: str, **options: Any) -> SlowEngine:
    """Make the engine of a worker."""
    return SlowEngine()


def run() -> list[Row]:
    with queue_of(0) as jobs:
        here_ms = frame_ms(jobs)
    rows = [Row("one process, per frame", here_ms)]
    for workers in (1, 2, 4):
        with queue_of(workers) as jobs:
            if workers == 1:
                rows.append(Row("one worker, per frame", frame_ms(jobs), SLOWER * here_ms))
            rows.append(Row(f"8 jobs of 16 frames, workers: {workers}; per job", job_ms(jobs, 8)))
            bar = 1000 * IMAGE_S * SHARED_SLACK / workers
            rows.append(Row(f"one shared video, workers: {workers}; per frame", shared_ms(jobs), bar))
            if workers == 2:
                rows.append(Row("from a kill to the next frame", kill_ms(jobs), KILL_BAR_MS))
    return rows


@contextmanager
def queue_of(workers: int) -> Iterator[JobQueue]:
    """Open a queue with so many workers (0 = this process alone), all of which have rendered a job."""
    with tempfile.TemporaryDirectory() as folder:
        facts = own_facts("null", None, Path(folder))
        executor: Executor = local_executor(facts)
        if workers:
            setup = WorkerSetup("null", None, False, facts.output_root, "benchmarks.farm:slow_engine")
            executor = RayExecutor(RaySettings(OWN_CLUSTER, workers), setup)
        jobs = make_queue(facts, SlowEngine, executor=executor)
        try:
            wait(lambda: len(executor.workers()) == max(1, workers))
            warm = jobs.submit([{**SHORT, "max_frames": 6}] * max(1, workers))
            wait(lambda: all(jobs.job(job.id).finished for job in warm))
            yield jobs
        finally:
            jobs.close(60.0)
            jobs.store.close()


def frame_ms(jobs: JobQueue) -> float:
    """Return the time between the first and the last frame of one job, per frame."""
    (job,) = jobs.submit([JOB])
    wait(lambda: jobs.job(job.id).finished)
    return 1000 * jobs.job(job.id).seconds_per_frame


def shared_ms(jobs: JobQueue) -> float:
    """Return the time of one job whose frames all workers can render, per frame."""
    began = time.monotonic()
    (job,) = jobs.submit([SHARED])
    wait(lambda: jobs.job(job.id).finished)
    return 1000 * (time.monotonic() - began) / SHARED["max_frames"]


def job_ms(jobs: JobQueue, count: int) -> float:
    """Return the time of several jobs that are submitted at once, per job."""
    began = time.monotonic()
    several = jobs.submit([SHORT] * count)
    wait(lambda: all(jobs.job(job.id).finished for job in several))
    return 1000 * (time.monotonic() - began) / count


def kill_ms(jobs: JobQueue) -> float:
    """Return the time from the kill of a worker's process to the next frame of its job."""
    executor = jobs.runner.executor
    assert isinstance(executor, RayExecutor)
    (job,) = jobs.submit([JOB])
    wait(lambda: jobs.job(job.id).frame >= 5)
    worker = next(one for one in executor.workers() if one.job == job.id)
    began = time.monotonic()
    os.kill(executor.process_ids[worker.id], signal.SIGKILL)
    frames = jobs.job(job.id).frame
    wait(lambda: jobs.job(job.id).attempt == 2 and jobs.job(job.id).frame > frames + 1)
    found = 1000 * (time.monotonic() - began)
    wait(lambda: jobs.job(job.id).finished)
    return found


def wait(holds: Callable[[], bool]) -> None:
    """Wait until `holds()`, at most ten minutes."""
    until = time.monotonic() + 600
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError("the workers did not get there within ten minutes")
        time.sleep(0.01)
