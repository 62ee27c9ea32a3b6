"""What cannot be rendered is refused, each with its setting, what was found and what is allowed."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import Problem, SettingsError, group_problems
from deforum_helpers.core.messages import code_of
from deforum_helpers.settings import FIELDS, Loaded, flat_settings, load_settings
from tests.refusals import refuses

URL = "https://pictures.example.org/a.png"
BAD_VALUES: list[tuple[str, Any]] = [
    ("W", 63),
    ("W", 4097),
    ("W", -512),
    ("W", 0),
    ("W", 512.5),
    ("W", "wide"),
    ("W", True),
    ("W", [512]),
    ("W", {"px": 512}),
    ("W", math.nan),
    ("W", math.inf),
    ("W", "NaN"),
    ("W", "1e999"),
    ("W", 10**5000),
    ("H", "9" * 5000),
    ("max_frames", -1),
    ("max_frames", 100_001),
    ("max_frames", "3D"),
    ("steps", 0),
    ("steps", 201),
    ("steps", 10.5),
    ("steps", "٣"),
    ("fps", 0),
    ("fps", -math.inf),
    ("fps", 1000),
    ("seed", -2),
    ("seed", 2**53),
    ("seed", "lucky"),
    ("seed", True),
    ("seed", math.nan),
    ("seed_iter_N", 0),
    ("seed_behavior", "itr"),
    ("r_upscale_model", "waifu2x"),
    ("r_upscale_model", "4x.ckpt"),
    ("r_upscale_model", "/tmp/4x.pth"),
    ("r_upscale_model", "..\\4x.pth"),
    ("r_upscale_model", "4x\n.pth"),
    ("r_upscale_model", "4" * 300 + ".pth"),
    ("strength", math.inf),
    ("strength", "1e999"),
    ("strength", "much"),
    ("diffusion_cadence", 0),
    ("perlin_octaves", 8),
    ("frame_interpolation_x_amount", "x1000"),
    ("frame_interpolation_x_amount", 10**9),
    ("animation_mode", True),
    ("animation_mode", "4D"),
    ("animation_mode", "Wan Video"),
    ("animation_mode", "None" + " " * 300 + "x"),
    ("sampler", "no such sampler"),
    ("sampler", 99),
    ("sampler", False),
    ("scheduler", 4),
    ("border", "mirror"),
    ("depth_algorithm", "Guess"),
    ("color_coherence", ["LAB"]),
    ("tiling", "perhaps"),
    ("tiling", 2),
    ("tiling", []),
    ("zoom", True),
    ("zoom", [1.02]),
    ("zoom", {"0": 1.02}),
    ("zoom", math.nan),
    ("zoom", 1e300),
    ("zoom", "1e999"),
    ("zoom", "0: (1)\x00"),
    ("zoom", "0: (1)" + " " * (2 << 20)),
    ("sampler_schedule", 5),
    ("cn_5_weight", "\ud800"),
    ("cn_2_processor_res", "large"),
    ("cn_4_control_mode", "Balance"),
    ("prompts", {}),
    ("prompts", []),
    ("prompts", ""),
    ("prompts", 7),
    ("prompts", [1, 2]),
    ("prompts", {"0": None}),
    ("prompts", {"0": ["a"]}),
    ("prompts", {"0": "a\x00b"}),
    ("prompts", {"0": "half \ud83d"}),
    ("prompts", {("0",): "a"}),
    ("prompts", {"0": "a" * 20_001}),
    ("prompts", {str(frame): "a" for frame in range(10_001)}),
    ("prompts", '{"0": "a",}'),
    ("prompts", "[" * 100_000),
    ("init_image", ["a.png"]),
    ("init_image", "a\nb.png"),
    ("init_image", "a" * 4097),
    ("init_images", ["a.png"]),
    ("init_images", {"0": math.nan}),
    ("init_images", 3),
    ("animation_prompts_positive", {}),
    ("animation_prompts_negative", True),
    ("batch_name", "a" * 301),
    ("batch_name", "a\x00b"),
    ("batch_name", "a\nb"),
    ("batch_name", "\x7f"),
    ("batch_name", ".."),
    ("batch_name", "../.."),
    ("batch_name", "..\\"),
    ("batch_name", ["a"]),
    ("extract_from_frame", -1),
    ("reroll_blank_frames", "retry"),
]
VIDEO = {"animation_mode": "Video Input", "video_init_path": URL}
# What switches a setting of `BAD_VALUES` on that is off by default.
SWITCHES: dict[str, dict[str, Any]] = {
    "strength": {"use_init": True, "init_image": URL},
    "init_image": {"use_init": True},
    "init_images": {"use_looper": True},
    "depth_algorithm": {"animation_mode": "3D"},
    "sampler_schedule": {"enable_sampler_scheduling": True},
    "frame_interpolation_x_amount": {"frame_interpolation_engine": "Flow"},
    "r_upscale_model": {"r_upscale_video": True},
    "extract_from_frame": VIDEO,
    "cn_2_processor_res": {"cn_2_enabled": True},
    "cn_4_control_mode": {"cn_4_enabled": True},
}
OFF = [
    (name, value)
    for name, value in BAD_VALUES
    if name in SWITCHES and not {"inf", "nan"} & set(re.findall("[a-z]+", repr(value)))
]
BAD_TOGETHER: list[tuple[str, dict[str, Any]]] = [
    ("resume_timestring", {"resume_from_timestring": True, "resume_timestring": "../20230129210106"}),
    ("resume_timestring", {"resume_from_timestring": True, "resume_timestring": "2023012921010"}),
    ("resume_timestring", {"resume_from_timestring": True, "resume_timestring": "٢٠٢٣٠١٢٩٢١٠١٠٦"}),
    ("resume_timestring", {"resume_from_timestring": True, "resume_timestring": ""}),
    ("extract_to_frame", VIDEO | {"extract_from_frame": 10, "extract_to_frame": 10}),
    ("init_image", {"use_init": True}),
    ("init_image", {"use_init": True, "init_image": "file:///etc/passwd"}),
    ("init_image", {"use_init": True, "init_image": "concat:a.png"}),
    ("init_image", {"use_init": True, "init_image": 3}),
    ("sampler", {"sampler": "Euler a" * 100}),
    ("color_coherence_image_path", {"color_coherence": "Image"}),
    ("video_init_path", {"animation_mode": "Video Input"}),
    ("video_init_path", {"animation_mode": "Video Input", "video_init_path": "rtsp://camera/1"}),
    ("video_mask_path", {"use_mask_video": True}),
    ("video_init_path", {"hybrid_motion": "Affine"}),
    ("video_init_path", {"hybrid_composite": "Normal"}),
    ("init_image", {"hybrid_composite": "Normal", "hybrid_use_init_image": True}),
    ("soundtrack_path", {"add_soundtrack": "File", "soundtrack_path": "data:audio/mp3;base64,AAAA"}),
    ("r_upscale_factor", {"r_upscale_video": True, "r_upscale_model": "realesrgan-x4plus"}),
    (
        "r_upscale_factor",
        {"r_upscale_video": True, "r_upscale_model": "realesrgan-x4plus-anime", "r_upscale_factor": "x3"},
    ),
    (
        "frame_interpolation_x_amount",
        {"frame_interpolation_engine": "RIFE v4.6", "frame_interpolation_x_amount": 11},
    ),
]
HARMLESS: list[dict[str, Any]] = [
    {"init_image": URL, "use_init": False},
    {"init_image": URL, "use_init": True},
    {"animation_mode": "interpolation"},
    {"color_coherence": "Image", "color_coherence_image_path": URL},
    {"add_soundtrack": True},
    {"add_soundtrack": "Init Video"},
    {"use_mask_video": True, "mask_schedule": '0: ("{everywhere}")'},
    {"color_coherence": "Image", "animation_mode": "Interpolation"},
    {"use_init": True, "init_image": "rtsp://a", "animation_mode": "Video Input", "video_init_path": URL},
    {"add_soundtrack": "File", "soundtrack_path": "HTTPS://sound.example.org/a.mp3"},
    {"animation_mode": "Video Input", "video_init_path": URL, "color_coherence": "Video Input"},
    {"mask_file": URL, "video_init_path": URL, "video_mask_path": URL, "init_images": json.dumps({"0": URL})},
    {"hybrid_use_first_frame_as_init_image": True, "hybrid_use_init_image": True},
    {"optical_flow_cadence": "RAFT", "diffusion_cadence": 1},
    {"frame_interpolation_engine": "FILM", "r_upscale_video": True, "skip_video_creation": True},
    {"frame_interpolation_engine": "Flow", "frame_interpolation_x_amount": 300, "store_frames_in_ram": True},
    {"r_upscale_video": True, "r_upscale_model": "Lanczos", "r_upscale_factor": "x3"},
    {"add_soundtrack": "File", "soundtrack_path": URL, "skip_video_creation": True},
    {"parseq_manifest": "  ", "use_alpha_as_mask": True, "invert_mask": True},
    {"resume_timestring": "whenever"},
    {"use_init": True, "init_image": "C:\\images\\a.png"},
    {"use_init": True, "init_image": "data:image/png;base64," + "A" * 100_000},
    {"use_init": True, "init_image": URL, "init_image_box": "a.png"},
    {"batch_name": "CON"},
    {"batch_name": "../x"},
    {"diffusion_redo": "2"},
    {"keyframe_distribution": "Additive", "freeu_enabled": True, "tiling": True},
]


def problems_of(submitted: Any) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as error:
        load_settings(submitted)
    return error.value.problems


def assert_says_all(problem: Problem) -> None:
    assert problem.setting is not None
    assert problem.setting in problem.message
    assert problem.found
    assert problem.allowed
    assert problem.message.endswith((".", "?"))
    assert problem.message.isprintable()
    assert len(problem.found) < 80


@pytest.mark.parametrize(
    ("name", "value"), BAD_VALUES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BAD_VALUES)]
)
def test_a_bad_value_is_one_problem_of_its_setting(name: str, value: Any) -> None:
    (problem,) = problems_of(SWITCHES.get(name, {}) | {name: value})
    assert problem.setting == name
    assert_says_all(problem)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *OFF,
        ("cn_1_processor_res", 0.5),
        ("cn_5_weight", {}),
        ("cn_3_module", [1]),
        ("soundtrack_path", 7),
        ("color_coherence_image_path", "a\nb"),
        ("freeu_b1", [1]),
        ("perspective_flip_theta", True),
        ("r_upscale_factor", "x9"),
        ("extract_to_frame", -7),
    ],
    ids=str,
)
def test_a_bad_value_of_what_is_switched_off_is_a_warning(name: str, value: Any) -> None:
    loaded = load_settings({"legacy_colormatch": False, name: value})
    assert flat_settings(loaded.settings)[name] == FIELDS[name].default
    assert [text for text in loaded.warnings if name in text and code_of(text) == "unused_setting"]
    check_loaded(loaded)


def test_what_json_has_not_is_refused_even_where_it_is_switched_off() -> None:
    for value in (math.nan, "\ud800", {1, 2}):
        (problem,) = problems_of({"cn_1_processor_res": value})
        assert problem.setting == "cn_1_processor_res"


def test_a_contradiction_of_what_is_switched_off_is_a_warning() -> None:
    loaded = load_settings({"extract_from_frame": 10, "extract_to_frame": 10})
    assert [
        text for text in loaded.warnings if "extract_to_frame" in text and code_of(text) == "unused_setting"
    ]


@pytest.mark.parametrize(("name", "submitted"), BAD_TOGETHER)
def test_settings_that_contradict_each_other(name: str, submitted: dict[str, Any]) -> None:
    (problem,) = problems_of(submitted)
    assert problem.setting == name
    assert name in problem.message


@pytest.mark.parametrize("submitted", HARMLESS)
def test_what_asks_for_nothing_is_not_refused(submitted: dict[str, Any]) -> None:
    load_settings(submitted)


def test_a_file_whose_values_are_shifted_gives_one_error_per_bad_field() -> None:
    shifted = {
        "W": 1,
        "H": "perlin",
        "animation_mode": True,
        "max_frames": "3D",
        "border": 120,
        "angle": "replicate",
        "zoom": False,
        "seed": "Euler a",
        "sampler": 25.5,
        "steps": "Deforum_{timestring}",
        "fps": "None",
        "prompts": False,
    }
    problems = problems_of(shifted)
    assert sorted(problem.setting or "" for problem in problems) == sorted(set(shifted) - {"angle"})
    for problem in problems:
        assert_says_all(problem)


def test_problems_of_values_features_and_contradictions_come_together() -> None:
    submitted = {
        "W": 1,
        "r_upscale_video": True,
        "r_upscale_model": "realesrgan-x4plus",
        "batch_name": "..",
        "color_coherence": "Image",
        "mystery": math.nan,
    }
    assert {problem.setting for problem in problems_of(submitted)} == {
        "W",
        "r_upscale_factor",
        "batch_name",
        "color_coherence_image_path",
        "mystery",
    }


def test_every_bad_prompt_is_a_problem() -> None:
    problems = problems_of({"prompts": {"0": 1, "5": "a", "9": None}})
    assert [problem.message for problem in problems] == [
        "prompts: the prompt at '0' is 1; expected text.",
        "prompts: the prompt at '9' is null; expected text.",
    ]


def test_an_error_has_the_code_that_its_problems_share() -> None:
    texts = problems_of({"prompts": {"0": 1, "9": None}})
    assert SettingsError(texts).message_code == texts[0].code != ""
    assert SettingsError([*texts, *problems_of({"W": "a"})]).message_code == ""


def test_equal_problems_are_told_once_with_all_their_places() -> None:
    bad = {"zoom": True, "angle": True, "W": "a", "H": "a", "prompts": {"0": 1, "5": 2, "9": 1}}
    problems = problems_of(bad)
    assert len(problems) == 7
    groups = group_problems(problems)
    assert len(groups) == 5  # zoom and angle show examples of their own
    text = str(SettingsError(problems))
    assert text.count("expected a whole number") == 1
    assert text.count("is 1; expected text") == 1
    assert "The same applies to: H." in text
    assert "The same applies to: prompts at '9'." in text
    twice = Problem("zoom, frame 3, column 4: found 'x'.", "zoom", frame=3, column=4)
    later = Problem("zoom, frame 7, column 90: found 'x'.", "zoom", frame=7, column=90)
    other = Problem("angle, column 2: found 'x'.", "angle", column=2)
    error = SettingsError([twice, later, twice, other])
    assert error.problems == (twice, later, other)
    assert str(error) == f"{twice.message} The same applies to: zoom, frame 7, column 90; angle, column 2."


@pytest.mark.parametrize(
    ("submitted", "says"),
    [
        ({"input": {"settings": {"W": 64, "prompts": {"0": "a"}}}}, "input.settings contains settings"),
        ({"prompt": {"3": {"inputs": {"seed": 7}}}}, "prompt.3.inputs contains settings"),
        ({"hello": "world", "steps_": 3}, "did you mean steps?"),
        ({"a": {"b": {"c": {"d": {"W": 64}}}}}, ": 'a'."),
        ({"deforum_ffmpeg_crf": 17}, "'deforum_ffmpeg_crf'"),
    ],
)
def test_a_file_in_which_nothing_is_a_setting_is_refused(submitted: dict[str, Any], says: str) -> None:
    (problem,) = problems_of(submitted)
    assert problem.code in ("no_setting_among", "settings_inside")
    assert says in problem.message
    assert problem.allowed


@pytest.mark.parametrize(
    "submitted", [{}, {"width": 64}, {"scale": 7}, {"animation_prompts": "a"}, {"sd_model_name": "x", "y": 1}]
)
def test_one_name_of_any_year_makes_a_file_of_settings(submitted: dict[str, Any]) -> None:
    load_settings(submitted)


def test_a_misspelt_name_is_met_with_the_nearest() -> None:
    assert problems_of({"sampler": "Eulr a"})[0].message.endswith("Did you mean Euler a?")
    assert problems_of({"animation_mode": "3D", "padding_mode": "refection"})[0].message.endswith(
        "Did you mean reflection?"
    )


def test_broken_prompt_text_is_shown_where_it_breaks() -> None:
    (problem,) = problems_of({"prompts": '{"0": "a",\n "9" "b"}'})
    assert problem.column == 17
    assert "line 2, column 6" in problem.message
    assert problems_of({"prompts": '{"0": "a",}'})[0].message.count("comma before") == 1


@pytest.mark.parametrize("body", [None, [], "W", 3, [{"W": 64}]])
def test_a_body_that_is_no_object(body: Any) -> None:
    (problem,) = problems_of(body)
    assert problem.code == "settings_not_an_object"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"deforum_settings": {"max_frames": 3}}, "settings_are_a_request"),
        (
            {"options": {"output_fps": 20}, "rendered_frames": [{"frame": 0}]},
            "settings_are_a_parseq_document",
        ),
        ({"prompts": {"format": "v2"}, "keyframes": [{"frame": 0}]}, "settings_are_a_parseq_document"),
        ({"nodes": [], "links": []}, "settings_are_a_comfyui_workflow"),
    ],
)
def test_what_belongs_elsewhere_is_told_apart(body: dict[str, Any], code: str) -> None:
    with refuses(SettingsError, code):
        load_settings(body)


def test_the_mode_that_is_gone_is_explained() -> None:
    with pytest.raises(SettingsError, match="Mode None made single images"):
        load_settings({"animation_mode": "none"})


def test_names_must_be_text_and_not_too_many() -> None:
    assert problems_of({1: 2})[0].code == "invalid_setting_name"
    assert problems_of({"\ud800": 2})[0].code == "invalid_setting_name"
    assert problems_of({f"x{n}": n for n in range(5001)})[0].code == "too_many_settings"


def test_unknown_values_that_json_has_not_are_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (math.nan, {1, 2}, b"bytes", "\ud800", circle, object()):
        (problem,) = problems_of({"mystery": value})
        assert problem.setting == "mystery"


def test_many_unknown_names_are_named_shortly() -> None:
    (warning,) = load_settings(
        {f"unknown_{n}_{'x' * 300}": n for n in range(100)} | {"legacy_colormatch": True}
    ).warnings
    assert warning.endswith("and 70 more.")
    assert len(warning) < 5000


TEXTS = ["", "3", "-1", "true", "None", "0: (1)", "Euler a", "nan", "1e999", "{", "[1]", '{"0": "a"}', "2D"]
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=10**30),
        st.floats(),
        st.text(),
        st.sampled_from(TEXTS),
    ),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=8,
)
OTHER_NAMES = [
    "width",
    "height",
    "animation_prompts",
    "use_zoe_depth",
    "flip_2d_perspective",
    "histogram_matching",
]
BODIES = st.dictionaries(st.sampled_from([*FIELDS, *OTHER_NAMES]) | st.text(), JSON, max_size=12)


def loaded_or_problems(body: Any) -> Loaded | tuple[Problem, ...]:
    try:
        return load_settings(body)
    except SettingsError as error:
        return error.problems


@given(BODIES | JSON)
def test_any_json_body_loads_or_gives_problems(body: Any) -> None:
    outcome = loaded_or_problems(body)
    if isinstance(outcome, Loaded):
        check_loaded(outcome)
    else:
        assert outcome
        assert all(problem.message.isprintable() for problem in outcome)


def test_what_cannot_be_printed_is_cut_short_as_it_is_shown() -> None:
    (problem,) = problems_of({"H": "\x1f" * 20})
    assert_says_all(problem)
    assert problem.found == repr("\x1f" * 20)[:60] + "...'"


@given(st.sampled_from(sorted(FIELDS)), JSON)
def test_any_value_of_any_setting_loads_or_gives_problems(name: str, value: Any) -> None:
    outcome = loaded_or_problems({name: value})
    if isinstance(outcome, Loaded):
        check_loaded(outcome)
    else:
        for problem in outcome:
            assert_says_all(problem)


def check_loaded(loaded: Loaded) -> None:
    """What was loaded is finite, writable, within bounds, and loads again as the same."""
    flat = flat_settings(loaded.settings)
    text = json.dumps(flat, allow_nan=False, ensure_ascii=False)
    json.dumps(loaded.unknown, allow_nan=False, ensure_ascii=False).encode()
    assert load_settings(json.loads(text)).settings == loaded.settings
    for name, info in FIELDS.items():
        if info.kind in ("int", "float") and info.minimum is not None and info.maximum is not None:
            assert info.minimum <= flat[name] <= info.maximum


def test_an_image_as_bare_base64_is_told_how_it_begins() -> None:
    with pytest.raises(SettingsError) as error:
        load_settings({"use_init": True, "init_image": "iVBORw0KGgo" * 1000})
    (problem,) = error.value.problems
    assert "data:image/png;base64," in problem.message
