"""Contrast, exposure, saturation, hue, sharpening, grayscale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.image.adjust import contrast, expose, grayscale, saturate, unsharp, unsharp_anywhere
from deforum_helpers.image.convert import to_bytes
from tests.image.sample_images import chart, golden, levels_apart, pixels_of_hex, random_image

SOFT: dict[str, Any] = {"kernel": 5, "sigma": 1.0, "amount": 0.5, "threshold": 0}


@pytest.mark.parametrize("sharp", golden("colour.json")["unsharp"])
def test_classic_unsharp(sharp: dict[str, Any]) -> None:
    settings = {name: sharp[name] for name in ("kernel", "sigma", "amount", "threshold")}
    apart = np.abs(to_bytes(unsharp(chart(), **settings)).astype(np.int64) - pixels_of_hex(sharp["pixels"]))
    if sharp["threshold"] == 0:
        # classic rounds the blur to whole levels before it is multiplied
        assert apart.max() <= max(1, sharp["amount"] / 2 + 0.5)
        return
    # deviation: the threshold compares absolute differences; classic's wrapped, so darker pixels never stayed
    unlimited = unsharp(chart(), **{**settings, "threshold": 0})
    unchanged = levels_apart(unsharp(chart(), **settings), chart()).amax(0) < 1e-4
    assert apart.max() <= settings["amount"] * sharp["threshold"] + 0.5
    assert unchanged.any()
    assert (
        levels_apart(unlimited, chart()).amax(0)[unchanged].max()
        <= settings["amount"] * sharp["threshold"] + 1e-3
    )


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(-3, 31),
    st.floats(-1, 6),
    st.floats(0.01, 4),
    st.sampled_from([0, 5, 60]),
)
def test_both_forms_agree(
    size: tuple[int, int], kernel: int, sigma: float, amount: float, threshold: float
) -> None:
    image = random_image(*size)
    fast = unsharp(image, kernel=kernel, sigma=sigma, amount=amount, threshold=threshold)
    plain = unsharp_anywhere(image, max(1, kernel) | 1, sigma, amount, threshold)
    same = levels_apart(fast, plain) < 0.02
    # at the very threshold the two may decide differently
    assert same.float().mean() > (0.98 if threshold else 0.9999)
    assert fast.permute(1, 2, 0).is_contiguous()


def test_even_kernels_are_taken_one_larger() -> None:
    image = random_image(20, 20)
    even, odd, none = (unsharp(image, **{**SOFT, "kernel": kernel}) for kernel in (4, 5, 0))
    assert torch.equal(even, odd)
    assert levels_apart(none, image).max() < 1e-3


def test_small_differences_of_either_sign_stay() -> None:
    image = torch.full((3, 9, 9), 0.5)
    image[:, 4, 3], image[:, 4, 6] = 0.52, 0.48
    unchanged = unsharp(image, **{**SOFT, "amount": 2, "threshold": 10})
    assert torch.equal(unchanged, image)
    assert not torch.equal(unsharp(image, **{**SOFT, "amount": 2, "threshold": 1}), image)


def test_outside_its_mask_the_image_stays() -> None:
    image, mask = random_image(20, 20), torch.zeros(20, 20)
    mask[:10] = 1
    sharp = unsharp(image, **SOFT, mask=mask)
    assert torch.equal(sharp[:, 10:], image[:, 10:])
    assert torch.equal(sharp[:, :10], unsharp(image, **SOFT)[:, :10])


@pytest.mark.parametrize("amount", [0, -1])
def test_no_amount_is_a_copy(amount: float) -> None:
    image = random_image(8, 8)
    copy = unsharp(image, **{**SOFT, "amount": amount})
    assert torch.equal(copy, image)
    assert copy.data_ptr() != image.data_ptr()


@pytest.mark.parametrize("case", golden("colour.json")["contrast"])
def test_classic_contrast(case: dict[str, Any]) -> None:
    """Deviation, not shown by these dark pixels: values above white are clamped, where classic's wrapped to black."""
    result = to_bytes(contrast(chart(), case["factor"]))[:2, :6].astype(np.int64)
    assert np.abs(result - pixels_of_hex(case["first_rows"], 6)).max() <= 1
    assert (result == pixels_of_hex(case["first_rows"], 6)).mean() > 0.9


def color(*rgb: float) -> torch.Tensor:
    return torch.tensor(rgb, dtype=torch.float32).repeat(2, 3, 1).permute(2, 0, 1)


def changed(image: torch.Tensor) -> list[float]:
    assert image.permute(1, 2, 0).is_contiguous()
    return image[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("level", "stops", "expected"),
    # 0.5 is the light 0.214041; twice and half of it are the sRGB levels 0.685836 and 0.360780.
    [(0.5, 1, 0.685836), (0.5, -1, 0.360780), (0.01, 1, 0.02), (1, 3, 1), (0, 5, 0), (0.25, 0, 0.25)],
)
def test_exposure_multiplies_light(level: float, stops: float, expected: float) -> None:
    assert changed(expose(color(level, level, level), stops)) == pytest.approx([expected] * 3, abs=1e-5)


def test_exposures_add_up() -> None:
    image = random_image(9, 7) * 0.6
    assert torch.allclose(expose(expose(image, 0.4), 0.5), expose(image, 0.9), atol=1e-5)
    assert torch.allclose(expose(expose(image, -0.7), 0.7), image, atol=1e-5)


def test_hues_turn_from_red_over_yellow_to_green() -> None:
    red = color(1, 0, 0)
    assert changed(saturate(red, 1, 180)) == pytest.approx([0, 0.598, 0.598], abs=1e-6)
    assert changed(saturate(red, 0.5)) == pytest.approx([0.6495, 0.1495, 0.1495], abs=1e-6)
    ordered = [int(torch.argmax(saturate(red, 1, turn)[:, 0, 0])) for turn in (0, 120, 240)]
    assert ordered == [0, 1, 2]
    assert saturate(red, 1, 45)[1, 0, 0] > saturate(red, 1, 45)[2, 0, 0]


def test_saturation_0_is_grayscale_and_luma_stays() -> None:
    image = random_image(9, 7)
    assert torch.allclose(saturate(image, 0), grayscale(image), atol=1e-6)
    soft = image * 0.2 + 0.4
    assert torch.allclose(grayscale(saturate(soft, 1.3, 77)), grayscale(soft), atol=1e-6)
    assert torch.allclose(saturate(saturate(soft, 1, 50), 1, -50), soft, atol=1e-6)
    assert torch.allclose(saturate(saturate(soft, 1, 30), 1, 40), saturate(soft, 1, 70), atol=1e-6)


def test_neutral_values_change_no_bit() -> None:
    image = random_image(9, 7)
    for same in (expose(image, 0), saturate(image, 1, 0), saturate(image, 1, 720), saturate(image, 1, -360)):
        assert torch.equal(same, image)
        assert same.data_ptr() != image.data_ptr()


def test_contrast_clamps() -> None:
    assert contrast(torch.ones(3, 2, 2), 1.1).max() == 1
    assert contrast(torch.full((3, 2, 2), 0.5), 1.5)[0, 0, 0] == pytest.approx(0.75)


def test_grayscale() -> None:
    image = random_image(5, 7)
    gray = grayscale(image)
    assert torch.equal(gray[0], gray[2])
    assert gray.permute(1, 2, 0).is_contiguous()
    red = torch.zeros(3, 1, 1)
    red[0] = 1
    assert grayscale(red)[1, 0, 0] == pytest.approx(0.299)
    torch.testing.assert_close(grayscale(gray), gray)


@pytest.mark.gpu
def test_gpu_sharpens_as_the_cpu_does() -> None:
    image = random_image(64, 100)
    assert levels_apart(unsharp(image.cuda(), **SOFT).cpu(), unsharp(image, **SOFT)).max() < 0.02
