from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.settings import (
    Loaded,
    flat_settings,
    load_settings,
    parse_settings_text,
    read_settings_file,
    settings_text,
)
from deforum_helpers.settings.files import with_files_beside
from deforum_helpers.settings.load import nearest_name

FILES = Path(__file__).parent / "files"
EXPECTED: dict[str, dict[str, Any]] = {
    "2022_notebook.txt": {
        "sampler": "LMS",
        "color_coherence": "LAB",
        "diffusion_cadence": 3,
        "border": "wrap",
        "enable_perspective_flip": False,
        "prompts": {
            "0": "an old harbour at dawn, oil on canvas",
            "5": "an old harbour in a storm, oil on canvas",
        },
        "legacy_colormatch": True,
    },
    "2022_webui_october.txt": {
        "seed": 42,
        "sampler": "Euler a",
        "steps": 12,
        "fill": "original",
        "batch_name": "Deforum_{timestring}",
        "strength": 0.8,
        "max_frames": 7,
        "enable_perspective_flip": True,
        "color_coherence": "HSV",
        "skip_video_creation": False,
        "add_soundtrack": "None",
    },
    "2023_january.txt": {
        "seed": 1234,
        "sampler": "DPM++ 2M Karras",
        "depth_algorithm": "Midas+AdaBins (old)",
        "color_coherence": "RGB",
        "hybrid_composite": "None",
        "optical_flow_cadence": "None",
        "cn_1_weight": "0: (1)",
        "cn_1_guidance_start": "0: (0.0)",
        "cn_1_guidance_end": "0:(1)",
        "cn_1_resize_mode": "Outer Fit (Shrink to Fit)",
        "cn_5_resize_mode": "Inner Fit (Scale to Fit)",
        "frame_interpolation_x_amount": 2,
        "frame_interpolation_slow_mo_amount": 2,
    },
    "2023_august_saved_by_a_run.txt": {
        "batch_name": "Deforum_20230812221310",
        "prompts": {"0": " a bunny on a meadow --neg nsfw", "3": " a bunny at sea --neg nsfw"},
        "animation_prompts_negative": "",
        "negative_prompts": "",
        "sd_model_name": None,
        "fill": "fill",
        "diffusion_redo": 0,
        "legacy_colormatch": False,
    },
    "2024_body_numbers.json": {
        "W": 96,
        "H": 64,
        "max_frames": 6,
        "steps": 4,
        "translation_z": "0: (1.5)",
        "rotation_3d_z": "0: (0.25)",
        "strength_schedule": "0: (0.7)",
        "cfg_scale_schedule": "0: (5)",
        "noise_schedule": "0: (0.001)",
        "use_depth_warping": True,
        "init_image": "",
        "parseq_manifest": "",
        "color_coherence": "None",
    },
    "2024_comfy_names.json": {
        "seed": 771,
        "sampler": "DPM++ 2M SDE",
        "scheduler": "SGM Uniform",
        "animation_mode": "2D",
        "zoom": "0: (1.01)",
        "depth_algorithm": "Depth-Anything-V2-Small",
        "prompts": {"0": "a glass marble on a wooden table"},
        "init_images": '{\n    "0": "first.png",\n    "max_f/2": "second.png"\n}',
    },
    "2025_fork.txt": {
        "shake_name": "INVESTIGATION",
        "scheduler": "Simple",
        "keyframe_distribution": "Keyframes Only",
        "diffusion_cadence": 10,
        "resume_timestring": "20241111111111",
        "animation_prompts_positive": "wide angle,",
        "deforum_git_commit_id": None,
    },
    "2025_list_of_prompts.json": {
        "sampler": "Euler a",
        "prompts": {"0": "a seed in the ground", "3": "a sprout", "6": "a tree in bloom --neg fruit"},
    },
    "2025_by_hand.txt": {
        "W": 80,
        "prompts": {"0": "a map of an island", "3": "a map of an island, sea monsters"},
        "sampler_schedule": "0: (Euler a), 3: (DPM++ 2M)",
        "init_images": "{}",
        "init_image": "",
        "use_init": False,
    },
    "2022_notebook_interpolation.txt": {
        "prompts": {"0": "a raven, ink", "3": "a dove, ink", "6": "an egg, ink"},
        "sampler": "LMS",
        "animation_mode": "Interpolation",
    },
    "2022_notebook_video_input.txt": {
        "prompts": {"0": "a street in the rain, watercolour"},
        "sampler": "DDIM",
        "color_coherence": "RGB",
        "extract_nth_frame": 2,
        "video_init_path": "<video.mp4>",
    },
    "2022_prompt_list.txt": {
        "prompts": {
            "0": "a clay pot on a wheel",
            "3": "a glazed pot in a kiln",
            "6": "a broken pot on a floor",
        },
        "sampler": "Euler",
        "legacy_colormatch": True,
        "zoom": "0:(1.02)",
    },
    "2022_unclosed_brackets.txt": {
        "zoom": "0: (1.005",
        "angle": "0:(0), 3:(1.5), 7:(sin(t/2)*2",
        "strength_schedule": "0: (0.6) 4: (0.7)",
        "diffusion_cadence": 2,
        "color_coherence": "LAB",
    },
    "2023_february_hybrid.txt": {
        "hybrid_composite": "Normal",
        "hybrid_motion": "Optical Flow",
        "color_coherence": "Video Input",
        "diffusion_cadence": 1,
    },
    "2023_july_parseq.txt": {
        "parseq_use_deltas": True,
        "diffusion_cadence": 4,
        "fps": 10,
    },
    "2023_june_guided_images.txt": {
        "use_looper": True,
        "init_images": '{\n    "0": "<a.png>",\n    "max_f/2": "<b.png>"\n}',
        "seed_behavior": "schedule",
        "blendFactorMax": "0:(0.35)",
    },
    "2023_may_controlnet.txt": {
        "sampler": "DPM++ SDE Karras",
        "cn_1_weight": "0: (0.8)",
        "cn_1_guidance_start": "0: (0)",
        "cn_1_guidance_end": "0: (0.9)",
        "cn_1_resize_mode": "Inner Fit (Scale to Fit)",
        "cn_2_weight": "0:(1)",
        "cn_4_resize_mode": "Outer Fit (Shrink to Fit)",
        "cn_1_threshold_a": 64,
    },
    "2023_november_schedules_of_everything.txt": {
        "sampler_schedule": '0: ("Euler a"), 4: (dpm++ 2m karras)',
        "checkpoint_schedule": '0: ("a"), 4: ("b")',
        "seed_behavior": "ladder",
        "clipskip_schedule": "0: (2)",
    },
    "2023_september_masks.txt": {
        "steps": 6,
        "use_init": True,
        "init_image": "<a.png>",
        "use_mask": True,
        "mask_brightness_adjust": 0.9,
        "fill": "fill",
        "mask_schedule": "0: ({video_mask}), 3: (!{video_mask})",
    },
    "2024_april_doubled_keys.txt": {
        "seed": 44,
        "W": 64,
        "H": 64,
        "translation_z": "0: (1.25)",
        "depth_algorithm": "Leres",
        "prompts": {"0": "a gallery of mirrors", "4": "a gallery of windows --neg people --neg chairs"},
    },
    "2024_february_saved_by_the_tab.txt": {
        "seed": -1,
        "prompts": {"0": "a market at night", "3": "a market at noon --neg rain"},
        "animation_prompts_negative": "text --neg blurry",
        "parseq_manifest": "",
        "seed_iter_N": 3,
    },
    "2024_june_perspective_flip.json": {
        "W": 64,
        "seed": 17,
        "prompts": {"0": "a deck of cards in the air"},
        "enable_perspective_flip": True,
        "perspective_flip_phi": "0: (1.5)",
        "border": "wrap",
        "ddim_eta_schedule": "0: (0.3)",
    },
    "2024_october_flow.txt": {
        "sampler": "DPM++ 2M",
        "scheduler": "Karras",
        "optical_flow_cadence": "DIS Fine",
        "diffusion_redo": 1,
        "reroll_patience": 3,
    },
    "2025_api_client.json": {
        "W": 64,
        "seed": 99,
        "sampler": "UniPC",
        "scheduler": "DDIM",
        "fps": 24,
        "animation_mode": "3D",
        "translation_z": "0: (2)",
        "zoom": "0: (1)",
        "hybrid_composite": "None",
        "optical_flow_cadence": "None",
        "init_images": "{}",
        "diffusion_cadence": 2,
        "tiling": False,
        "cn_1_enabled": False,
        "skip_video_creation": False,
    },
    "2025_fork_freeu.txt": {
        "freeu_enabled": True,
        "freeu_b2": "0: (1.4)",
        "kohya_hrfix_upscale_method": "bicubic",
        "kohya_hrfix_enabled": True,
    },
    "2025_fork_redistributed.txt": {
        "keyframe_distribution": "Redistributed",
        "shake_name": "HANDYCAM_RUN",
        "distilled_cfg_scale_schedule": "0: (3.5), 9: (2.5)",
    },
    "2023_notebook_hybrid.txt": {
        "W": 64,
        "sampler": "DPM2 a",
        "enable_sampler_scheduling": True,
        "use_init": False,
        "border": "replicate",
        "color_coherence": "RGB",
        "hybrid_generate_inputframes": True,
        "hybrid_use_first_frame_as_init_image": False,
        "hybrid_motion": "Optical Flow",
        "hybrid_flow_method": "Farneback",
        "hybrid_composite": "Normal",
        "hybrid_comp_alpha_schedule": "0:(0.25)",
        "hybrid_generate_human_masks": "None",
        "prompts": {"0": "a paper boat on a pond", "4": "a paper boat on the sea"},
    },
    "2024_pulsing_presets.txt": {
        "sampler": "DPM++ 2M SDE Karras",
        "scheduler": "Karras",
        "keyframe_distribution": "Off",
        "r_upscale_factor": "x2",
        "frame_interpolation_x_amount": 3,
    },
    "2026_masks_in_interpolation.json": {
        "W": 72,
        "H": 65,
        "fill": "latent noise",
        "mask_schedule": '0: ("({init_mask} | [<slope.png>]) & !{everywhere}"), 2: ("{init_mask}")',
    },
    "2026_prompt_interpolation.json": {
        "prompt_interpolation": "embedding",
        "prompts": {"0": "a (red:1.2) balloon", "max_f/2": "a blue balloon AND a kite:0.5 --neg clouds"},
    },
    "2026_saved_by_a_run.txt": {
        "seed": 20260314,
        "batch_name": "saved_20260314",
        "sd_model_name": None,
        "animation_prompts_positive": "film still,",
    },
    "2026_current.json": {"seed": 2026, "depth_algorithm": "Plane", "legacy_colormatch": False},
}


def loaded(name: str) -> Loaded:
    return load_settings(read_settings_file(FILES / name))


def test_every_file_has_its_expectation() -> None:
    assert sorted(path.name for path in FILES.iterdir()) == sorted(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_each_year_means_what_it_meant(name: str) -> None:
    flat = flat_settings(loaded(name).settings)
    assert {key: flat[key] for key in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_loaded_file_that_is_saved_loads_the_same_without_a_word(name: str) -> None:
    first = loaded(name).settings
    second = load_settings(parse_settings_text(settings_text(first)))
    assert second.settings == first
    assert second.warnings == ()


def test_unknown_names_are_kept_and_named_in_one_warning() -> None:
    result = loaded("2022_notebook.txt")
    assert result.unknown["scale"] == 7
    assert [warning for warning in result.warnings if "'n_batch'" in warning and "'near_plane'" in warning]
    by_hand = loaded("2025_by_hand.txt")
    assert by_hand.unknown == {"deforum_save_gen_info_as_srt_params": {}, "zomm": "0: (2)"}
    assert any("'zomm' (did you mean zoom?)" in warning for warning in by_hand.warnings)
    assert any("options_overrides" in warning for warning in by_hand.warnings)


def test_a_current_file_needs_no_word() -> None:
    assert loaded("2026_current.json").warnings == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON: the text is empty."),
        (" \n", "not valid JSON: the text is empty."),
        ("{", "expected a name in double quotes at line 1, column 2."),
        ('{"W": 512,\n "H" 512}', "expected a colon at line 2, column 6."),
        ('{"W": 512\n "H": 512}', "expected a comma or the closing bracket at line 2, column 2."),
        ('{"W": 512,\n}', "Remove "),
        ('{"prompts": ["a", ]}', "Remove "),
        ('{"W": 512} // the width', "found more text after the last bracket at line 1, column 12."),
        ('{"W": 512, // the width\n "H": 64}', "JSON has no comments"),
        ('{"W": 512, # the width\n "H": 64}', "JSON has no comments"),
        ("{“W”: 512}", 'Write " as on a keyboard.'),
        ('{"tiling": True}', "Write true."),
        ('{"init_image": None}', "Write null."),
        ('{"strength": 0,5}', "Write a decimal number with a point."),
        ('{"strength": .5}', "Write a number as in 12 or 0.5."),
        ('{"W": 0512}', "without zeros before it."),
        ('{"W":\u00a0512}', "Remove the character U+00A0"),
        ('{"prompts": {0: "a"}}', "Put text in double quotes."),
        ('{"sampler": "Euler', "found a text without its closing quote at line 1, column 13."),
        (
            '{"prompts": "a\nb"}',
            "found a line break or a tab inside a text at line 1, column 15. Write a line break",
        ),
        ('{"scheduler": karras}', "Put text in double quotes."),
        ("{'W': 512}", "double quotes"),
        ('{"init_image": "C:\\Pictures\\a.png"}', "Write a backslash twice in a text."),
        ("[1, 2]", "not a JSON object"),
        ('"W"', "not a JSON object"),
        ("[" * 100_000, "nests deeper than"),
        ('{"W": ' + "9" * 5000 + "}", "more than 400 digits"),
    ],
)
def test_text_that_is_no_settings_object(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_settings_text(text)
    assert words in error.value.problems[0].message


def test_names_that_stand_twice_are_told() -> None:
    text = '{"W": 64, "W": 128, "prompts": {"0": "a", "0": "b"}, "H": 64}'
    for added in ({}, {"legacy_colormatch": True}):
        loaded = load_settings(parse_settings_text(text) | added)
        assert loaded.settings.W == 128
        assert "prompts contains '0' more than once; the last value counts." in loaded.warnings
        assert "The settings contain 'W' more than once; the last value counts." in loaded.warnings


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b'{"batch_name": "caf\xe9"}')
    huge = tmp_path / "huge.txt"
    huge.write_bytes(b" " * ((16 << 20) + 1))
    for path, words in ((tmp_path / "none.txt", "does not exist"), (latin, "UTF-8"), (huge, "16 MiB")):
        with pytest.raises(SettingsError, match=words):
            read_settings_file(path)


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "notepad.txt"
    path.write_bytes(b'\xef\xbb\xbf{"W": 64}')
    assert read_settings_file(path) == {"W": 64}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_with_its_mark_is_read(encoding: str, tmp_path: Path) -> None:
    """PowerShell redirects into such files."""
    path = tmp_path / "redirected.txt"
    mark = "" if encoding == "utf-16" else "\ufeff"
    path.write_bytes((mark + '{"prompts": {"0": "caf\u00e9"}}').encode(encoding))
    assert read_settings_file(path) == {"prompts": {"0": "caf\u00e9"}}


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04\x14\x00\xff", b"\x1f\x8b\x08\x00", '{"W": 64}'.encode("utf-16-le") + b"\xff"]
)
def test_a_file_that_is_not_text_is_not_to_be_saved_as_utf_8(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "packed.txt"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        read_settings_file(path)
    assert [problem.code for problem in error.value.problems] == ["settings_not_text"]


def test_a_byte_order_mark_in_pasted_prompts_is_no_obstacle() -> None:
    assert load_settings({"prompts": '\ufeff{"0": "a", "9": "b"}'}).settings.prompts == {"0": "a", "9": "b"}


def test_files_beside_the_settings_file_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "settings", tmp_path / "elsewhere"
    (folder / "shots").mkdir(parents=True)
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("a.png", "shots/b.mp4"):
        (folder / name).touch()
    (elsewhere / "here.png").touch()
    (folder / "here.png").touch()
    given = {
        "init_image": "'a.png'",
        "video_init_path": "shots/b.mp4",
        "cn_1_vid_path": "a.png",
        "mask_file": "here.png",
        "audio_path": "x" * 5000,
        "soundtrack_path": "nul\0",
        "end_image_path": "https://example.com/a.png",
        "init_image_box": "data:image/png;base64," + "A" * 9000,
        "color_coherence_image_path": None,
        "video_mask_path": "",
        "batch_name": "a.png",
    }
    assert with_files_beside(given, folder) == given | {
        "init_image": str((folder / "a.png").resolve()),
        "video_init_path": str((folder / "shots/b.mp4").resolve()),
        "cn_1_vid_path": str((folder / "a.png").resolve()),
    }


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("w", "W"),
        (" W", "W"),
        ("ZOOM", "zoom"),
        ("maxFrames", "max_frames"),
        ("Max Frames", "max_frames"),
        ("translation-x", "translation_x"),
        ("zomm", "zoom"),
        ("colour", None),
    ],
)
def test_a_name_in_another_spelling_is_recognized(name: str, meant: str | None) -> None:
    assert nearest_name(name) == meant
