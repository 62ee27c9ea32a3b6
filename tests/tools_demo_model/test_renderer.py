"""The renderer shows what its words say, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tools.demo_model.render import SKY_DEPTH, render
from tools.demo_model.scene_parts import OBJECT_SLOTS, SCENES, STYLES
from tools.demo_model.scenes import collate, sample
from tools.demo_model.terrain import Terrain
from tools.demo_model.world import World

SIDE_PX = 64


@pytest.fixture(scope="module")
def world() -> World:
    return World("cpu")


def draw(
    world: World, wish: dict[str, str], seed: int = 4
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    params, _ = sample(np.random.default_rng(seed), wish)
    return render(collate([params]), world, SIDE_PX, SIDE_PX, samples=160)


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_every_scene_has_image_depth_and_counts(world: World, scene: str) -> None:
    rgb, metres, seen = draw(world, {"scene": scene})
    assert rgb.shape == (1, 3, SIDE_PX, SIDE_PX)
    assert metres.shape == (1, 1, SIDE_PX, SIDE_PX)
    assert seen.shape == (1, OBJECT_SLOTS)
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert rgb.std() > 0.01
    assert metres.min() >= 1
    assert metres.max() <= SKY_DEPTH


def test_same_seed_same_image(world: World) -> None:
    first, second = draw(world, {"scene": "lake"}), draw(world, {"scene": "lake"})
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], draw(world, {"scene": "lake"}, seed=5)[0])


def test_sky_is_far_and_ground_is_near(world: World) -> None:
    _, metres, _ = draw(world, {"scene": "meadow", "weather": "clear"})
    assert metres[0, 0, 0].max() == SKY_DEPTH
    assert metres[0, 0, -1].max() < 200


def test_night_is_darker_than_noon(world: World) -> None:
    wish = {"scene": "mountains", "weather": "clear", "style": "photo", "palette": ""}
    noon, night = (draw(world, {**wish, "time": time})[0].mean() for time in ("day", "night"))
    assert night < noon - 0.1


def test_styles_change_the_image(world: World) -> None:
    images = [draw(world, {"scene": "canyon", "style": style, "palette": ""})[0] for style in STYLES]
    for k, image in enumerate(images):
        assert all((image - other).abs().mean() > 0.005 for other in images[:k])


def test_pixel_art_is_made_of_blocks(world: World) -> None:
    rgb = draw(world, {"scene": "canyon", "style": "pixel art"})[0]
    blocks = rgb.unfold(2, 8, 8).unfold(3, 8, 8)
    assert torch.equal(blocks, blocks[..., :1, :1].expand_as(blocks))


@pytest.mark.gpu
def test_fused_heights_agree_with_the_formulas() -> None:
    world = World("cuda")
    rng = np.random.default_rng(8)
    params = {k: v.cuda() for k, v in collate([sample(rng)[0] for _ in range(8)]).items()}
    x = (torch.rand(8, 64, 64, device="cuda") - 0.5) * 600
    z = torch.rand(8, 64, 64, device="cuda") * 1500 + 2
    fast = Terrain(params, world.noise).height(x, z, z * 0.002, 9, False)
    world.noise.fused = None
    slow = Terrain(params, world.noise).height(x, z, z * 0.002, 9, False)
    assert (fast - slow).abs().median() < 0.01
