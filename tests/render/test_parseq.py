"""Videos driven by Parseq: what it decides, what falls back, and what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import NoisyEngine, prepared

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.plan import make_plan
from deforum_helpers.schedule.parseq import read_manifest
from deforum_helpers.settings import FIELDS
from deforum_helpers.settings.host_options import Options


def manifest(frames: int = 6, options: dict[str, Any] | None = None, **fields: Any) -> str:
    """A manifest whose fields are functions of the frame, or values."""
    rendered = [
        {"frame": k} | {name: value(k) if callable(value) else value for name, value in fields.items()}
        for k in range(frames)
    ]
    return json.dumps({"options": options or {}, "rendered_frames": rendered})


def prepared_with(root: Path, text: str, **changes: Any) -> Prepared:
    return prepared(root, parseq_manifest=text, **changes)


def test_fields_go_before_schedules_and_the_rest_falls_back(tmp_path: Path) -> None:
    text = manifest(
        noise=lambda k: k / 10, zoom_delta=lambda k: 1 + k / 100, scale=9, deforum_prompt="a --neg b"
    )
    job = prepared_with(
        tmp_path,
        text,
        noise_schedule="0:(broken",
        strength_schedule="0:(0.3)",
        animation_prompts_positive="extra",
    )
    values = job.plan.schedules.values
    assert np.allclose(values["noise_schedule"], np.arange(6) / 10)
    assert np.allclose(values["zoom"], 1 + np.arange(6) / 100)
    assert np.allclose(values["strength_schedule"], 0.3)
    key = job.plan.key_frames[3]
    assert (key.request.prompt, key.request.negative_prompt, key.request.cfg_scale) == ("a", "b", 9)
    assert key.noise.amount == pytest.approx(0.3)
    assert any("drives zoom, noise_schedule, cfg_scale_schedule, prompts" in text for text in job.warnings)


def test_what_a_manifest_says_is_part_of_the_digest(tmp_path: Path) -> None:
    """Its address, which the settings may hold in place of its text, says nothing of it."""
    plain = prepared(tmp_path).plan
    plans = []
    for angle in (1, 2):
        read = read_manifest(manifest(plain.frames, angle_delta=angle), uses_deltas=True)
        plans.append(make_plan(plain.settings, Options(), read))
    assert plans[0].settings == plans[1].settings
    assert plans[0].digest != plans[1].digest


def test_a_misspelled_mark_is_reported_whatever_the_settings_prompts_are(tmp_path: Path) -> None:
    job = prepared_with(
        tmp_path, manifest(deforum_prompt="a --NEG b"), prompts=dict(FIELDS["prompts"].default)
    )
    assert job.plan.key_frames[0].request.negative_prompt == "b"
    assert any("--NEG" in text for text in job.warnings)


def test_length_rate_and_cadence(tmp_path: Path) -> None:
    text = manifest(7, {"output_fps": 24, "cadence": 3}, noise=0)
    job = prepared_with(tmp_path, text, max_frames=99, fps=12, diffusion_cadence=1)
    plan = job.plan
    assert any("max_frames 7 instead of 99" in one and "fps 24" in one for one in job.warnings)
    assert (plan.frames, plan.fps, [key.index for key in plan.key_frames]) == (7, 24, [0, 3, 6])
    job = prepared_with(tmp_path, text, max_frames=9, fps=12, parseq_non_schedule_overrides=False)
    plan = job.plan
    assert not [one for one in job.warnings if "instead of" in one]
    assert (plan.frames, plan.fps, len(plan.key_frames)) == (9, 12, 9)


def test_seeds_and_subseeds(tmp_path: Path) -> None:
    text = manifest(3, seed=lambda k: 100 + k, subseed=5, subseed_strength=0.5)
    keys = prepared_with(tmp_path, text, seed_behavior="fixed").plan.key_frames
    assert [key.request.seed for key in keys] == [100, 101, 102]
    assert {(key.request.subseed, key.request.subseed_strength) for key in keys} == {(5, 0.5)}


@pytest.mark.parametrize(("behavior", "noise_seeds"), [("iter", [1, 56, 66, 76]), ("fixed", [1, 55, 65, 75])])
def test_noise_and_subtitles_follow_the_seed_behavior(
    behavior: str, noise_seeds: list[int], tmp_path: Path
) -> None:
    text = manifest(4, seed=lambda k: 55 + 10 * k)
    plan = prepared_with(tmp_path, text, seed=1, seed_behavior=behavior, noise_schedule="0:(0.1)").plan
    assert [key.request.seed for key in plan.key_frames] == [55, 65, 75, 85]
    assert [key.noise.seed for key in plan.key_frames] == noise_seeds
    assert [seed for _, seed in plan.subtitle_heads] == noise_seeds


def test_with_cadence_subtitles_tell_the_seed_that_comes_next(tmp_path: Path) -> None:
    text = manifest(5, {"cadence": 2}, seed=lambda k: 55 + 10 * k)
    plan = prepared_with(tmp_path, text, seed=1, seed_behavior="iter").plan
    assert [key.request.seed for key in plan.key_frames] == [55, 75, 95]
    assert [key.noise.seed for key in plan.key_frames] == [1, 56, 76]
    assert [seed for _, seed in plan.subtitle_heads] == [56, 56, 76, 76, 96]


def test_a_manifest_without_seeds_leaves_them_to_the_settings(tmp_path: Path) -> None:
    keys = prepared_with(tmp_path, manifest(3, zoom=1), seed=7, seed_behavior="ladder").plan.key_frames
    assert [key.request.seed for key in keys] == [key.noise.seed for key in keys] == [7, 9, 8]


def test_a_perspective_flip_is_turned_on(tmp_path: Path) -> None:
    flipped = prepared_with(tmp_path, manifest(perspective_flip_phi_delta=5, perspective_flip_fv=53)).plan
    assert not all(move.still for move in flipped.moves[1:])
    assert all(move.still for move in prepared_with(tmp_path, manifest(noise=0), zoom="0:(1)").plan.moves)


def test_a_move_without_its_change_per_frame_is_told(tmp_path: Path) -> None:
    job = prepared_with(tmp_path, manifest(angle=90), angle="0:(1)")
    assert np.allclose(job.plan.schedules.values["angle"], 1)
    assert "manifest_deltas_missing" in map(code_of, job.warnings)
    totals = prepared_with(tmp_path, manifest(angle=90), parseq_use_deltas=False)
    assert np.allclose(totals.plan.schedules.values["angle"], 90)


def test_a_video_is_rendered(tmp_path: Path) -> None:
    engine = NoisyEngine()
    job = prepared_with(tmp_path, manifest(4, strength=0.25, seed=lambda k: k), skip_video_creation=True)
    assert run_job(job, engine, CancelToken(), lambda progress: None).frames == 4
    assert [request.denoising_strength for request in engine.requests[1:]] == [0.75] * 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"rendered_frames"', "broken in line 1"),
        ("{}", "there are no rendered_frames"),
        (manifest(noise="much"), "noise is 'much' at frame 0"),
        (manifest(deforum_prompt=7), "deforum_prompt is '7' at frame 0"),
        (manifest(zoom_delta=5000), "zoom is 5000 at frame 0"),
        ("http://127.0.0.1/manifest.json", "not on the public network"),
    ],
)
def test_what_is_broken_is_told_before_the_first_frame(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        prepared_with(tmp_path / "out", text)
    assert any(says in problem.message for problem in caught.value.problems)
    assert not (tmp_path / "out").exists()


def test_what_a_manifest_switches_on_is_checked_though_the_settings_have_it_off(tmp_path: Path) -> None:
    broken = {"animation_mode": "2D", "amount_schedule": "0:(0)", "kernel_schedule": "0:(3), 2:(five)"}
    assert prepared_with(tmp_path, manifest(noise=0), **broken).plan.frames == 6
    with pytest.raises(SettingsError, match="kernel_schedule"):
        prepared_with(tmp_path, manifest(antiblur_amount=0.5), **broken)
