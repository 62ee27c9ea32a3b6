"""Every migration and every notation, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.settings import defaults, examine_settings, flat_settings, load_settings
from deforum_helpers.settings.tables import (
    CLASSIC_SAMPLERS,
    SAMPLERS,
    SCHEDULER_NAMES,
    canonical_sampler,
    canonical_scheduler,
)

UNITS = range(1, 6)
TAKEN_OVER: list[tuple[str, Any, str, Any]] = [
    ("flip_2d_perspective", True, "enable_perspective_flip", True),
    ("skip_video_for_run_all", True, "skip_video_creation", True),
    ("width", 640, "W", 640),
    ("height", "320", "H", 320),
    ("use_zoe_depth", True, "depth_algorithm", "Zoe+AdaBins (old)"),
    ("use_zoe_depth", "True", "depth_algorithm", "Zoe+AdaBins (old)"),
    ("use_zoe_depth", False, "depth_algorithm", "Midas+AdaBins (old)"),
    ("use_zoe_depth", "maybe", "depth_algorithm", "Midas-3-Hybrid"),
    *(
        ("color_coherence", f"Match Frame 0 {space}", "color_coherence", space)
        for space in ("HSV", "LAB", "RGB")
    ),
    ("color_coherence", "MatchFrame0", "color_coherence", "RGB"),
    ("border", "warp", "border", "replicate"),
    ("sampler_name", "dpmpp_2m", "sampler", "DPM++ 2M"),
    ("enable_schedule_samplers", True, "enable_sampler_scheduling", True),
    ("hybrid_video_composite", False, "hybrid_composite", "None"),
    ("hybrid_video_comp_mask_contrast_schedule", "0:(3)", "hybrid_comp_mask_contrast_schedule", "0:(3)"),
    ("hybrid_video_comp_save_extra_frames", True, "hybrid_comp_save_extra_frames", True),
    ("hybrid_generate_human_masks", False, "hybrid_generate_human_masks", "None"),
    ("keyframe_distribution", "None", "keyframe_distribution", "Off"),
    ("r_upscale_factor", "4x", "r_upscale_factor", "x4"),
    ("depth_algorithm", "Zoe+AdaBins", "depth_algorithm", "Zoe+AdaBins (old)"),
    ("hybrid_composite", False, "hybrid_composite", "None"),
    ("hybrid_composite", 0, "hybrid_composite", "None"),
    ("hybrid_composite", "false", "hybrid_composite", "None"),
    ("optical_flow_cadence", False, "optical_flow_cadence", "None"),
    ("optical_flow_redo_generation", False, "optical_flow_redo_generation", "None"),
    ("add_soundtrack", False, "add_soundtrack", "None"),
    *(
        (f"cn_{unit}_resize_mode", old, f"cn_{unit}_resize_mode", new)
        for unit in UNITS
        for old, new in (
            ("Envelope (Outer Fit)", "Outer Fit (Shrink to Fit)"),
            ("Scale to Fit (Inner Fit)", "Inner Fit (Scale to Fit)"),
        )
    ),
    *(
        (f"cn_{unit}_{field}", number, f"cn_{unit}_{field}", text)
        for unit in UNITS
        for field in ("weight", "guidance_start", "guidance_end")
        for number, text in ((1, "0: (1)"), (0.25, "0: (0.25)"), (True, "0:(1)"), (False, "0:(0)"))
    ),
    *(("sampler", place, "sampler", name) for place, name in enumerate(CLASSIC_SAMPLERS)),
    ("sampler", "7", "sampler", "DPM++ 2M"),
    ("sampler", "EULER A", "sampler", "Euler a"),
    ("sampler", "dpmpp_2m_sde_gpu", "sampler", "DPM++ 2M SDE"),
    ("scheduler", "karras", "scheduler", "Karras"),
    ("seed", None, "seed", -1),
    ("seed", "", "seed", -1),
    ("seed", 12.75, "seed", 12),
    ("seed", "12.75", "seed", 12),
    ("steps", "3", "steps", 3),
    ("steps", " 3 ", "steps", 3),
    ("strength", "0.5", "strength", 0.5),
    ("tiling", "True", "tiling", True),
    ("tiling", "false", "tiling", False),
    ("tiling", 1, "tiling", True),
    ("zoom", 0.7, "zoom", "0: (0.7)"),
    ("zoom", "0.7", "zoom", "0: (0.7)"),
    ("zoom", -3, "zoom", "0: (-3)"),
    ("zoom", 1e-7, "zoom", "0: (0.0000001)"),
    ("prompts", "a lake", "prompts", {"0": "a lake"}),
    ("prompts", '{"0": "a", "9": "b"}', "prompts", {"0": "a", "9": "b"}),
    ("prompts", '["a", "b"]', "prompts", {"0": "a", "60": "b"}),
    ("prompts", "0: a lake | 60: a [red|blue] wood", "prompts", {"0": "a lake", "60": "a [red|blue] wood"}),
    ("animation_prompts", "0:a:1.2 --neg b", "prompts", {"0": "a:1.2 --neg b"}),
    ("prompts", '"0": "a", \n\n "30" : "b|c"', "prompts", {"0": "a", "30": "b|c"}),
    ("prompts", "0: a\nlake\n9: b", "prompts", {"0": "a\nlake", "9": "b"}),
    ("prompts", "16:9 view of a lake | 3:2", "prompts", {"0": "16:9 view of a lake | 3:2"}),
    ("prompts", '"0": "a cat", "16": "a dog"', "prompts", {"0": "a cat", "16": "a dog"}),
    ("prompts", "0:'a cat', 16:'a dog'", "prompts", {"0": "a cat", "16": "a dog"}),
    ("prompts", "0: a cat, 16: a dog; 20: a cow", "prompts", {"0": "a cat", "16": "a dog", "20": "a cow"}),
    ("prompts", "{'0': 'it\\'s', '16': 'a dog'}", "prompts", {"0": "it's", "16": "a dog"}),
    ("prompts", '{0: "a cat", max_f/2: "a dog"}', "prompts", {"0": "a cat", "max_f/2": "a dog"}),
    ("prompts", '0: ("a cat") 16: ("a dog"),', "prompts", {"0": "a cat", "16": "a dog"}),
    ("prompts", "“0”: “a cat”, “16”: “a dog”", "prompts", {"0": "a cat", "16": "a dog"}),
    ("prompts", "0:'a clock, 12: noon', 16:'b'", "prompts", {"0": "a clock, 12: noon", "16": "b"}),
    ("prompts", '0: "big" cat, 16: "dog"', "prompts", {"0": '"big" cat', "16": "dog"}),
    (
        "prompts",
        "0: a view, 16:9, 30: b --neg (c:1.1), 4",
        "prompts",
        {"0": "a view, 16:9", "30": "b --neg (c:1.1), 4"},
    ),
    ("prompts", "0: {0.5::a|0.3::b}", "prompts", {"0": "{0.5::a|0.3::b}"}),
    ("prompts", "0 = a, 9 = b", "prompts", {"0": "a", "9": "b"}),
    ("prompts", "0 => 'a', 9 => 'b'", "prompts", {"0": "a", "9": "b"}),
    ("prompts", "frame 0: a, frame 9: b", "prompts", {"0": "a", "9": "b"}),
    ("prompts", "-5: a\n1.5: b", "prompts", {"-5": "a", "1.5": "b"}),
    (
        "prompts",
        "0: a\n2.5s: b | -8 b: c\n50%: d",
        "prompts",
        {"0": "a", "2.5s": "b", "-8 b": "c", "50%": "d"},
    ),
    ("prompts", "0: 'a', 2bar: 'b'", "prompts", {"0": "a", "2bar": "b"}),
    ("prompts", "0: a street, 80s: neon", "prompts", {"0": "a street, 80s: neon"}),
    ("prompts", ["0: a", "9: b"], "prompts", {"0": "a", "9": "b"}),
    ("prompts", ["a", "b", "c"], "prompts", {"0": "a", "40": "b", "80": "c"}),
    ("animation_prompts", {"0": "a"}, "prompts", {"0": "a"}),
    ("animation_prompts", '{"0": "a"}', "prompts", {"0": "a"}),
    ("animation_prompts", ["a"], "prompts", {"0": "a"}),
    ("init_images", {"0": "a.png"}, "init_images", '{\n    "0": "a.png"\n}'),
    ("init_images", False, "init_images", "{}"),
    ("init_images", None, "init_images", "{}"),
    ("init_image", None, "init_image", ""),
    ("init_image", False, "init_image", ""),
    ("color_coherence", None, "color_coherence", "None"),
    ("depth_algorithm", "Demo", "depth_algorithm", "Built-in"),
    ("shake_name", "The Closeup", "shake_name", "THE_CLOSEUP"),
    ("resume_timestring", 20230129210106, "resume_timestring", "20230129210106"),
    ("frame_interpolation_x_amount", "x5", "frame_interpolation_x_amount", 5),
    ("frame_interpolation_x_amount", "6X", "frame_interpolation_x_amount", 6),
    ("frame_interpolation_slow_mo_amount", "Disabled", "frame_interpolation_slow_mo_amount", 2),
    ("batch_name", " ", "batch_name", "Deforum_{timestring}"),
    ("W", None, "W", 512),
]
AS_IT_IS: list[tuple[str, Any, Any]] = [
    ("fill", 0, "fill"),
    ("fill", 3, "latent nothing"),
    ("steps", 12.0, 12),
    ("fps", 23.976, 23.976),
    ("cn_3_threshold_a", 0.1, 0.1),
    ("init_images", '{"0": "a.png"}', '{"0": "a.png"}'),
    ("sampler", "DPM++ 2M Karras", "DPM++ 2M Karras"),
    ("sampler_schedule", "0: (Euler a)", "0: (Euler a)"),
    ("init_image", "'/home/me/a.png'", "/home/me/a.png"),
    ("init_image", "data:image/png;base64,AAAA\nBBBB\r\n", "data:image/png;base64,AAAABBBB"),
    ("video_init_path", "\u202aC:\\a.mp4", "C:\\a.mp4"),
    ("soundtrack_path", '"C:\\music\\a.mp3"', "C:\\music\\a.mp3"),
    ("prompts", {0: "a", 30: "b"}, {"0": "a", "30": "b"}),
]


@pytest.mark.parametrize(
    "text",
    [
        "0: a cat 16: a dog",
        "a cat, 16: a dog",
        "a cat | 16: a dog",
        "0: 'a cat, 16: 'a dog'",
        "0:'a cat's eye, 12: noon', 16:'b'",
        "'0: a cat, 16: a dog'",
        '"a cat", "a dog"',
        '```json\n{"0": "a cat", "16": "a dog"}\n```',
        'prompts: {"0": "a cat"}',
        "{'0': 'a, '16': 'b'}",
        "{'0': {'text': 'a'}}",
        "0s: a, 5s: b",
    ],
)
def test_a_text_that_may_be_several_prompts_is_refused(text: str) -> None:
    _, problems = examine_settings({"prompts": text})
    assert [problem.setting for problem in problems] == ["prompts"]
    assert problems[0].found


@pytest.mark.parametrize(
    "value",
    ['{"0": "a", "9": "b", "0": "c"}', "0: 'a', 9: 'b', 0: 'c'", ["0: a", "9: b", "0: c"]],
)
def test_a_key_frame_that_stands_twice_in_a_text_is_told(value: Any) -> None:
    loaded = load_settings({"prompts": value})
    assert loaded.settings.prompts == {"0": "c", "9": "b"}
    assert any("'0'" in warning and "more than once" in warning for warning in loaded.warnings)


@pytest.mark.parametrize(("name", "value", "setting", "meant"), TAKEN_OVER)
def test_a_notation_is_taken_over_with_a_warning(name: str, value: Any, setting: str, meant: Any) -> None:
    loaded = load_settings({name: value})
    assert flat_settings(loaded.settings)[setting] == meant
    assert any(name in warning for warning in loaded.warnings)
    assert loaded.unknown == {}


@pytest.mark.parametrize(("name", "value", "meant"), AS_IT_IS)
def test_a_notation_of_our_own_needs_no_warning(name: str, value: Any, meant: Any) -> None:
    loaded = load_settings({name: value})
    found = flat_settings(loaded.settings)[name]
    assert (found, type(found)) == (meant, type(meant))
    assert loaded.warnings == ()


def test_switches_of_old_files_name_a_method() -> None:
    asked = {"hybrid_composite": True, "optical_flow_cadence": True, "optical_flow_redo_generation": 1}
    loaded = load_settings({**asked, "video_init_path": "a.mp4"})
    assert loaded.settings.hybrid_composite == "Normal"
    assert loaded.settings.optical_flow_cadence == "DIS Fine"
    assert loaded.settings.optical_flow_redo_generation == "DIS Fine"


@pytest.mark.parametrize("image", ["", "  ", None])
def test_an_init_image_that_is_left_empty_is_none(image: str | None) -> None:
    loaded = load_settings({"use_init": True, "init_image": image})
    assert loaded.settings.use_init is False
    assert [warning for warning in loaded.warnings if "starts without an init image" in warning]
    boxed = load_settings({"use_init": True, "init_image": image, "init_image_box": "a.png"})
    assert boxed.settings.use_init is True


@pytest.mark.parametrize("frames", [2_000_000, 1e9])
def test_a_video_as_long_as_its_video_may_ask_for_any_length(frames: float) -> None:
    video = {"animation_mode": "Video Input", "video_init_path": "a.mp4"}
    loaded = load_settings({**video, "max_frames": frames, "legacy_colormatch": False})
    assert loaded.settings.max_frames == 100_000
    assert "video_gives_length" in map(code_of, loaded.warnings)
    with pytest.raises(SettingsError, match="max_frames is"):
        load_settings({"max_frames": frames})


def test_a_file_without_legacy_colormatch_is_an_old_one() -> None:
    assert load_settings({}).settings.legacy_colormatch is True
    assert load_settings({"legacy_colormatch": False}).settings.legacy_colormatch is False


def test_a_removed_setting_is_named_and_kept() -> None:
    loaded = load_settings({"histogram_matching": True})
    assert loaded.unknown == {"histogram_matching": True}
    assert [warning for warning in loaded.warnings if "histogram_matching no longer exists" in warning]
    assert len(loaded.warnings) == 1


@pytest.mark.parametrize(("old", "new"), [("width", "W"), ("flip_2d_perspective", "enable_perspective_flip")])
def test_the_current_name_wins_over_an_old_one(old: str, new: str) -> None:
    current = {"W": 128, "enable_perspective_flip": True}[new]
    loaded = load_settings({old: 0, new: current})
    assert getattr(loaded.settings, new) == current
    (warning,) = loaded.warnings
    assert code_of(warning) == "old_name_unused"
    assert old in warning
    assert new in warning


def test_animation_prompts_win_over_prompts() -> None:
    loaded = load_settings({"prompts": ["never shown"], "animation_prompts": {"0": "shown"}})
    assert loaded.settings.prompts == {"0": "shown"}
    empty = load_settings({"prompts": {"0": "shown"}, "animation_prompts": ""})
    assert empty.settings.prompts == {"0": "shown"}


EMPTY: list[Any] = ["", "  ", None, {}, []]
ALIASES: list[tuple[str, str, Any]] = [
    ("animation_prompts", "prompts", {"0": "a lake"}),
    ("sampler_name", "sampler", "DDIM"),
    ("width", "W", 640),
    ("hybrid_video_flow_method", "hybrid_flow_method", "Farneback"),
    ("hybrid_video_comp_alpha_schedule", "hybrid_comp_alpha_schedule", "0:(0.25)"),
    ("use_zoe_depth", "depth_algorithm", "Zoe"),
]


@pytest.mark.parametrize("word", ["Disabled", "disabled ", "None", "Off", False])
@pytest.mark.parametrize(
    ("name", "switch", "on", "off"),
    [
        ("frame_interpolation_x_amount", "frame_interpolation_engine", "RIFE v4.6", "None"),
        ("frame_interpolation_slow_mo_amount", "frame_interpolation_slow_mo_enabled", True, False),
    ],
)
def test_a_number_that_says_disabled_switches_off(
    name: str, switch: str, on: Any, off: Any, word: Any
) -> None:
    loaded = load_settings({"legacy_colormatch": False, switch: on, name: word})
    flat = flat_settings(loaded.settings)
    assert (flat[switch], flat[name]) == (off, defaults()[name])
    (warning,) = loaded.warnings
    assert name in warning
    assert switch in warning


@pytest.mark.parametrize(
    ("value", "meant"), [(1.2, 1), (1.01, 1), (65, 1), ("1.2", 1), (-0.4, 0), (-1, 0), ("-5", 0)]
)
def test_a_strength_beyond_an_end_counts_as_that_end(value: Any, meant: float) -> None:
    loaded = load_settings(
        {"legacy_colormatch": False, "use_init": True, "init_image": "a.png", "strength": value}
    )
    assert loaded.settings.strength == meant
    (warning,) = loaded.warnings
    assert "strength" in warning
    assert "0 to 1" in warning


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
@pytest.mark.parametrize(("alias", "setting", "value"), ALIASES)
def test_an_empty_value_under_another_name_is_not_given(
    alias: str, setting: str, value: Any, empty: Any
) -> None:
    loaded = load_settings({"legacy_colormatch": False, setting: value, alias: empty})
    assert flat_settings(loaded.settings)[setting] == value
    assert loaded.warnings == (f"{alias} is empty; it counts as not given.",)
    assert flat_settings(load_settings({alias: empty}).settings)[setting] == defaults()[setting]


@pytest.mark.parametrize("empty", EMPTY, ids=repr)
@pytest.mark.parametrize(("alias", "setting", "value"), ALIASES[:-1])
def test_an_empty_setting_gives_way_to_another_name_of_it(
    alias: str, setting: str, value: Any, empty: Any
) -> None:
    loaded = load_settings({"legacy_colormatch": False, setting: empty, alias: value})
    assert flat_settings(loaded.settings)[setting] == value
    assert not any("given too" in warning for warning in loaded.warnings)


def test_a_list_of_prompts_is_spread_over_the_frames_of_the_video() -> None:
    loaded = load_settings({"prompts": ["a", "b", "c", "d"], "max_frames": "40"})
    assert list(loaded.settings.prompts) == ["0", "10", "20", "30"]


def test_records_of_a_run_are_not_read_and_not_mentioned() -> None:
    loaded = load_settings(
        {"sd_model_name": "a", "positive_prompts": 3, "fetched_parseq_manifest_summary": [1]}
    )
    assert loaded.settings.sd_model_name is None
    assert (loaded.unknown, loaded.warnings) == ({}, ())


def test_what_only_the_tab_sets_is_ignored_with_a_warning() -> None:
    loaded = load_settings({"perlin_w": 16, "perlin_h": 8, "image_path": "/tmp/%09d.png"})
    assert (loaded.settings.perlin_w, loaded.settings.image_path) == (8, "")
    assert loaded.warnings == (
        "perlin_w cannot be set by a file and is ignored.",
        "image_path cannot be set by a file and is ignored.",
    )


def test_every_sampler_and_scheduler_has_its_own_name_in_any_spelling() -> None:
    for name in SAMPLERS:
        comfy = name.lower().replace("++", "pp").replace(" ", "_")
        assert {canonical_sampler(spelling) for spelling in (name, name.upper(), comfy)} == {name}
    for label, name in SCHEDULER_NAMES.items():
        assert {canonical_scheduler(spelling) for spelling in (label, label.lower(), name)} == {label}
    assert canonical_sampler("no such sampler") is None
    assert canonical_scheduler("") is None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("euler", "Euler"),
        ("euler_ancestral", "Euler a"),
        ("dpm_2", "DPM2"),
        ("dpm_2_ancestral", "DPM2 a"),
        ("dpmpp_2m", "DPM++ 2M"),
        ("dpmpp_2s_ancestral", "DPM++ 2S a"),
        ("dpmpp_sde_gpu", "DPM++ SDE"),
        ("dpmpp_3m_sde", "DPM++ 3M SDE"),
        ("uni_pc_bh2", "UniPC"),
        ("ddim_cfg_pp", "DDIM CFG++"),
        ("k_euler_ancestral", "Euler a"),
        ("klms", "LMS"),
        ("EulerDiscreteScheduler", "Euler"),
        ("DPMSolverMultistepScheduler", "DPM++ 2M"),
        ("LCMScheduler", "LCM"),
        ("pndm", "PLMS"),
    ],
)
def test_samplers_of_other_programs(spelling: str, name: str) -> None:
    assert canonical_sampler(spelling) == name
