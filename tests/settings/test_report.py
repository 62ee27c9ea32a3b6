"""What becomes of the settings in a file: each name is told once, in the right place, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.settings import FIELDS, defaults, read_settings_file
from deforum_helpers.settings.report import About, FileReport, file_report

FILES = sorted((Path(__file__).parent / "files").iterdir())


def test_each_kind_of_name_has_its_place() -> None:
    report = file_report(
        {
            "W": 512,
            "zoom": "0: (1.1)",
            "translation_z": "0: (3)",
            "rotation_3d_x": "0: (3)",
            "rotation_3d_y": "0: (0)",
            "near_schedule": "0: (1)",
            "fill": 2,
            "use_mask": True,
            "flip_2d_perspective": True,
            "diffusion_cadence": "3",
            "sd_model_hash": "ab12",
            "histogram_matching": True,
            "zomm": 1,
            "mystery": 2,
            "legacy_colormatch": False,
        }
    )
    assert report.kept == (
        "W",
        "use_mask",
        "fill",
        "zoom",
        "enable_perspective_flip",
        "legacy_colormatch",
        "diffusion_cadence",
    )
    assert report.defaults == ("W", "legacy_colormatch")
    assert report.taken_over == (
        "flip_2d_perspective is read as enable_perspective_flip.",
        "diffusion_cadence is the text '3'; it is read as a number.",
        "fill is 2; it is read as 'latent noise'.",
    )
    assert report.ignored == (
        About(("translation_z", "rotation_3d_x"), "animation_mode is 2D."),
        About(("near_schedule",), "It cancels out of the projection, in classic as here."),
        About(("sd_model_hash",), "A run records it in its settings file; it is never read."),
        About(("histogram_matching",), "It no longer exists; color_coherence matches colors."),
    )
    assert report.unknown == ("'zomm' (did you mean zoom?)", "'mystery'")
    assert [about.names for about in report.different] == [
        ("use_mask",),
        ("enable_perspective_flip",),
        ("color_coherence",),
        ("diffusion_cadence",),
    ]


def test_a_file_of_defaults_says_nothing() -> None:
    plain = {"W": 512, "legacy_colormatch": False, "color_coherence": "None", "diffusion_cadence": 1}
    report = file_report(plain)
    assert report == FileReport(kept=("W", "color_coherence", "diffusion_cadence"), defaults=("W",))


def test_what_the_program_holds_counts_where_a_file_is_silent() -> None:
    held = defaults() | {"animation_mode": "3D"}
    file: dict[str, Any] = {"zoom": "0: (1.1)", "legacy_colormatch": False}
    assert file_report(file).ignored == ()
    assert file_report(file, held).ignored == (About(("zoom",), "animation_mode is 3D."),)


def test_a_value_that_cannot_be_read_is_nowhere() -> None:
    report = file_report({"W": "wide", "H": 64, "legacy_colormatch": False})
    assert report.kept == ("H", "legacy_colormatch")
    with pytest.raises(SettingsError):
        file_report([])  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_name_of_a_file_is_lost(path: Path) -> None:
    """Every name is kept, told of, or has its default where it does not count."""
    submitted = read_settings_file(path)
    report = file_report(submitted)
    told = " ".join((*report.taken_over, *map(str, report.ignored), *report.unknown))
    for name, value in submitted.items():
        quiet = name in FIELDS and (value is None or value == FIELDS[name].default)
        assert name in report.kept or name in told or quiet or _says_the_default(name, value), name
    assert not set(report.kept) & {name for about in report.ignored for name in about.names}


def _says_the_default(name: str, value: Any) -> bool:
    same = file_report({name: value, "legacy_colormatch": False})
    return not same.ignored and not same.taken_over
