"""Workers of a Ray cluster: where jobs run, what happens when workers, nodes and the cluster are lost.

One cluster and its workers serve all tests of this module, as they take long to start.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deforum_api.queue.executors import LOCAL_WORKER
from deforum_api.queue.record import Job
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from tests.faults.farm import (
    FRAMES,
    VIDEO_SETTINGS,
    Farm,
    Site,
    check_video,
    frames_of,
    gate,
    open_site,
    site,
)

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray"),
    pytest.mark.skipif(sys.platform != "linux", reason="Ray clusters of several nodes are for Linux"),
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(900),  # the first test starts the cluster, for minutes on a machine with other work
    # Ray's own handling of files and processes.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    before = dict(os.environ)
    made = Farm(Path(tmp_path_factory.mktemp("farm")), head_cpus=2)
    made.add_node()
    yield made
    made.close()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def shared(farm: Farm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(Path(tmp_path_factory.mktemp("shared")), farm.address, workers=2) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(shared: Site) -> Job:
    """A job that waits for the first workers; as frames depend on settings alone, others are compared with it."""
    (job_id,) = shared.submit({"batch_name": "undisturbed"})
    job = shared.ended(job_id)
    assert (job.status, job.attempt) == ("SUCCEEDED", 1)
    assert len(frames_of(job)) == FRAMES
    return job


@pytest.fixture(scope="module", params=["local", "ray"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A queue on each kind of executor."""
    if request.param == "ray":
        yield request.getfixturevalue("shared")
        return
    with open_site(Path(tmp_path_factory.mktemp("local"))) as made:
        yield made


def test_jobs_go_to_all_workers_and_go_on_elsewhere_when_one_is_killed(
    shared: Site, undisturbed: Job
) -> None:
    shared.wait_for_workers(2)
    with gate(5):
        killed, beside = shared.submit({"batch_name": "killed"}, {"batch_name": "beside"})
        for job_id in (killed, beside):
            shared.until(job_id, lambda job: job.frame == 5)
        assert shared.worker_of(killed).id != shared.worker_of(beside).id
        shared.kill_worker_of(killed)
        again = shared.until(killed, lambda job: job.attempt == 2)
        assert again.interruptions == 1
    check_video(shared.ended(killed), undisturbed)
    check_video(shared.ended(beside), undisturbed)
    assert shared.queue.job(beside).attempt == 1


def test_every_executor_renders_pauses_resumes_and_cancels_alike(either: Site, undisturbed: Job) -> None:
    with gate(3):
        (paused,) = either.submit({"batch_name": "paused"})
        either.until(paused, lambda job: job.frame == 3)
        either.queue.pause(paused)
    job = either.until(paused, lambda job: job.phase == "QUEUED")
    assert (job.held, job.attempt) == (True, 1)
    assert 3 <= job.frame < FRAMES
    with gate(4):
        (cancelled,) = either.submit({"batch_name": "cancelled"})
        either.until(cancelled, lambda job: job.frame == 4)
        either.queue.cancel(cancelled)
        job = either.ended(cancelled)
    assert (job.status, job.frame) == ("CANCELLED", 4)
    assert Path(str(job.outdir), f"{job.timestring}.mp4").exists()
    either.queue.resume(paused)
    check_video(either.ended(paused), undisturbed)


def test_every_executor_drains_its_workers(either: Site) -> None:
    states = {"idle", "busy"}
    for worker in either.executor.workers():
        assert worker.state in states | {"lost"}
        either.executor.drain(worker.id)
    (job_id,) = either.submit({"batch_name": "drained", "max_frames": 2})
    time.sleep(1.5)  # the watch has looked for work meanwhile
    assert either.queue.job(job_id).phase == "QUEUED"
    assert not {worker.state for worker in either.executor.workers()} & states
    for worker in either.executor.workers():
        either.executor.undrain(worker.id)
    assert either.ended(job_id).status == "SUCCEEDED"


def test_idle_workers_share_a_video_whose_frames_stand_alone(
    shared: Site, farm: Farm, tmp_path: Path
) -> None:
    shared.wait_for_workers(2)
    for note in farm.notes.iterdir():
        note.unlink()
    alone = {**VIDEO_SETTINGS, "animation_mode": "Interpolation", "batch_name": "shared"}
    (job_id,) = shared.submit(alone)
    job = shared.ended(job_id)
    assert len(list(farm.notes.iterdir())) == 2
    one = run_job(
        prepare(alone, own_facts("null", None, tmp_path)), NullEngine(), CancelToken(), lambda progress: None
    )
    check_video(job, replace(job, outdir=str(one.outdir), timestring=one.timestring))


def test_a_job_goes_on_when_its_node_is_lost(shared: Site, farm: Farm, undisturbed: Job) -> None:
    shared.wait_for_workers(2)
    with gate(3):
        ids = shared.submit({"batch_name": "left"}, {"batch_name": "right"})
        for job_id in ids:
            shared.until(job_id, lambda job: job.frame == 3)
        farm.kill_node()
        shared.until_any(ids, lambda job: job.attempt == 2)
    for job_id in ids:
        check_video(shared.ended(job_id), undisturbed)
    farm.add_node()


def test_a_worker_that_does_not_see_the_output_folder_sends_the_same_files(
    farm: Farm, undisturbed: Job, tmp_path: Path
) -> None:
    with site(tmp_path, farm.address, files="streamed", workers=1) as apart:
        with gate(5):
            (job_id,) = apart.submit({"batch_name": "undisturbed"})
            apart.until(job_id, lambda job: job.frame == 5)
            apart.kill_worker_of(job_id)
        job = apart.ended(job_id)
        assert job.attempt == 2
        check_video(job, undisturbed)
        assert Path(str(job.outdir)).is_relative_to(tmp_path)
        for frame, same in zip(frames_of(job), frames_of(undisturbed), strict=True):
            assert frame.read_bytes() == same.read_bytes()


def test_a_worker_with_another_version_is_refused_and_jobs_wait(farm: Farm, tmp_path: Path) -> None:
    with site(tmp_path, farm.address, workers=1, expected={"numpy": "0.1"}) as refusing:
        (job_id,) = refusing.submit({})
        while not (lacks := refusing.executor.lacks()) or not any("numpy" in text for text in lacks):
            assert not refusing.queue.job(job_id).finished
        assert refusing.executor.workers() == ()
        refusing.queue.cancel(job_id)


def test_without_a_cluster_the_jobs_wait_or_are_rendered_here(tmp_path: Path, undisturbed: Job) -> None:
    with site(tmp_path, "127.0.0.1:1", fallback=True) as alone:
        (job_id,) = alone.submit({"batch_name": "here"})
        assert not alone.queue.job(job_id).finished
        check_video(alone.ended(job_id), undisturbed)
        assert getattr(alone.executor.lacks()[-1], "code", "") == "ray_renders_here"


def test_a_server_goes_on_by_itself_when_the_head_node_is_lost(
    farm: Farm, undisturbed: Job, tmp_path: Path
) -> None:
    """The last test, as it ends the cluster."""
    with site(tmp_path, farm.address, workers=1, fallback=True) as left:
        with gate(3):
            (job_id,) = left.submit({"batch_name": "left"})
            left.until(job_id, lambda job: job.frame == 3)
            assert left.worker_of(job_id).id != LOCAL_WORKER
            farm.kill_head()
            left.until(job_id, lambda job: job.attempt == 2)
        check_video(left.ended(job_id), undisturbed)
        codes = [getattr(text, "code", "") for text in left.executor.lacks()]
        assert codes[-1] == "ray_renders_here"
        working = [worker.id for worker in left.executor.workers() if worker.state != "lost"]
        assert working == [LOCAL_WORKER]
