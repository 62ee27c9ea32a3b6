"""The list of models: what is here, under which licence, and whether it fits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from deforum_helpers.__main__ import main
from deforum_helpers.cli import models as command
from deforum_helpers.engines import model_list
from deforum_helpers.engines.diffusion.loading import load_model
from deforum_helpers.engines.diffusion.residency import memory_needs
from deforum_helpers.engines.model_list import (
    LICENCES,
    FileHashes,
    ListedModel,
    Machine,
    listed_models,
    plan_words,
    searched_folders,
)
from deforum_helpers.models.weights.checkpoints import TITLES, describe_checkpoint
from tests.engines.tiny_models import MAKERS

GB = 10**9
SMALL, CPU = Machine("cuda", 8 * GB, 8 * GB), Machine("cpu", None, None)
Tiny = Callable[[str], Path]


@pytest.fixture
def folder(tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a diffusers folder, a checkpoint, a transformer, a LoRA, a pickle and a damaged file."""
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = tmp_path / "models" / "Stable-diffusion"
    here.mkdir(parents=True)
    (here / "klein").symlink_to(tiny("flux2-klein"), target_is_directory=True)
    half = torch.zeros(320, 4, 3, 3, dtype=torch.float16)
    whole = {
        "model.diffusion_model.input_blocks.0.0.weight": half,
        "model.diffusion_model.output_blocks.0.0.weight": half.clone(),
        "first_stage_model.encoder.conv_in.weight": half.clone(),
        "cond_stage_model.transformer.weight": half.clone(),
    }
    save_file(whole, here / "old.safetensors", {"modelspec.license": "CC0-1.0"})
    save_file({"double_blocks.0.img_attn.qkv.weight": half}, here / "part.safetensors")
    save_file({"unet.lora_A.weight": half}, here / "small.safetensors")
    (here / "pickle.ckpt").write_bytes(b"\x80")
    (here / "damaged.safetensors").write_bytes(b"not one")
    return here


def test_a_folder_without_weights_is_a_configuration_for_files(folder: Path, tiny: Tiny) -> None:
    bare = shutil.copytree(
        tiny("flux2-klein"), folder / "bare", ignore=shutil.ignore_patterns("*.safetensors")
    )
    found = by_name(listed_models([folder], SMALL))["bare"]
    assert (found.title, found.problem, found.plan) == (
        "the configuration of FLUX.2 klein, without weights",
        "",
        None,
    )
    (bare / "vae" / "model.safetensors").write_bytes(b"")
    assert "transformer" in by_name(listed_models([folder], SMALL))["bare"].problem


def by_name(found: tuple[ListedModel, ...]) -> dict[str, ListedModel]:
    return {model.path.name: model for model in found}


def test_files_and_folders_are_told_apart_without_loading(folder: Path) -> None:
    found = by_name(listed_models([folder], SMALL))
    old, klein = found["old.safetensors"], found["flux2-klein"]
    assert (old.title, old.precision, old.licence, old.licence_is_own) == (
        "Stable Diffusion",
        "float16",
        "CC0-1.0",
        True,
    )
    assert (klein.title, klein.precision, klein.licence_is_own) == ("FLUX.2 klein", "float32", False)
    assert klein.licence == LICENCES["flux2-klein"]
    assert found["part.safetensors"].title == "the transformer of Flux.1"
    assert found["small.safetensors"].title == "a LoRA"
    assert found["part.safetensors"].plan is None
    for name in ("pickle.ckpt", "damaged.safetensors"):
        assert name in found[name].problem
        assert not found[name].title
    for model in found.values():
        assert model.problem or model.size_bytes > 0


@pytest.mark.parametrize("kind", ["sd1", "sdxl", "sd35", "flux2-klein", "flux"])
def test_the_estimate_in_8_bits_is_that_of_the_loaded_model(tiny: Tiny, kind: str) -> None:
    folder = tiny(kind)
    family, components = model_list.folder_components(folder)
    headers = {
        name: model_list._component_header(folder / name) for name in components if "token" not in name
    }
    found = model_list._needs_of_folder(folder, family, headers, 512, CPU, "int8")
    model = load_model(describe_checkpoint(str(folder)), torch.device("cpu"))
    model.quantize("int8")
    batch = 1 if model.family.guides_itself else 2
    factor, patch = model.autoencoder.factor, model.family.latent_multiple
    needs = memory_needs(model.modules_by_role(), (512, 512), factor, batch, patch)
    for amount in ("text", "network", "encoding", "sampling"):
        assert getattr(found, amount) == pytest.approx(getattr(needs, amount), rel=0.05), amount


@pytest.mark.parametrize("kind", MAKERS)
def test_the_estimate_of_a_folder_is_that_of_the_loaded_model(tiny: Tiny, kind: str) -> None:
    found = model_list._listed(tiny(kind), CPU, None)
    model = load_model(describe_checkpoint(str(tiny(kind))), torch.device("cpu"))
    batch = 1 if model.family.guides_itself else 2
    size = found.size_px
    factor, patch = model.autoencoder.factor, model.family.latent_multiple
    needs = memory_needs(model.modules_by_role(), (size, size), factor, batch, patch)
    assert found.plan is not None
    assert found.plan.peak == pytest.approx(needs.peak("none"), rel=0.02)


def test_a_model_card_names_the_licence(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    for part in tiny("sd1").iterdir():
        (tmp_path / "own" / part.name).symlink_to(part)
    card = tmp_path / "own" / "README.md"
    card.write_text("---\nlicense: other\nlicense_name: my-own-1.0\ntags: [a]\n---\nlicense: no\n")
    assert model_list._card_licence(tmp_path / "own") == "my-own-1.0"
    card.write_text("license: no")
    assert model_list._card_licence(tmp_path / "own") == ""


def test_what_fits_is_shown_with_its_mode() -> None:
    in_8_bits = model_list.MemoryNeeds(GB, 3 * GB, GB, sampling=GB, decoding=5 * GB, tile=GB // 2)
    native = replace(in_8_bits, text=2 * GB, network=5 * GB)

    def needs(precision: str) -> model_list.MemoryNeeds:
        return native if precision == "native" else in_8_bits

    assert plan_words(model_list._planned(needs, Machine("cuda", 24 * GB, 24 * GB))) == "yes"
    assert (
        plan_words(model_list._planned(needs, Machine("cuda", 8 * GB, 8 * GB)))
        == "yes, offload model, in tiles"
    )
    assert (
        plan_words(model_list._planned(needs, Machine("cuda", 6 * GB, 6 * GB)))
        == "yes, offload model, weights in int8, in tiles"
    )
    assert plan_words(model_list._planned(needs, Machine("cuda", GB, GB))) == "no, offload streamed, in tiles"
    assert plan_words(model_list._planned(needs, Machine("cpu", None, None))) == "yes"
    assert plan_words(None) == ""


def test_folders_of_webuis_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "own" / "Deforum"))
    for name in ("webui/Stable-diffusion", "webui/VAE", "own/Deforum", "more"):
        (tmp_path / name).mkdir(parents=True)
    found = searched_folders(str(tmp_path / "webui/Stable-diffusion/a.safetensors"), [tmp_path / "more"])
    assert {folder.relative_to(tmp_path.resolve()).as_posix() for folder in found} == {
        "webui/Stable-diffusion",
        "webui/VAE",
        "own/Deforum",
        "more",
    }


def test_a_file_is_hashed_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, record = tmp_path / "model", tmp_path / "cache" / "hashes.json"
    path.write_bytes(b"one")
    read: list[Path] = []
    own = model_list._sha256
    monkeypatch.setattr(model_list, "_sha256", lambda path: read.append(path) or own(path))
    assert FileHashes(record).short(path) == "7692c3ad35"
    assert FileHashes(record).short(path) == "7692c3ad35"
    assert len(read) == 1
    path.write_bytes(b"three")
    assert FileHashes(record).short(path) == "8b5b9db0c1"
    record.write_text("[broken")
    assert FileHashes(record).short(path) == "8b5b9db0c1"
    assert len(read) == 3


def test_the_command_prints_a_table_or_json(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "this_machine", lambda: SMALL)
    assert main(["models", "--ckpt", str(folder / "old.safetensors"), "--hash"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("old.safetensors"))
    assert "CC0-1.0" in row
    assert lines[0].split()[0] == "model"
    assert main(["models", str(folder), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {Path(model["path"]).name for model in said["models"]} >= {"old.safetensors", "pickle.ckpt"}
    assert main(["models", str(folder / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_an_empty_machine_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path))
    monkeypatch.setattr(command, "this_machine", lambda: CPU)
    assert main(["models"]) == 0
    told = capsys.readouterr().out
    assert str(tmp_path) in told
    assert "AGPL-3.0-or-later" in told, "the built-in model is listed"


def test_the_page_of_models_has_the_same_licences() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8").splitlines()
    assert set(LICENCES) == set(TITLES)
    for kind, licence in LICENCES.items():
        title = TITLES[kind]
        assert any(row.startswith("|") and title in row and row.endswith(f"| {licence} |") for row in rows), (
            kind
        )
