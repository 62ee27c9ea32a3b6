"""An engine that shows where the camera goes: a test chart moves, and grows anew where nothing is left of it."""

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
# Less than this share of the structure that the chart has: nothing shows a motion there any more.
LEAST_SHARE = 0.15


class PreviewEngine:
    """Draws a test chart for text to image, and leaves the init image of image to image as it is where it shows motion.

    A camera that goes on for long enough leaves every picture behind: zooming in spreads it out, panning draws its
    border into streaks. The chart takes the place of such parts, so that every frame shows how the camera moves.

    Args:
        device: where pictures live; by default beside the device that other jobs need.
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
            return from_pixels(chart.picture).to(self.device)
        picture = pixels(request.init_image.cpu())
        bare = _structure(picture, chart.window_px) < chart.least_structure
        if not bare.any():
            return request.init_image
        reach = np.ones((chart.window_px, chart.window_px), np.uint8)
        share = cv2.blur(cv2.dilate(bare.astype(np.float32), reach), (3, 3))[..., None]
        # Another part of it for each seed: one that came again and again would be drawn into a row of equal tiles.
        tiles = (request.seed * 7 % TILES * chart.tile_px, request.seed * 3 % TILES * chart.tile_px)
        new = np.roll(chart.picture, tiles, (0, 1))
        return from_pixels(picture + share * (new - picture)).to(self.device)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Nothing is held, so nothing is lent."""
        yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return that nothing is diffused."""
        return (messages.MOTION_PREVIEW(),)


@dataclass(frozen=True, eq=False)
class _Chart:
    """A test chart.

    Args:
        picture: (H, W, 3) float32 RGB 0..1.
        tile_px: side of its tiles.
        window_px: side of the neighbourhood in which structure is looked for, odd.
        least_structure: what a part of a picture needs, as `_structure` measures it.
    """

    picture: Floats
    tile_px: int
    window_px: int
    least_structure: float


@lru_cache(maxsize=2)
def _chart(width_px: int, height_px: int) -> _Chart:
    tile_px = max(4, round(min(width_px, height_px) / TILES))
    picture = draw_tiles(width_px, height_px, tile_px)
    window_px = int(1.5 * tile_px) | 1
    usual = float(np.median(_structure(picture, window_px)))
    return _Chart(picture, tile_px, window_px, LEAST_SHARE * usual)


def draw_tiles(width_px: int, height_px: int, tile_px: int) -> Floats:
    """Return the chart, (H, W, 3) float32 RGB 0..1 on the 8-bit grid.

    Tiles of many colours, every other one darker, each with a ring.
    """
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32) / tile_px
    column, row = x.astype(int), y.astype(int)
    tints = (
        np.random.default_rng(0).uniform(0.2, 0.7, (row.max() + 1, column.max() + 1, 3)).astype(np.float32)
    )
    picture = tints[row, column] * np.where((row + column) % 2, 1.0, 0.45).astype(np.float32)[..., None]
    distance = np.hypot(x - column - 0.5, y - row - 0.5)
    picture[np.abs(distance - 0.25) < 0.08] = 0.95
    return np.rint(picture * 255).astype(np.float32) / 255


def _structure(picture: Floats, window_px: int) -> Floats:
    """Return (H, W): the lesser eigenvalue of the mean structure tensor around each pixel.

    It is 0 on plain colours and on streaks of any direction, along which a motion cannot be seen.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cornerMinEigenVal(grey, window_px, ksize=3), np.float32)
