"""A video over the frames: shares, masks of every kind, and what is made of their greys."""

from __future__ import annotations

import pytest
import torch

from deforum_helpers.image.composite import (
    adjusted_mask,
    blend_mask,
    composite,
    difference_mask,
    equalized,
    stretched,
)
from deforum_helpers.image.mask import luma
from tests.image.sample_images import random_image

PLAIN = {"invert": False, "equalize": "None", "contrast": 1.0, "cutoffs_percent": None}


def finished(mask: torch.Tensor, **changes: object) -> torch.Tensor:
    return adjusted_mask(mask, **{**PLAIN, **changes})  # type: ignore[arg-type]


def ramp() -> torch.Tensor:
    return torch.linspace(0.2, 0.6, 101).reshape(1, 101)


def test_without_a_mask_the_video_is_everywhere() -> None:
    frame, video = random_image(4, 5, 1), random_image(4, 5, 2)
    assert torch.allclose(composite(frame, video, None, 0.25), 0.75 * frame + 0.25 * video)


def test_the_video_shows_where_the_mask_is_black() -> None:
    frame, video = random_image(4, 5, 1), random_image(4, 5, 2)
    mask = torch.zeros(4, 5)
    mask[:2] = 1
    mixed = composite(frame, video, mask, 1.0)
    assert torch.equal(mixed[:, :2], frame[:, :2])
    assert torch.equal(mixed[:, 2:], video[:, 2:])


def test_masks_of_both_images() -> None:
    frame, video = random_image(4, 5, 1), random_image(4, 5, 2)
    assert torch.allclose(blend_mask(frame, video, 0.3), 0.7 * luma(frame) + 0.3 * luma(video))
    assert torch.allclose(difference_mask(frame, video), (luma(frame) - luma(video)).abs())
    assert difference_mask(frame, frame).max() == 0


def test_contrast_is_about_the_mean() -> None:
    assert torch.allclose(finished(ramp(), contrast=2.0), 0.4 + 2 * (ramp() - 0.4), atol=1e-6)
    assert finished(ramp(), contrast=10.0).min() == 0


def test_percentiles_become_black_and_white() -> None:
    mask = finished(ramp(), cutoffs_percent=(25, 75))
    assert mask[0, 25] == pytest.approx(0, abs=1e-5)
    assert mask[0, 50] == pytest.approx(0.5, abs=1e-5)
    assert mask[0, 75] == pytest.approx(1, abs=1e-5)
    flat = torch.full((3, 3), 0.4)
    assert torch.equal(stretched(flat, 0, 100), flat)


def test_equal_greys_everywhere() -> None:
    mask = (torch.rand(64, 64, generator=torch.Generator().manual_seed(1)) ** 3).contiguous()
    counts = torch.histc(equalized(mask), 8, 0, 1)
    assert counts.max() / counts.min() < 1.6


def test_the_order_of_operations() -> None:
    mask = ramp() ** 2
    inverted = finished(mask, invert=True)
    assert torch.allclose(inverted, 1 - mask)
    assert torch.equal(finished(mask, invert=True, equalize="Before"), equalized(inverted))
    both = finished(mask, equalize="Both", contrast=0.5)
    before = equalized(mask)
    lowered = before.mean() + (before - before.mean()) * 0.5
    assert torch.allclose(both, equalized(lowered), atol=1e-6)
    assert not torch.allclose(both, finished(mask, equalize="Before", contrast=0.5))
