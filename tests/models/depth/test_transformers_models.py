"""The depth models of transformers: real classes with tiny random weights."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from deforum_helpers.core.errors import ModelError
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.models.depth.estimators import make_estimator
from deforum_helpers.models.depth.models import (
    CONVENTIONS,
    TransformersModel,
    load_model,
    make_model,
    seen_size,
)
from tests.image.sample_images import soft_image

transformers = pytest.importorskip("transformers")
# Some releases of transformers 5 write parts of ZoeDepth in what torch 2.13 calls outdated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

TINY = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"], "reshape_hidden_states": False}


def tiny_dpt() -> Any:
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            **TINY,
            image_size=64,
            patch_size=16,
            is_hybrid=False,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
        )
    )


def tiny_beit() -> Any:
    return transformers.BeitConfig(
        **TINY, image_size=64, patch_size=16, use_relative_position_bias=True, **STAGES
    )


def tiny_dpt_beit() -> Any:
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            backbone_config=tiny_beit(),
            hidden_size=16,
            is_hybrid=False,
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
        )
    )


def tiny_depth_anything() -> Any:
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, **STAGES
    )
    return transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=backbone,
            patch_size=14,
            reassemble_hidden_size=16,
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            head_hidden_size=8,
        )
    )


def tiny_zoe() -> Any:
    return transformers.ZoeDepthForDepthEstimation(
        transformers.ZoeDepthConfig(
            backbone_config=tiny_beit(),
            backbone_hidden_size=16,
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            bottleneck_features=16,
            num_attractors=[4, 2, 2, 1],
            bin_embedding_dim=8,
            num_relative_features=8,
            bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}],
        )
    )


FOLDERS = {
    "midas": (tiny_dpt, "dpt-large"),
    "midas-beit": (tiny_dpt_beit, "dpt-beit-large-512"),
    "depth-anything-small": (tiny_depth_anything, "Depth-Anything-V2-Small-hf"),
    "zoe": (tiny_zoe, "zoedepth-nyu-kitti"),
}
NAMES = {
    "midas": "Midas-3-Hybrid",
    "midas-beit": "Midas-3.1-BeitLarge",
    "depth-anything-small": "Depth-Anything-V2-Small",
    "zoe": "Zoe",
}


@pytest.fixture(autouse=True)
def _no_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def saved(family: str, folder: Path) -> Path:
    make, name = FOLDERS[family]
    torch.manual_seed(0)
    make().save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("family", FOLDERS)
def test_real_classes_from_a_folder(family: str, tmp_path: Path) -> None:
    folder = saved(family, tmp_path)
    image = soft_image(48, 80)
    model = load_model(family, "cpu", folder)
    answer = model.answer(image)
    assert answer.shape == (48, 80)
    assert answer.dtype == torch.float32
    assert torch.isfinite(answer).all()
    assert torch.equal(answer, model.answer(image))
    assert model.metric == model.far_is_large == (family == "zoe")
    estimator = make_estimator(NAMES[family], "cpu", models_folder=folder)
    depth = estimator.estimate(image)
    assert estimator.name == NAMES[family]
    assert depth.shape == (48, 80)
    assert 1 - 1e-4 <= depth.min() <= depth.max() <= 2.3 + 1e-4


class Echo:
    """A network that answers the first channel of what it sees, and remembers it."""

    dtype = torch.float32

    def __call__(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        self.seen = pixel_values
        return SimpleNamespace(predicted_depth=pixel_values[:, 0])


@pytest.mark.parametrize("family", CONVENTIONS)
def test_what_a_network_sees_and_answers(family: str) -> None:
    convention, network, image = CONVENTIONS[family], Echo(), soft_image(400, 600)
    answer = TransformersModel(convention, network).answer(image)
    mean, deviation = (torch.tensor(t)[:, None, None] for t in (convention.mean, convention.deviation))
    expected = ((image - mean) / deviation)[0]
    if convention.both_ways:
        expected = (expected + expected.flip(1).flip(1)) / 2
    assert (answer - expected).abs().mean() < 0.03
    assert all(side % convention.multiple_px == 0 for side in network.seen.shape[2:])


def test_mirrored_images_of_zoe_are_turned_back() -> None:
    class Leaning(Echo):
        """Adds a slope to the right, as seen by the network."""

        def __call__(self, pixel_values: torch.Tensor) -> SimpleNamespace:
            slope = torch.linspace(-1, 1, pixel_values.shape[3])
            return SimpleNamespace(predicted_depth=pixel_values[:, 0] * 0 + slope)

    answer = TransformersModel(CONVENTIONS["zoe"], Leaning()).answer(soft_image(96, 128))
    assert answer.abs().max() < 1e-2  # the slope and its mirror image cancel


def test_documented_seen_size() -> None:
    assert seen_size(torch.zeros(3, 512, 768), CONVENTIONS["midas"]) == (384, 384)
    assert seen_size(torch.zeros(3, 512, 768), CONVENTIONS["midas-beit"]) == (512, 768)
    assert seen_size(torch.zeros(3, 512, 768), CONVENTIONS["zoe"]) == (384, 576)
    assert seen_size(torch.zeros(3, 8, 8), CONVENTIONS["zoe"]) == (384, 384)
    assert seen_size(torch.zeros(3, 512, 512), CONVENTIONS["depth-anything-base"]) == (518, 518)


def test_missing_weights_are_named() -> None:
    with pytest.raises(ModelError, match="Intel/dpt-large"):
        load_model("midas", "cpu")


def test_broken_weights_are_named(tmp_path: Path) -> None:
    folder = saved("midas", tmp_path)
    (folder / "dpt-large" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="midas cannot be loaded"):
        load_model("midas", "cpu", folder)


def test_pickled_weights_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved("midas", tmp_path)
    weights = folder / "dpt-large" / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(ModelError, match="midas cannot be loaded from Intel/dpt-large"):
        load_model("midas", "cpu", folder)
    monkeypatch.setattr("deforum_helpers.models.depth.models.local_folder", lambda *_: folder / "dpt-large")
    with pytest.raises(ModelError, match="midas cannot be loaded from /"):
        load_model("midas", "cpu", folder)


def test_unknown_family_lists_the_families() -> None:
    with pytest.raises(UnknownName, match="depth-anything-large"):
        make_model("marigold", "cpu")


@pytest.mark.gpu
def test_half_precision_on_the_gpu(tmp_path: Path) -> None:
    folder = saved("depth-anything-small", tmp_path)
    image = soft_image(70, 98)
    on_cpu = load_model("depth-anything-small", "cpu", folder).answer(image)
    on_gpu = load_model("depth-anything-small", "cuda", folder).answer(image.cuda()).cpu()
    torch.testing.assert_close(on_gpu, on_cpu, atol=0.02 * float(on_cpu.abs().max()), rtol=0.05)
