"""Settings files from the command line go through the same queue."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deforum_api.hosts.run_now import run_files, settings_files
from deforum_api.queue.jobs import JobQueue
from deforum_helpers.core.errors import ModelError
from tests.api.fake_renderer import WAIT_S, Renderer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text(json.dumps({"batch_name": path.stem, "max_frames": 4}))
    return [str(path) for path in paths]


def test_the_files_are_one_batch_and_their_videos_are_named(
    jobs: JobQueue, renderer: Renderer, files: list[str]
) -> None:
    out = io.StringIO()
    assert run_files(jobs, files, out)
    (ids,) = jobs.store.batches().values()
    assert len(ids) == 2
    folder = renderer.root / "img2img-images"
    assert [line for line in out.getvalue().splitlines() if line.startswith("Video: ")] == [
        f"Video: {folder / name / '20260102030405.mp4'}" for name in "ab"
    ]


def test_a_comma_in_the_name_of_a_file_parts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("run, take 2.txt", "a.txt", "a.txt,b.txt", "c"):
        (tmp_path / name).touch()
    assert settings_files("run, take 2.txt") == ["run, take 2.txt"]
    assert settings_files(" a.txt, run, take 2.txt ,c,") == ["a.txt", "run, take 2.txt", "c"]
    assert settings_files("a.txt,b.txt") == ["a.txt,b.txt"]
    assert settings_files("a.txt, none.txt,~nobody/x,\0") == ["a.txt", "none.txt", "~nobody/x", "\0"]
    assert settings_files(" , ") == []


def test_a_failed_job_is_told_and_the_others_still_run(
    jobs: JobQueue, renderer: Renderer, files: list[str]
) -> None:
    renderer.plans["a"] = ModelError("The model is broken.")
    out = io.StringIO()
    assert not run_files(jobs, files, out)
    assert "FAILED: generation error: The model is broken." in out.getvalue()
    assert out.getvalue().count("Video: ") == 1


def test_a_terminal_gets_one_line_that_is_drawn_over(jobs: JobQueue, files: list[str]) -> None:
    out = Terminal()
    assert run_files(jobs, files[:1], out)
    progress_line = out.getvalue().split("\n")[0]
    assert progress_line.startswith("\ra.txt [")
    assert " frame " in progress_line


@pytest.mark.parametrize("content", ['{"max_frames": "x"}', "{", None])
def test_a_wrong_file_is_told_and_nothing_runs(
    jobs: JobQueue, files: list[str], tmp_path: Path, content: str | None
) -> None:
    bad = tmp_path / "bad.txt"
    if content is not None:
        bad.write_text(content)
    out = io.StringIO()
    assert not run_files(jobs, [*files, str(bad)], out)
    assert "bad.txt" in out.getvalue()
    assert jobs.store.page() == ()


class OpenFor(threading.Event):
    """A gate that lets so many frames through and then none."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.left = frames

    def wait(self, timeout: float | None = None) -> bool:
        self.left -= 1
        return self.left >= 0 or super().wait(timeout)


@pytest.mark.parametrize("frames", [0, 2])
def test_an_interrupted_job_is_said_to_go_on_and_its_frames_are_named_if_there_are_any(
    jobs: JobQueue, renderer: Renderer, files: list[str], frames: int
) -> None:
    renderer.gate = OpenFor(frames)
    out = io.StringIO()
    ends: list[bool] = []
    follower = threading.Thread(target=lambda: ends.append(run_files(jobs, files[:1], out)))
    follower.start()
    wait_for(lambda: [job for job in jobs.store.page() if job.outdir and job.frame == frames])
    assert jobs.close(WAIT_S)
    follower.join(WAIT_S)
    assert ends == [False]
    end = out.getvalue().splitlines()[-1]
    goes_on = f"{files[0]}: interrupted; it continues when the server is started again."
    folder = renderer.root / "img2img-images" / "a"
    assert end == (f"{goes_on} Its frames so far are in {folder}." if frames else goes_on)


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


def test_an_image_beside_the_settings_file_is_found(
    jobs: JobQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    image, settings = tmp_path / "first.png", tmp_path / "a.txt"
    image.touch()
    settings.write_text(json.dumps({"max_frames": 4, "init_image": "first.png"}))
    assert run_files(jobs, [str(settings)], io.StringIO())
    ((job_id,),) = jobs.store.batches().values()
    job = jobs.store.get(job_id)
    assert job is not None
    assert json.loads(job.settings_json)["init_image"] == str(image.resolve())
