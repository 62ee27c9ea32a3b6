"""Each part of the training learns, at toy size, and what comes out loads with plain diffusers."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from deforum_helpers.engines.demo.depth_net import DepthNet, load_depth_net, predict
from tools.demo_model import first_stage, second_stage, train_vae
from tools.demo_model.check import drawn, load_pipeline
from tools.demo_model.export import export
from tools.demo_model.models import (
    SHIPPED,
    alphas_cumprod,
    build_text_encoder,
    build_unet,
    build_vae,
    half,
    load_tokenizer,
    tokenize,
)
from tools.demo_model.second_stage import Objective, draw, rate
from tools.demo_model.train_depth import align, depth_loss, log_depth
from tools.demo_model.training import Average, Muon, orthogonalise


def smooth(batch: int, side: int) -> torch.Tensor:
    coarse = torch.rand(batch, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def falls(loss_of, parameters, steps: int) -> bool:  # type: ignore[no-untyped-def]
    """Whether Muon steps on a fixed batch lower its loss."""
    opt, first = Muon(parameters, 5e-3, 2e-3), float(loss_of().detach())
    for _ in range(steps):
        loss_of().backward()
        opt.step(1.0)
        opt.zero()
    return float(loss_of().detach()) < 0.95 * first


def test_autoencoder_learns() -> None:
    torch.manual_seed(0)
    vae = build_vae()
    step, x, noise = train_vae.Step(vae), smooth(4, 32) * 2 - 1, torch.randn(4, 12, 2, 2)
    assert falls(lambda: step(x, x, noise)[0], vae.named_parameters(), 6)


def test_unet_and_text_encoder_learn() -> None:
    torch.manual_seed(0)
    tokenizer = load_tokenizer()
    objective = Objective(
        build_unet(), build_text_encoder(len(tokenizer)), tokenize(tokenizer, [""])[0].long()
    )
    z, noise = torch.randn(4, 12, 4, 4), torch.randn(4, 12, 4, 4)
    tokens, times = (
        tokenize(tokenizer, ["a lake", "a castle", "dunes", ""]),
        torch.tensor([100, 400, 700, 900]),
    )
    drop = torch.tensor([False, True, False, False])
    assert falls(lambda: objective(z, z, tokens, times, noise, drop), objective.named_parameters(), 4)


def test_depth_network_learns() -> None:
    torch.manual_seed(0)
    net, x = DepthNet(), smooth(4, 64)
    target = x.mean(1, keepdim=True)
    opt = torch.optim.AdamW(net.parameters(), lr=3e-3)
    first = float(depth_loss(net(x), target).detach())
    for _ in range(8):
        opt.zero_grad()
        depth_loss(net(x), target).backward()
        opt.step()
    assert float(depth_loss(net(x), target).detach()) < 0.8 * first


def test_replay_ages_and_starts_again() -> None:
    torch.manual_seed(0)
    replay, fresh = train_vae.Replay(4, 16, torch.device("cpu"), oldest=2), torch.rand(4, 3, 16, 16)
    slots, worn, clean = replay.draw(fresh)
    assert torch.equal(worn, fresh)
    assert torch.equal(clean, fresh)
    replay.put(slots, worn * 0)
    assert replay.age.tolist() == [1, 1, 1, 1]
    slots, worn, clean = replay.draw(fresh)
    aged = replay.age[slots] == 1
    assert aged.any()
    assert torch.equal(worn[aged], torch.zeros_like(worn[aged]))
    assert torch.equal(clean[aged], replay.clean[slots][aged].float())
    replay.put(slots, worn)
    replay.put(slots, worn)
    assert torch.equal(replay.draw(fresh)[1], fresh)


def test_crops_lie_on_the_latent_grid() -> None:
    rows = torch.arange(64, dtype=torch.uint8).view(1, 1, 64, 1).expand(2, 3, 64, 64)
    rng = np.random.default_rng(0)
    tops = {round(float((train_vae.crops(rows, 1, 32, rng)[0, 0, 0, 0] + 1) * 127.5)) for _ in range(30)}
    assert tops == {0, 16, 32}


def test_worn_share_has_clean_targets() -> None:
    torch.manual_seed(0)
    z, tokens = torch.zeros(8, 12, 4, 4), torch.zeros(8, 3, 77, dtype=torch.int16)
    rows = {"z": z, "tokens": tokens, "worn": z + 5, "clean": z + 2, "worn_tokens": tokens + 1}
    source, clean, drawn_tokens, times = draw(rows, 40, torch.device("cpu"))
    assert (source[:6] == 5).all()
    assert (clean[:6] == 2).all()
    assert (drawn_tokens[:6] == 1).all()
    assert times[:6].min() >= 200
    assert times[:6].max() < 700
    assert torch.equal(source[6:], clean[6:])


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    x = orthogonalise(torch.randn(2, 8, 24, generator=torch.Generator().manual_seed(3)), steps=8)
    values = torch.linalg.svdvals(x)
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_average_follows_and_copies() -> None:
    layer = torch.nn.Linear(2, 1, bias=False)
    layer.weight.data.fill_(0.0)
    ema = Average(layer, 0.5)
    layer.weight.data.fill_(1.0)
    ema.update()  # decay min(0.5, 2 / 11): the average moves by 9 / 11
    ema.copy_to(layer)
    assert torch.allclose(layer.weight, torch.full((1, 2), 9 / 11))


def test_rates_and_noise_levels() -> None:
    assert [rate(f) for f in (0.005, 0.2, 0.725)] == pytest.approx([0.5, 1.0, 0.5])
    assert alphas_cumprod()[0] == pytest.approx(1 - 0.00085)
    assert log_depth(torch.tensor([1.5, 20000.0])).tolist() == pytest.approx([0.0, 1.0])


def test_alignment_finds_scale_and_shift() -> None:
    t = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(align(t * 3 + 1, t), t, atol=1e-3)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder made by both stages and the export, from the shipped weights, in moments."""
    trained, out = tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("model")
    moments = ["--pool-seconds", "0.1", "--vae-seconds", "0.1", "--depth-seconds", "0.1"]
    small = [
        "--scale",
        "0.125",
        "--batch",
        "3",
        "--render-batch",
        "2",
        "--workers",
        "0",
        "--start",
        str(SHIPPED),
    ]
    first_stage.main([str(trained), *moments, *small])
    second_stage.main([str(trained), "--seconds", "0.1", "--batch", "4", "--start", str(SHIPPED)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        export(trained, out)
    return out


def test_export_loads_and_generates(exported: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        image = drawn(load_pipeline(exported), ["a lake at dawn"], 0, steps=1, size=64)
    assert image.shape == (1, 3, 64, 64)
    assert torch.isfinite(image).all()
    depth = predict(load_depth_net(exported / "depth"), image[0])
    assert depth.shape == (64, 64)


def test_export_has_the_files_and_types_of_the_shipped_model(exported: Path) -> None:
    def facts(folder: Path) -> dict[str, object]:
        weights = {p.relative_to(folder).as_posix(): load_file(p) for p in folder.rglob("*.safetensors")}
        shapes = {f: {k: (v.shape, v.dtype) for k, v in w.items()} for f, w in weights.items()}
        dtype = json.loads((folder / "text_encoder" / "config.json").read_text(encoding="utf-8"))["dtype"]
        return {"shapes": shapes, "dtype": dtype}

    assert facts(exported) == facts(SHIPPED)


def test_shipped_model_is_small_and_finite() -> None:
    files = list(SHIPPED.rglob("*.safetensors"))
    assert sum(p.stat().st_size for p in files) < 24e6
    assert all(torch.isfinite(v.float()).all() for p in files for v in load_file(p).values())


def test_half_keeps_whole_numbers(tmp_path: Path) -> None:
    state = half({"weight": torch.ones(2), "count": torch.tensor(3)})
    save_file(state, tmp_path / "x.safetensors")
    assert {k: v.dtype for k, v in load_file(tmp_path / "x.safetensors").items()} == {
        "weight": torch.float16,
        "count": torch.int64,
    }
