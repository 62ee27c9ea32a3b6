"""Settings files as users have them, from `tests/cases`, each with its right outcome."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_runs import NoisyEngine, frame_files, host

from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import Prepared, prepare

CASES = Path(__file__).parents[1] / "cases"
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}


def case(root: Path, name: str) -> Prepared:
    """A settings file of `tests/cases`, prepared; `HERE` in it is its folder."""
    path = CASES / name
    text = path.read_text(encoding="utf-8").replace("HERE", path.parent.as_posix())
    return prepare(json.loads(text), host(root), QUICK, draw_seed=lambda: 1)


def told(job: Prepared, *words: str) -> bool:
    return any(all(word in warning for word in words) for warning in job.warnings)


def test_a_caret_is_told_of_and_computed_as_it_is_written(tmp_path: Path) -> None:
    whole = case(tmp_path, "caret/s.txt")
    assert whole.plan.schedules.values["translation_x"].tolist() == [frame ^ 2 for frame in range(6)]
    assert told(whole, "translation_x", "^", "**")
    assert told(case(tmp_path, "caret/real.txt"), "zoom", "^", "**")


def test_weights_of_interpolation_go_into_each_part(tmp_path: Path) -> None:
    prompts = case(tmp_path, "interpolation_AND/s.txt").plan.prompts
    assert prompts.positive[0] == "x AND y:0.5"
    parts = prompts.positive[2].replace(" ", "").split("AND")
    assert parts == ["(x):0.6", "(y):0.3", "(z):0.4"]


def test_a_mask_file_that_is_not_used_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("nothing of this video is on the network")

    monkeypatch.setattr(Fetcher, "fetch", refuse)
    assert case(tmp_path, "mask_file_not_used/video.txt").inputs.mask_video is not None


def test_what_overrules_max_frames_is_told(tmp_path: Path) -> None:
    job = case(tmp_path, "max_frames_overruled/video_input.txt")
    assert job.plan.frames != 5
    assert told(job, "max_frames is 5", str(job.plan.frames))


@pytest.mark.parametrize("name", ["dash", "upper"])
def test_misspelled_negative_marks_are_read(name: str, tmp_path: Path) -> None:
    job = case(tmp_path, f"neg_slips/{name}.txt")
    assert (job.plan.prompts.positive[0], job.plan.prompts.negative[0]) == ("a lake", "fog")
    assert told(job, "--neg")


@pytest.mark.parametrize("name", ["double", "single"])
def test_prompts_on_one_line_are_what_they_plainly_mean(name: str, tmp_path: Path) -> None:
    prompts = case(tmp_path, f"prompts_one_line/{name}.txt").plan.prompts
    assert prompts.positive == ("a cat",) * 16 + ("a dog",) * 14


def test_strength_out_of_range_is_clamped_with_a_warning(tmp_path: Path) -> None:
    job = case(tmp_path, "strength_out_of_range/s.txt")
    strengths = [1 - key.request.denoising_strength for key in job.plan.key_frames[1:]]
    assert min(strengths) >= 0
    assert max(strengths) <= 1
    assert strengths[0] == pytest.approx(0.6667, abs=0.01)
    assert strengths[2:] == [0, 0, 0]
    assert told(job, "strength_schedule", "0..1") or told(job, "strength_schedule", "0 to 1")


def test_deleted_frames_are_made_again(tmp_path: Path) -> None:
    job = case(tmp_path, "resume_after_deleting_frames/s.txt")
    result = run_job(job, NoisyEngine(), CancelToken(), lambda progress: None)
    run = Run(result.outdir, result.timestring)
    whole = [read_frame(path) for path in frame_files(result.outdir)]
    for frame in (3, 4, 5):
        run.frame_path(frame).unlink()
    engine = NoisyEngine()
    again = run_job(job, engine, CancelToken(), lambda progress: None, resume=result.timestring)
    assert len(engine.requests) == 3
    assert all(
        np.array_equal(one, read_frame(path))
        for one, path in zip(whole, frame_files(again.outdir), strict=True)
    )


def test_an_old_run_goes_on_and_nothing_of_it_is_overwritten(tmp_path: Path) -> None:
    old = CASES / "resume_overwrites_old_run" / "out"
    shutil.copytree(old, tmp_path, dirs_exist_ok=True)
    before = {path.name: path.read_bytes() for path in sorted(tmp_path.rglob("*.png"))}
    job, engine = case(tmp_path, "resume_overwrites_old_run/resume.txt"), NoisyEngine()
    result = run_job(job, engine, CancelToken(), lambda progress: None)
    assert len(before) == 4
    assert len(engine.requests) == 2
    after = {path.name: path.read_bytes() for path in frame_files(result.outdir)}
    assert len(after) == 6
    assert {name: after[name] for name in before} == before
