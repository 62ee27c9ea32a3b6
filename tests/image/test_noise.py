"""Noise: classic fields, the readable Perlin formula, any size, masks."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.registry import UnknownName
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.noise import add_noise, noise_field, perlin_hills
from tests.image.sample_images import golden, levels_apart, random_image

FIELDS = golden("noise.json")["fields"]
HEIGHT_PX, WIDTH_PX = 128, 192
PERLIN: dict[str, Any] = {"kind": "perlin", "octaves": 4, "persistence": 0.5}


def plain_hills(
    height_px: int, width_px: int, octaves: int, persistence: float, generator: torch.Generator
) -> torch.Tensor:
    """The readable form: each pixel of each layer mixes the slopes of the four corners of its cell."""
    hills = torch.zeros(height_px, width_px)
    for octave in range(octaves):
        cells = 8 * 2**octave
        angles = 2 * math.pi * torch.rand((cells + 1, cells + 1), generator=generator)
        down, across = torch.cos(angles), torch.sin(angles)
        u, v = (torch.arange(side) * (cells / side) for side in (height_px, width_px))
        row, column = u.long(), v.long()
        u, v = (u - row)[:, None], (v - column)[None]

        def corner(a: int, b: int) -> torch.Tensor:
            here = (slice(None), slice(None))
            return (
                down[row + a][:, column + b][here] * (u - a) + across[row + a][:, column + b][here] * (v - b)  # noqa: B023
            )

        fade_u, fade_v = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in (u, v))
        left, right = (torch.lerp(corner(0, b), corner(1, b), fade_u) for b in (0, 1))
        hills += persistence**octave * math.sqrt(2) * torch.lerp(left, right, fade_v)
    return hills


def classic_bytes(field: dict[str, Any]) -> np.ndarray:
    """The classic steps on 8-bit pixels: noise cut off to whole levels, mixed and rounded."""
    generator = torch.Generator().manual_seed(field["seed"])
    noise = torch.randn((3, HEIGHT_PX, WIDTH_PX), generator=generator)
    if field["kind"] == "perlin":
        hills = plain_hills(HEIGHT_PX, WIDTH_PX, field["octaves"], field["persistence"], generator)
        noise = noise * (hills + 1) / 2
    noise = noise.permute(1, 2, 0).numpy()
    if field["masked"]:
        noise = noise * (np.arange(WIDTH_PX) < WIDTH_PX // 2)[:, None]
    noise_u8 = (np.clip(noise * 0.5 + 0.5, 0, 1) * 255).astype(np.uint8)
    gray = np.full_like(noise_u8, field["gray"])
    return cv2.addWeighted(gray, 1 - field["amount"], noise_u8, field["amount"], 0)


@pytest.mark.parametrize("field", FIELDS)
def test_classic_fields(field: dict[str, Any]) -> None:
    classic = classic_bytes(field)
    assert hashlib.sha1(np.ascontiguousarray(classic).tobytes()).hexdigest() == field["sha1"]
    if field["masked"]:
        return
    gray = from_bytes(np.full((HEIGHT_PX, WIDTH_PX, 3), field["gray"], np.uint8))
    settings = {name: field[name] for name in ("kind", "amount", "seed", "octaves", "persistence")}
    apart = to_bytes(add_noise(gray, **settings)).astype(np.int64) - classic
    # classic noise is cut off to whole levels before it is mixed in, ours is not
    assert apart.min() >= 0
    assert apart.max() <= 1
    assert apart.mean() <= field["amount"] / 2 + 0.01


@pytest.mark.parametrize(("octaves", "persistence"), [(1, 0.5), (4, 0.5), (7, 0.9)])
def test_hills_as_one_product_equal_the_readable_form(octaves: int, persistence: float) -> None:
    fast = perlin_hills(64, 128, octaves, persistence, torch.Generator().manual_seed(5))
    plain = plain_hills(64, 128, octaves, persistence, torch.Generator().manual_seed(5))
    np.testing.assert_allclose(fast, plain, atol=1e-5)


def test_outside_its_mask_noise_leaves_the_image_alone() -> None:
    """Deviation: classic Deforum pulls what lies outside towards gray 127."""
    image = random_image(64, 64)
    mask = torch.zeros(64, 64)
    mask[:, 32:] = 1
    noisy = add_noise(image, **PERLIN, amount=0.5, seed=3, mask=mask)
    assert torch.equal(noisy[:, :, :32], image[:, :, :32])
    assert torch.equal(noisy[:, :, 32:], add_noise(image, **PERLIN, amount=0.5, seed=3)[:, :, 32:])


def test_a_soft_mask_mixes() -> None:
    image = random_image(64, 64)
    half = add_noise(image, **PERLIN, amount=0.5, seed=3, mask=torch.full((64, 64), 0.5))
    expected = (image + add_noise(image, **PERLIN, amount=0.5, seed=3)) / 2
    torch.testing.assert_close(half, expected)


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(["uniform", "perlin"]), st.integers(1, 7))
def test_any_size_works(height_px: int, width_px: int, kind: str, octaves: int) -> None:
    """Deviation: classic uniform noise needs multiples of 64, and classic Perlin noise of 5 octaves more still."""
    image = torch.full((3, height_px, width_px), 0.5)
    noisy = add_noise(image, kind=kind, amount=0.3, seed=1, octaves=octaves, persistence=0.5)
    assert noisy.shape == image.shape
    assert noisy.permute(1, 2, 0).is_contiguous()
    assert noisy.min() >= 0
    assert noisy.max() <= 1


def test_other_sizes_show_the_same_field_by_nearest_neighbours() -> None:
    field = noise_field(64, 128, 7, 4, 0.5)
    odd = noise_field(100, 150, 7, 4, 0.5)
    np.testing.assert_array_equal(odd[50, 75], field[32, 64])
    np.testing.assert_array_equal(odd[99, 149], field[99 * 64 // 100, 149 * 128 // 150])


def test_same_seed_same_noise_and_another_another() -> None:
    image = random_image(64, 64)
    first, again, other = (add_noise(image, **PERLIN, amount=0.2, seed=seed) for seed in (9, 9, 10))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_noise_is_a_copy() -> None:
    image = random_image(16, 16)
    copy = add_noise(image, **PERLIN, amount=0, seed=1)
    assert torch.equal(copy, image)
    assert copy.data_ptr() != image.data_ptr()


def test_noise_leaves_the_mean_of_gray_where_it_is() -> None:
    gray = torch.full((3, 256, 256), 0.5)
    assert levels_apart(add_noise(gray, **PERLIN, amount=1, seed=2).mean(), torch.tensor(0.5)) < 0.5


def test_unknown_kind_lists_the_kinds() -> None:
    with pytest.raises(UnknownName, match="uniform, perlin"):
        add_noise(random_image(8, 8), kind="simplex", amount=0.1, seed=1, octaves=4, persistence=0.5)


@pytest.mark.gpu
def test_gpu_gets_the_same_noise() -> None:
    image = random_image(100, 200)
    on_gpu = add_noise(image.cuda(), **PERLIN, amount=0.2, seed=4).cpu()
    assert levels_apart(on_gpu, add_noise(image, **PERLIN, amount=0.2, seed=4)).max() < 0.01
