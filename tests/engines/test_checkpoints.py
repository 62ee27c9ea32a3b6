from __future__ import annotations

import gc
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from deforum_helpers.core.errors import ModelError, SettingsError
from deforum_helpers.core.library_environment import collection_paused
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.diffusion import loading
from deforum_helpers.models.weights.checkpoints import describe_checkpoint
from deforum_helpers.models.weights.headers import safetensors_shapes
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.prepare import prepare
from tests.refusals import refuses

TinyMaker = Callable[[str], Path]


@pytest.fixture
def folder(tiny: TinyMaker, tmp_path: Path) -> Path:
    return shutil.copytree(tiny("sd1"), tmp_path / "model")


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


@pytest.mark.parametrize("name", ["model.ckpt", "a/b.PT", "model.bin", "x.pth", "x.pkl"])
def test_pickles_are_refused_with_advice(name: str, tmp_path: Path) -> None:
    path = tmp_path / Path(name).name
    path.write_bytes(b"\x80\x04.")
    with refuses(ModelError, "checkpoint_pickle", path.name):
        describe_checkpoint(str(path))


def test_weights_that_are_only_pickles_are_refused(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with refuses(ModelError, "component_pickled", "unet", "diffusion_pytorch_model.bin"):
        describe_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("kind", "component", "option"),
    [("sd1", "vae", "--vae"), ("sd1", "unet", ""), ("flux", "transformer", "--transformer")],
)
def test_a_component_without_weights(
    kind: str, component: str, option: str, tiny: TinyMaker, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny(kind), tmp_path / "model")
    for path in (folder / component).glob("*.safetensors"):
        path.unlink()
    with refuses(ModelError, "component_without_weights", f"'{component}'", option) as found:
        describe_checkpoint(str(folder))
    assert bool(option) is ("--" in str(found.value))


@pytest.mark.parametrize(
    "entry",
    [
        ["my_code", "UNet2DConditionModel"],
        ["diffusers", "EvilModel"],
        ["diffusers", "AutoencoderKL"],
        [["diffusers"], "UNet2DConditionModel"],
        "UNet2DConditionModel",
        {"diffusers": 1},
    ],
)
def test_foreign_components_are_refused(folder: Path, entry: Any) -> None:
    change(folder / "model_index.json", unet=entry)
    with refuses(ModelError, "component_unsupported", "unet", "UNet2DConditionModel"):
        describe_checkpoint(str(folder))


@pytest.mark.parametrize("config", ["text_encoder/config.json", "tokenizer/tokenizer_config.json"])
def test_remote_code_is_refused(folder: Path, config: str) -> None:
    change(folder / config, auto_map={"AutoModel": "evil.Model"})
    with refuses(ModelError, "model_needs_foreign_code", config):
        describe_checkpoint(str(folder))


@pytest.mark.parametrize("name", ["EvilPipeline", ["StableDiffusionPipeline"], None, "KolorsPipeline"])
def test_other_pipelines_are_refused(folder: Path, name: Any) -> None:
    change(folder / "model_index.json", _class_name=name)
    with refuses(ModelError, "pipeline_unsupported", "StableDiffusionPipeline"):
        describe_checkpoint(str(folder))


def test_unknown_parts_of_an_index_are_not_loaded(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit")
    change(folder / "model_index.json", evil=["evil", "Evil"], safety_checker=["evil", "Evil"])
    assert describe_checkpoint(str(folder)).kind == "sd"


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_a_broken_index_is_named(folder: Path, content: str) -> None:
    (folder / "model_index.json").write_text(content)
    with pytest.raises(ModelError, match=r"model_index\.json"):
        describe_checkpoint(str(folder))


def test_what_is_not_there(tmp_path: Path) -> None:
    with refuses(ModelError, "model_index_missing"):
        describe_checkpoint(str(tmp_path))
    with refuses(ModelError, "checkpoint_not_found"):
        describe_checkpoint(str(tmp_path / "nothing" / "here"))


def test_the_hub_is_only_asked_with_permission() -> None:
    with refuses(ModelError, "checkpoint_not_local", "--allow-download"):
        describe_checkpoint("somebody/some-model")
    assert describe_checkpoint("somebody/some-model", allow_download=True).source == "hub"


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        ("cond_stage_model.transformer.text_model.embeddings.position_ids", "sd"),
        ("conditioner.embedders.1.model.ln_final.weight", "sdxl"),
        ("model.diffusion_model.joint_blocks.0.x", "sd3"),
        ("model.diffusion_model.double_blocks.0.x", "flux"),
    ],
)
def test_files_are_told_apart(tmp_path: Path, tensor: str, kind: str) -> None:
    tensors = {tensor: torch.zeros(2, 3), "first_stage_model.x": torch.zeros(1)}
    save_file(tensors, str(tmp_path / "m.safetensors"))
    assert describe_checkpoint(str(tmp_path / "m.safetensors")).kind == kind
    assert safetensors_shapes(tmp_path / "m.safetensors") == {tensor: (2, 3), "first_stage_model.x": (1,)}


def test_files_of_another_purpose_are_named(tmp_path: Path) -> None:
    lora, inpainting = tmp_path / "lora.safetensors", tmp_path / "inpainting.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1)}, str(lora))
    save_file(
        {
            "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1, 9),
            "cond_stage_model.x": torch.zeros(1),
        },
        str(inpainting),
    )
    with refuses(ModelError, "not_a_checkpoint", "<lora:name:weight>"):
        describe_checkpoint(str(lora))
    with refuses(ModelError, "inpainting_checkpoint", "9 input channels"):
        describe_checkpoint(str(inpainting))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        struct.pack("<Q", 2**60),
        struct.pack("<Q", 5) + b"{",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b'{"a": {}}',
        struct.pack("<Q", 8) + b'{"a": 1}',
        struct.pack("<Q", 14) + b'{"a": "\xff\xfe"}  ',
    ],
)
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    with refuses(ModelError, "not_safetensors"):
        describe_checkpoint(str(tmp_path / "m.safetensors"))


def test_an_engine_says_so_before_it_generates(folder: Path) -> None:
    change(folder / "model_index.json", _class_name="EvilPipeline")
    with refuses(ModelError, "pipeline_unsupported", "EvilPipeline"):
        make_engine("diffusers", checkpoint=str(folder))


def test_videos_may_ask_for_the_checkpoints_and_vaes_beside_their_own(
    tiny: TinyMaker, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    for name in ("one", "two"):
        shutil.copytree(tiny("sd1"), models / name)
    shutil.copytree(tiny("sd1") / "vae", models / "VAE" / "soft")
    save_file({"cond_stage_model.x": torch.zeros(1)}, str(models / "three.safetensors"))
    save_file({"lora.down": torch.zeros(1)}, str(models / "ink.safetensors"))
    (models / "notes.txt").write_text("mine")
    facts = own_facts("diffusers", str(models / "one"), tmp_path / "out")
    assert facts.checkpoints == ("one", "three.safetensors", "three", "two")
    assert facts.vaes == ("soft",)
    settings = {"W": 64, "max_frames": 4, "diffusion_cadence": 1, "enable_checkpoint_scheduling": True}
    prepared = prepare(settings | {"checkpoint_schedule": "0:(one), 2:(three)"}, facts, {"sd_vae": "soft"})
    requests = [key.request for key in prepared.plan.key_frames]
    assert [request.checkpoint for request in requests] == ["one", "one", "three", "three"]
    assert {request.vae for request in requests} == {"soft"}
    with pytest.raises(SettingsError, match=r"'four'.*expected one of: one, three\.safetensors, three, two"):
        prepare(settings | {"checkpoint_schedule": "0:(four)"}, facts)


@pytest.mark.parametrize("engine", ["null", "demo"])
def test_engines_of_one_model_have_no_other(engine: str, tmp_path: Path) -> None:
    facts = own_facts(engine, None, tmp_path)
    assert (facts.checkpoints, facts.vaes) == ((), ())


class Library:
    """A stand-in for a library that imports its classes when they are first named."""

    def __init__(self) -> None:
        self.collecting: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by the import statement
            raise AttributeError(name)
        self.collecting.append(gc.isenabled())
        return SimpleNamespace(from_pretrained=lambda folder, **options: name)


@pytest.mark.parametrize("library", ["diffusers", "transformers"])
def test_no_garbage_is_collected_during_imports(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = {"diffusers": Library(), "transformers": Library()}
    for name, imported in libraries.items():
        monkeypatch.setitem(sys.modules, name, imported)
    monkeypatch.setattr(loading, "dtype_argument", lambda library: "dtype")
    assert loading._load_part(tmp_path, "part", library, "Network", torch.float32) == "Network"
    assert libraries[library].collecting == [False]
    assert gc.isenabled()


def test_collection_is_left_off_where_it_was() -> None:
    gc.disable()
    try:
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_collection_goes_on_after_a_failed_import() -> None:
    with pytest.raises(ImportError), collection_paused():
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_an_engine_is_made_without_collections() -> None:
    """A process of its own, where making the engine imports torch."""
    code = """
import gc, sys
from deforum_helpers.engines import make_engine
gc.callbacks.append(lambda phase, about: print(phase))
make_engine("null")
gc.callbacks.clear()
print("torch" in sys.modules)
"""
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True).split() == ["True"]
