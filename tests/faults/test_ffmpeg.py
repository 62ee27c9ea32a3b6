"""An ffmpeg that is missing, fails or hangs, and a disk that is full: the reason is told, frames are kept."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deforum_api.host import make_queue, standalone_facts
from deforum_api.jobs import JobQueue
from deforum_api.record import Job
from deforum_api.store import MemoryStore
from deforum_api.submission import Limits
from deforum_helpers.engines.null import NullEngine
from deforum_helpers.options import Options
from deforum_helpers.output import disk, video
from tests.faults.serving import FRAMES, SETTINGS, WAIT_S


@pytest.fixture
def ffmpeg(tmp_path: Path) -> Path:
    """A program in the place of ffmpeg, which each test writes."""
    return tmp_path / "ffmpeg"


@pytest.fixture
def jobs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[JobQueue]:
    facts = standalone_facts("null", None, tmp_path / "outputs")
    if "ffmpeg" in request.fixturenames:
        facts = replace(facts, options=Options(deforum_ffmpeg_location=str(tmp_path / "ffmpeg")))
    queue = make_queue(facts, NullEngine, MemoryStore(), Limits(retry_after_s=(0.05,)))
    yield queue
    assert queue.close(WAIT_S)


def ended(jobs: JobQueue, job_id: str) -> Job:
    deadline = time.monotonic() + WAIT_S
    while not (job := jobs.job(job_id)).finished:
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def frames_of(job: Job) -> int:
    return len(list(Path(job.outdir or "").glob(f"{job.timestring}_[0-9]*.png")))


def test_a_missing_ffmpeg_is_told_before_a_frame_is_rendered(jobs: JobQueue, ffmpeg: Path) -> None:
    assert not ffmpeg.exists()
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert (job.status, job.error_type) == ("FAILED", "TERMINAL")
    assert "install" in (job.message or "")
    assert frames_of(job) == 0


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("cat > /dev/null; echo 'Unknown encoder' >&2; exit 1", "Unknown encoder"),
        ("exit 1", "Making the film failed"),
        ("exec sleep 1000", "Making the film failed"),
    ],
    ids=["fails at the end", "fails at once", "hangs"],
)
def test_an_ffmpeg_that_does_not_work_leaves_the_frames_and_says_why(
    jobs: JobQueue, ffmpeg: Path, script: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "FINISH_TIMEOUT_S", 0.5)
    monkeypatch.setattr(video, "WRITE_TIMEOUT_S", 0.5)
    write(ffmpeg, script)
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert (job.status, job.error_type) == ("FAILED", "TERMINAL")
    assert (job.message or "").startswith("generation error: ")
    assert words in (job.message or "")
    assert not list(Path(job.outdir or "").glob("*.mp4"))
    before = frames_of(job)
    good = video.find_ffmpeg(None)
    write(ffmpeg, f'exec "{good}" "$@"')
    monkeypatch.setattr(video, "FINISH_TIMEOUT_S", WAIT_S)
    monkeypatch.setattr(video, "WRITE_TIMEOUT_S", WAIT_S)
    jobs.resume(job.id)
    job = ended(jobs, job.id)
    assert (job.status, frames_of(job)) == ("SUCCEEDED", FRAMES), job.message
    assert before > 0 or script == "exit 1"
    assert video.count_frames(Path(job.outdir or "", f"{job.timestring}.mp4"), good) == FRAMES


@pytest.mark.parametrize("ending", ["_000000004.png", ".checkpoint"])
def test_a_full_disk_is_tried_again_and_no_frame_is_lost(
    jobs: JobQueue, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = disk.os.replace
    refused: list[str] = []

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(ending) and not refused:
            refused.append(str(target))
            raise OSError(errno.ENOSPC, "No space left on device")
        put(source, target)

    monkeypatch.setattr(disk.os, "replace", full)
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert refused
    assert (job.status, job.attempt, frames_of(job)) == ("SUCCEEDED", 2, FRAMES), job.message


def test_a_disk_that_stays_full_is_told_with_what_to_do(
    jobs: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = disk.os.replace

    def full(source: Any, target: Any) -> None:
        if str(target).endswith(".checkpoint"):
            raise OSError(errno.ENOSPC, "No space left on device")
        put(source, target)

    monkeypatch.setattr(disk.os, "replace", full)
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert (job.status, job.error_type, job.attempt) == ("FAILED", "RETRYABLE", 2)
    assert "free some space" in (job.message or "")
    assert frames_of(job) > 0
