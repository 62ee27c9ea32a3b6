"""An ffmpeg that is missing, fails or hangs: the reason is told, frames are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deforum_api.host import make_queue
from deforum_api.jobs import JobQueue
from deforum_api.record import Job
from deforum_api.store import MemoryStore
from deforum_api.submission import Limits
from deforum_helpers.engines.null import NullEngine
from deforum_helpers.options import Options
from deforum_helpers.output import video
from deforum_helpers.own_host import own_facts
from tests.faults.serving import FRAMES, SETTINGS, WAIT_S, ended


@pytest.fixture
def ffmpeg(tmp_path: Path) -> Path:
    """A program in the place of ffmpeg, which each test writes."""
    return tmp_path / "ffmpeg"


@pytest.fixture
def jobs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[JobQueue]:
    facts = own_facts("null", None, tmp_path / "outputs")
    if "ffmpeg" in request.fixturenames:
        facts = replace(facts, options=Options(deforum_ffmpeg_location=str(tmp_path / "ffmpeg")))
    queue = make_queue(facts, NullEngine, MemoryStore(), Limits(retry_after_s=(0.05,)))
    yield queue
    assert queue.close(WAIT_S)


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
