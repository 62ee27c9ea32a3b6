"""Predicates say when settings act: they are worked out, put into words and explained."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.settings import FIELDS, Settings, defaults
from deforum_helpers.settings.compatibility import FACTS
from deforum_helpers.settings.modes import (
    Acting,
    acting,
    acts,
    holds,
    is_hybrid,
    is_moved,
    overlays,
    reasons,
    uses_video,
)
from deforum_helpers.settings.predicates import (
    ALWAYS,
    NEVER,
    All,
    Clause,
    Predicate,
    Situation,
    Some,
    above,
    contains,
    ends_with,
    has_word,
    is_off,
    is_on,
    is_set,
    is_used,
    not_,
    one_of,
    sentence,
    starts_with,
)
from deforum_helpers.settings.situations import HYBRID, MOVED


def clauses_in(predicate: Predicate) -> Iterator[Clause]:
    if isinstance(predicate, Clause):
        yield predicate
    elif isinstance(predicate, Situation):
        yield from clauses_in(predicate.condition)
    elif isinstance(predicate, (All, Some)):
        for part in predicate.parts:
            yield from clauses_in(part)


def read_before(name: str, path: tuple[str, ...] = ()) -> None:
    assert name not in path, f"{' needs '.join((*path, name))}"
    for other in FIELDS[name].used_when.reads():
        read_before(other, (*path, name))


@pytest.mark.parametrize("name", [name for name, info in FIELDS.items() if info.used_when.reads()])
def test_declared_predicates_name_settings_and_their_values(name: str) -> None:
    read_before(name)
    for clause in clauses_in(FIELDS[name].used_when):
        info = FIELDS[clause.name]
        if clause.kind in ("is", "is not"):
            values = set(info.choices) or {True, False}
            assert set(clause.wanted) <= values, clause


def values_of(name: str) -> st.SearchStrategy[Any]:
    info = FIELDS[name]
    if info.kind == "bool":
        return st.booleans()
    if info.kind == "enum":
        return st.sampled_from(info.choices)
    if info.kind in ("int", "float"):
        return st.sampled_from([info.default, info.minimum, info.maximum])
    return st.sampled_from(["", "0: (0)", "{init_mask}", "[a.png] | {video_mask}", info.default])


READ = sorted({name for info in FIELDS.values() for name in info.used_when.reads()})


@given(st.fixed_dictionaries({}, optional={name: values_of(name) for name in READ}))
def test_a_setting_acts_or_has_reasons_not_to(changes: dict[str, Any]) -> None:
    flat = defaults() | changes
    values = Acting(flat.__getitem__)
    for name, info in FIELDS.items():
        assert values.acts(name) is not bool(values.reasons(name)) or info.used_when == NEVER
        assert (~info.used_when).holds(values) is not info.used_when.holds(values)
        assert all(why.split(" ")[0] in FIELDS for why in values.reasons(name))
    assert acting(FIELDS, flat) == {name for name in FIELDS if acts(name, flat)}


@given(st.sampled_from([None, "", "x", 1e400, -1, [], {}, True]))
def test_half_typed_values_are_no_errors(nonsense: object) -> None:
    values = Acting(dict.fromkeys(FIELDS, nonsense).__getitem__)
    for name in FIELDS:
        assert values.acts(name) or isinstance(values.reasons(name), tuple)


@pytest.mark.parametrize(
    ("predicate", "said", "opposite"),
    [
        (MOVED, "Used in 2D and 3D.", "Used outside 2D or 3D."),
        (is_on("use_init"), "Used when use_init is on.", "Used when use_init is off."),
        (is_off("use_init"), "Used when use_init is off.", "Used when use_init is on."),
        (
            one_of("depth_warp", "exact") & is_on("use_depth_warping"),
            "Used when depth_warp is exact and use_depth_warping is on.",
            "Used when depth_warp is not exact, or use_depth_warping is off.",
        ),
        (
            is_on("use_mask") | is_on("use_mask_video"),
            "Used when use_mask or use_mask_video is on.",
            "Used when use_mask is off and use_mask_video is off.",
        ),
        (
            MOVED & HYBRID & (is_on("use_mask") | above("seed", 1)),
            "Used in 2D and 3D with hybrid video when either use_mask is on, or seed is above 1.",
            None,
        ),
        (MOVED | is_set("prompts"), "Used in 2D and 3D, or when prompts is set.", None),
        (not_("fill", "original"), "Used when fill is not original.", "Used when fill is original."),
        (
            one_of("fill", "fill", "original"),
            "Used when fill is fill or original.",
            "Used when fill is neither fill nor original.",
        ),
        (ends_with("fill", "x"), "Used when fill ends with x.", "Used when fill does not end with x."),
        (starts_with("fill", "x"), "Used when fill starts with x.", None),
        (contains("fill", "x"), "Used when fill contains x.", "Used when fill does not contain x."),
        (has_word("fill", "x"), "Used when fill has the word x.", None),
        (is_used("fill"), "Used when fill is used.", "Used when fill is not used."),
        (~HYBRID, "Used without hybrid video.", "Used with hybrid video."),
        (ALWAYS, "", "Never used."),
        (NEVER, "Never used.", ""),
    ],
    ids=str,
)
def test_predicates_are_worded(predicate: Predicate, said: str, opposite: str | None) -> None:
    assert sentence(predicate) == said
    assert opposite is None or sentence(~predicate) == opposite
    assert ~~predicate == predicate


@pytest.mark.parametrize("name", FIELDS)
def test_every_sentence_is_one(name: str) -> None:
    said = sentence(FIELDS[name].used_when)
    assert not said or (said.startswith(("Used ", "Never ")) and said.endswith("."))
    assert said.count("when") <= 3
    assert len(said) < 160, said


def test_what_is_alike_is_equal() -> None:
    assert is_on("use_init") & (MOVED & is_on("tiling")) == is_on("use_init") & MOVED & is_on("tiling")
    assert {is_on("use_init"), is_on("use_init")} == {is_on("use_init")}
    assert (is_on("enabled") | ~is_off("model")).prefixed("cn_2_").reads() == {"cn_2_enabled", "cn_2_model"}
    assert FIELDS["cn_3_vid_path"].used_when == is_off("cn_3_loopback_mode")
    assert (MOVED & HYBRID).reads() == {"animation_mode", "hybrid_composite", "hybrid_motion"}


def test_a_setting_that_does_not_act_counts_as_off() -> None:
    off = defaults() | {"animation_mode": "Interpolation", "use_looper": True}
    values = Acting(off.__getitem__)
    for predicate in (is_on("use_looper"), is_off("use_looper"), is_used("use_looper"), is_set("use_looper")):
        assert not predicate.holds(values)
        assert (~predicate).holds(values)


def test_typed_settings_are_judged_alike() -> None:
    interpolated = Settings(animation_mode="Interpolation", hybrid_composite="Normal")
    assert is_moved(Settings())
    assert [is_hybrid(one) for one in (Settings(), interpolated)] == [False, False]
    assert not uses_video(interpolated)
    assert is_hybrid(Settings(hybrid_composite="Normal"))
    assert uses_video(Settings(hybrid_motion="Affine"))
    assert overlays(Settings(use_mask=True, use_init=True))
    assert [holds(MOVED, settings) for settings in (Settings(), defaults())] == [True, True]


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("zoom", {}, []),
        ("zoom", {"animation_mode": "3D"}, ["animation_mode is 3D"]),
        (
            "border",
            {"animation_mode": "3D", "enable_perspective_flip": True},
            ["animation_mode is 3D"],
        ),
        ("perspective_flip_phi", {"enable_perspective_flip": True}, []),
        (
            "perspective_flip_phi",
            {},
            ["enable_perspective_flip is off", "parseq_manifest is empty"],
        ),
        (
            "perspective_flip_phi",
            {"enable_perspective_flip": True, "animation_mode": "Interpolation"},
            ["animation_mode is Interpolation", "parseq_manifest is empty"],
        ),
        ("kernel_schedule", {}, []),
        (
            "kernel_schedule",
            {"amount_schedule": "0: (0)"},
            ["amount_schedule is 0: (0)", "parseq_manifest is empty"],
        ),
        (
            "kernel_schedule",
            {"amount_schedule": "0.00"},
            ["amount_schedule is 0.00", "parseq_manifest is empty"],
        ),
        ("kernel_schedule", {"amount_schedule": "0: (0), 9: (0.1)"}, []),
        ("midas_weight", {"depth_algorithm": "Zoe+AdaBins (old)", "animation_mode": "3D"}, []),
        ("parseq_use_deltas", {}, ["parseq_manifest is empty"]),
        ("near_schedule", {"animation_mode": "3D"}, []),
        ("full_res_mask_padding", {"use_mask": True}, []),
        ("full_res_mask_padding", {}, ["use_mask is off", "use_mask_video is off"]),
        ("seed_behavior", {"use_looper": True}, ["use_looper is on"]),
        (
            "video_mask_path",
            {"use_mask_video": True, "mask_schedule": '0: ("{everywhere}")'},
            [
                "mask_schedule does not contain video_mask",
                "use_noise_mask is off",
                "parseq_manifest is empty",
            ],
        ),
    ],
)
def test_what_keeps_a_setting_from_acting(name: str, changes: dict[str, object], why: list[str]) -> None:
    flat = defaults() | changes
    found = reasons(name, flat)
    assert set(why) <= set(found)
    assert acts(name, flat) is (not why and name != "near_schedule")


def test_what_the_table_of_facts_calls_without_effect_is_never_used_or_never_read_from_a_file() -> None:
    never = {name for name, info in FIELDS.items() if info.used_when == NEVER}
    without = {name for name, fact in FACTS.items() if fact.no_effect}
    assert never <= without
    assert {name for name in without - never if FIELDS[name].loaded} == {"show_info_on_ui"}


def test_the_declaration_loads_without_torch() -> None:
    code = "import sys, deforum_helpers.settings.modes as a; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
