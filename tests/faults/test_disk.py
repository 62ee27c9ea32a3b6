"""A disk that runs full: the job says so before it happens, or when it does, and keeps its frames."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore
from deforum_api.queue.store import JobStore, MemoryStore
from deforum_api.queue.submission import Limits
from deforum_helpers.core.files import atomic
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.writer import RESUME_STATE_IMAGES
from deforum_helpers.pipeline.host_facts import own_facts
from tests.faults.serving import FRAMES, SETTINGS, WAIT_S, FaultyEngine, ended
from tests.faults.small_disk import fill, small_disk

Make = Callable[..., JobQueue]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes queues whose engine calls `before` with the number of each image."""
    queues: list[JobQueue] = []

    def queue(
        root: Path | None = None,
        before: Callable[[int, Any], None] = lambda *_: None,
        store: JobStore | None = None,
        retries: tuple[float, ...] = (0.05,),
        **facts: Any,
    ) -> JobQueue:
        host = replace(own_facts("null", None, root or tmp_path / "outputs"), **facts)
        engine = FaultyEngine(NullEngine(), before)
        queues.append(make_queue(host, lambda: engine, store or MemoryStore(), Limits(retry_after_s=retries)))
        return queues[-1]

    yield queue
    for each in queues:
        assert each.close(WAIT_S)
        each.store.close()


def frames_of(job: Job) -> list[Path]:
    return sorted(Path(job.outdir or "").glob(f"{job.timestring}_[0-9]*.png"))


def check_whole(job: Job) -> None:
    """All frames are there and can be read, and the video has all of them."""
    assert job.status == "SUCCEEDED", job.message
    assert len([read_frame(path) for path in frames_of(job)]) == FRAMES
    video = Path(job.outdir or "", f"{job.timestring}.mp4")
    assert count_frames(video) == FRAMES
    assert not [path for path in video.parent.iterdir() if path.name.endswith(".part")]


class TestSimulated:
    """What the operating system says is said in its place; runs everywhere."""

    @pytest.mark.parametrize("ending", ["_000000004.png", ".checkpoint"])
    def test_a_full_disk_is_tried_again_and_no_frame_is_lost(
        self, make: Make, ending: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put = os.replace
        refused: list[str] = []

        def full(source: Any, target: Any, **folders: Any) -> None:
            if str(target).endswith(ending) and not refused:
                refused.append(str(target))
                raise OSError(errno.ENOSPC, "No space left on device")
            put(source, target, **folders)

        monkeypatch.setattr(os, "replace", full)
        jobs = make()
        (job,) = jobs.submit([SETTINGS])
        job = ended(jobs, job.id)
        assert refused
        assert job.attempt == 2
        check_whole(job)

    def test_a_disk_that_stays_full_is_told_with_what_to_do(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put = os.replace

        def full(source: Any, target: Any, **folders: Any) -> None:
            if str(target).endswith(".checkpoint"):
                raise OSError(errno.ENOSPC, "No space left on device")
            put(source, target, **folders)

        monkeypatch.setattr(os, "replace", full)
        jobs = make()
        (job,) = jobs.submit([SETTINGS])
        job = ended(jobs, job.id)
        assert (job.status, job.error_type, job.attempt) == ("FAILED", "RETRYABLE", 2)
        assert "free some space" in (job.message or "")
        assert frames_of(job)

    def test_the_job_stops_before_the_disk_is_full_and_goes_on_when_it_is_not(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = [10**12]
        generated: list[int] = []

        def before(number: int, cancel: Any) -> None:
            generated.append(number)
            if number == 2:
                free[0] = atomic.SPARE_BYTES + 1000

        usage = shutil.disk_usage
        monkeypatch.setattr(
            atomic.shutil, "disk_usage", lambda path: SimpleNamespace(free=min(usage(path).free, free[0]))
        )
        jobs = make(before=before, retries=())
        (job,) = jobs.submit([SETTINGS])
        job = ended(jobs, job.id)
        assert (job.status, job.error_type) == ("FAILED", "RETRYABLE")
        assert "has only 67 MB left" in (job.message or "")
        assert "ree some space and resume" in (job.message or "")
        assert generated == [1, 2], "nothing is generated in vain"
        assert len(frames_of(job)) == 6, "what was generated is kept"
        free[0] = 10**12
        jobs.resume(job.id)
        check_whole(ended(jobs, job.id))
        assert generated == [1, 2, 3, 4]

    def test_frames_that_wait_in_memory_need_their_room_too(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []
        monkeypatch.setattr(
            "deforum_helpers.output.writer.require_space", lambda folder, needed: asked.append(needed)
        )
        jobs = make()
        (job,) = jobs.submit([{**SETTINGS, "store_frames_in_ram": True}])
        check_whole(ended(jobs, job.id))
        image_bytes = SETTINGS["W"] * SETTINGS["H"] * 3
        assert asked == [image_bytes * (3 + RESUME_STATE_IMAGES + extra) for extra in (0, 3, 4)]

    def test_a_video_whose_last_frame_is_generated_is_finished_all_the_same(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(atomic.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
        jobs = make(free_disk=lambda folder: 10**12)
        (job,) = jobs.submit([{**SETTINGS, "max_frames": 2}])
        assert ended(jobs, job.id).status == "SUCCEEDED"

    def test_a_disk_that_is_too_small_by_the_jobs_turn_is_no_fault_of_its_settings(self, make: Make) -> None:
        free = [10**12]
        jobs = make(free_disk=lambda folder: free[0], before=lambda *_: free.__setitem__(0, 0))
        first, second = jobs.submit([SETTINGS, {**SETTINGS, "batch_name": "second"}])
        assert ended(jobs, first.id).status == "SUCCEEDED"
        job = ended(jobs, second.id)
        assert (job.status, job.error_type, job.attempt) == ("FAILED", "RETRYABLE", 2)
        assert "free some space" in (job.message or "")
        free[0] = 10**12
        jobs.resume(second.id)
        assert ended(jobs, second.id).status == "SUCCEEDED"

    def test_what_a_job_has_written_is_not_asked_for_twice(self, make: Make) -> None:
        settings = {**SETTINGS, "W": 256, "H": 256}
        free = [10**12]

        def before(number: int, cancel: Any) -> None:
            if number == 3:
                free[0] = 2_500_000 - sum(path.stat().st_size for path in Path(outputs).rglob("*.png"))
                raise atomic.DiskFull("The disk is full.")

        jobs = make(before=before, free_disk=lambda folder: free[0])
        outputs = jobs.check(settings, None).output_root
        needed = jobs.check(settings, None).summary["disk_bytes"]
        assert needed > 800_000
        (job,) = jobs.submit([settings])
        job = ended(jobs, job.id)
        assert free[0] < needed + 2_500_000
        assert (job.status, job.attempt) == ("SUCCEEDED", 2), job.message


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 8) as folder:
        yield folder


# Each frame is about 200 kB.
LARGE = {**SETTINGS, "W": 256, "H": 256, "noise_schedule": "0: (1.0)"}


class TestReal:
    """A disk of 8 MB, filled by a file of somebody else."""

    def fills(self, outputs: Path, leave_bytes: int) -> Callable[[int, Any], None]:
        """Fill the disk while the second image is generated, when all of the first step is written."""

        def before(number: int, cancel: Any) -> None:
            deadline = time.monotonic() + WAIT_S
            while number == 2 and not list(outputs.rglob("*.checkpoint")):
                assert time.monotonic() < deadline
                time.sleep(0.005)
            if number == 2:
                fill(outputs, leave_bytes)

        return before

    def test_it_stops_before_a_frame_is_half_written(
        self, make: Make, outputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(atomic, "SPARE_BYTES", 2**18)
        store = SqliteStore(outputs / FILE_NAME)
        jobs = make(outputs, self.fills(outputs, 1_300_000), store, retries=())
        (job,) = jobs.submit([LARGE])
        job = ended(jobs, job.id)
        assert (job.status, job.error_type) == ("FAILED", "RETRYABLE"), job.message
        assert "MB left, too little to continue" in (job.message or "")
        assert len(frames_of(job)) == 6
        (outputs / "ballast").unlink()
        jobs.resume(job.id)
        check_whole(ended(jobs, job.id))

    def test_a_frame_that_does_not_fit_any_more(
        self, make: Make, outputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deforum_helpers.output.writer.require_space", lambda *_: None)
        jobs = make(outputs, self.fills(outputs, 300_000), retries=())
        (job,) = jobs.submit([LARGE])
        job = ended(jobs, job.id)
        assert (job.status, job.error_type) == ("FAILED", "RETRYABLE"), job.message
        assert "disk is full" in (job.message or "")
        frames = frames_of(job)
        assert len(frames) >= 3
        assert all(np.any(read_frame(path)) for path in frames), "each is whole"
        (outputs / "ballast").unlink()
        jobs.resume(job.id)
        check_whole(ended(jobs, job.id))

    def test_a_video_that_does_not_fit(
        self, make: Make, outputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from deforum_helpers.output.writer import RunWriter

        finish_video = RunWriter._finish_video

        def filled(writer: RunWriter) -> Path | None:
            if not (outputs / "ballast").exists():
                fill(outputs, 0)
            return finish_video(writer)

        monkeypatch.setattr(RunWriter, "_finish_video", filled)
        monkeypatch.setattr(atomic, "SPARE_BYTES", 0)
        jobs = make(outputs, retries=())
        (job,) = jobs.submit([LARGE])
        job = ended(jobs, job.id)
        assert (job.status, job.error_type) == ("FAILED", "RETRYABLE"), job.message
        assert "disk is full" in (job.message or "")
        assert len(frames_of(job)) == FRAMES
        assert not list(outputs.rglob("*.mp4"))
        (outputs / "ballast").unlink()
        (outputs / "ballast").mkdir()
        jobs.resume(job.id)
        check_whole(ended(jobs, job.id))

    def test_a_database_that_cannot_grow(self, make: Make, outputs: Path) -> None:
        store = SqliteStore(outputs / FILE_NAME)
        jobs = make(outputs, store=store)
        (job,) = jobs.submit([{**SETTINGS, "max_frames": 1}])
        ended(jobs, job.id)
        fill(outputs, 0)
        long = [{**SETTINGS, "max_frames": 1, "prompts": {"0": "x" * 60_000}}] * 10
        with pytest.raises(StoreUnavailable, match="disk is full"):
            jobs.runner._records.store.add(
                tuple(
                    replace(job, id=f"batch(1)-{n}", order=n + 5, settings_json=str(long)) for n in range(10)
                )
            )
        assert jobs.job(job.id).status == "SUCCEEDED", "what is there is still told"
        (outputs / "ballast").unlink()
        (later,) = jobs.submit([{**SETTINGS, "max_frames": 1, "batch_name": "later"}])
        assert ended(jobs, later.id).status == "SUCCEEDED"
        with closing(sqlite3.connect(outputs / FILE_NAME)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_a_job_that_ends_while_the_database_cannot_grow_is_recorded_when_it_can(
        self, make: Make, outputs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(atomic, "SPARE_BYTES", 0)
        from deforum_helpers.output.writer import RunWriter

        finish, full = RunWriter.finish, threading.Event()

        def filled(writer: RunWriter, report: Callable[[float], None]) -> Path | None:
            made = finish(writer, lambda share: None)
            fill(outputs, 0)
            full.set()
            return made

        monkeypatch.setattr(RunWriter, "finish", filled)
        store = SqliteStore(outputs / FILE_NAME)
        store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        jobs = make(outputs, store=store)
        (job,) = jobs.submit([SETTINGS])
        assert full.wait(WAIT_S)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and not jobs.job(job.id).finished:
            time.sleep(0.02)
        (outputs / "ballast").unlink()
        check_whole(ended(jobs, job.id))
