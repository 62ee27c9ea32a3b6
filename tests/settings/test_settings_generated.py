from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deforum_helpers.settings import FIELDS, Settings, flat_settings, load_settings, settings_text
from deforum_helpers.settings.__main__ import ROOT, generated, main
from deforum_helpers.settings.pages import anchor, settings_page
from deforum_helpers.settings.recommended import RECOMMENDED
from deforum_helpers.ui.layout import TABS, names_in_tab


def test_generated_files_are_fresh() -> None:
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is stale; run python -m deforum_helpers.settings"
        )


def test_the_generator_writes_what_it_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deforum_helpers.settings.__main__.ROOT", tmp_path)
    main()
    for relative in ("config/default_settings.txt", "docs/settings.md", "docs/compatibility.md"):
        assert (tmp_path / relative).read_text(encoding="utf-8") == (ROOT / relative).read_text(
            encoding="utf-8"
        )
    assert "settings.md: " in capsys.readouterr().out


def test_a_new_video_begins_with_what_holds_it_together() -> None:
    """The file loads as it is, and differs from the meaning of files without these settings in nothing else."""
    content = (ROOT / "config" / "default_settings.txt").read_text(encoding="utf-8")
    loaded = load_settings(json.loads(content))
    assert (loaded.warnings, loaded.unknown) == ((), {})
    before, now = flat_settings(Settings()), flat_settings(loaded.settings)
    assert {name: now[name] for name in now if now[name] != before[name]} == dict(RECOMMENDED)


def test_default_settings_load_without_a_word() -> None:
    loaded = load_settings(json.loads(settings_text(Settings())))
    assert loaded.settings == Settings()
    assert (loaded.warnings, loaded.unknown) == ((), {})


def test_settings_files_hold_what_is_saved_in_classic_order() -> None:
    names = list(json.loads(settings_text(Settings())))
    assert names == [name for name, info in FIELDS.items() if info.saved]
    assert not {"perlin_w", "perlin_h", "image_path", "init_image_box"} & set(names)
    assert names.index("W") < names.index("prompts") < names.index("angle") < names.index("use_looper")
    assert names.index("cn_5_loopback_mode") < names.index("fps") < names.index("sd_model_name")


def test_the_page_has_the_tabs_order_and_contents() -> None:
    page = generated()[ROOT / "docs" / "settings.md"]
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert titles[0] == "Contents"
    tabs = list(dict.fromkeys(title.split(" > ")[0] for title in titles[1:]))
    assert tabs[: len(TABS)] == list(TABS)
    links = re.findall(r"\]\(#([^)]*)\)", page[: page.index("## Run")])
    assert links == [anchor(title) for title in titles[1:]]
    assert anchor("Keyframes > Depth Warping & FOV") == "keyframes--depth-warping--fov"
    shown = [name for name in names_in_tab() if not name.startswith("cn_")]
    assert [name for name in re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) if name in shown] == shown
    assert page.index("| `motion_preview_mode` |") < page.index("| `sampler` |") < page.index("| `W` |")


def test_the_page_names_every_setting() -> None:
    page = settings_page()
    for name in FIELDS:
        if not name.startswith("cn_"):
            assert f"| `{name}` |" in page
    assert page.count("| `cn_N_weight` |") == 1
