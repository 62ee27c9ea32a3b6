"""Painting a part anew: what is outside stays, what is inside is painted at its size, smears come from the rim."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deforum_helpers.image.inpaint import Box, box_around, fill_from_rim, repaint
from tests.image.sample_images import random_image, soft_image


def square(top: int, left: int, side: int, height: int = 48, width: int = 64) -> torch.Tensor:
    mask = torch.zeros(height, width)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize("padding", [None, 0, 4, 500])
@pytest.mark.parametrize("smear", [False, True])
def test_outside_of_the_mask_nothing_changes(padding: int | None, smear: bool) -> None:
    image, mask = random_image(48, 64), square(10, 20, 12)
    seen = []

    def paint(pixels: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        seen.append((pixels.shape, where.shape))
        return torch.zeros_like(pixels)

    result = repaint(image, mask, paint, smear=smear, padding_px=padding)
    assert seen == [((3, 48, 64), (48, 64))]
    assert torch.equal(result[:, mask == 0], image[:, mask == 0])
    assert (result[:, mask == 1] == 0).all()


def test_a_part_is_enlarged_and_put_back() -> None:
    image, mask = soft_image(48, 64), square(12, 16, 24)
    box = box_around(mask, 0)

    def paint(pixels: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        assert pixels.mean() == pytest.approx(float(box.of(image).mean()), abs=0.01)
        assert where.mean() == pytest.approx(float(box.of(mask).mean()), abs=0.01)
        return pixels

    result = repaint(image, mask, paint, smear=False, padding_px=0)
    assert (result - image).abs().max() < 0.01


def test_the_worked_box() -> None:
    mask = torch.zeros(512, 512)
    mask[256, 256] = 1
    assert box_around(mask, 32) == Box(224, 224, 65, 65)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 39), st.integers(0, 55), st.integers(1, 8), st.integers(0, 80))
def test_boxes_hold_the_mask_and_keep_the_ratio(top: int, left: int, side: int, padding: int) -> None:
    mask = square(top, left, side)
    box = box_around(mask, padding)
    assert float(box.of(mask).sum()) == float(mask.sum())
    assert box.top >= 0
    assert box.left >= 0
    assert box.top + box.height <= 48
    assert box.left + box.width <= 64
    whole = box.height == 48 or box.width == 64
    assert whole or abs(box.width - box.height * 64 / 48) <= 1


def test_smearing_takes_from_the_rim() -> None:
    image = torch.zeros(3, 48, 64)
    image[0, :, :32] = 1
    image[1, :, 32:] = 1
    mask = square(8, 16, 32)
    image[:, mask == 1] = 0.123
    filled = fill_from_rim(image, mask)
    assert torch.allclose(filled[:, mask == 0], image[:, mask == 0], atol=1e-6)
    assert filled[0, 24, 18] > 0.8
    assert filled[1, 24, 46] > 0.8
    assert filled[2].max() < 1e-5


def test_smearing_everything_gives_grey() -> None:
    assert torch.allclose(fill_from_rim(random_image(5, 7), torch.ones(5, 7)), torch.tensor(0.5))
