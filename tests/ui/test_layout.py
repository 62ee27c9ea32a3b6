"""Every setting stands in the tab, once, where its declaration says, in the order that people know."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator

import pytest

from deforum_helpers.settings import FIELDS
from deforum_helpers.ui.controls import NAMES, control
from deforum_helpers.ui.layout import GROUPS, LINES, TABS, TOOL_SECTIONS, Section, is_offered, sections


def placed(parts: tuple[Section, ...], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (setting, tab) for every control."""
    for part in parts:
        here = f"{path} > {part.title}" if path else part.title
        yield from ((name, here) for line in part.lines for name in line)
        for _, inside in part.groups:
            yield from placed(inside, here)


def section(*titles: str) -> Section:
    inside = sections()
    for title in titles:
        found = next(part for part in inside if part.title == title)
        inside = tuple(part for _, group in found.groups for part in group)
    return found


def test_each_offered_setting_has_one_place_and_that_is_its_tab() -> None:
    places = list(placed(sections()))
    assert max(Counter(name for name, _ in places).values()) == 1
    expected = {name: FIELDS[name].tab for name in NAMES if name != "show_info_on_ui"}
    assert dict(places) == expected


def test_only_what_files_cannot_set_is_left_out() -> None:
    left_out = {name for name, info in FIELDS.items() if name not in NAMES and info.kind != "record"}
    assert left_out == {"perlin_w", "perlin_h", "image_path"}


def test_the_tabs_are_those_that_people_know() -> None:
    assert [part.title for part in sections()] == [
        "Run",
        "Keyframes",
        "Prompts",
        "Init",
        "ControlNet",
        "Hybrid Video",
        "Output",
    ]
    groups = [(shape, [part.title for part in inside]) for shape, inside in section("Keyframes").groups]
    assert groups == [
        ("accordion", ["Guided Images"]),
        ("tabs", ["Strength", "CFG", "Seed", "SubSeed", "Step", "Sampler", "Scheduler", "Checkpoint"]),
        (
            "tabs",
            [
                *("Motion", "Noise", "Coherence", "Anti Blur", "Depth Warping & FOV", "Sound", "FreeU"),
                "Kohya HRFix",
            ],
        ),
    ]


def test_run_begins_as_it_always_did() -> None:
    assert section("Run").lines[:4] == (
        ("motion_preview_mode",),
        ("sampler", "scheduler", "steps"),
        ("W", "H"),
        ("seed", "batch_name"),
    )


def test_hybrid_video_stands_in_its_order() -> None:
    """The composite and what feeds it, then the motion, then masks."""
    assert [name for line in section("Hybrid Video").lines for name in line] == [
        "hybrid_composite",
        "hybrid_generate_inputframes",
        "hybrid_use_first_frame_as_init_image",
        "hybrid_use_init_image",
        "hybrid_motion",
        "hybrid_flow_method",
        "hybrid_flow_consistency",
        "hybrid_consistency_blur",
        "hybrid_motion_use_prev_img",
        "hybrid_comp_mask_type",
        "hybrid_comp_mask_equalize",
        "hybrid_comp_mask_auto_contrast",
        "hybrid_comp_mask_inverse",
        "hybrid_comp_save_extra_frames",
    ]


def test_a_new_section_and_a_new_tab_appear_by_themselves() -> None:
    info = dataclasses.replace(FIELDS["zoom"], name="wobble", tab="Keyframes > Wobble")
    other = dataclasses.replace(FIELDS["zoom"], name="sound", tab="Sound")
    made = sections({**FIELDS, "wobble": info, "sound": other})
    assert ("wobble", "Keyframes > Wobble") in set(placed(made))
    assert made[-1] == Section("Sound", (("sound",),))


@pytest.mark.parametrize("line", LINES, ids="-".join)
def test_the_lines_name_settings_of_one_tab(line: tuple[str, ...]) -> None:
    assert len({FIELDS[name].tab for name in line}) == 1
    assert all(is_offered(FIELDS[name]) for name in line)


def test_the_groups_name_sections_that_exist() -> None:
    tabs = {info.tab for info in FIELDS.values() if is_offered(info)}
    named = {f"{tab} > {title}" for tab, groups in GROUPS.items() for _, titles in groups for title in titles}
    assert named - {f"Output > {title}" for title in TOOL_SECTIONS} <= tabs
    assert set(GROUPS) <= set(TABS)


@pytest.mark.parametrize("name", NAMES)
def test_every_control_has_a_label_and_help(name: str) -> None:
    made = control(FIELDS[name])
    assert made.label
    assert FIELDS[name].help in made.info
