"""What is told of ControlNet units before a video of the diffusers engine begins; nothing is loaded for it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_runs import SMALL, host

from deforum_api.hosts.own_host import health
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.pipeline.prepare import Prepared, prepare

SD1_WIDTH, XL_WIDTH = 768, 2048
CLEAR = {"pixel_perfect": True}
START = {"cn_1_loopback_mode": True, "animation_mode": "2D"}


def head(path: Path, tensors: dict[str, list[int]]) -> Path:
    """Write a .safetensors file that has nothing but its head."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: {"dtype": "F16", "shape": shape} for name, shape in tensors.items()}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def control_net(path: Path, width: int) -> Path:
    attention = "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    return head(path, {"control_model.input_hint_block.0.weight": [16, 3, 3, 3], attention: [320, width]})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """models/checkpoints/a.safetensors of Stable Diffusion 1.x, with three models in models/ControlNet."""
    attention = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    folder = tmp_path / "models" / "ControlNet"
    control_net(folder / "control_v11p_sd15_canny.safetensors", SD1_WIDTH)
    control_net(folder / "xl" / "canny_xl.safetensors", XL_WIDTH)
    (folder / "control_v11f1p_sd15_depth.pth").write_bytes(b"x")
    return head(
        tmp_path / "models" / "checkpoints" / "a.safetensors",
        {"cond_stage_model.x": [1], attention: [320, SD1_WIDTH]},
    )


@pytest.fixture
def check(tmp_path: Path, checkpoint: Path) -> Any:
    cv2.imwrite(str(tmp_path / "still.png"), np.zeros((8, 8, 3), np.uint8))

    def run(**fields: Any) -> Prepared:
        given = {"enabled": True, "vid_path": str(tmp_path / "still.png"), "module": "none"}
        named = {f"cn_2_{name}": value for name, value in {**given, **fields}.items()}
        facts = host(tmp_path / "out", engine="diffusers", model=str(checkpoint))
        return prepare(SMALL | named, facts, draw_seed=lambda: 1)

    return run


@pytest.mark.parametrize(
    "name",
    [
        "control_v11p_sd15_canny",
        "control_v11p_sd15_canny [d14c016b]",
        "Control_V11p_SD15_canny.safetensors",
        "control_v11p_sd15_canny.pth",
    ],
)
def test_models_by_their_names(check: Any, name: str) -> None:
    assert check(model=name).warnings == ()


@pytest.mark.parametrize(
    ("fields", "setting", "sentence"),
    [
        (
            {"model": "None"},
            "model",
            "is 'None': There is no ControlNet 'None' in the folder 'ControlNet' beside",
        ),
        (
            {"model": "control_v11_sd15_cany"},
            "model",
            "there are: control_v11p_sd15_canny.safetensors, canny_xl.safetensors; "
            "did you mean 'control_v11p_sd15_canny.safetensors'?",
        ),
        ({"model": "control_v11f1p_sd15_depth"}, "model", "is a pickle"),
        (
            {"model": "canny_xl"},
            "model",
            "'canny_xl.safetensors' is made for Stable Diffusion XL, the checkpoint is Stable Diffusion 1.x",
        ),
        ({"module": "mlsd"}, "module", "there is no such preprocessor"),
        ({"module": "canni"}, "module", "did you mean 'canny'?"),
        ({"module": "openpose"}, "module", "hf download hustvl/yolos-tiny"),
    ],
)
def test_told(
    check: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    setting: str,
    sentence: str,
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SettingsError) as caught:
        check(**{"model": "control_v11p_sd15_canny", **fields})
    assert [problem.setting for problem in caught.value.problems] == [f"cn_2_{setting}"]
    assert sentence in caught.value.problems[0].message


@pytest.mark.parametrize(("engine", "told"), [("diffusers", True), ("demo", False)])
def test_health_tells_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, told: bool
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = {one["feature"]: one["reason"] for one in health(host(tmp_path, engine=engine))["unavailable"]}
    assert ("ControlNet preprocessor openpose" in found) is told
    assert not told or "hf download hustvl/yolos-tiny" in found["ControlNet preprocessor openpose"]


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        (
            {"module": "canny"},
            "cn_2_processor_res is 64, so canny sees only 64 pixels; cn_2_pixel_perfect, or ",
        ),
        ({"module": "canny", "processor_res": 512}, None),
        ({"module": "canny", "processor_res": -1}, None),
        ({"module": "canny", **CLEAR}, None),
        ({"module": "tile_resample"}, None),
        (
            {"module": "lineart_anime", **CLEAR},
            "cn_2_module: 'lineart_anime' is a network that is not included",
        ),
        ({"module": "depth", **CLEAR}, "cn_2_module: the depth model of 'depth' is not on this machine"),
    ],
)
def test_warned(
    check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], warning: str | None
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = check(model="control_v11p_sd15_canny", **fields).warnings
    assert len(found) == (warning is not None)
    assert warning is None or found[0].startswith(warning)


UNREAD: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("none", "processor_res", 0.5, {}),
    ("None", "threshold_a", "high", {}),
    ("invert (from white bg & black line)", "processor_res", 1e9, {}),
    ("canny", "processor_res", 0.5, CLEAR),
    ("depth_midas", "threshold_a", -7, {}),
    ("openpose_full", "threshold_b", [1], {}),
    ("blur_gaussian", "threshold_b", 1e9, {}),
    ("recolor_luminance", "processor_res", -2, {}),
]


@pytest.mark.parametrize(("module", "field", "value", "more"), UNREAD)
def test_a_number_that_the_preprocessor_does_not_read_is_a_warning(
    tmp_path: Path, module: str, field: str, value: Any, more: dict[str, Any]
) -> None:
    unit = {"enabled": True, "module": module, field: value} | more
    settings = SMALL | {f"cn_1_{name}": one for name, one in unit.items()} | START
    job = prepare(settings, host(tmp_path))
    assert [text for text in job.warnings if f"cn_1_{field}" in text and "has no effect here" in text]


@pytest.mark.parametrize(
    ("module", "field", "value"),
    [
        ("canny", "processor_res", 0.5),
        ("canny", "threshold_b", "high"),
        ("threshold", "threshold_a", [1]),
        ("a preprocessor of a host", "processor_res", 0.5),
        ("a preprocessor of a host", "threshold_b", -7),
        ("none", "weight", []),
        ("none", "resize_mode", "Fit"),
    ],
)
def test_a_value_that_the_unit_reads_is_refused(tmp_path: Path, module: str, field: str, value: Any) -> None:
    unit = {"enabled": True, "module": module, field: value}
    settings = SMALL | {f"cn_1_{name}": one for name, one in unit.items()} | START
    with pytest.raises(SettingsError) as caught:
        prepare(settings, host(tmp_path))
    assert [problem.setting for problem in caught.value.problems] == [f"cn_1_{field}"]
