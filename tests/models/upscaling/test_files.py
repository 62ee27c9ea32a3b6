"""Files of upscalers: found, named, and run by spandrel, whose interface a small module has here."""

from __future__ import annotations

import pickle
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from deforum_helpers.core.errors import Cancelled, MissingFeature, ModelError
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.models.upscaling import FACTORS, available
from deforum_helpers.models.upscaling.available import (
    architecture,
    factors,
    missing_feature,
    names,
    upscaler_files,
)
from deforum_helpers.models.upscaling.models import NetworkUpscaler, SpandrelNetwork, make_upscaler
from deforum_helpers.models.weights.ncnn import unchecked
from tests.models.upscaling import fake_spandrel
from tests.models.upscaling.fake_spandrel import ImageModelDescriptor, weights
from tests.refusals import refuses


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "Deforum"))
    made = tmp_path / "Deforum" / "upscalers"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = fake_spandrel.module()
    monkeypatch.setitem(sys.modules, "spandrel", module)
    monkeypatch.setattr(available, "find_spec", lambda name: object())
    return module


@pytest.fixture
def without_spandrel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    monkeypatch.setattr(available, "find_spec", lambda name: None)


def enlarged(image: torch.Tensor, scale: int) -> torch.Tensor:
    """The answer of a network of `weights` on a whole image whose sides are multiples of 4."""
    with torch.no_grad():
        return fake_spandrel.Network(weights(scale)["weight"], scale)(image[None])[0]


def test_files_are_found_in_the_folders_of_all_programs(folder: Path) -> None:
    others = [folder.parent.parent / name for name in ("ESRGAN", "SwinIR", "upscale_models")]
    for place in (folder, *others):
        place.mkdir(exist_ok=True)
    (folder / "a.pth").write_bytes(b"1")
    (others[0] / "a.pth").write_bytes(b"2")
    (others[1] / "b.safetensors").write_bytes(b"3")
    (others[2] / "c.pth").write_bytes(b"4")
    (folder / "notes.txt").write_text("")
    (folder / "d.pth").mkdir()
    assert names() == (*FACTORS, "a.pth", "b.safetensors", "c.pth")
    assert upscaler_files()["a.pth"] == folder / "a.pth"
    assert factors("b.safetensors") == (2, 3, 4)
    assert factors("waifu2x") == ()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_every_network_serves_every_factor(folder: Path, spandrel: Any, scale: int, factor: int) -> None:
    save_file(weights(scale), folder / "n.safetensors")
    image = torch.rand(3, 12, 20)
    larger = make_upscaler("n.safetensors", f"x{factor}").enlarged(image)
    assert larger.shape == (3, 12 * factor, 20 * factor)
    assert larger.dtype == torch.float32
    expected, times = enlarged(image, scale), scale
    while 1 < times < factor:
        expected, times = enlarged(expected, scale), times * scale
    if times != factor:
        size = larger.shape[1:]
        expected = F.interpolate(expected[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    torch.testing.assert_close(larger, expected)


@pytest.mark.parametrize("channels", [(1, 1), (4, 3), (4, 4)])
def test_gray_and_transparent_networks_keep_the_colors(
    folder: Path, spandrel: Any, channels: tuple[int, int]
) -> None:
    torch.save({"params": weights(2, channels)}, folder / "n.pth")
    image = torch.rand(3, 8, 12)
    larger = make_upscaler("n.pth", "x2").enlarged(image)
    torch.testing.assert_close(larger, enlarged(image, 2))
    expected = [(1, 1, 8, 12)] * 3 if channels[0] == 1 else [(1, 4, 8, 12)]
    assert spandrel.ModelLoader.loaded[0].seen == expected


def test_tiles_make_the_same_image(spandrel: Any) -> None:
    image = torch.rand(3, 70, 58)
    for factor in (2, 3, 4):
        network = SpandrelNetwork(ImageModelDescriptor(weights(4)), factor, "cpu", unchecked)
        whole = NetworkUpscaler("n", network, factor, "cpu").enlarged(image)
        in_tiles = NetworkUpscaler("n", network, factor, "cpu", 20).enlarged(image)
        torch.testing.assert_close(in_tiles, whole, atol=1e-5, rtol=0)


def test_a_network_that_needs_the_whole_image_gets_it(folder: Path, spandrel: Any) -> None:
    save_file(weights(2), folder / "n.safetensors")
    save_file(weights(2, whole=1.0), folder / "whole.safetensors")
    image = torch.rand(3, 8, 600)
    for name, seen in (("n", [(1, 3, 8, 528), (1, 3, 8, 104)]), ("whole", [(1, 3, 8, 600)])):
        make_upscaler(f"{name}.safetensors", "x2").enlarged(image)
        assert spandrel.ModelLoader.loaded[-1].seen == seen


def test_tiles_become_smaller_where_memory_ends() -> None:
    seen = []

    def enlarge(image: torch.Tensor) -> torch.Tensor:
        seen.append(max(image.shape))
        if max(image.shape) > 120:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return image.repeat_interleave(2, 2).repeat_interleave(2, 3)

    image = torch.rand(3, 40, 300)
    upscaler = NetworkUpscaler("n", enlarge, 2, "cpu")
    expected = image.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(upscaler.enlarged(image), expected)
    assert seen[-5:] == [80, 96, 96, 96, 60]  # tiles of 64 pixels, which begin at multiples of 16
    with pytest.raises(torch.cuda.OutOfMemoryError):
        NetworkUpscaler("n", lambda image: enlarge(torch.cat([image] * 9, 3)), 2, "cpu").enlarged(image)


def test_half_precision_on_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device itself is the CPU here; it takes the precision of a GPU."""
    chosen = {torch.float16: torch.float16, torch.bfloat16: torch.bfloat16}
    monkeypatch.setattr(
        "deforum_helpers.models.upscaling.models.network_dtype", lambda device, made_for: chosen[made_for]
    )
    image = torch.rand(3, 8, 8)
    for half, dtype in ((True, torch.float16), (False, torch.float32)):
        model = ImageModelDescriptor(weights(2))
        model.supports_half = half
        larger = SpandrelNetwork(model, 2, "cpu", unchecked)(image[None])[0]
        assert model.model.blur.weight.dtype == dtype
        torch.testing.assert_close(larger, enlarged(image, 2), atol=2e-3, rtol=0)


def test_a_network_is_ended_between_its_layers(folder: Path, spandrel: Any) -> None:
    save_file(weights(2), folder / "n.safetensors")

    def check() -> None:
        raise Cancelled

    upscaler = make_upscaler("n.safetensors", "x2", check=check)
    with pytest.raises(Cancelled):
        upscaler.enlarged(torch.rand(3, 8, 8))


def test_a_missing_package_is_told_with_the_kind_of_network(folder: Path, without_spandrel: None) -> None:
    name = "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"
    save_file({name: torch.zeros(2)}, folder / "4x.safetensors")
    said = missing_feature("4x.safetensors", "x4")
    assert said is not None
    assert "4x.safetensors is a SwinIR network" in said
    assert "pip install spandrel" in said
    with pytest.raises(MissingFeature, match="pip install spandrel"):
        make_upscaler("4x.safetensors", "x4")


KEYS = {
    "an ESRGAN network": "model.1.sub.0.RDB1.conv1.0.weight",
    "a HAT network": "params.layers.0.residual_group.overlap_attn.qkv.weight",
    "a DAT network": "layers.0.blocks.0.attn.channel_interaction.1.weight",
    "a Real-ESRGAN Compact network": "body.0.weight",
    "a network of another architecture": "some_body.0.weight",
}


@pytest.mark.parametrize("kind", KEYS)
def test_architectures_are_told_by_names_in_every_kind_of_file(folder: Path, kind: str) -> None:
    content = {KEYS[kind]: torch.zeros(3)}
    save_file(content, folder / "a.safetensors")
    torch.save({"params_ema": content}, folder / "b.pth")
    torch.save(content, folder / "c.pth", _use_new_zipfile_serialization=False)
    for path in upscaler_files().values():
        assert architecture(path) == kind


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return (sys.exit, ("it ran",))


def test_broken_and_foreign_files_are_refused(folder: Path, spandrel: Any) -> None:
    (folder / "cut.safetensors").write_bytes(b"\x20" + bytes(9))
    (folder / "text.pth").write_text("404: not found")
    (folder / "evil.pth").write_bytes(pickle.dumps({"weight": Evil()}))
    torch.save({"weight": Evil()}, folder / "evil_too.pth")
    with tarfile.open(folder / "tar.pth", "w") as archive:
        archive.add(folder / "text.pth", "pickle")
    for name in ("cut.safetensors", "text.pth", "evil.pth", "evil_too.pth", "tar.pth"):
        with refuses(ModelError, "upscaler_broken", name):
            make_upscaler(name, "x2")
        architecture(folder / name)
    save_file({"other": torch.zeros(1)}, folder / "lora.safetensors")
    with refuses(ModelError, "upscaler_unrecognized", "lora.safetensors"):
        make_upscaler("lora.safetensors", "x2")
    save_file(weights(2, face=1.0), folder / "face.safetensors")
    save_file(weights(2, (6, 3)), folder / "six.safetensors")
    for name in ("face.safetensors", "six.safetensors"):
        with refuses(ModelError, "upscaler_purpose", name):
            make_upscaler(name, "x2")
    with pytest.raises(UnknownName, match=r"Lanczos, cut\.safetensors"):
        make_upscaler("none.pth", "x2")
    assert missing_feature("none.pth", "x2") is not None
