"""The table of what became of each setting: complete, true of the modules it names, told where it applies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import deforum_helpers
from deforum_helpers.settings import FIELDS, defaults
from deforum_helpers.settings.compatibility import FACTS, differences
from deforum_helpers.settings.pages import compatibility_page

PACKAGE = Path(deforum_helpers.__file__).parent
CLASSIC = json.loads((Path(__file__).parent / "classic_names.json").read_text(encoding="utf-8"))


def names_it(text: str, name: str) -> bool:
    """Whether a module's text has the name: whole, or spelt with a part filled in as in f"rotation_3d_{axis}"."""
    if name.startswith("cn_"):
        return name.split("_", 2)[2] in text
    core = name.removeprefix("hybrid_").removesuffix("_schedule")
    parts = [place for place, sign in enumerate(name, 1) if sign == "_"]
    return core in text or any(f"{name[:at]}{{" in text or f"}}{name[at:]}" in text for at in parts)


@pytest.mark.parametrize("name", FIELDS)
def test_a_setting_is_used_where_its_declaration_says(name: str) -> None:
    used_in = FIELDS[name].used_in
    assert used_in or FACTS[name].no_effect
    if used_in:
        place = PACKAGE / used_in
        texts = [
            path.read_text(encoding="utf-8") for path in (place.glob("*.py") if place.is_dir() else [place])
        ]
        assert any(names_it(text, name) for text in texts)


def test_a_name_is_found_whole_or_in_parts() -> None:
    assert names_it('f"rotation_3d_{axis}"', "rotation_3d_x")
    assert names_it('f"{guided}strength_schedule"', "image_strength_schedule")
    assert names_it('at("comp_alpha")', "hybrid_comp_alpha_schedule")
    assert not names_it("settings.angle", "zoom")


@pytest.mark.parametrize("name", FIELDS)
def test_sentences_are_sentences(name: str) -> None:
    fact = FACTS[name]
    for text in (fact.differs, fact.no_effect):
        assert not text or (
            text.endswith(".")
            and (
                text[0].isupper()
                or not text[0].isalpha()
                or text.split()[0] in FIELDS
                or text.startswith("uniform")
            )
        )


def test_who_had_a_setting_first() -> None:
    since = {name: info.since for name, info in FIELDS.items()}
    assert since["zoom"] == since["cn_3_weight"] == "classic"
    assert since["shake_name"] == since["freeu_b1"] == since["kohya_hrfix_enabled"] == "2025 fork"
    assert [name for name in FIELDS if since[name] == "here"] == [
        name for name in FIELDS if name not in CLASSIC
    ]
    assert sum(version == "2025 fork" for version in since.values()) == len(CLASSIC) - 262


def test_the_page_tells_every_setting_once() -> None:
    page = compatibility_page()
    for name in FIELDS:
        if not name.startswith("cn_"):
            assert page.count(f"\n| `{name}` |") == 1 + (name in ("use_zoe_depth",))
    assert page.count("\n| `cn_N_weight` |") == 1


@pytest.mark.parametrize(
    ("changes", "told", "names"),
    [
        ({}, "", ()),
        ({"diffusion_cadence": 3}, "Every frame is written", ("diffusion_cadence",)),
        ({"diffusion_cadence": 3, "animation_mode": "Interpolation"}, "", ()),
        ({"diffusion_cadence": 1}, "", ()),
        ({"translation_x": "0:(3)"}, "", ()),
        (
            {"translation_x": "0:(3)", "translation_y": "0: (0)", "enable_perspective_flip": True},
            "works with the perspective flip",
            ("translation_x", "translation_y"),
        ),
        ({"contrast_schedule": "0: (1.0)"}, "", ()),
        ({"contrast_schedule": "0: (1.2)"}, "stay white", ("contrast_schedule",)),
        ({"near_schedule": "0: (3)"}, "", ()),
        ({"contrast_schedule": "0: (1.0)*(0.98)"}, "", ()),
        ({"contrast_schedule": "0: (broken"}, "", ()),
        ({"animation_mode": "3D", "depth_algorithm": "Plane"}, "do not darken", ("animation_mode",)),
        ({"animation_mode": "3D", "depth_algorithm": "Zoe+AdaBins (old)", "midas_weight": 1}, "", ()),
        ({"color_coherence": "LAB"}, "hues differ", ("color_coherence",)),
    ],
)
def test_what_will_look_different(changes: dict[str, object], told: str, names: tuple[str, ...]) -> None:
    quiet = {"color_coherence": "None", "diffusion_cadence": 1}
    found = differences(defaults() | quiet | changes)
    if told:
        assert any(told in sentence and about == names for sentence, about in found.items()), found
    else:
        assert not found
