"""Names of depth algorithms, and who serves them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.models import depth
from deforum_helpers.models.depth import (
    DEPTH_NAMES,
    FAMILIES,
    HUB_IDS,
    NEAREST_FAMILIES,
    available_families,
    depth_name,
    local_folder,
    serve,
)
from deforum_helpers.settings.tables import DEPTH_ALGORITHMS


def install(folder: Path) -> None:
    """Make a folder look like one with a model."""
    folder.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (folder / file).write_text("{}")


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_every_depth_algorithm_of_the_settings_is_known() -> None:
    assert set(DEPTH_ALGORITHMS) == set(DEPTH_NAMES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Midas+AdaBins (old)", (False, True)),
        ("Zoe+AdaBins (old)", (False, True)),
        ("Midas-3-Hybrid", (1.0, 2.0, True)),
        ("Midas-3.1-BeitLarge", (1.0, 2.0, True)),
        ("AdaBins", (1.0, 2.0, False)),
        ("Zoe", (1.0, 2.0, False)),
        ("Leres", (1.0, 2.0, False)),
        ("Depth-Anything-V2-Small", (1.3, 2.3, True)),
        ("Depth-Anything-V2-Base", (1.3, 2.3, True)),
        ("Depth-Anything-V2-Large", (1.3, 2.3, True)),
    ],
)
def test_ranges_and_maps_are_those_of_old_videos(name: str, expected: tuple[float | bool, ...]) -> None:
    """Range of the scene's depth, and whether its maps draw near things bright; the "(old)" ones have no range."""
    entry = DEPTH_NAMES[name]
    told = (
        (entry.near_is_bright, entry.raw)
        if entry.raw
        else (entry.nearest, entry.farthest, entry.near_is_bright)
    )
    assert told == expected


def test_what_is_available_serves_itself() -> None:
    for entry in DEPTH_NAMES.values():
        if entry.family in FAMILIES:
            assert serve(entry.name, FAMILIES) == (entry.family, None)


@pytest.mark.parametrize("name", DEPTH_NAMES)
def test_every_name_is_served_by_whatever_there_is(name: str) -> None:
    assert set(NEAREST_FAMILIES) == {entry.family for entry in DEPTH_NAMES.values()}
    for count in range(3):
        for available in itertools.combinations(FAMILIES, count):
            family, warning = serve(name, available)
            assert family in (*available, "plane")
            assert (warning is None) == (family == DEPTH_NAMES[name].family)


def test_a_substitute_is_named_in_one_sentence() -> None:
    family, warning = serve("AdaBins", ("demo", "plane"))
    assert family == "demo"
    assert code_of(warning or "") == "depth_model_substituted"
    assert "'AdaBins'" in (warning or "")
    assert "the built-in depth network" in (warning or "")
    family, warning = serve("AdaBins", ("demo", "zoe", "plane"))
    assert family == "zoe"
    _, warning = serve("Midas-3-Hybrid", ("demo",))
    assert "Intel/dpt-large" in str(warning)


def test_names_in_any_case_and_other_spellings() -> None:
    assert depth_name("ZOE+adabins (OLD)").raw
    assert depth_name("Demo").name == "Built-in"
    assert depth_name("None").name == "Plane"


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(SettingsError, match="Depth-Anything-V2-Base") as caught:
        serve("Marigold", FAMILIES)
    assert caught.value.problems[0].setting == "depth_algorithm"


def test_models_are_found_in_the_cache_and_in_a_folder(hub_cache: Path, tmp_path: Path) -> None:
    assert available_families() == ("demo", "plane")
    assert available_families(allow_download=True) == FAMILIES
    cached = hub_cache / "models--Intel--dpt-large" / "snapshots" / "abc"
    install(cached)
    assert available_families() == ("midas", "demo", "plane")
    assert local_folder("midas") == cached
    install(tmp_path / "models" / "dpt-large")
    assert local_folder("midas", tmp_path / "models") == tmp_path / "models" / "dpt-large"
    (cached / "model.safetensors").rename(cached / "pytorch_model.bin")
    assert local_folder("midas") is None


def test_without_transformers_the_built_in_ones_remain(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in HUB_IDS:
        install(hub_cache / f"models--{HUB_IDS[family].replace('/', '--')}" / "snapshots" / "abc")
    assert available_families() == FAMILIES
    monkeypatch.setattr(depth, "find_spec", lambda name: None)
    assert available_families() == ("demo", "plane")


def test_names_import_without_torch() -> None:
    code = "import deforum_helpers.models.depth, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
