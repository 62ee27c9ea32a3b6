"""Values of schedules that no frame can be made of, and those that leave nothing of an image."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import host

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.render.plan import make_plan
from deforum_helpers.render.schedules import LIMITS
from deforum_helpers.settings import FIELDS, defaults, flat_settings, schema
from deforum_helpers.settings.files import typed_settings
from deforum_helpers.settings.host_options import Options
from tests.refusals import refuses

SMALL = {"W": 64, "H": 64, "max_frames": 5, "legacy_colormatch": False, "skip_video_creation": True}
FLIPPED = {"enable_perspective_flip": True, "perspective_flip_phi": "0:(4)"}


def test_a_zoom_of_zero_is_rendered_and_reported(tmp_path: Path) -> None:
    job = prepare({**SMALL, "animation_mode": "2D", "zoom": "0:(1), 2:(0)"}, host(tmp_path))
    assert [warning for warning in job.warnings if warning.startswith("zoom is 0 at frame 2:")]
    assert run_job(job, make_engine("null"), CancelToken(), lambda progress: None).frames == 5
    deep = prepare({**SMALL, "animation_mode": "3D", "zoom": "0:(0)"}, host(tmp_path))
    assert not [warning for warning in deep.warnings if warning.startswith("zoom is 0")]


@pytest.mark.parametrize("zoom", ["0:(0.0005)", "0:(1), 4:(2000)"])
def test_a_zoom_beyond_sense_is_refused(zoom: str, tmp_path: Path) -> None:
    with refuses(SettingsError, "schedule_value_out_of_range", "zoom", "0.001 to 1000, or 0"):
        prepare({**SMALL, "animation_mode": "2D", "zoom": zoom}, host(tmp_path))


@pytest.mark.parametrize("fv", ["0:(0.5)", "0:(-90), 4:(90.5)", "0:(200)", "0:(30*cos(t))"])
def test_any_view_with_perspective_flips(fv: str, tmp_path: Path) -> None:
    settings = {**SMALL, **FLIPPED, "animation_mode": "3D", "perspective_flip_fv": fv}
    assert prepare(settings, host(tmp_path)).plan.frames == 5


@pytest.mark.parametrize(("fv", "frame"), [("0:(0)", 0), ("0:(160), 4:(200)", 2), ("0:(360)", 0)])
def test_a_view_without_perspective_is_refused_where_it_is_used(fv: str, frame: int, tmp_path: Path) -> None:
    settings = {**SMALL, **FLIPPED, "animation_mode": "2D", "perspective_flip_fv": fv}
    with refuses(SettingsError, "schedule_value_out_of_range", "perspective_flip_fv", f"at frame {frame};"):
        prepare(settings, host(tmp_path))
    assert prepare({**settings, "enable_perspective_flip": False}, host(tmp_path)).plan.frames == 5


@pytest.mark.parametrize("schedule", ["0:(0)", "0:(1/0)", "0:(one)"])
def test_a_schedule_without_effect_fails_no_video(schedule: str, tmp_path: Path) -> None:
    settings = {**SMALL, "animation_mode": "3D", "aspect_ratio_schedule": schedule}
    with pytest.raises(SettingsError, match="aspect_ratio_schedule"):
        prepare({**settings, "aspect_ratio_use_old_formula": False}, host(tmp_path))
    job = prepare({**settings, "aspect_ratio_use_old_formula": True}, host(tmp_path))
    assert run_job(job, make_engine("null"), CancelToken(), lambda progress: None).frames == 5


OUTSIDE = {
    "translation_x": ("100001", "-100001"),
    "translation_y": ("100001", "-100001"),
    "transform_center_x": ("1001", "-1001"),
    "transform_center_y": ("1001", "-1001"),
    "noise_schedule": ("1.01", "-0.01"),
    "contrast_schedule": ("101", "-1"),
    "exposure_schedule": ("10.1", "-10.1"),
    "saturation_schedule": ("101", "-1"),
    "hue_schedule": ("36001", "-36001"),
    "cfg_scale_schedule": ("1001", "-1"),
    "distilled_cfg_scale_schedule": ("1001", "-1"),
    "pix2pix_img_cfg_scale_schedule": ("1001", "-1"),
    "amount_schedule": ("101", "-1"),
    "sigma_schedule": ("101", "-1"),
    "kernel_schedule": ("256", "0"),
    "threshold_schedule": ("256", "-1"),
    "subseed_strength_schedule": ("1.01", "-0.01"),
    "noise_multiplier_schedule": ("10.1", "-0.1"),
    "ddim_eta_schedule": ("1.01", "-0.01"),
    "ancestral_eta_schedule": ("10.1", "-0.1"),
    "steps_schedule": ("201", "0"),
    "clipskip_schedule": ("13", "0"),
}
SWITCHES = [
    f"enable_{name}_scheduling"
    for name in ("subseed", "noise_multiplier", "ddim_eta", "ancestral_eta", "steps", "clipskip")
]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OUTSIDE.items() for value in values]
)
def test_a_value_outside_is_refused_at_its_frame(name: str, value: str, tmp_path: Path) -> None:
    sampler = "DDIM" if name == "ddim_eta_schedule" else "Euler a"
    settings = {**SMALL, **dict.fromkeys(SWITCHES, True), "animation_mode": "2D", "sampler": sampler}
    assert prepare(settings, host(tmp_path)).plan.frames == 5
    with pytest.raises(SettingsError) as caught:
        prepare({**settings, name: f"0:(1), 2:(1), 3:({value})"}, host(tmp_path))
    (problem,) = caught.value.problems
    assert (problem.setting, problem.frame) == (name, 3)


def test_ranges_of_schedules_are_declared() -> None:
    """So that the tab, the schema and the list of settings tell what would be refused."""
    by_rule = {"zoom", "fov_schedule", "perspective_flip_fv"}
    assert {name for name in LIMITS if FIELDS[name].minimum is None} == by_rule
    assert set(OUTSIDE) <= set(LIMITS)
    assert schema()["properties"]["noise_schedule"]["x-maximum"] == 1


@pytest.mark.parametrize(("strength", "denoising"), [("0:(1.4)", 0.0), ("0:(-1)", 1.0)])
def test_a_strength_beyond_its_range_counts_as_its_end(
    strength: str, denoising: float, tmp_path: Path
) -> None:
    """As in classic Deforum, whose published files swing a little beyond."""
    settings = {**SMALL, "animation_mode": "2D", "strength_schedule": strength}
    plan = prepare(settings, host(tmp_path)).plan
    assert plan.key_frames[-1].request.denoising_strength == denoising
    assert [text for text in plan.warnings if text.startswith("strength_schedule is ")]


@pytest.mark.parametrize(
    ("name", "schedule", "frame", "frames"),
    [
        ("strength_schedule", "0:(1.2), 3:(-0.4)", 0, 3),
        ("strength_schedule", "0:(0.5), 2:(65)", 1, 4),
        ("keyframe_strength_schedule", "0:(0.5), 4:(1.5)", 3, 2),
        ("image_strength_schedule", "0:(-0.5)", 0, 5),
        ("image_keyframe_strength_schedule", "0:(1), 4:(1.5)", 1, 4),
        ("color_correction_factor", "0:(7)", 0, 5),
        ("cn_2_guidance_start", "0:(-1)", 0, 5),
        ("cn_2_guidance_end", "0:(1), 1:(2), 2:(1)", 1, 1),
    ],
)
def test_values_that_count_as_an_end_of_the_range_are_told(
    name: str, schedule: str, frame: int, frames: int, tmp_path: Path
) -> None:
    # Guided images have strengths of their own, in the place of the other ones.
    guided = name not in ("strength_schedule", "keyframe_strength_schedule")
    switched = {"use_looper": guided, "init_images": '{"0": "a.png"}', "keyframe_distribution": "Additive"}
    settings = typed_settings(
        defaults() | {"max_frames": 5, "seed": 1, "cn_2_enabled": True, "sampler": "Euler"} | switched
    )
    told = make_plan(settings, Options()).warnings
    assert not [text for text in told if name in text]
    beyond = make_plan(typed_settings(flat_settings(settings) | {name: schedule}), Options()).warnings
    (warning,) = set(beyond) - set(told)
    assert warning.startswith(f"{name} is ")
    assert f"at frame {frame}," in warning
    assert f"at {frames} of 5 frames" in warning


def test_a_sine_that_rounds_beyond_the_end_is_not_told(tmp_path: Path) -> None:
    settings = {**SMALL, "strength_schedule": "0:(1 + 1e-15 * t)"}
    assert not any("strength_schedule" in text for text in prepare(settings, host(tmp_path)).warnings)
