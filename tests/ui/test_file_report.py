"""What a person is told when a file is loaded into the tab: also what counts for nothing, and what looks different."""

from __future__ import annotations

from deforum_helpers.ui.settings_files import default_settings, load_over, report_html


def test_a_loaded_file_says_what_counts_for_nothing_and_what_looks_different() -> None:
    file = {"translation_z": "0: (4)", "diffusion_cadence": 3, "color_coherence": "None"}
    one = load_over("run.txt", file, default_settings())
    assert one.ignored == ("translation_z: animation_mode is 2D.",)
    assert len(one.different) == 1
    assert one.different[0].startswith("diffusion_cadence: Every frame is written")
    page = report_html(one)
    assert "No effect on this video (1)" in page
    assert "Different from classic Deforum (1)" in page


def test_what_the_controls_hold_decides_what_counts() -> None:
    held = default_settings() | {"animation_mode": "3D"}
    assert load_over("run.txt", {"translation_z": "0: (4)", "legacy_colormatch": False}, held).ignored == ()


def test_a_file_whose_only_setting_is_bad_is_told_setting_by_setting() -> None:
    one = load_over("run.txt", {"sampler": "nothing of the kind", "odd": 1}, default_settings())
    assert [problem.setting for problem in one.left_out] == ["sampler"]
    assert one.unknown == ("odd",)
