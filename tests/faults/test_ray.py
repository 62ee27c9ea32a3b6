"""Workers of a Ray cluster: where jobs run, what happens when workers, nodes and the cluster are lost.

One cluster and its workers serve all tests of this module, as they take long to start.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deforum_api.queue.record import Job
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from tests.faults.farm import FILM, FRAMES, Farm, Site, check_film, frames_of, site

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the package ray"),
    pytest.mark.skipif(sys.platform != "linux", reason="Ray clusters of several nodes are for Linux"),
    pytest.mark.xdist_group("ray"),
    # Ray's own handling of files and processes.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    before = dict(os.environ)
    made = Farm()
    made.add_node()
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


def test_jobs_go_to_all_workers_and_go_on_elsewhere_when_one_is_killed(
    shared: Site, undisturbed: Job
) -> None:
    shared.wait_for_workers(2)
    killed, beside = shared.submit({"batch_name": "killed"}, {"batch_name": "beside"})
    shared.until(killed, lambda job: job.frame >= 5)
    shared.until(beside, lambda job: job.frame >= 1)
    assert shared.worker_of(killed).id != shared.worker_of(beside).id
    shared.kill_worker_of(killed)
    again = shared.until(killed, lambda job: job.attempt == 2)
    assert again.interruptions == 1
    check_film(shared.ended(killed), undisturbed)
    check_film(shared.ended(beside), undisturbed)
    assert shared.queue.job(beside).attempt == 1


def test_a_job_is_paused_resumed_and_cancelled_on_a_worker(shared: Site, undisturbed: Job) -> None:
    paused, cancelled = shared.submit({"batch_name": "paused"}, {"batch_name": "cancelled"})
    shared.until(paused, lambda job: job.frame >= 2)
    shared.queue.pause(paused)
    job = shared.until(paused, lambda job: job.phase == "QUEUED")
    assert (job.held, job.attempt) == (True, 1)
    assert job.frame < FRAMES
    shared.until(cancelled, lambda job: job.frame >= 3)
    shared.queue.cancel(cancelled)
    job = shared.ended(cancelled)
    assert job.status == "CANCELLED"
    assert Path(str(job.outdir), f"{job.timestring}.mp4").exists()
    shared.queue.resume(paused)
    check_film(shared.ended(paused), undisturbed)


def test_idle_workers_share_a_video_whose_frames_stand_alone(
    shared: Site, farm: Farm, tmp_path: Path
) -> None:
    shared.wait_for_workers(2)
    for note in farm.notes.iterdir():
        note.unlink()
    alone = {**FILM, "animation_mode": "Interpolation", "batch_name": "shared"}
    (job_id,) = shared.submit(alone)
    job = shared.ended(job_id)
    assert len(list(farm.notes.iterdir())) == 2
    one = run_job(
        prepare(alone, own_facts("null", None, tmp_path)), NullEngine(), CancelToken(), lambda progress: None
    )
    check_film(job, replace(job, outdir=str(one.outdir), timestring=one.timestring))


def test_a_job_goes_on_when_its_node_is_lost(shared: Site, farm: Farm, undisturbed: Job) -> None:
    shared.wait_for_workers(2)
    ids = shared.submit({"batch_name": "left"}, {"batch_name": "right"})
    for job_id in ids:
        shared.until(job_id, lambda job: job.frame >= 3)
    farm.kill_node()
    for job_id in ids:
        check_film(shared.ended(job_id), undisturbed)
    farm.add_node()


def test_a_worker_that_does_not_see_the_output_folder_sends_the_same_files(
    farm: Farm, undisturbed: Job, tmp_path: Path
) -> None:
    with site(tmp_path, farm.address, files="streamed", workers=1) as apart:
        (job_id,) = apart.submit({"batch_name": "undisturbed"})
        apart.until(job_id, lambda job: job.frame >= 5)
        apart.kill_worker_of(job_id)
        job = apart.ended(job_id)
        assert job.attempt == 2
        check_film(job, undisturbed)
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
        check_film(alone.ended(job_id), undisturbed)
        assert getattr(alone.executor.lacks()[-1], "code", "") == "ray_renders_here"
