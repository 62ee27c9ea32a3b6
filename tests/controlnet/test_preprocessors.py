from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deforum_helpers.controlnet import preprocessors
from deforum_helpers.controlnet.preprocessors import (
    FITS,
    Preprocessors,
    PreprocessorSettings,
    control_depth,
    perfect_side_px,
)
from deforum_helpers.controlnet.units import MODULES
from deforum_helpers.core.errors import MissingFeature
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.settings.tables import CN_RESIZE_MODES
from tests.refusals import refuses

CPU = torch.device("cpu")
STRETCH = "Just Resize"


def square(size: int = 64, ground: int = 230, ink: int = 30) -> np.ndarray:
    """A dark square in the middle of a bright image."""
    image = np.full((size, size, 3), ground, np.uint8)
    image[size // 4 : -size // 4, size // 4 : -size // 4] = ink
    return image


def shown(image: np.ndarray, module: str, size: int = 64, **fields: Any) -> np.ndarray:
    look = PreprocessorSettings(
        module, fields.pop("resize_mode", STRETCH), **{"pixel_perfect": True, **fields}
    )
    return to_bytes(Preprocessors(CPU).control_image(from_bytes(image), look, size, size))


def test_all_resize_modes_are_known() -> None:
    assert set(FITS) == set(CN_RESIZE_MODES)


def test_none_and_invert() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(shown(image, "none"), image)
    assert np.array_equal(shown(image, "invert"), 255 - image)


def test_canny_finds_the_square() -> None:
    edges = shown(square(), "canny")
    assert set(np.unique(edges)) == {0, 255}
    assert 100 < (edges[..., 0] > 0).sum() < 160  # four sides of 32 pixels
    assert not edges[:12].any()
    assert not edges[24:40, 24:40].any()


def test_thresholds_of_canny() -> None:
    faint = square(ground=100, ink=80)  # a slope of 80
    assert not shown(faint, "canny", threshold_a=100, threshold_b=200).any()
    assert shown(faint, "canny", threshold_a=20, threshold_b=60).any()
    own = shown(square(ground=100, ink=50), "canny")
    assert np.array_equal(own, shown(square(ground=100, ink=50), "canny", threshold_a=-1, threshold_b=9999))


def test_lines_are_where_it_is_darker_than_around() -> None:
    image = square()
    image[20:44, 20:44] = 230  # only an outline of 4 pixels is left
    lines = shown(image, "lineart_standard")[..., 0]
    assert lines[17, 30] > 100
    assert lines[5, 5] == 0
    assert lines[17, 30] > 3 * lines[32, 32]
    assert not shown(np.full((64, 64, 3), 99, np.uint8), "lineart_standard").any()


def test_soft_edges() -> None:
    edges = shown(square(), "softedge")[..., 0]
    assert edges[16, 32] > 200
    assert 20 < edges[13, 32] < edges[16, 32]
    assert edges[32, 32] < 20
    assert not shown(np.full((64, 64, 3), 99, np.uint8), "softedge").any()


def test_strokes() -> None:
    image = np.full((64, 64, 3), 200, np.uint8)
    image[30:33] = 60
    strokes = shown(image, "scribble_xdog")
    assert set(np.unique(strokes)) == {0, 255}
    assert strokes[31].all()
    assert not strokes[:20].any()
    weak = np.full((64, 64, 3), 200, np.uint8)
    weak[30:33] = 190
    assert not shown(weak, "scribble_xdog", threshold_a=64).any()
    assert shown(weak, "scribble_xdog", threshold_a=4).any()


def test_black_and_white() -> None:
    image = square()
    assert np.array_equal(shown(image, "threshold"), np.where(image > 127, 255, 0))
    assert shown(image, "threshold", threshold_a=10).all()


def test_tile_has_no_detail() -> None:
    image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(shown(image, "tile_resample"), image)
    coarse = shown(image, "tile_resample", threshold_a=8).astype(float)
    assert np.abs(np.diff(coarse, axis=1)).mean() < np.abs(np.diff(image.astype(float), axis=1)).mean() / 5
    assert coarse.mean() == pytest.approx(image.mean(), abs=3)


def test_blurred() -> None:
    wide, narrow = (shown(square(), "blur_gaussian", threshold_a=sigma)[32, 10, 0] for sigma in (12, 1))
    assert narrow > wide


def test_colours_become_grey() -> None:
    image = np.full((64, 64, 3), (200, 100, 50), np.uint8)
    assert (shown(image, "recolor_intensity") == 200).all()
    assert (shown(image, "recolor_intensity", threshold_a=2) == round((200 / 255) ** 2 * 255)).all()
    grey = shown(image, "recolor_luminance")
    assert (grey == grey[0, 0, 0]).all()
    assert 110 < grey[0, 0, 0] < 150


@pytest.mark.parametrize("module", [name for name in MODULES if name != "openpose"])
@pytest.mark.parametrize("mode", CN_RESIZE_MODES)
def test_all_fill_the_frame(module: str, mode: str) -> None:
    image = np.random.default_rng(2).integers(0, 256, (48, 90, 3), np.uint8)
    look = PreprocessorSettings(module, mode, pixel_perfect=True)
    made = Preprocessors(CPU).control_image(from_bytes(image), look, 96, 64)
    assert made.shape == (3, 64, 96)
    assert made.dtype == torch.float32
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_what_is_not_there_is_told() -> None:
    with refuses(MissingFeature, "preprocessor_missing", "'mlsd'", "none, invert, canny"):
        shown(square(), "mlsd")


def test_sizes_at_which_is_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def canny(image: np.ndarray, low: float, high: float) -> np.ndarray:
        seen.append(image.shape[:2])
        return preprocessors.canny(image, low, high)

    monkeypatch.setattr(preprocessors, "_FILTERS", {"canny": canny})
    image = square(100)[:50]
    for fields in ({"processor_res": 200}, {"processor_res": -1}, {"processor_res": 64}):
        shown(image, "canny", pixel_perfect=False, **fields)
    shown(image, "canny")
    shown(image, "canny", resize_mode="Outer Fit (Shrink to Fit)")
    shown(np.zeros((1, 5000, 3), np.uint8), "canny", pixel_perfect=False, processor_res=512)
    assert seen == [(200, 400), (512, 1024), (64, 128), (64, 128), (32, 64), (2, 8192)]


@pytest.mark.parametrize(("fit", "side"), [("inner", 512), ("stretch", 512), ("outer", 288)])
def test_perfect_sizes(fit: Any, side: int) -> None:
    assert perfect_side_px(torch.zeros(3, 1080, 1920), 512, 512, fit) == side


def test_enlarged_lines_stay_black_and_white() -> None:
    edges = shown(square(), "canny", size=256, pixel_perfect=False, processor_res=64)
    assert set(np.unique(edges)) == {0, 255}
    smaller = shown(square(), "canny", size=64, pixel_perfect=False, processor_res=256)
    assert len(np.unique(smaller)) > 2


class Slope:
    """Answers that the image gets nearer from left to right."""

    far_is_large = False
    metric = False
    asked = 0

    def answer(self, image: Image) -> torch.Tensor:
        Slope.asked += 1
        height, width = image.shape[1:]
        return torch.linspace(3, 9, width).expand(height, width)


def test_near_things_are_bright(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(family: str, device: Any) -> Slope:
        made.append(family)
        return Slope()

    monkeypatch.setattr(preprocessors, "make_model", make)
    monkeypatch.setattr(preprocessors, "available_families", lambda: ("zoe", "demo", "plane"))
    machine = Preprocessors(CPU)
    for module in ("depth_midas", "depth_zoe", "depth_anything"):
        look = PreprocessorSettings(module, STRETCH, pixel_perfect=True)
        image = machine.control_image(from_bytes(square()), look, 64, 64)
        assert torch.allclose(image[:, 0], torch.linspace(0, 1, 64).expand(3, 64), atol=0.02)
    assert made == ["zoe"]


def test_metres_are_turned_round_without_their_outliers() -> None:
    metres = torch.linspace(1, 2, 100).repeat(100, 1)
    metres[0, 0], metres[99, 99] = 0.001, 900.0
    image = control_depth(metres, far_is_large=True)
    assert float(image[0, 50, 1]) > 0.95
    assert float(image[0, 50, 90]) == 0.0
    assert 0.3 < float(image[0, 50, 50]) < 0.6
    assert (control_depth(torch.full((4, 4), 2.0), far_is_large=False) == 0.5).all()
