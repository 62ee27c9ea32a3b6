"""The look of an image, and images that are held to one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.image.look import LARGEST_GAIN, Look, look_of, match_look


def scene(seed: int, side_px: int = 128) -> torch.Tensor:
    """A random image with detail of every size, (3, side, side) around the middle of its range."""
    random = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, side_px, side_px)
    for cells in (4, 16, 64):
        grain = torch.randn(1, 3, cells, cells, generator=random)
        image += torch.nn.functional.interpolate(grain, side_px, mode="bicubic")
    return (0.5 + 0.05 * image[0]).clamp(0, 1)


def distance(one: Look, other: Look) -> float:
    pairs = zip((*one.bands, *one.deviations), (*other.bands, *other.deviations), strict=True)
    return max(abs(a - b) / b for a, b in pairs)


@given(seed=st.integers(0, 20), share=st.floats(0, 1))
def test_an_image_that_has_the_look_stays_as_it_is(seed: int, share: float) -> None:
    image = scene(seed)
    assert torch.allclose(match_look(image, look_of(image), share), image, atol=1e-4)


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_contrast_and_detail_come_back(factor: float) -> None:
    image = scene(3)
    look = look_of(image)
    drifted = (0.5 + factor * (image - 0.5) + 0.03).clamp(0, 1)
    held = match_look(drifted, look, 1.0)
    assert distance(look_of(held), look) < 0.02
    assert torch.allclose(held, image, atol=0.02)
    half = distance(look_of(match_look(drifted, look, 0.5)), look)
    assert distance(look_of(held), look) < half < distance(look_of(drifted), look)


def test_an_empty_view_is_not_filled_with_grain() -> None:
    look = look_of(scene(4))
    faint = 0.5 + 0.01 * (scene(5) - 0.5)
    held = look_of(match_look(faint, look, 1.0))
    for before, after in zip(look_of(faint).bands, held.bands, strict=True):
        assert after <= before * LARGEST_GAIN * 1.1


def test_looks_mix_in_proportion() -> None:
    one, other = look_of(scene(1)), look_of(scene(2))
    assert one.towards(other, 0.0) == one
    middle = one.towards(other, 0.25)
    assert middle.bands[1] == pytest.approx(0.75 * one.bands[1] + 0.25 * other.bands[1])
    assert middle.means[0] == pytest.approx(0.75 * one.means[0] + 0.25 * other.means[0])
