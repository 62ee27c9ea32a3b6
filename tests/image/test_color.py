"""Colour matching: classic numbers, the readable form, what a match keeps.

Deviations from classic Deforum: images are RGB, where classic feeds BGR pixels to the conversions from RGB (the golden
numbers are of such an image, which is given to us in the order in which classic read it); LAB and HSV are float, where
classic rounds to 8 bits before and after, and cuts matched levels off to whole ones.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.registry import UnknownName
from deforum_helpers.image import color
from deforum_helpers.image.color import (
    FINE,
    LEVELS,
    SPACE_OF_MODE,
    SPACES,
    ColorReference,
    distribution,
    distribution_of,
    match_anywhere,
    match_color,
    shifts,
)
from deforum_helpers.image.color import device_shifts as shifts_any_device
from deforum_helpers.image.convert import from_bytes, on_8_bit_grid, pixels, to_bytes
from tests.image.sample_images import (
    chart,
    chart_u8,
    golden,
    levels_apart,
    pixels_of_hex,
    random_image,
    soft_image,
)

MODES = sorted(SPACE_OF_MODE)


def golden_reference() -> torch.Tensor:
    return from_bytes((chart_u8()[::-1, ::-1].astype(np.int64) * 3 // 4 + 30).astype(np.uint8))


@pytest.mark.parametrize("match", golden("colour.json")["matches"])
def test_classic_matches(match: dict[str, Any]) -> None:
    result = match_color(chart(), ColorReference.of(golden_reference(), match["mode"]))
    classic = pixels_of_hex(match["pixels"])
    if match["mode"] == "RGB":
        cut_off = np.floor(pixels(result) * 255 + 1e-3)
        assert np.abs(cut_off - classic).max() <= 1
        assert (cut_off == classic).mean() > 0.99
    else:
        apart = np.abs(to_bytes(result).astype(np.int64) - classic)
        # 8-bit LAB moves a colour of this chart by up to six levels, 8-bit HSV by four
        assert apart.max() <= (4 if match["mode"] == "HSV" else 6)
        assert apart.mean() < 1


@pytest.mark.parametrize("match", golden("colour.json")["matches"])
def test_classic_matches_step_by_step(match: dict[str, Any]) -> None:
    """With classic's roundings put back in, our table of shifts gives classic's image."""
    space = SPACE_OF_MODE[match["mode"]]
    there, back = {
        "RGB": (None, None),
        "HSV": (cv2.COLOR_RGB2HSV, cv2.COLOR_HSV2RGB),
        "LAB": (cv2.COLOR_RGB2LAB, cv2.COLOR_LAB2RGB),
    }[space]
    image, wanted = (
        rgb if there is None else cv2.cvtColor(rgb, there)
        for rgb in (chart_u8(), to_bytes(golden_reference()))
    )
    counts, wanted_counts = (
        np.stack([np.bincount(a[..., channel].ravel(), minlength=LEVELS) for channel in range(3)])
        for a in (image, wanted)
    )
    moved = shifts(counts, wanted_counts)[:, ::FINE]
    matched = np.stack([image[..., c] + moved[c][image[..., c]] for c in range(3)], -1)
    matched_u8 = np.floor(matched + 1e-4).astype(np.uint8)
    result = matched_u8 if back is None else cv2.cvtColor(matched_u8, back)
    apart = np.abs(result.astype(np.int64) - pixels_of_hex(match["pixels"]))
    assert apart.max() <= 2
    assert (apart > 0).mean() < 0.02


@pytest.mark.parametrize("mode", MODES)
def test_a_match_with_itself_changes_nothing(mode: str) -> None:
    for image in (random_image(40, 30), soft_image(40, 30), torch.full((3, 8, 8), 0.3 + 0.2 / 255)):
        result = match_color(image, ColorReference.of(image, mode))
        assert levels_apart(result, image).max() < 0.03
        assert torch.equal(on_8_bit_grid(result), on_8_bit_grid(image))


@pytest.mark.parametrize("mode", MODES)
def test_fast_form_equals_the_readable_one(mode: str) -> None:
    image = soft_image(90, 120)
    reference = soft_image(60, 80).flip(2) * 0.8 + 0.1
    space = SPACES[SPACE_OF_MODE[mode]]
    fast = match_color(image, ColorReference.of(reference, mode))
    plain = match_anywhere(image, distribution_of(reference, space), space)
    apart = levels_apart(fast, plain)
    assert apart.mean() < 0.05
    assert apart.quantile(0.99) < 0.5


@pytest.mark.parametrize("mode", MODES)
def test_older_opencv_matches_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image, reference = soft_image(90, 120), soft_image(60, 80) * 0.8 + 0.1
    expected = match_color(image, ColorReference.of(reference, mode))
    monkeypatch.setattr(color, "LOOKS_UP_16_BITS", False)
    assert torch.equal(match_color(image, ColorReference.of(reference, mode)), expected)


@pytest.mark.parametrize("mode", MODES)
def test_the_result_has_the_reference_s_colours(mode: str) -> None:
    image, reference = random_image(80, 80, 1), soft_image(90, 60)
    result = match_color(image, ColorReference.of(reference, mode))
    space = SPACES[SPACE_OF_MODE[mode]]
    wanted, found, before = (space.from_rgb(a).flatten(1) for a in (reference, result, image))
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    apart, were_apart = (
        (wanted.quantile(quantiles, 1) - a.quantile(quantiles, 1)).abs().mean() for a in (found, before)
    )
    # channels are matched one by one, so colours that RGB lacks come about, and are clamped
    assert apart < 1 if mode == "RGB" else apart < were_apart / 2


def test_repeated_matching_does_not_drift() -> None:
    image = soft_image(64, 64)
    reference = ColorReference.of((image * 0.9 + 0.05), "LAB")
    once = match_color(image, reference)
    many = once
    for _ in range(50):
        many = match_color(many, reference)
    assert levels_apart(many, once).mean() < 0.5
    assert (many - once).mean().abs() * 255 < 0.25


def test_documented_shift() -> None:
    counts, wanted = np.zeros((1, 256)), np.zeros((1, 256))
    counts[0, [10, 20]] = 5
    wanted[0, [30, 50]] = 7
    moved = shifts(counts, wanted)[0]
    assert (moved[10 * FINE], moved[20 * FINE]) == (20, 30)
    assert moved[15 * FINE] == 25


@given(st.integers(0, 2**32), st.floats(0.01, 1), st.floats(0.01, 1))
def test_both_forms_of_the_shifts_agree(seed: int, density: float, wanted_density: float) -> None:
    generator = np.random.default_rng(seed)
    counts, wanted = (
        generator.integers(1, 9, (3, 256)) * (generator.random((3, 256)) < share) * 1.0
        for share in (density, wanted_density)
    )
    counts[:, 77] = wanted[:, 99] = 1
    plain = shifts(counts, wanted)
    on_any_device = shifts_any_device(
        distribution(torch.from_numpy(counts)), distribution(torch.from_numpy(wanted))
    )
    np.testing.assert_allclose(on_any_device.numpy(), plain, atol=1e-4)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_spaces_lead_back(rgb: list[int]) -> None:
    image = from_bytes(np.array([[rgb]], np.uint8))
    for space in SPACES.values():
        assert levels_apart(space.to_rgb(space.from_rgb(image)), image).max() < 0.01


def test_known_colours() -> None:
    image = from_bytes(np.array([[[255, 255, 255], [255, 0, 0], [0, 0, 255], [10, 10, 10]]], np.uint8))
    lab, hsv = (SPACES[name].from_rgb(image)[:, 0].T for name in ("LAB", "HSV"))
    torch.testing.assert_close(lab[0], torch.tensor([255.0, 128, 128]), rtol=0, atol=0.02)
    torch.testing.assert_close(
        lab[1], torch.tensor([53.24 * 2.55, 80.09 + 128, 67.20 + 128]), rtol=0, atol=0.1
    )
    torch.testing.assert_close(hsv[1:, 0], torch.tensor([0.0, 120, 0]))
    torch.testing.assert_close(hsv[:, 1], torch.tensor([0.0, 255, 255, 0]))


def test_unknown_mode_lists_the_modes() -> None:
    with pytest.raises(UnknownName, match="LAB"):
        ColorReference.of(chart(), "YUV")


@pytest.mark.gpu
@pytest.mark.parametrize("mode", MODES)
def test_gpu_matches_as_the_cpu_does(mode: str) -> None:
    image, reference = soft_image(128, 96), soft_image(64, 64).flip(2) * 0.8
    on_gpu = match_color(image.cuda(), ColorReference.of(reference.cuda(), mode)).cpu()
    assert levels_apart(on_gpu, match_color(image, ColorReference.of(reference, mode))).mean() < 0.5
