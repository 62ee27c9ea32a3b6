"""ControlNet units of the diffusion engine, with tiny random networks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from deforum_helpers.controlnet.model_files import check_fit, control_folders, control_model, control_names
from deforum_helpers.core.errors import MissingFeature, ModelError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Control, GenerateRequest
from deforum_helpers.engines.diffusion.control_residuals import RAMP, Unit, steering_at
from deforum_helpers.engines.diffusion.controlnet import control_net
from deforum_helpers.engines.diffusion.engine import DiffusionEngine
from deforum_helpers.engines.diffusion.loading import load_model
from deforum_helpers.image.types import Image
from deforum_helpers.models.weights.checkpoints import describe_checkpoint
from tests.engines import tiny_models
from tests.engines.original_layout import write_control_file
from tests.refusals import refuses

RequestMaker = Callable[..., GenerateRequest]
TinyMaker = Callable[[str], Path]
SIZE = {"width_px": 32, "height_px": 48}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny: TinyMaker) -> Path:
    """models/checkpoints/{sd1,sdxl} and models/ControlNet/{lines,others} for SD 1.x, /wide for XL."""
    root = tmp_path_factory.mktemp("models")
    for kind in ("sd1", "sdxl", "sd3"):
        shutil.copytree(tiny(kind), root / "checkpoints" / kind)
    tiny_models.control_net(root / "ControlNet" / "lines", tiny("sd1"))
    tiny_models.control_net(root / "ControlNet" / "others", tiny("sd1"), seed=1)
    tiny_models.control_net(root / "ControlNet" / "wide", tiny("sdxl"))
    return root


@pytest.fixture(scope="module")
def engine(models: Path) -> DiffusionEngine:
    return make_engine("diffusers", checkpoint=str(models / "checkpoints" / "sd1"), device="cpu")


def stripes(count: int = 4) -> Image:
    columns = (torch.arange(32) * count // 32) % 2
    return columns.float().expand(3, 48, 32).clone()


def control(**changes: Any) -> Control:
    fields: dict[str, Any] = {
        "unit": 1,
        "module": "none",
        "model": "lines",
        "image": stripes(),
        "mask": None,
        "weight": 1.0,
        "guidance_start": 0.0,
        "guidance_end": 1.0,
        "control_mode": "Balanced",
        "resize_mode": "Just Resize",
        "low_vram": False,
        "pixel_perfect": False,
        "processor_res": -1,
        "threshold_a": -1.0,
        "threshold_b": -1.0,
    }
    return Control(**{**fields, **changes})


def generate(engine: DiffusionEngine, request: GenerateRequest, *controls: Control) -> torch.Tensor:
    return engine.generate(replace(request, controls=controls), CancelToken())


def test_weight_0_is_no_control_net(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    plain = generate(engine, request_for())
    assert torch.equal(generate(engine, request_for(), control(weight=0.0)), plain)
    assert torch.equal(generate(engine, request_for(), control(weight=0.0, model="not there")), plain)
    assert not torch.equal(generate(engine, request_for(), control()), plain)
    assert torch.equal(generate(engine, request_for()), plain)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_the_image_steers(models: Path, request_for: RequestMaker, kind: str) -> None:
    engine = make_engine("diffusers", checkpoint=str(models / "checkpoints" / kind), device="cpu")
    model = "wide" if kind == "sdxl" else "lines"
    images = [
        generate(engine, request_for(), control(model=model, image=image))
        for image in (stripes(), stripes(2), stripes())
    ]
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])
    faint = generate(engine, request_for(), control(model=model, weight=1e-3))
    plain = generate(engine, request_for())
    assert (faint - plain).abs().max() < (images[0] - plain).abs().max() / 10


def test_units_add_up(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    both = generate(engine, request_for(), control(weight=0.5), control(unit=2, weight=0.5))
    torch.testing.assert_close(both, generate(engine, request_for(), control()), atol=1e-5, rtol=0)
    mixed = generate(engine, request_for(), control(), control(unit=2, model="others"))
    assert not torch.equal(mixed, generate(engine, request_for(), control()))


class Watched:
    """Writes down at which steps the ControlNet is asked, and by how many texts at once."""

    def __init__(self, engine: DiffusionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[int] = []
        original = Unit.residuals

        def residuals(unit: Unit, latents: torch.Tensor, *rest: Any) -> Any:
            self.batches.append(len(latents))
            return original(unit, latents, *rest)

        monkeypatch.setattr(Unit, "residuals", residuals)


@pytest.mark.parametrize(
    ("start", "end", "steps"), [(0.0, 1.0, 8), (0.5, 1.0, 4), (0.0, 0.25, 3), (0.5, 0.6, 1), (0.9, 0.1, 0)]
)
def test_start_and_end_bound_the_steps(
    engine: DiffusionEngine,
    request_for: RequestMaker,
    monkeypatch: pytest.MonkeyPatch,
    start: float,
    end: float,
    steps: int,
) -> None:
    watched = Watched(engine, monkeypatch)
    generated = generate(engine, request_for(steps=8), control(guidance_start=start, guidance_end=end))
    assert watched.batches == [2] * steps
    assert torch.equal(generated, generate(engine, request_for(steps=8))) is (steps == 0)


def test_shares_of_image_to_image_count_the_steps_that_run(
    engine: DiffusionEngine, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(engine, monkeypatch)
    request = request_for(steps=8, init_image=stripes(), denoising_strength=0.5)
    generate(engine, request, control(guidance_start=0.5))
    assert len(watched.batches) == 2  # of 5 steps those with the shares 0.6 and 0.8, and none of 0.4


class Network(torch.nn.Module):
    """Answers ones on two levels and in the middle."""

    def forward(self, latents: torch.Tensor, timestep: Any, **options: Any) -> Any:
        count, channels = latents.shape[:2]
        ones = [torch.ones(count, channels, side, side) for side in (8, 4, 4)]
        return ones[:2], ones[2]


def unit(**changes: Any) -> Unit:
    fields: dict[str, Any] = {
        "network": Network(),
        "image": torch.zeros(1, 3, 16, 16),
        "mask": None,
        "weight": 0.5,
        "first": 0.0,
        "last": 1.0,
        "ramped": False,
        "one_sided": False,
    }
    return Unit(**{**fields, **changes})


def asked(*units: Unit) -> list[torch.Tensor]:
    steering = steering_at(units, 0, 10)
    assert steering is not None
    found = steering.residuals(
        torch.zeros(2, 4, 8, 8), torch.tensor(5), torch.zeros(2, 77, 8), None, (False, True)
    )
    return [*found.skips, found.middle]


def test_balanced_layers_have_the_weight() -> None:
    assert all(bool((layer == 0.5).all()) for layer in asked(unit()))
    assert all(bool((layer == 0.75).all()) for layer in asked(unit(), unit(weight=0.25)))


def test_layers_on_a_ramp() -> None:
    for number, layer in enumerate(asked(unit(ramped=True))):
        assert torch.allclose(layer, torch.tensor(0.5 * RAMP ** (12 - number)))


def test_one_side_of_guidance() -> None:
    for layer in asked(unit(one_sided=True)):
        assert not layer[0].any()
        assert bool((layer[1] == 0.5).all())


def test_a_mask_bounds_every_layer() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8] = 1
    for layer in asked(unit(mask=mask)):
        half = layer.shape[-1] // 2
        assert bool((layer[..., :half] == 0.5).all())
        assert not layer[..., half:].any()


@pytest.mark.parametrize("mode", ["My prompt is more important", "ControlNet is more important"])
def test_control_modes_generate_different_images(
    engine: DiffusionEngine, request_for: RequestMaker, mode: str
) -> None:
    balanced = generate(engine, request_for(), control())
    assert not torch.equal(generate(engine, request_for(), control(control_mode=mode)), balanced)


def test_only_towards_the_prompt_without_guidance_is_the_ramp(
    engine: DiffusionEngine, request_for: RequestMaker
) -> None:
    """At a CFG scale of 1 there is no other side, so both modes are the same."""
    modes = ("My prompt is more important", "ControlNet is more important")
    one, other = (generate(engine, request_for(cfg_scale=1.0), control(control_mode=mode)) for mode in modes)
    assert torch.equal(one, other)


def test_masks_of_a_request(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    plain, full = generate(engine, request_for()), generate(engine, request_for(), control())
    nowhere = control(mask=torch.zeros(48, 32))
    assert torch.equal(generate(engine, request_for(), nowhere), plain)
    everywhere = control(mask=torch.ones(96, 64))
    torch.testing.assert_close(generate(engine, request_for(), everywhere), full, atol=1e-5, rtol=0)
    once = request_for(steps=1)
    for side in (slice(0, 16), slice(16, 32)):
        half = torch.zeros(48, 32)
        half[:, side] = 1
        changed = (generate(engine, once, control(mask=half)) - generate(engine, once)).abs()
        assert changed[..., side].mean() > 1.2 * changed.mean()


def test_the_preprocessor_comes_first(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    inverted = generate(engine, request_for(), control(module="invert"))
    given = generate(engine, request_for(), control(image=1 - stripes()))
    assert torch.equal(inverted, given)
    with refuses(MissingFeature, "preprocessor_missing", "'dreams'", "none, invert"):
        generate(engine, request_for(), control(module="dreams"))


def test_odd_sizes_and_masks_of_repainting(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    where = torch.zeros(45, 31)
    where[:20] = 1
    image = torch.rand(3, 45, 31, generator=torch.Generator().manual_seed(1))
    request = request_for(width_px=31, height_px=45, init_image=image, mask=where, denoising_strength=0.7)
    generated = generate(engine, request, control(resize_mode="Inner Fit (Scale to Fit)"))
    assert generated.shape == (3, 45, 31)
    assert not torch.equal(generated, generate(engine, request))


def test_with_prompts_one_by_one(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    """Texts of different lengths are evaluated one after the other; their sides of guidance are kept."""
    long = ", ".join(["a hill"] * 60)
    mode = "ControlNet is more important"
    request = request_for(prompt=f"{long} AND snow:0.5")
    generated = generate(engine, request, control(control_mode=mode))
    assert not torch.equal(generated, generate(engine, request))


def test_loaded_once(engine: DiffusionEngine, request_for: RequestMaker) -> None:
    generate(engine, request_for(), control())
    _, loaded = engine._loaded or pytest.fail("nothing is loaded")
    networks = dict(loaded.control_nets)
    generate(engine, request_for(seed=2), control(low_vram=True))
    assert all(loaded.control_nets[path] is network for path, network in networks.items())
    assert set(networks.values()) <= set(loaded.modules())


def test_a_few_are_kept(models: Path, tmp_path: Path, request_for: RequestMaker) -> None:
    shutil.copytree(models / "checkpoints" / "sd1", tmp_path / "sd1")
    for number in range(7):
        shutil.copytree(models / "ControlNet" / "lines", tmp_path / "ControlNet" / f"n{number}")
    engine = make_engine("diffusers", checkpoint=str(tmp_path / "sd1"), device="cpu")
    for number in (0, 1, 2, 3, 4, 0, 5, 6):
        generate(engine, request_for(steps=1), control(model=f"n{number}"))
    assert engine._loaded is not None
    assert [path.name for path in engine._loaded[1].control_nets] == ["n3", "n4", "n0", "n5", "n6"]


def test_a_single_file_is_the_folder(
    models: Path, engine: DiffusionEngine, request_for: RequestMaker, lonely: Path
) -> None:
    own = make_engine("diffusers", checkpoint=str(lonely.parents[1] / "sd1"), device="cpu")
    wanted = generate(engine, request_for(), control())
    assert torch.equal(generate(own, request_for(), control(model="Lines_fp [12345678]")), wanted)
    assert torch.equal(generate(own, request_for(), control(model=str(lonely))), wanted)


@pytest.fixture
def lonely(models: Path, tmp_path: Path) -> Path:
    """A ControlNet as a single file: beside the checkpoint's folder, one folder further down."""
    shutil.copytree(models / "checkpoints" / "sd1", tmp_path / "sd1")
    file = tmp_path / "ControlNet" / "lines_fp.safetensors"
    file.parent.mkdir()
    shutil.copy(models / "ControlNet" / "lines" / "diffusion_pytorch_model.safetensors", file)
    return file


def test_a_file_of_the_original_layout(models: Path, tiny: TinyMaker, tmp_path: Path) -> None:
    folder = tiny_models.control_net(tmp_path / "folder", tiny("sd1"), channels=(8, 8, 16, 24))
    file = tmp_path / "ControlNet" / "original.safetensors"
    file.parent.mkdir()
    write_control_file(folder, file)
    model = load_model(describe_checkpoint(str(tiny("sd1"))), torch.device("cpu"))
    network = control_net(model, "original", str(tmp_path / "sd1"), torch.device("cpu"))
    wanted = load_file(folder / "diffusion_pytorch_model.safetensors")
    found = network.state_dict()
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert tuple(network.config.conditioning_embedding_out_channels) == (8, 8, 16, 24)


def weights(models: Path) -> dict[str, torch.Tensor]:
    return load_file(models / "ControlNet" / "lines" / "diffusion_pytorch_model.safetensors")


BROKEN: list[tuple[str, Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], str]] = [
    ("lora", lambda w: {**w, "lora_controlnet": torch.zeros(1)}, "controlnet_other_kind"),
    ("adapter", lambda w: {"adapter.body.0.weight": torch.zeros(1)}, "controlnet_other_kind"),
    ("union", lambda w: {**w, "task_embedding": torch.zeros(1)}, "controlnet_other_kind"),
    ("other", lambda w: {"x": torch.zeros(1)}, "not_a_controlnet"),
    ("short", lambda w: {k: v for k, v in w.items() if "mid_block" not in k}, "model_damaged"),
]


@pytest.mark.parametrize(("name", "change", "code"), BROKEN, ids=[row[0] for row in BROKEN])
def test_files_that_are_none(
    models: Path, lonely: Path, request_for: RequestMaker, name: str, change: Any, code: str
) -> None:
    save_file(change(weights(models)), lonely.with_name(f"{name}.safetensors"))
    engine = make_engine("diffusers", checkpoint=str(lonely.parents[1] / "sd1"), device="cpu")
    with refuses(ModelError, code, name):
        generate(engine, request_for(), control(model=name))


def test_names(models: Path, lonely: Path) -> None:
    folders = control_folders(str(models / "checkpoints" / "sd1"))
    assert control_names(folders) == ("lines", "others", "wide")
    assert control_model("LINES [abc]", folders).path.name == "lines"
    with refuses(ModelError, "controlnet_not_found", "lines, others, wide; did you mean 'lines'?"):
        control_model("linez", folders)
    with refuses(ModelError, "controlnet_not_found", "none"):
        control_model("../lines", ())
    pickle = lonely.with_name("old.pth")
    pickle.write_bytes(b"x")
    with refuses(ModelError, "controlnet_pickle"):
        control_model("old", (lonely.parent,))


def test_folders_that_are_none(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ControlNet" / "x"
    shutil.copytree(models / "ControlNet" / "lines", folder)
    (folder / "diffusion_pytorch_model.safetensors").rename(folder / "diffusion_pytorch_model.bin")
    with refuses(ModelError, "controlnet_without_weights"):
        control_model("x", (folder.parent,))
    (folder / "config.json").write_text(json.dumps({"_class_name": "ControlNetUnionModel"}))
    with refuses(ModelError, "controlnet_class", "'ControlNetUnionModel'", "ControlNetModel"):
        control_model("x", (folder.parent,))


def test_models_of_the_cache(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--lines" / "snapshots" / "1"
    shutil.copytree(models / "ControlNet" / "lines", snapshot)
    assert control_model("someone/lines", ()).path == snapshot
    with refuses(ModelError, "controlnet_not_found", "none"):
        control_model("someone/../lines", ())


def test_families(models: Path, request_for: RequestMaker, engine: DiffusionEngine) -> None:
    checkpoints = models / "checkpoints"
    folders = control_folders(str(checkpoints / "sd1"))
    check_fit(control_model("lines", folders), str(checkpoints / "sd1"))
    check_fit(control_model("wide", folders), str(checkpoints / "sdxl"))
    with refuses(ModelError, "controlnet_misfit", "'wide'", "text width 64", "text width 32"):
        check_fit(control_model("wide", folders), str(checkpoints / "sd1"))
    with refuses(ModelError, "controlnet_misfit", "'wide'"):
        generate(engine, request_for(), control(model="wide"))
    with refuses(ModelError, "controlnets_unsupported"):
        check_fit(control_model("lines", folders), str(checkpoints / "sd3"))
    other = make_engine("diffusers", checkpoint=str(checkpoints / "sd3"), device="cpu")
    with refuses(ModelError, "controlnets_unsupported"):
        generate(other, request_for(), control())


def test_units_act_while_noise_is_found_as_well(
    engine: DiffusionEngine, request_for: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noise of an image leads back to it only under what acted when it was found."""
    sampled, came = DiffusionEngine._sample, []

    def watched(self: DiffusionEngine, network: Any, init: Any, cancel: CancelToken) -> torch.Tensor:
        came.append((sampled(self, network, init, cancel), init))
        return came[-1][0]

    monkeypatch.setattr(DiffusionEngine, "_sample", watched)
    image = torch.rand(3, 12, 8, generator=torch.Generator().manual_seed(3)).repeat_interleave(4, 1)
    request = request_for(
        sampler="DPM++ 2M",
        cfg_scale=1.0,
        steps=200,
        init_image=image.repeat_interleave(4, 2),
        denoising_strength=0.4,
        noise_source="inverted",
    )
    generate(engine, request, control(weight=1.5))
    latents, init = came[0]
    spread = float(init.max() - init.min())
    assert 10 * torch.log10(spread**2 / ((latents - init) ** 2).mean()) >= 40
