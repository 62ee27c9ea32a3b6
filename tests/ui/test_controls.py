"""What each control is, and how values go in and out without changing."""

from __future__ import annotations

from pathlib import Path

import pytest

from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.settings import FIELDS, defaults, flat_settings, load_settings
from deforum_helpers.ui.controls import (
    NAMES,
    available_controlnet,
    control,
    control_values,
    default_values,
    from_control,
    host_choices,
    refreshable_names,
    start_values,
    submitted_settings,
)
from deforum_helpers.ui.messages import CONTROLNET_NEEDS_CHECKPOINT, NO_CONTROLNET_MODELS


@pytest.mark.parametrize(
    ("name", "widget"),
    [
        ("tiling", "checkbox"),
        ("sampler", "choice"),
        ("W", "slider"),
        ("strength", "slider"),
        ("seed", "number"),  # nobody hits one of 2**53 stops
        ("max_frames", "number"),
        ("seed_resize_from_w", "number"),  # its default lies between two stops
        ("zoom", "line"),
        ("prompts", "lines"),
        ("animation_prompts_negative", "lines"),
        ("parseq_manifest", "lines"),
        ("init_image_box", "picture"),
        ("cn_3_model", "line"),
    ],
)
def test_a_setting_gets_the_control_that_fits_it(name: str, widget: str) -> None:
    assert control(FIELDS[name]).widget == widget


def test_a_slider_has_the_bounds_of_its_setting() -> None:
    made = control(FIELDS["W"])
    assert (made.minimum, made.maximum, made.step) == (64, 4096, 8)


def test_help_has_range_unit_and_an_example() -> None:
    assert "[64 to 4096, px]" in control(FIELDS["W"]).info
    assert "[1 to 200, steps] Example: 0: (25)" in control(FIELDS["steps_schedule"]).info


def test_the_start_values_are_the_defaults() -> None:
    values = submitted_settings(default_values())
    assert values == {name: value for name, value in defaults().items() if name in NAMES}


def test_what_the_controls_hold_loads_without_a_note() -> None:
    loaded = load_settings(submitted_settings(default_values()))
    assert loaded.warnings == ()
    assert loaded.unknown == {}


def test_settings_survive_the_way_through_the_controls() -> None:
    wanted = {"prompts": {"0": 'say "hi"', "30": "snö"}, "W": 768, "zoom": "0: (1.01)", "tiling": True}
    flat = flat_settings(load_settings(wanted).settings)
    back = submitted_settings(control_values(flat))
    assert {name: back[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "held_value", "value"),
    [
        ("max_frames", 12.0, 12),
        ("max_frames", 12.5, 12.5),  # the check says what is wrong with it
        ("fps", 12.0, 12.0),
        ("prompts", '{"0": "a"}', {"0": "a"}),
        ("prompts", '{"0": ', '{"0": '),
        ("prompts", "[1]", "[1]"),
        ("prompts", '{"0": "a", "0": "b"}', '{"0": "a", "0": "b"}'),  # the check tells of it
        ("init_image_box", None, ""),
        ("seed", None, None),
    ],
)
def test_values_are_submitted_as_they_are_meant(name: str, held_value: object, value: object) -> None:
    found = from_control(name, held_value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("name", NAMES)
def test_help_has_nothing_that_gradio_would_read_as_markup(name: str) -> None:
    info = control(FIELDS[name]).info
    assert info.count("*") < 2
    assert "__" not in info
    assert "](" not in info


def test_what_a_host_has_is_offered_behind_the_default() -> None:
    there = ControlNetFacts(modules=("canny", "none"), models=("canny_v11 [1a2b]",))
    facts = HostFacts("Forge", "webui", None, Path("/x"), ("Euler a",), ("Karras",), controlnet=there)
    assert host_choices("cn_1_module", facts) == ("none", "canny")
    assert host_choices("cn_5_model", facts) == ("None", "canny_v11 [1a2b]")
    assert (host_choices("sampler", facts), host_choices("scheduler", facts)) == (("Euler a",), ("Karras",))
    assert host_choices("cn_1_weight", facts) == host_choices("zoom", facts) == ()
    assert {name[-6:] for name in refreshable_names()} == {"module", "_model"}
    assert len(refreshable_names()) == 10


def test_nothing_is_offered_where_controlnet_is_missing() -> None:
    gone = ControlNetFacts(missing="There is none.")
    facts = HostFacts("A1111", "webui", None, Path("/x"), (), (), controlnet=gone)
    assert host_choices("cn_1_module", facts) == ()
    assert available_controlnet(facts).missing == "There is none."
    own = HostFacts("standalone", "demo", None, Path("/x"), (), ())
    why = CONTROLNET_NEEDS_CHECKPOINT(reason="The built-in model has no ControlNets")
    assert available_controlnet(own).missing == why
    assert host_choices("cn_1_module", own) == ()


def test_our_own_engine_offers_its_preprocessors_and_the_models_beside_its_checkpoint(tmp_path: Path) -> None:
    facts = HostFacts("standalone", "diffusers", str(tmp_path / "sd.safetensors"), Path("/x"), (), ())
    assert host_choices("cn_1_module", facts)[0] == "none"
    assert {"canny", "openpose"} <= set(host_choices("cn_1_module", facts))
    assert host_choices("cn_1_model", facts) == ()
    assert available_controlnet(facts).missing == NO_CONTROLNET_MODELS()
    (tmp_path / "ControlNet").mkdir()
    (tmp_path / "ControlNet" / "edges.safetensors").touch()
    assert host_choices("cn_1_model", facts) == ("None", "edges.safetensors")
    assert available_controlnet(facts).missing is None


@pytest.mark.parametrize(
    ("engine", "source"), [("demo", "inverted"), ("diffusers", "inverted"), ("webui", "new"), ("null", "new")]
)
def test_a_new_video_begins_with_what_its_engine_does_best(engine: str, source: str) -> None:
    facts = HostFacts("host", engine, None, Path("/x"), (), ())
    assert submitted_settings(start_values({}, facts))["noise_source"] == source
    assert submitted_settings(start_values({"zoom": "0: (1.01)"}, facts))["noise_source"] == "new"
