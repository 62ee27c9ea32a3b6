"""Settings files from the command line go through the same queue."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from deforum_api.jobs import JobQueue
from deforum_api.run_now import run_files
from deforum_helpers.errors import ModelError
from tests.api.fake_renderer import Renderer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text(json.dumps({"batch_name": path.stem, "max_frames": 4}))
    return [str(path) for path in paths]


def test_the_files_are_one_batch_and_their_films_are_named(
    jobs: JobQueue, renderer: Renderer, files: list[str]
) -> None:
    out = io.StringIO()
    assert run_files(jobs, files, out)
    (ids,) = jobs.store.batches().values()
    assert len(ids) == 2
    folder = renderer.root / "img2img-images"
    assert [line for line in out.getvalue().splitlines() if line.startswith("Film: ")] == [
        f"Film: {folder / name / '20260102030405.mp4'}" for name in "ab"
    ]


def test_a_failed_job_is_told_and_the_others_still_run(
    jobs: JobQueue, renderer: Renderer, files: list[str]
) -> None:
    renderer.plans["a"] = ModelError("The model is broken.")
    out = io.StringIO()
    assert not run_files(jobs, files, out)
    assert "FAILED: generation error: The model is broken." in out.getvalue()
    assert out.getvalue().count("Film: ") == 1


def test_a_terminal_gets_one_line_that_is_drawn_over(jobs: JobQueue, files: list[str]) -> None:
    out = Terminal()
    assert run_files(jobs, files[:1], out)
    drawn = out.getvalue().split("\n")[0]
    assert drawn.startswith("\ra.txt [")
    assert " frame " in drawn


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
