"""Images moved along a flow, against classic's numbers and against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deforum_helpers.models.flow.warp import Outside, _sampled, moved_along
from tests.image.sample_images import chart, golden, levels_apart, pixels_of_hex, random_image

GOLDEN = golden("flow.json")


def waves() -> torch.Tensor:
    y, x = np.mgrid[:16, :24].astype(np.float32)
    return torch.from_numpy(np.stack([3 * np.sin(y / 3) + 1, 2 * np.cos(x / 4) - 1]).astype(np.float32))


@pytest.mark.parametrize(("factor", "name"), [(1.0, "moved"), (0.5, "moved_half")])
def test_classics_numbers(factor: float, name: str) -> None:
    found = (moved_along(chart(), waves(), factor).permute(1, 2, 0).numpy() * 255).astype(np.float64)
    # classic's bilinear weights are rounded to 1/32 of a pixel, so steep edges are a few levels apart
    apart = np.abs(found - pixels_of_hex(GOLDEN[name]))
    assert np.median(apart) < 0.5
    assert apart.max() < 5


def reflected(place: int, side: int) -> int:
    period = 2 * (side - 1)
    place %= period
    return min(place, period - place)


@settings(max_examples=25, deadline=None)
@given(st.integers(-30, 30), st.integers(-30, 30), st.integers(0, 5))
def test_whole_pixels_are_a_plain_loop(across: int, down: int, seed: int) -> None:
    image = random_image(9, 13, seed)
    flow = torch.empty(2, 9, 13)
    flow[0], flow[1] = across, down
    moved = moved_along(image, flow)
    for y in range(9):
        for x in range(13):
            wanted = image[:, reflected(y - down, 9), reflected(x - across, 13)]
            assert torch.allclose(moved[:, y, x], wanted, atol=1e-6)


def test_three_pixels_to_the_right() -> None:
    image = random_image(16, 24)
    flow = torch.zeros(2, 16, 24)
    flow[0] = 3
    assert torch.allclose(moved_along(image, flow)[:, :, 3:], image[:, :, :-3])


@pytest.mark.parametrize("outside", ["reflection", "border"])
def test_both_ways_of_sampling_agree(outside: Outside) -> None:
    image = random_image(16, 24)
    found = [way(image, waves(), 0.7, outside) for way in (_sampled, moved_along)]
    assert levels_apart(*found).max() < 0.05


def test_input_is_left_alone() -> None:
    image, flow = chart(), waves()
    before = image.clone(), flow.clone()
    moved_along(image, flow, 2.0)
    assert torch.equal(image, before[0])
    assert torch.equal(flow, before[1])
