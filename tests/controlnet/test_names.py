from __future__ import annotations

from pathlib import Path

import pytest

from deforum_helpers.controlnet import units
from deforum_helpers.controlnet.units import (
    ALIASES,
    JOINTS_MODEL,
    MODULES,
    NEAREST,
    PEOPLE_MODEL,
    Number,
    acting_units,
    follows_frames,
    module_fault,
    module_of,
    module_warning,
    plain_name,
    suggestion,
)
from deforum_helpers.core.messages import code_of
from deforum_helpers.settings import ControlNetUnit, load_settings


def test_the_page_lists_them() -> None:
    page = (Path(__file__).parents[2] / "docs" / "controlnet.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in row.replace("`", "").replace(",", " ").split()}
    assert listed == {"cn_1_module", *MODULES}
    for module in MODULES.values():
        for number in (module.a, module.b):
            assert (
                number is None
                or f"{number.minimum:g}..{number.maximum:g}, default {number.default:g}" in page
            )


@pytest.mark.parametrize("name", [*MODULES, *ALIASES, *NEAREST])
def test_every_name_leads_to_a_preprocessor(name: str) -> None:
    assert module_of(f" {name.upper()} ") is module_of(name) is not None


def test_unknown_ones_list_what_there_is() -> None:
    fault = module_fault("cany")
    assert fault is not None
    assert code_of(fault) == "unknown_preprocessor"
    assert fault.endswith("; did you mean 'canny'?")
    assert all(name in fault for name in MODULES)
    assert module_fault("Canny") is None


def test_who_serves_another_is_told() -> None:
    assert code_of(module_warning("softedge_hed") or "") == "preprocessor_not_included"
    assert code_of(module_warning("openpose_full") or "") == "preprocessor_bodies_only"
    assert module_warning("canny") is None
    assert module_warning("depth", lambda: ("midas",)) is None
    told = module_warning("depth_zoe", lambda: ("midas",)) or ""
    assert code_of(told) == "preprocessor_other_depth_model"
    assert "hf download Intel/zoedepth-nyu-kitti" in told
    assert "midas is used" in told
    assert "demo is used" in (module_warning("depth_leres", lambda: ()) or "")


def test_openpose_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    fault = module_fault("openpose")
    assert fault is not None
    assert fault.endswith(f"fetch it with: hf download {PEOPLE_MODEL} && hf download {JOINTS_MODEL}")
    for hub_id in (PEOPLE_MODEL, JOINTS_MODEL):
        folder = tmp_path / f"models--{hub_id.replace('/', '--')}" / "snapshots" / "1"
        folder.mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (folder / name).write_text("{}")
    assert module_fault("openpose") is None
    monkeypatch.setattr(units, "find_spec", lambda name: None)
    assert module_fault("openpose") == (
        "openpose needs the package 'transformers'; install it with: pip install transformers"
    )


@pytest.mark.parametrize(("value", "read"), [(50, 50), (-1, 100), (0, 100), (256, 100), (255, 255)])
def test_numbers_out_of_bounds_are_the_preprocessors_own(value: float, read: float) -> None:
    assert Number("lower threshold", 1, 255, 100).read(value) == read


@pytest.mark.parametrize(
    ("value", "side"), [(-1, 512), (0, 512), (63, 512), (64, 64), (768, 768), (4096, 4096)]
)
def test_sizes(value: int, side: int) -> None:
    assert MODULES["canny"].resolution_px(value) == side


@pytest.mark.parametrize(
    "written",
    ["canny", "Canny.safetensors", "canny [d14c016b]", "CANNY.pth [d14c016b]", " canny.ckpt "],
)
def test_spellings_of_a_model(written: str) -> None:
    assert plain_name(written) == "canny"


def test_suggestions() -> None:
    assert suggestion("control_v11p_sd15_cany", ["control_v11p_sd15_canny.safetensors", "x"]) == (
        "; did you mean 'control_v11p_sd15_canny.safetensors'?"
    )
    assert suggestion("lines", ["canny"]) == ""


def test_units_that_act() -> None:
    on = {"cn_2_enabled": True, "cn_5_enabled": True}
    assert [number for number, _ in acting_units(load_settings(on).settings)] == [2, 5]
    assert acting_units(load_settings({**on, "motion_preview_mode": True}).settings) == ()


@pytest.mark.parametrize(
    ("loopback", "path", "follows"), [(False, "a.mp4", False), (True, "a.mp4", True), (False, "  ", True)]
)
def test_what_steers_a_unit(loopback: bool, path: str, follows: bool) -> None:
    assert follows_frames(ControlNetUnit(loopback_mode=loopback, vid_path=path)) is follows
