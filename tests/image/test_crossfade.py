"""Blends that show one image's detail at a time, and the pyramid that they are made with."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.image.crossfade import (
    LEAST_SIDE_PX,
    dissolve_blend,
    dissolve_order,
    join_bands,
    sharp_blend,
    split_bands,
)


def stripes(period_px: int, offset_px: int = 0, side_px: int = 128) -> torch.Tensor:
    """Vertical stripes 0.25 and 0.75 of a period, (3, side, side)."""
    columns = (torch.arange(side_px) + offset_px) % period_px
    return (0.25 + 0.5 * (columns < period_px // 2).float()).expand(3, side_px, side_px)


@given(
    height=st.integers(LEAST_SIDE_PX, 100),
    width=st.integers(LEAST_SIDE_PX, 100),
    levels=st.integers(0, 6),
    channels=st.sampled_from([1, 3]),
)
def test_a_pyramid_joins_to_the_image_it_was_made_of(
    height: int, width: int, levels: int, channels: int
) -> None:
    image = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(height))
    bands, rest = split_bands(image, levels)
    assert len(bands) <= levels
    assert min(rest.shape[1:]) >= LEAST_SIDE_PX or not bands
    assert torch.allclose(join_bands(bands, rest), image, atol=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_detail_is_that_of_the_new_image_alone(share: float) -> None:
    images = stripes(8), stripes(8, 4)
    blended = sharp_blend(*images, share)
    # The edges of the image, whose light is another where stripes are cut, are left out.
    inner = (..., slice(32, 96), slice(32, 96))
    assert torch.allclose(blended[inner], images[1][inner], atol=0.02)
    # An average of the two has no stripes at all half-way.
    assert blended[inner].std() > 0.2


def test_light_and_colour_are_blended() -> None:
    old, new = torch.zeros(3, 64, 64), torch.ones(3, 64, 64)
    assert torch.allclose(sharp_blend(old, new, 0.25), torch.full((3, 64, 64), 0.25), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [(128, 128), (97, 70), (40, 20)])
def test_a_sharp_blend_has_the_bands_of_the_new_image_and_a_blended_rest(
    share: float, size: tuple[int, int]
) -> None:
    random = torch.Generator().manual_seed(1)
    old, new = (0.2 + 0.6 * torch.rand(3, *size, generator=random) for _ in range(2))
    (_, old_rest), (bands, new_rest) = split_bands(old, 5), split_bands(new, 5)
    expected = join_bands(bands, torch.lerp(old_rest, new_rest, share)).clamp(0, 1)
    assert torch.allclose(sharp_blend(old, new, share), expected, atol=2e-6)


def test_both_ends_are_the_images_themselves() -> None:
    old, new = torch.rand(3, 64, 64), torch.rand(3, 64, 64)
    order = dissolve_order(64, 64, 3, torch.device("cpu"))
    for share, image in ((0.0, old), (1.0, new)):
        torch.testing.assert_close(dissolve_blend(old, new, order, share), image)


def test_places_pass_in_their_order_and_never_back() -> None:
    old, new = stripes(8), stripes(8, 4)
    order = dissolve_order(128, 128, 5, torch.device("cpu"))
    shares = [k / 16 for k in range(17)]
    blends = [dissolve_blend(old, new, order, share) for share in shares]
    distances = [float((blended - new).abs().mean()) for blended in blends]
    assert all(later <= earlier + 1e-3 for earlier, later in pairwise(distances))
    assert 0.2 * distances[0] < distances[8] < 0.8 * distances[0]


def test_the_order_follows_the_seed_and_reaches_both_ends() -> None:
    device = torch.device("cpu")
    order = dissolve_order(96, 64, 7, device)
    assert order.shape == (64, 96)
    assert torch.equal(order, dissolve_order(96, 64, 7, device))
    assert not torch.equal(order, dissolve_order(96, 64, 8, device))
    assert order.min() < 0.15
    assert order.max() > 0.85
