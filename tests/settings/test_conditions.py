"""When a setting has an effect is declared in words, and the words are worked out."""

from __future__ import annotations

import pytest

from deforum_helpers.settings import FIELDS, defaults
from deforum_helpers.settings.conditions import Clause, clauses, has_effect, reasons


@pytest.mark.parametrize(
    "name", [name for name, info in FIELDS.items() if info.used_when not in ("", "never")]
)
def test_every_declared_condition_can_be_worked_out(name: str) -> None:
    for alternative in clauses(FIELDS[name].used_when):
        for clause in alternative:
            info = FIELDS[clause.name]
            if clause.test in ("=", "is not") and info.choices:
                assert set(clause.words) <= set(info.choices)
            if clause.test in ("=", "is not") and info.kind == "bool":
                assert set(clause.words) <= {"true", "false"}


def test_a_word_without_a_setting_is_another_value() -> None:
    assert clauses("animation_mode = 2D or 3D") == ((Clause("animation_mode", "=", ("2D", "3D")),),)
    assert clauses("use_init = true and tiling = false or seed is above 3") == (
        (Clause("use_init", "=", ("true",)), Clause("tiling", "=", ("false",))),
        (Clause("seed", "is above", ("3",)),),
    )
    with pytest.raises(ValueError, match="no condition"):
        clauses("the moon is full")


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("zoom", {}, []),
        ("zoom", {"animation_mode": "3D"}, ["animation_mode is 3D"]),
        ("border", {"animation_mode": "3D", "enable_perspective_flip": True}, []),
        (
            "border",
            {"animation_mode": "3D"},
            ["animation_mode is 3D", "enable_perspective_flip is false"],
        ),
        ("perspective_flip_phi", {"enable_perspective_flip": True}, []),
        (
            "perspective_flip_phi",
            {"enable_perspective_flip": True, "animation_mode": "Interpolation"},
            ["animation_mode is Interpolation"],
        ),
        ("kernel_schedule", {}, []),
        ("kernel_schedule", {"amount_schedule": "0: (0)"}, ["amount_schedule is 0: (0)"]),
        ("kernel_schedule", {"amount_schedule": "0.00"}, ["amount_schedule is 0.00"]),
        ("kernel_schedule", {"amount_schedule": "0: (0), 9: (0.1)"}, []),
        ("midas_weight", {"depth_algorithm": "Zoe+AdaBins (old)", "animation_mode": "3D"}, []),
        ("parseq_use_deltas", {}, ["parseq_manifest is empty"]),
        ("near_schedule", {"animation_mode": "3D"}, []),
        ("full_res_mask_padding", {"use_mask": True}, []),
        ("full_res_mask_padding", {}, ["use_mask is false", "use_mask_video is false"]),
        (
            "optical_flow_cadence",
            {"diffusion_cadence": 1},
            ["diffusion_cadence is 1", "keyframe_distribution is Off"],
        ),
    ],
)
def test_an_effect_and_what_stands_in_its_way(name: str, changes: dict[str, object], why: list[str]) -> None:
    flat = defaults() | changes
    assert list(reasons(name, flat)) == why
    assert has_effect(name, flat) is (not why and name != "near_schedule")
