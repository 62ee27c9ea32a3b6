"""What is checked before a job is accepted, and that all problems are told at once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from small_runs import SMALL, NoisyEngine, host, prepared

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.render.plan import make_plan
from deforum_helpers.settings import Settings, load_settings
from deforum_helpers.settings.host_options import Options


def problems(root: Path, overrides: dict[str, Any] | None = None, **changes: Any) -> dict[str | None, Any]:
    with pytest.raises(SettingsError) as error:
        prepared(root, overrides, **changes)
    return {problem.setting: problem for problem in error.value.problems}


def image_file(folder: Path) -> Path:
    path = folder / "image.png"
    PIL.Image.new("RGB", (64, 64)).save(path)
    return path


def test_problems_of_every_kind_are_told_together(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {"deforum_ffmpeg_crf": 99, "sd_lora": "x"},
        W="wide",
        steps=0,
        zoom="0:(1+",
        strength_schedule="0:(0.5), 3:(1/(t-4))",
        prompts={"0": "a", "tan(": "b"},
        use_init=True,
        init_image=str(tmp_path / "nowhere.png"),
    )
    assert set(found) == {
        "options_overrides.deforum_ffmpeg_crf",
        "options_overrides.sd_lora",
        "W",
        "steps",
        "zoom",
        "strength_schedule",
        "prompts",
        "init_image",
    }
    assert found["strength_schedule"].frame == 4
    assert found["zoom"].column is not None
    assert not list(tmp_path.iterdir())


def test_one_problem_does_not_hide_another(tmp_path: Path) -> None:
    """Those that are only found once there is a plan are told beside those that keep it from being made."""
    wrong = {
        "zoom": "0:(x)",
        "noise_schedule": "0:(2)",
        "mask_schedule": "0:({nothing})",
        "sampler_schedule": "0:(Oiler)",
        "checkpoint_schedule": "0:(nowhere)",
        "init_images": '{"zz": "a.png"}',
        "prompts": {"0": "`q`"},
        "W": "wide",
    }
    switches = ("use_mask", "use_looper", "enable_sampler_scheduling", "enable_checkpoint_scheduling")
    on = {**dict.fromkeys(switches, True), "strength": 0.5}
    assert set(problems(tmp_path, **wrong, **on)) == set(wrong)
    right = {"init_images": f'{{"0": "{image_file(tmp_path)}"}}', "checkpoint_schedule": "0:(a)"}
    for setting, value in wrong.items():
        assert set(problems(tmp_path, **{**on, **right, setting: value})) == {setting}


def test_what_a_broken_manifest_drives_is_no_problem(tmp_path: Path) -> None:
    text = '{"rendered_frames": [{"frame": 0, "contrast": "loud", "noise": 0.1}]}'
    assert set(problems(tmp_path, parseq_manifest=text, noise_schedule="0:(broken")) == {"parseq_manifest"}


@pytest.mark.parametrize(
    ("setting", "schedule", "frame"),
    [
        ("zoom", "0:(1), 2:(-0.0001)", 2),
        ("noise_schedule", "0:(0.5*t)", 3),
        ("steps_schedule", "0:(1e9)", 0),
        ("kernel_schedule", "0:(100001)", 0),
        ("contrast_schedule", "0:(-1)", 0),
        ("cfg_scale_schedule", "0:(7-4*t)", 2),
    ],
)
def test_a_value_no_frame_can_be_made_of_names_the_frame(
    setting: str, schedule: str, frame: int, tmp_path: Path
) -> None:
    found = problems(tmp_path, **{setting: schedule, "enable_steps_scheduling": True})
    assert found[setting].frame == frame
    assert setting in found[setting].message


def test_a_name_of_thousands_of_letters_is_shown_by_its_beginning(tmp_path: Path) -> None:
    sampler = "o" * 8000
    found = problems(tmp_path, enable_sampler_scheduling=True, sampler_schedule=f"0:({sampler})")
    assert len(found["sampler_schedule"].message) < 1000


def test_problems_do_not_hide_what_was_found_beside_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        prepared(tmp_path, W="wide", max_frame=12)
    assert any("'max_frame' (did you mean max_frames?)" in text for text in error.value.warnings)


def test_a_schedule_that_nobody_reads_only_warns(tmp_path: Path) -> None:
    job = prepared(tmp_path, rotation_3d_x="0:(tan(")
    assert any("rotation_3d_x" in warning for warning in job.warnings)


def test_prompts_beyond_the_end_warn_unless_they_are_the_defaults(tmp_path: Path) -> None:
    assert any("9" in warning for warning in prepared(tmp_path, prompts={"0": "a", "9": "b"}).warnings)
    default = {name: value for name, value in SMALL.items() if name != "prompts"}
    assert not any("prompts" in warning for warning in prepare(default, host(tmp_path)).warnings)


def test_names_that_the_host_does_not_have(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {"sd_vae": "other.safetensors"},
        enable_checkpoint_scheduling=True,
        checkpoint_schedule='0:("a"), 2:("nowhere")',
        enable_sampler_scheduling=True,
        sampler_schedule='0:("Euler a"), 3:("Oiler")',
    )
    assert found["checkpoint_schedule"].frame == 2
    assert found["sampler_schedule"].frame == 3
    assert found["sampler_schedule"].message.startswith(
        "sampler_schedule, frame 3, is 'Oiler', a sampler that this host does not have; expected one of: "
    )
    assert found["options_overrides.sd_vae"].found == "other.safetensors"
    overridden = problems(tmp_path, {"sd_model_checkpoint": "nowhere"})
    assert overridden["options_overrides.sd_model_checkpoint"].found == "nowhere"


@pytest.mark.parametrize("sampler", ["DPM++ 2M Karras", "dpmpp_2m", "euler", "Euler a"])
def test_samplers_in_every_spelling(sampler: str, tmp_path: Path) -> None:
    assert prepared(tmp_path, sampler=sampler).plan.frames == 5


def test_a_video_larger_than_the_disk_is_refused(tmp_path: Path) -> None:
    facts = replace(host(tmp_path), free_disk=lambda folder: 1000)
    with pytest.raises(SettingsError, match=r"max_frames.* has less than 1 MB free"):
        prepare(SMALL, facts)
    large, almost = (
        SMALL | {"W": 1024, "H": 1024, "max_frames": 60},
        replace(facts, free_disk=lambda _: 10**8),
    )
    with pytest.raises(SettingsError, match=r"need about 107 MB, but .* has 100 MB free"):
        prepare(large, almost)


@pytest.mark.parametrize("folder", ["..", "../x", "/etc", "a/../../b", "a\0b"])
def test_outdir_samples_stays_inside_the_output_root(folder: str, tmp_path: Path) -> None:
    assert "options_overrides.outdir_samples" in problems(tmp_path / "root", {"outdir_samples": folder})


def test_a_job_names_programs_and_the_host_runs_its_own(tmp_path: Path) -> None:
    named = prepared(tmp_path, {"deforum_ffmpeg_location": str(tmp_path / "ffmpeg")})
    assert named.options.deforum_ffmpeg_location == ""
    (warning,) = set(named.warnings) - set(prepared(tmp_path).warnings)
    assert warning.startswith("options_overrides.deforum_ffmpeg_location is ignored")
    for own in ("", None):
        assert prepared(tmp_path, {"deforum_ffmpeg_location": own}).warnings == prepared(tmp_path).warnings


def test_outdir_samples_holds_the_run(tmp_path: Path) -> None:
    job = prepared(tmp_path, {"outdir_samples": "mine", "deforum_ffmpeg_preset": "ultrafast"})
    result = run_job(job, NoisyEngine(), CancelToken(), lambda progress: None)
    assert result.outdir.parent == tmp_path / "mine"


def test_equal_settings_give_equal_plans(tmp_path: Path) -> None:
    one, other = prepared(tmp_path), prepared(tmp_path, batch_name="another", fps=15)
    assert one.plan.digest == other.plan.digest
    assert one.plan.digest != prepared(tmp_path, seed=2).plan.digest
    assert one.plan.digest != prepared(tmp_path, zoom="0:(1.01)").plan.digest
    assert one.plan.digest != prepared(tmp_path, {"CLIP_stop_at_last_layers": 2}).plan.digest


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_digest_is_the_same_in_every_process(hash_seed: str, tmp_path: Path) -> None:
    changes = {
        "seed_behavior": "random",
        "diffusion_redo": 2,
        "use_mask": True,
        "mask_schedule": "0:(!{init_mask}|{everywhere})",
        "prompts": {"0": "a `t/3`", "2": "b --neg c"},
    }
    code = (
        "import sys; sys.path[:0] = ['.', 'tests/render']; from pathlib import Path; from small_runs import prepared; "
        f"print(prepared(Path({str(tmp_path)!r}), **{changes!r}).plan.digest)"
    )
    root, environment = Path(__file__).parents[1], {**os.environ, "PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True
    )
    assert run.stdout.strip() == prepared(tmp_path, **changes).plan.digest, run.stderr


def test_a_plan_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from deforum_helpers.pipeline.prepare import HostFacts, prepare; "
        "f = HostFacts('t', 'null', None, Path('.'), ('Euler a',), ('Automatic',)); "
        "prepare({'sampler': 'Euler a', 'max_frames': 5}, f); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_colours_of_a_video_that_nobody_gave_are_told(tmp_path: Path) -> None:
    def is_told(**changes: Any) -> bool:
        return "colors_without_video" in map(code_of, prepared(tmp_path, **changes).warnings)

    assert is_told(color_coherence="Video Input")
    assert not is_told(color_coherence="LAB")
    assert not is_told(color_coherence="Video Input", animation_mode="Interpolation")


def test_noise_that_the_autoencoder_correction_would_keep_is_told(tmp_path: Path) -> None:
    def is_told(**changes: Any) -> bool:
        return "correction_keeps_noise" in map(code_of, prepared(tmp_path, **changes).warnings)

    assert is_told(autoencoder_correction=True)
    assert not is_told(autoencoder_correction=True, noise_schedule="0: (0)")
    assert not is_told(noise_schedule="0: (0.1)")
    assert not is_told(autoencoder_correction=True, animation_mode="Interpolation")


def test_settings_at_their_defaults_leave_older_runs_their_digest(tmp_path: Path) -> None:
    """Digested by the release before noise_source came; a parked run of that release must go on."""
    settings = replace(Settings(), seed=3, max_frames=9)
    digest = "551beba0c0edc6b147168cd7381efd99529fba464d0e46325a9b76201afb5358"
    assert make_plan(settings, Options()).digest == digest
    assert make_plan(replace(settings, noise_source="inverted"), Options()).digest != digest


@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({"reverse_generation": True}, "18e56fff7464c17cbe1bcfcaac56714f3fe9a5a01b1d65c755d45b4a530c0280"),
        (
            {"animation_mode": "3D", "diffusion_cadence": 1, "stability_schedule": "0:(0.5)"},
            "62052168fdff73a9743043a105fef4c07df10fedcec90e75cc47b061cbf78a7b",
        ),
        (
            {"cn_1_enabled": True, "cn_1_vid_path": "a.png", "cn_1_weight": "0:(t/32)"},
            "55b4e2c44f4d54349d9256338671e4aaf980b54bca95b1c4829ae8a85e798ab0",
        ),
    ],
    ids=["backwards", "held to a look", "steered"],
)
def test_runs_of_earlier_releases_go_on(changes: dict[str, Any], digest: str) -> None:
    """Digested before plans were made faster."""
    settings = {
        "max_frames": 30,
        "seed": 7,
        "zoom": "0:(1.02)",
        "strength_schedule": "0:(0.5), 16:(0.75)",
        "cfg_scale_schedule": "0:(7), 16:(9)",
        "prompts": {"0": "a hill --neg blur", "12": "a lake `t`"},
    }
    assert make_plan(load_settings(settings | changes).settings, Options()).digest == digest


def test_a_check_digests_nothing(tmp_path: Path) -> None:
    """Only a render asks for the digest, and it takes as long as the rest of a long plan."""
    assert "digest" not in vars(prepared(tmp_path).plan)


def test_a_weight_without_a_second_model_is_told(tmp_path: Path) -> None:
    old = {"animation_mode": "3D", "translation_z": "0:(3)", "depth_algorithm": "Midas+AdaBins (old)"}
    assert "midas_weight_unused" in map(code_of, prepared(tmp_path, **old).warnings)
    alone = prepared(tmp_path, **old, midas_weight=1).warnings
    assert not any("midas_weight" in text for text in alone)


@pytest.mark.parametrize(
    ("mode", "cadence", "told"), [("Interpolation", 3, True), ("2D", 3, False), ("Interpolation", 1, False)]
)
def test_a_cadence_that_changes_nothing_is_told(tmp_path: Path, mode: str, cadence: int, told: bool) -> None:
    settings = SMALL | {"animation_mode": mode, "diffusion_cadence": cadence}
    warnings = prepare(settings, host(tmp_path)).warnings
    assert any(text.startswith("diffusion_cadence is 3, but animation_mode") for text in warnings) is told


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("deforum_subtitles_per_second", "10", 10),  # as a fork stores it
        ("deforum_ffmpeg_crf", " 20.0 ", 20),
        ("eta_ddim", "0.5", 0.5),
        ("deforum_embed_srt", "True", True),
        ("deforum_save_gen_info_as_srt", "false", False),
    ],
)
def test_an_option_may_be_given_as_text(name: str, given: str, meant: object, tmp_path: Path) -> None:
    found = getattr(prepared(tmp_path, {name: given}).options, name)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("deforum_subtitles_per_second", "many"),
        ("deforum_ffmpeg_crf", "52"),
        ("deforum_ffmpeg_crf", "20.5"),
        ("deforum_ffmpeg_crf", "true"),
        ("deforum_embed_srt", "1"),
    ],
)
def test_other_text_is_no_option(name: str, given: str, tmp_path: Path) -> None:
    assert f"options_overrides.{name}" in problems(tmp_path, {name: given})


def test_faults_in_the_json_of_guide_images_are_told_as_in_settings_files(tmp_path: Path) -> None:
    found = problems(tmp_path, use_looper=True, init_images='{"0": "a.png",\n}')["init_images"]
    assert "line 2, column 1. Remove the comma before it." in found.message
