"""The engine of motion previews: a test chart that the camera moves, refilled where it has left the frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from deforum_helpers.engines import messages
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.convert import from_pixels, pixels

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.image.convert import Floats
    from deforum_helpers.image.types import Image

# Tiles along the shorter side of the chart.
TILES = 10
# An area with less than this share of the chart's structure no longer shows motion.
LEAST_SHARE = 0.15


class PreviewEngine:
    """Returns a test chart for text to image, and the init image of image to image where it still shows motion.

    A long camera move uses up any image: zooming in spreads it out, panning stretches its border into streaks. The
    chart replaces such areas, so that every frame shows how the camera moves.

    Args:
        device: of the images; by default the CPU, which leaves the GPU to other jobs.
    """

    name = "preview"

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the chart, or the init image with the chart wherever it has no structure in two directions.

        Raises:
            Cancelled: the token said so.
        """
        cancel.check_cancel()
        chart = _chart(request.width_px, request.height_px)
        if request.init_image is None:
            return from_pixels(chart.rgb).to(self.device)
        rgb = pixels(request.init_image.cpu())
        bare = _structure(rgb, chart.window_px) < chart.least_structure
        if not bare.any():
            return request.init_image
        reach = np.ones((chart.window_px, chart.window_px), np.uint8)
        share = cv2.blur(cv2.dilate(bare.astype(np.float32), reach), (3, 3))[..., None]
        # The seed shifts the chart: the same area again and again would become a row of equal tiles.
        tiles = (request.seed * 7 % TILES * chart.tile_px, request.seed * 3 % TILES * chart.tile_px)
        new = np.roll(chart.rgb, tiles, (0, 1))
        return from_pixels(rgb + share * (new - rgb)).to(self.device)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Do nothing: the engine holds no memory."""
        yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return that nothing is generated."""
        return (messages.MOTION_PREVIEW(),)


@dataclass(frozen=True, eq=False)
class _Chart:
    """A test chart.

    Args:
        rgb: (H, W, 3) float32 RGB 0..1.
        tile_px: side of its tiles.
        window_px: side of the neighbourhood in which structure is looked for, odd.
        least_structure: the structure below which an area is replaced, as `_structure` measures it.
    """

    rgb: Floats
    tile_px: int
    window_px: int
    least_structure: float


@lru_cache(maxsize=2)
def _chart(width_px: int, height_px: int) -> _Chart:
    tile_px = max(4, round(min(width_px, height_px) / TILES))
    rgb = tile_pixels(width_px, height_px, tile_px)
    window_px = int(1.5 * tile_px) | 1
    usual = float(np.median(_structure(rgb, window_px)))
    return _Chart(rgb, tile_px, window_px, LEAST_SHARE * usual)


def tile_pixels(width_px: int, height_px: int, tile_px: int) -> Floats:
    """Return the chart, (H, W, 3) float32 RGB 0..1 on the 8-bit grid.

    Tiles of many colours, every other one darker, each with a ring.
    """
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32) / tile_px
    column, row = x.astype(int), y.astype(int)
    tints = (
        np.random.default_rng(0).uniform(0.2, 0.7, (row.max() + 1, column.max() + 1, 3)).astype(np.float32)
    )
    rgb = tints[row, column] * np.where((row + column) % 2, 1.0, 0.45).astype(np.float32)[..., None]
    distance = np.hypot(x - column - 0.5, y - row - 0.5)
    rgb[np.abs(distance - 0.25) < 0.08] = 0.95
    return np.rint(rgb * 255).astype(np.float32) / 255


def _structure(rgb: Floats, window_px: int) -> Floats:
    """Return (H, W): the lesser eigenvalue of the mean structure tensor around each pixel.

    It is 0 on plain colours and on streaks of any direction, along which a motion cannot be seen.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cornerMinEigenVal(grey, window_px, ksize=3), np.float32)
