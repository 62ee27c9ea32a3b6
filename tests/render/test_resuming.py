"""Runs that go on from their frames alone: classic's, those without a checkpoint, those with frames deleted since."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import clip, levels
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import CheckpointError, Parked
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.job import RunResult, run_job

STEM = "20260102030405"
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
NO_VIDEO = {"skip_video_creation": True}
OTHER_PROMPT = {"prompts": {"0": "a desert"}}


def rendered(
    root: Path, engine: NoisyEngine | None = None, *, resume: bool = False, **changes: Any
) -> RunResult:
    return run_job(
        prepared(root, QUICK, **changes),
        engine or NoisyEngine(),
        CancelToken(),
        lambda progress: None,
        resume=STEM if resume else None,
        now=lambda: datetime(2026, 1, 2, 3, 4, 5),
    )


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def contents(folder: Path) -> dict[Path, bytes]:
    """Return every file of a folder but the hidden ones, which are locks."""
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def delete_frames(result: RunResult, *frames: int) -> None:
    for frame in frames:
        Run(result.outdir, STEM).frame_path(frame).unlink()


def lose_checkpoint(result: RunResult) -> None:
    Run(result.outdir, STEM).resume_state_path.unlink()


MODES: dict[str, dict[str, Any]] = {
    "2D": {"angle": "0:(3)", "color_coherence": "LAB"},
    "3D": {"animation_mode": "3D", "translation_z": "0:(4)", "color_coherence": "HSV"},
    "colours given at each fresh frame": {
        "legacy_colormatch": True,
        "strength_schedule": "0:(0.6), 1:(0), 2:(0.6)",
        "color_coherence": "RGB",
    },
    "cadence": {"diffusion_cadence": 3, "angle": "0:(2)", "color_coherence": "LAB"},
    "redo": {"diffusion_redo": 2, "seed_behavior": "random"},
    "interpolation": {"animation_mode": "Interpolation"},
    "stability": {"stability_schedule": "0:(0.7)", "zoom": "0:(1.04)"},
    "sharp cadence": {"diffusion_cadence": 3, "cadence_blend": "sharp", "zoom": "0:(1.04)"},
    "cut": {"prompt_transition": "cut", "color_coherence": "LAB", "diffusion_cadence": 2},
    "dissolve": {"prompt_transition": "dissolve", "prompt_transition_frames": 4, "angle": "0:(3)"},
    "dissolve with cadence": {
        "prompt_transition": "dissolve",
        "prompt_transition_frames": 4,
        "diffusion_cadence": 2,
        "color_coherence": "LAB",
    },
    "morph": {"prompt_transition": "morph", "prompt_transition_frames": 4, "noise_source": "inverted"},
}


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("mode", MODES)
def test_frames_that_were_deleted_come_back_bit_for_bit(
    mode: str, first: int, checkpoint: str, tmp_path: Path
) -> None:
    changes = NO_VIDEO | {"max_frames": 8} | MODES[mode]
    result = rendered(tmp_path, **changes)
    whole, before = frames_of(result), contents(result.outdir)
    delete_frames(result, *range(first, 8))
    if checkpoint == "lost":
        lose_checkpoint(result)
    again = rendered(tmp_path, resume=True, **changes)
    for one, other in zip(whole, frames_of(again), strict=True):
        np.testing.assert_array_equal(one, other)
    unchanged = [Run(result.outdir, STEM).frame_path(frame) for frame in range(first)]
    assert all(path.read_bytes() == before[path] for path in unchanged)


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
def test_colours_of_an_init_image_are_found_again(checkpoint: str, tmp_path: Path) -> None:
    """The reference is then the first frame after the camera's move, which no file holds."""
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    write_frame(tmp_path / "init.png", image)
    changes = NO_VIDEO | {
        "use_init": True,
        "init_image": str(tmp_path / "init.png"),
        "color_coherence": "LAB",
        "angle": "0:(5)",
        "zoom": "0:(1.05)",
    }
    result = rendered(tmp_path, **changes)
    whole = frames_of(result)
    delete_frames(result, 3, 4)
    if checkpoint == "lost":
        lose_checkpoint(result)
    for one, other in zip(whole, frames_of(rendered(tmp_path, resume=True, **changes)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_colours_of_a_video_are_found_again(tmp_path: Path) -> None:
    video = clip(tmp_path / "video.mp4", levels(6))
    changes = NO_VIDEO | {
        "animation_mode": "Video Input",
        "video_init_path": str(video),
        "color_coherence": "Video Input",
        "color_coherence_video_every_N_frames": 2,
    }
    result = rendered(tmp_path, **changes)
    whole = frames_of(result)
    delete_frames(result, 3, 4, 5)
    for one, other in zip(whole, frames_of(rendered(tmp_path, resume=True, **changes)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_of_classic_goes_on_after_its_last_frame(tmp_path: Path) -> None:
    outdir = tmp_path / "img2img-images" / "old"
    outdir.mkdir(parents=True)
    run = Run(outdir, STEM)
    run.settings_path.write_text(json.dumps({"max_frames": 6, "batch_name": "old"}))
    run.video_path.write_bytes(b"the video of classic")
    for frame in range(4):
        write_frame(run.frame_path(frame), np.full((64, 64, 3), 40 * frame, np.uint8))
    before, engine = contents(outdir), NoisyEngine()
    result = rendered(tmp_path, engine, resume=True, max_frames=6, batch_name="old")
    assert len(engine.requests) == 2
    assert [path.name for path in frame_files(outdir)] == [run.frame_path(frame).name for frame in range(6)]
    assert count_frames(result.video) == 6
    after = contents(outdir)
    assert {path for path in before if after[path] != before[path]} == {run.video_path}
    assert (outdir / f"{STEM}_replaced" / run.video_path.name).read_bytes() == before[run.video_path]
    assert "run_without_state" in map(code_of, result.warnings)


def test_deleted_frames_follow_a_new_prompt(tmp_path: Path) -> None:
    first, engine = rendered(tmp_path), NoisyEngine()
    before = contents(first.outdir)
    delete_frames(first, 3, 4)
    result = rendered(tmp_path, engine, resume=True, **OTHER_PROMPT)
    assert [request.prompt for request in engine.requests] == ["a desert"] * 2
    after = contents(result.outdir)
    unchanged = [Run(first.outdir, STEM).frame_path(frame) for frame in range(3)]
    assert all(after[path] == before[path] for path in unchanged)
    assert sum("Frame 3 " in warning for warning in result.warnings) == 1
    assert count_frames(result.video) == 5


def test_the_settings_file_follows_a_new_prompt_and_the_first_one_is_kept(tmp_path: Path) -> None:
    result = rendered(tmp_path)
    path = Run(result.outdir, STEM).settings_path
    before = path.read_bytes()
    delete_frames(result, 4)
    again = rendered(tmp_path, resume=True)
    assert path.read_bytes() == before
    delete_frames(result, 4)
    again = rendered(tmp_path, resume=True, **OTHER_PROMPT)
    assert json.loads(path.read_text())["prompts"] == OTHER_PROMPT["prompts"]
    unchanged = [one for one in again.outdir.rglob(path.name) if one != path]
    assert [one.read_bytes() for one in unchanged] == [before]


def test_frames_behind_a_gap_are_moved_away(tmp_path: Path) -> None:
    first = rendered(tmp_path, save_depth_maps=True)
    before, run = contents(first.outdir), Run(first.outdir, STEM)
    delete_frames(first, 2)
    result = rendered(tmp_path, resume=True, save_depth_maps=True, **OTHER_PROMPT)
    replaced = result.outdir / f"{STEM}_replaced"
    moved = [run.frame_path(3), run.frame_path(4), *map(run.depth_path, (2, 3, 4)), run.video_path]
    assert {path.name: path.read_bytes() for path in replaced.iterdir()} == {
        path.name: before[path] for path in moved
    }
    assert len(frames_of(result)) == 5
    assert any(replaced.name in warning for warning in result.warnings)
    delete_frames(first, 4)
    rendered(tmp_path, resume=True, save_depth_maps=True, **OTHER_PROMPT)
    assert (result.outdir / f"{STEM}_replaced_2").is_dir()
    assert len(list(replaced.iterdir())) == len(moved)


def test_a_half_written_last_frame_is_not_gone_on_from(tmp_path: Path) -> None:
    first = rendered(tmp_path, **NO_VIDEO)
    whole, last = frames_of(first), Run(first.outdir, STEM).frame_path(4)
    half = last.read_bytes()[:100]
    last.write_bytes(half)
    lose_checkpoint(first)
    result = rendered(tmp_path, resume=True, **NO_VIDEO)
    np.testing.assert_array_equal(frames_of(result)[4], whole[4])
    assert (result.outdir / f"{STEM}_replaced" / last.name).read_bytes() == half


def without_first(result: RunResult) -> None:
    delete_frames(result, 0)


def without_any(result: RunResult) -> None:
    delete_frames(result, *range(5))


@pytest.mark.parametrize(
    ("spoil", "changes", "said"),
    [
        (lose_checkpoint, {"H": 128}, "64 x 64 pixels"),
        (lose_checkpoint, {"max_frames": 4}, "5 frames"),
        (lose_checkpoint, {"save_depth_maps": True}, "frame 0"),
        (without_first, OTHER_PROMPT, "frame 0 is missing"),
        (without_any, OTHER_PROMPT, "frame 0 is missing"),
    ],
    ids=["size", "length", "depth", "first", "all"],
)
def test_what_cannot_go_on_is_left_as_it_is(
    spoil: Callable[[RunResult], None], changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    first = rendered(tmp_path)
    spoil(first)
    before = contents(first.outdir)
    with pytest.raises(CheckpointError, match=said):
        rendered(tmp_path, resume=True, **changes)
    assert contents(first.outdir) == before


def test_a_run_is_made_longer_from_within_a_group_of_frames(tmp_path: Path) -> None:
    """The last frame of a video is always a key frame; in a longer video it may lie between two."""
    first = rendered(tmp_path, diffusion_cadence=3, **NO_VIDEO)
    before = contents(first.outdir)
    result = rendered(tmp_path, resume=True, diffusion_cadence=3, max_frames=9, **NO_VIDEO)
    assert len(frames_of(result)) == 9
    after = contents(first.outdir)
    unchanged = [Run(first.outdir, STEM).frame_path(frame) for frame in range(5)]
    assert all(after[path] == before[path] for path in unchanged)


def test_colours_are_matched_from_where_a_run_goes_on(tmp_path: Path) -> None:
    first = rendered(tmp_path, color_coherence="None", **NO_VIDEO)
    delete_frames(first, 3, 4)
    assert len(frames_of(rendered(tmp_path, resume=True, color_coherence="LAB", **NO_VIDEO))) == 5


def test_settings_of_a_run_that_was_stopped_before_its_first_frame_are_kept(tmp_path: Path) -> None:
    token = CancelToken()
    job = prepared(tmp_path, QUICK, **NO_VIDEO)
    token.park()
    with pytest.raises(Parked):
        run_job(job, NoisyEngine(), token, lambda progress: None, now=lambda: datetime(2026, 1, 2, 3, 4, 5))
    (settings,) = tmp_path.rglob("*_settings.txt")
    before = settings.read_bytes()
    result = rendered(tmp_path, resume=True, **NO_VIDEO)
    assert settings.read_bytes() == before
    assert not (result.outdir / f"{STEM}_replaced").exists()
    without_any(result)
    lose_checkpoint(result)
    again = rendered(tmp_path, resume=True, **NO_VIDEO, **OTHER_PROMPT)
    assert (again.outdir / f"{STEM}_replaced" / settings.name).read_bytes() == before


def test_a_settings_file_that_was_deleted_is_written_again(tmp_path: Path) -> None:
    first = rendered(tmp_path)
    frames = frames_of(first)
    settings = Run(first.outdir, STEM).settings_path
    before = json.loads(settings.read_text(encoding="utf-8"))
    settings.unlink()
    delete_frames(first, len(frames) - 1)
    again = rendered(tmp_path, resume=True)
    assert json.loads(settings.read_text(encoding="utf-8")) == before
    for one, other in zip(frames, frames_of(again), strict=True):
        np.testing.assert_array_equal(one, other)
