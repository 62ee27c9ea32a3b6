from __future__ import annotations

import pytest
import torch

from deforum_helpers.engines.diffusion.noise import seeded_noise, slerp

SHAPE = (4, 6, 8)


def test_a_seed_is_the_same_noise_everywhere() -> None:
    noise, _ = seeded_noise(SHAPE, 42)
    # PyTorch's CPU generator is specified (mt19937 and Box-Muller), so this holds on any machine.
    assert noise.flatten()[:3].tolist() == pytest.approx([1.9269, 1.4873, 0.9007], abs=1e-4)
    assert torch.equal(noise, seeded_noise(SHAPE, 42)[0])
    assert not torch.equal(noise, seeded_noise(SHAPE, 43)[0])


def test_the_largest_seed_is_allowed() -> None:
    seeded_noise(SHAPE, 2**64 - 1)


def test_the_generator_goes_on_after_the_noise() -> None:
    noise, generator = seeded_noise(SHAPE, 42)
    assert not torch.equal(torch.randn(SHAPE, generator=generator), noise)


@pytest.mark.parametrize(("strength", "seed"), [(0.0, 1), (1.0, 2)])
def test_the_ends_of_subseed_strength(strength: float, seed: int) -> None:
    noise, _ = seeded_noise(SHAPE, 1, subseed=2, subseed_strength=strength)
    torch.testing.assert_close(noise, seeded_noise(SHAPE, seed)[0], atol=1e-5, rtol=1e-5)


def test_blending_keeps_the_length_of_columns_of_unit_length() -> None:
    low = torch.nn.functional.normalize(
        torch.randn(2, 64, 3, generator=torch.Generator().manual_seed(1)), dim=1
    )
    high = torch.nn.functional.normalize(
        torch.randn(2, 64, 3, generator=torch.Generator().manual_seed(2)), dim=1
    )
    torch.testing.assert_close(slerp(0.3, low, high).norm(dim=1), torch.ones(2, 3))


def test_equal_noises_blend_to_themselves() -> None:
    noise = torch.randn(SHAPE)
    torch.testing.assert_close(slerp(0.4, noise, noise), noise)


def test_a_smaller_sizes_noise_lies_in_the_middle() -> None:
    small, _ = seeded_noise((4, 2, 4), 7)
    noise, _ = seeded_noise(SHAPE, 7, resize_from=(2, 4))
    assert torch.equal(noise[:, 2:4, 2:6], small)


def test_a_larger_sizes_noise_is_cut_from_its_middle() -> None:
    large, _ = seeded_noise((4, 10, 8), 7)
    noise, _ = seeded_noise(SHAPE, 7, resize_from=(10, 8))
    assert torch.equal(noise, large[:, 2:8])


def test_an_odd_surplus_leaves_the_last_row_free() -> None:
    large, _ = seeded_noise((4, 9, 8), 7)
    noise, _ = seeded_noise(SHAPE, 7, resize_from=(9, 8))
    assert torch.equal(noise[:, :5], large[:, 2:7])
    assert torch.equal(noise[:, 5], seeded_noise(SHAPE, 7)[0][:, 5])
