"""The queue as the tab sees it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_renderer import WAIT_S, Renderer, strict_queue

from deforum_api.queue.jobs import JobQueue
from deforum_api.tab.service import OptionsFile, QueueService, has_desktop
from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.settings.host_options import Options
from deforum_helpers.ui.service import JobView


@pytest.fixture
def service(jobs: JobQueue, renderer: Renderer) -> QueueService:
    return QueueService(jobs, own_facts("null", None, renderer.root))


@pytest.fixture
def strict(renderer: Renderer) -> Iterator[QueueService]:
    queue = strict_queue(renderer)
    yield QueueService(queue, own_facts("null", None, renderer.root))
    assert queue.close(WAIT_S)


def test_facts_are_found_anew_where_they_change(jobs: JobQueue, renderer: Renderer) -> None:
    first = own_facts("null", None, renderer.root)
    other = own_facts("demo", None, renderer.root)
    assert QueueService(jobs, first).facts_now() == first
    assert QueueService(jobs, first, look=lambda: other).facts_now() == other


def until(service: QueueService, job_id: str, wanted: Callable[[JobView], bool]) -> JobView:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        job = service.job(job_id)
        if wanted(job):
            return job
        time.sleep(0.002)
    raise AssertionError(f"{job_id} never got there: {job}")


def started(service: QueueService, **settings: Any) -> str:
    (job_id,) = service.submit([settings])
    until(service, job_id, lambda job: job.state == "running")
    return job_id


def test_a_job_goes_from_queued_to_done_with_its_files(service: QueueService, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(service, batch_name="first")
    (second,) = service.submit([{"batch_name": "second"}])
    waiting = service.job(second)
    assert (waiting.state, waiting.position, waiting.title) == ("queued", 0, "second")
    assert [job.id for job in service.jobs(10)] == [second, first]
    renderer.gate.set()
    done = until(service, second, lambda job: job.state == "done")
    assert (done.frame, done.max_frames, done.position) == (4, 4, None)
    assert done.folder == renderer.root / "img2img-images" / "second"
    files = service.files(second)
    assert files["video"].name == "20260102030405.mp4"
    assert set(files) == {"video", "gif", "subtitles", "settings"}
    for name in (
        "20260102030405_preview.mp4",
        "20260102030405_Upscaled_x2.mp4",
        "20260102030405_RIFE_x3.mp4",
    ):
        (done.folder / name).write_bytes(b"video")
    assert set(service.files(second)) >= {"preview_video", "upscaled_video", "interpolated_video"}
    newest = service.newest_frame(second)
    assert newest
    assert newest.name == "20260102030405_000000003.png"


def test_a_job_without_files_has_none(service: QueueService, renderer: Renderer) -> None:
    renderer.gate.clear()
    first = started(service, batch_name="first")
    assert service.newest_frame(first) is None
    assert "video" not in service.files(first)


def test_a_failed_job_says_why(service: QueueService, renderer: Renderer) -> None:
    renderer.plans["bad"] = RuntimeError("boom")
    (job_id,) = service.submit([{"batch_name": "bad"}])
    failed = until(service, job_id, lambda job: job.state == "failed")
    assert "RuntimeError" in failed.message
    renderer.plans.clear()
    service.resume(job_id)
    until(service, job_id, lambda job: job.state == "done")


def test_pause_and_resume(service: QueueService, renderer: Renderer) -> None:
    renderer.gate.clear()
    job_id = started(service)
    service.pause(job_id)
    until(service, job_id, lambda job: job.state == "paused")
    renderer.gate.set()
    service.resume(job_id)
    until(service, job_id, lambda job: job.state == "done")


def test_cancel_and_forget(service: QueueService, renderer: Renderer) -> None:
    renderer.gate.clear()
    job_id = started(service)
    service.cancel(job_id)
    until(service, job_id, lambda job: job.state == "cancelled")
    service.forget(job_id)
    assert service.jobs(10) == ()
    with pytest.raises(DeforumError, match="There is no job"):
        service.job(job_id)


def test_finished_jobs_are_listed_up_to_the_limit_and_others_always(
    service: QueueService, renderer: Renderer
) -> None:
    done = [service.submit([{}])[0] for _ in range(4)]
    until(service, done[-1], lambda job: job.state == "done")
    renderer.gate.clear()
    running = started(service)
    (waiting,) = service.submit([{}])
    assert [job.id for job in service.jobs(2)] == [waiting, running, done[3], done[2]]


def test_the_settings_of_a_job_come_back_as_they_were(service: QueueService) -> None:
    (job_id,) = service.submit([{"batch_name": "x", "unknown": 1}])
    assert service.settings(job_id) == {"batch_name": "x", "unknown": 1}


def test_what_is_wrong_is_told_setting_by_setting(strict: QueueService) -> None:
    with pytest.raises(SettingsError) as caught:
        strict.submit([{"W": 512}, {"W": 1}])
    (problem,) = caught.value.problems
    assert (problem.setting, problem.found) == ("W", "1")
    assert problem.message.startswith("Job 2: W is 1")


def test_the_expected_time_is_that_of_the_last_jobs(strict: QueueService) -> None:
    settings = {"max_frames": 4, "W": 64, "H": 64, "seed": 1}
    prepared = strict.check(settings)
    assert strict.expected_seconds(prepared) is None
    (job_id,) = strict.submit([settings])
    until(strict, job_id, lambda job: job.state == "done")
    seconds = strict.expected_seconds(prepared)
    assert seconds is not None
    twice = strict.expected_seconds(strict.check({**settings, "W": 128}))
    assert twice == pytest.approx(2 * seconds)
    assert strict.expected_seconds(strict.check({**settings, "motion_preview_mode": True})) is None


def test_old_jobs_are_not_prepared_again_to_guess_a_duration(
    strict: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_frames": 4, "W": 64, "H": 64, "seed": 1}
    prepared = strict.check(settings)
    (job_id,) = strict.submit([settings])
    until(strict, job_id, lambda job: job.state == "done")
    monkeypatch.setattr(strict._queue, "check", lambda *_, **__: pytest.fail("it was prepared again"))
    assert strict.expected_seconds(prepared) is not None


def test_a_job_of_a_version_that_did_not_record_its_work_says_nothing(
    strict: QueueService,
) -> None:
    (job_id,) = strict.submit([{"max_frames": 4, "W": 64, "H": 64, "seed": 1}])
    until(strict, job_id, lambda job: job.state == "done")
    job = strict._queue.job(job_id)
    assert job.work > 0
    strict._queue.store.swap(job, replace(job, work=0.0, updates=job.updates + 1))
    assert strict.expected_seconds(strict.check({})) is None


def test_runs_that_stopped_are_found_and_finished_ones_are_not(
    service: QueueService, renderer: Renderer
) -> None:
    folder = renderer.root / "img2img-images" / "dream"
    folder.mkdir(parents=True)
    for timestring, frames in (("20260101000000", 2), ("20260102000000", 3), ("20260103000000", 0)):
        earlier = timestring == "20260101000000"  # a version without the dot
        (folder / f"{'' if earlier else '.'}{timestring}.checkpoint").write_bytes(b"x")
        (folder / f"{timestring}_settings.txt").write_text(json.dumps({"max_frames": 3}))
        for frame in range(frames):
            (folder / f"{timestring}_{frame:09d}.png").touch()
    (folder / "20260104000000.checkpoint").write_bytes(b"x")  # nothing tells how to go on
    found = service.resumable_runs()
    assert [(run.timestring, run.folder, run.frames) for run in found] == [
        ("20260103000000", "dream", 0),
        ("20260101000000", "dream", 2),
    ]
    assert found[1].settings == Path(folder, "20260101000000_settings.txt")


def test_a_run_goes_on_at_its_first_missing_frame_with_and_without_a_checkpoint(
    service: QueueService, renderer: Renderer
) -> None:
    folder = renderer.root / "img2img-images" / "dream"
    folder.mkdir(parents=True)
    for timestring, frames in (
        ("20260101000000", (0, 1, 3)),
        ("20260102000000", (0,)),
        ("20260103000000", ()),
    ):
        (folder / f"{timestring}_settings.txt").write_text(json.dumps({"max_frames": 4}))
        for frame in frames:
            (folder / f"{timestring}_{frame:09d}.png").touch()
    (folder / "notes_settings.txt").write_text("{}")
    found = service.resumable_runs()
    assert [(run.timestring, run.frames) for run in found] == [("20260102000000", 1), ("20260101000000", 2)]


def test_options_hold_for_jobs_of_the_tab_and_after_a_restart(renderer: Renderer) -> None:
    queue = strict_queue(renderer)
    facts = own_facts("null", None, renderer.root)
    service = QueueService(queue, facts, keeps_options=True)
    assert service.options() == Options()
    service.set_options({"deforum_ffmpeg_crf": 30, "deforum_save_gen_info_as_srt_params": ["Zoom"]})
    assert service.check({}).options.deforum_ffmpeg_crf == 30
    again = QueueService(queue, facts, keeps_options=True)
    assert again.options().deforum_save_gen_info_as_srt_params == ("Zoom",)
    (job_id,) = again.submit([{"max_frames": 2}])
    assert json.loads(queue.job(job_id).overrides_json)["deforum_ffmpeg_crf"] == 30
    with pytest.raises(SettingsError, match="deforum_ffmpeg_crf"):
        again.set_options({"deforum_ffmpeg_crf": 99})
    assert QueueService(queue, facts).options() == Options()
    assert queue.close(WAIT_S)


@pytest.mark.parametrize("content", ["{", "[]", '{"deforum_ffmpeg_crf": 99}', '{"odd": 1}', "7"])
def test_a_broken_file_of_options_is_left_alone(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "deforum_options.json"
    file.write_text(content)
    assert OptionsFile(file).read(Options()) == {}
    assert "is not used" in caplog.text
    assert file.read_text() == content


def test_a_folder_is_shown_where_there_is_a_desktop(
    jobs: JobQueue, renderer: Renderer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    browser = tmp_path / "xdg-open"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {shown}.part && mv {shown}.part {shown}\n')
    browser.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert not has_desktop()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_desktop()
    facts = own_facts("null", None, renderer.root)
    service = QueueService(jobs, facts, opens_folders=True)
    (job_id,) = service.submit([{"batch_name": "x"}])
    folder = until(service, job_id, lambda job: job.state == "done").folder
    service.open_folder(job_id)
    deadline = time.monotonic() + WAIT_S
    while not shown.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert shown.read_text() == str(folder)
    with pytest.raises(DeforumError, match="cannot be opened"):
        QueueService(jobs, facts).open_folder(job_id)
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(DeforumError, match="no desktop"):
        service.open_folder(job_id)


def test_a_folder_is_listed_once_a_second_at_most_while_a_job_runs(
    service: QueueService, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    monkeypatch.setattr("deforum_api.tab.service.outputs", lambda job: listed.append(job.id) or [])
    clock = [100.0]
    monkeypatch.setattr("deforum_api.tab.service.time.monotonic", lambda: clock[0])
    renderer.gate.clear()
    (first,) = service.submit([{"batch_name": "first"}])
    for _ in range(5):
        service.newest_frame(first)
        service.files(first)
    assert len(listed) <= 2  # once more where the job got its folder meanwhile
    renderer.gate.set()


def test_a_finished_job_is_listed_anew_when_its_folder_changes(
    service: QueueService, renderer: Renderer
) -> None:
    (job_id,) = service.submit([{"batch_name": "first"}])
    done = until(service, job_id, lambda job: job.state == "done")
    assert done.folder
    before = service.newest_frame(job_id)
    assert "upscaled_video" not in service.files(job_id)
    (done.folder / "20260102030405_Upscaled_x2.mp4").write_bytes(b"video")
    assert "upscaled_video" in service.files(job_id)
    assert before
    before.unlink()
    assert service.newest_frame(job_id) != before


def test_options_that_nobody_has_changed_are_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert OptionsFile(tmp_path / "new" / "options.json").read(Options()) == {}
    assert not caplog.records
