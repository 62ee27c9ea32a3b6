from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from deforum_helpers.settings import FIELDS, ControlNetUnit, Settings, defaults, flat_settings, schema
from deforum_helpers.settings.files import typed_settings
from deforum_helpers.settings.tables import SUBTITLE_PARAMS

# Settings that neither classic Deforum nor its fork has.
CLASSIC = json.loads((Path(__file__).parent / "classic_names.json").read_text(encoding="utf-8"))
OWN = {name for name, info in FIELDS.items() if info.since == "here"}
KINDS = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "enum": "enum",
    "enum(index)": "enum",
    "schedule(numeric)": "schedule",
    "schedule(string)": "string schedule",
    "string": "text",
    "path|url": "path",
    "image(UI only)": "path",
    "string(UI only)": "path",
    "json(string)": "json",
    "json(string)|url": "json",
    "prompts(object)": "prompts",
}
# Where classic started from an example on the web, a text for a number, or a feature switched on.
OUR_DEFAULTS = {
    "init_image": "",
    "init_image_box": "",
    "mask_file": "",
    "video_init_path": "",
    "video_mask_path": "",
    "soundtrack_path": "",
    "image_path": "",
    "init_images": "{}",
    "parseq_manifest": "",
    "animation_prompts_negative": "",
    "diffusion_redo": 0,
    "shake_name": "None",
    "keyframe_distribution": "Off",
    "scheduler": "Automatic",
}


def test_every_classic_and_fork_setting_exists_and_no_other() -> None:
    assert len(CLASSIC) == 285
    assert set(FIELDS) == set(CLASSIC) | OWN


def test_groups_are_those_of_settings_files_in_their_order() -> None:
    assert all(FIELDS[name].group == facts["group"] for name, facts in CLASSIC.items() if "group" in facts)
    assert list(dict.fromkeys(info.group for info in FIELDS.values())) == [
        "DeforumArgs",
        "prompts",
        "DeforumAnimArgs",
        "ParseqArgs",
        "LoopArgs",
        "ControlNetArgs",
        "FreeUArgs",
        "KohyaHRFixArgs",
        "DeforumOutputArgs",
        "metadata",
        "ui_only",
    ]


def test_kinds_are_the_classic_ones() -> None:
    loaded = {name for name, info in FIELDS.items() if info.kind != "record"} - OWN
    assert {name: FIELDS[name].kind for name in loaded} == {
        name: KINDS[CLASSIC[name]["type"]] for name in loaded
    }


@pytest.mark.parametrize("name", [name for name in CLASSIC if name != "prompts"])
def test_defaults_are_the_classic_ones_or_ours(name: str) -> None:
    expected = OUR_DEFAULTS[name] if name in OUR_DEFAULTS else CLASSIC[name]["default"]
    assert FIELDS[name].default == expected
    assert defaults()[name] == expected


def test_default_prompts_are_four_and_one_has_a_negative_part() -> None:
    prompts = defaults()["prompts"]
    assert list(prompts) == ["0", "30", "60", "90"]
    assert sum("--neg" in prompt for prompt in prompts.values()) == 1


def test_no_default_reaches_out_to_the_network() -> None:
    assert not [name for name, value in defaults().items() if "http" in str(value)]


def test_types_of_attributes_and_kinds_agree() -> None:
    expected = {"int": int, "float": float, "bool": bool}
    hints = get_type_hints(Settings) | {
        f"cn_1_{name}": hint for name, hint in get_type_hints(ControlNetUnit).items()
    }
    for name, info in FIELDS.items():
        if name in hints and info.kind not in ("prompts", "record"):
            assert hints[name] is expected.get(info.kind, str), name


def test_every_setting_says_what_it_is() -> None:
    for info in FIELDS.values():
        assert info.help.endswith("."), info.name
        assert info.group == "metadata" or info.kind == "record" or (info.label and info.tab), info.name
        if info.kind in ("int", "float"):
            assert info.minimum is not None, info.name
            assert info.maximum is not None, info.name
            assert info.minimum <= info.default <= info.maximum, info.name
        if info.kind == "enum":
            assert info.default in info.choices, info.name


def test_flat_settings_and_typed_settings_are_inverse() -> None:
    unit = ControlNetUnit(enabled=True, weight="0:(0.5)")
    settings = dataclasses.replace(Settings(), W=640, controlnet=(unit, *Settings().controlnet[1:]))
    flat = flat_settings(settings)
    assert (flat["W"], flat["cn_1_enabled"], flat["cn_1_weight"], flat["cn_2_enabled"]) == (
        640,
        True,
        "0:(0.5)",
        False,
    )
    assert typed_settings(flat) == settings
    assert list(flat) == list(FIELDS)


def test_defaults_cannot_be_changed_through_a_copy() -> None:
    defaults()["prompts"]["0"] = "changed"
    assert defaults()["prompts"]["0"] != "changed"


def test_schema_describes_every_setting() -> None:
    properties = schema()["properties"]
    assert list(properties) == list(FIELDS)
    assert properties["W"] == {
        "title": "Width",
        "description": FIELDS["W"].help,
        "type": "integer",
        "default": 512,
        "minimum": 64,
        "maximum": 4096,
        "x-step": 8,
        "x-unit": "px",
        "x-kind": "int",
        "x-group": "DeforumArgs",
        "x-tab": "Run",
    }
    assert properties["border"]["enum"] == ["replicate", "wrap"]
    names, files = properties["r_upscale_model"]["anyOf"]
    assert names["enum"][-1] == "Lanczos"
    assert re.search(files["pattern"], "4x-UltraSharp.pth")
    assert not re.search(files["pattern"], "../4x-UltraSharp.pth")
    assert properties["steps_schedule"]["x-maximum"] == 200
    assert properties["sd_model_name"]["readOnly"] is True
    json.dumps(schema(), allow_nan=False)


def test_subtitle_parameters_name_settings_and_end_with_the_prompt() -> None:
    assert len(SUBTITLE_PARAMS) == 49
    assert all(param.setting in FIELDS for param in SUBTITLE_PARAMS)
    assert SUBTITLE_PARAMS[3] == ("zoom", "Zoom", "Zoom")
    assert SUBTITLE_PARAMS[14] == ("noise_schedule", "Noise Sch", "Noise")
    assert SUBTITLE_PARAMS[-1] == ("prompts", "Prompt", "Prompt")
    labels = [param.label for param in SUBTITLE_PARAMS]
    assert len(set(labels)) == len(labels)


def test_importing_settings_does_not_import_torch() -> None:
    code = (
        "import sys, deforum_helpers.settings; sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
