"""An ffmpeg that is missing, fails or hangs: the reason is told, frames are kept."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.store import MemoryStore
from deforum_api.queue.submission import Limits
from deforum_helpers.core.errors import CheckpointError
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.media import ffmpeg as programs
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output import video, writer
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.settings.host_options import Options
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
        ("exit 1", "Encoding the video failed"),
        ("exec sleep 1000", "Encoding the video failed"),
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
    good = programs.find_ffmpeg(None)
    write(ffmpeg, f'exec "{good}" "$@"')
    monkeypatch.setattr(video, "FINISH_TIMEOUT_S", WAIT_S)
    monkeypatch.setattr(video, "WRITE_TIMEOUT_S", WAIT_S)
    jobs.resume(job.id)
    job = ended(jobs, job.id)
    assert (job.status, frames_of(job)) == ("SUCCEEDED", FRAMES), job.message
    assert before > 0 or script == "exit 1"
    assert count_frames(Path(job.outdir or "", f"{job.timestring}.mp4")) == FRAMES


# When ffmpeg is ended -> what the program in its place does, once.
ENDS = {
    "at its start": "kill -9 $$",
    "between two frames": "head -c 20000 > /dev/null; kill -9 $$",
    "at its end": "cat > /dev/null; kill -9 $$",
    "by a shell that tells": "cat > /dev/null; exit 137",
    "in good order": "cat > /dev/null; exit 255",
    "for want of descriptors": 'cat > /dev/null; echo "pipe:0: Too many open files" >&2; exit 232',
    "for want of memory": 'cat > /dev/null; echo "Error: Cannot allocate memory" >&2; exit 1',
}


@pytest.mark.parametrize("when", [*ENDS, "while frames are counted"])
def test_a_killed_ffmpeg_ends_no_job(jobs: JobQueue, ffmpeg: Path, when: str, tmp_path: Path) -> None:
    once, good = tmp_path / "once", programs.find_ffmpeg(None)
    arguments = "*-progress*" if when == "while frames are counted" else "*pipe:0*"
    ends = f'if [ ! -e "{once}" ]; then touch "{once}"; {ENDS.get(when, "kill -9 $$")}; fi'
    write(ffmpeg, f'case "$*" in {arguments}) {ends};; esac\nexec "{good}" "$@"')
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert once.exists()
    assert job.status == "SUCCEEDED", job.message
    assert (job.attempt, job.delays) == (2, 1)
    assert count_frames(Path(job.outdir or "", f"{job.timestring}.mp4")) == FRAMES


def test_an_ffmpeg_that_is_killed_again_and_again_may_do_later(jobs: JobQueue, ffmpeg: Path) -> None:
    write(ffmpeg, "kill -9 $$")
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert (job.status, job.error_type) == ("FAILED", "RETRYABLE")
    assert "SIGKILL" in (job.message or "")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_system_without_processes_or_descriptors_ends_no_job(
    jobs: JobQueue, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, failed = programs.subprocess.Popen, []

    def fails_once(*arguments: Any, **more: Any) -> Any:
        if not failed:
            failed.append(1)
            raise OSError(number, os.strerror(number))
        return start(*arguments, **more)

    (job,) = jobs.submit([SETTINGS])
    monkeypatch.setattr(programs.subprocess, "Popen", fails_once)
    job = ended(jobs, job.id)
    assert job.status == "SUCCEEDED", job.message
    assert job.delays == len(failed) == 1


@pytest.mark.parametrize("place", ["_write_files", "_feed_earlier_frames", "write", "finish"])
def test_descriptors_that_run_out_anywhere_end_no_job(
    jobs: JobQueue, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of ours met it, told as its own error or not at all."""
    whole, failed = getattr(writer.RunWriter, place), []

    def fails_once(*arguments: Any) -> Any:
        if not failed:
            failed.append(1)
            try:
                raise OSError(errno.EMFILE, "Too many open files")
            except OSError:
                raise CheckpointError("The run is damaged.") from None
        return whole(*arguments)

    monkeypatch.setattr(writer.RunWriter, place, fails_once)
    (job,) = jobs.submit([SETTINGS])
    job = ended(jobs, job.id)
    assert job.status == "SUCCEEDED", job.message
    assert job.delays == len(failed) == 1
