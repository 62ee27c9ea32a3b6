from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.image.fit import fitted


def columns(height: int, width: int) -> torch.Tensor:
    """Grey that rises from 0 at the left to 1 at the right."""
    return torch.linspace(0, 1, width).expand(3, height, width).clone()


def test_inner_keeps_the_middle() -> None:
    image = columns(50, 100)
    shown = fitted(image, 64, 64, "inner")
    assert float(shown[:, :, 0].mean()) == pytest.approx(0.25, abs=0.02)
    assert float(shown[:, :, -1].mean()) == pytest.approx(0.75, abs=0.02)


def test_outer_shows_all_between_bars_of_the_border() -> None:
    image = torch.full((3, 50, 100), 0.2)
    image[0, 10:40, 10:90] = 1.0
    shown = fitted(image, 64, 64, "outer")
    assert torch.allclose(shown[:, :16], torch.tensor(0.2))
    assert torch.allclose(shown[:, 48:], torch.tensor(0.2))
    assert float(shown[0, 32, 32]) == pytest.approx(1.0, abs=1e-3)


def test_stretched() -> None:
    shown = fitted(columns(50, 100), 64, 64, "stretch")
    assert float(shown[:, :, 0].mean()) == pytest.approx(0.0, abs=0.02)
    assert float(shown[:, :, -1].mean()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("fit", ["stretch", "inner", "outer"])
def test_the_same_size_is_the_same_image(fit: str) -> None:
    image = torch.rand(3, 20, 30)
    assert torch.equal(fitted(image, 30, 20, fit), image)  # type: ignore[arg-type]


@given(
    *(st.integers(1, 40) for _ in range(4)),
    st.sampled_from(["stretch", "inner", "outer"]),
    st.sampled_from([1, 3]),
)
def test_every_shape(height: int, width: int, rows: int, line: int, fit: str, channels: int) -> None:
    image = torch.rand(channels, height, width)
    shown = fitted(image, line, rows, fit)  # type: ignore[arg-type]
    assert shown.shape == (channels, rows, line)
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1


def test_oblong_images_stay_small() -> None:
    """A line of a million pixels is cropped before it is enlarged."""
    assert fitted(torch.rand(3, 1, 1_000_000), 64, 64, "inner").shape == (3, 64, 64)
    assert fitted(torch.rand(3, 1, 1_000_000), 64, 64, "outer").shape == (3, 64, 64)
