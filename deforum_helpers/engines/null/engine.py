"""An engine without a model: it returns a test chart that shows every warp and drift, and init images unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from deforum_helpers.core.errors import RenderError
from deforum_helpers.engines import messages
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null import NAME

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.image.types import Image

_BARS = np.array(
    [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1), (0, 0, 0)], np.float32
)
_GRID_PX = 32


class NullEngine:
    """Returns a test chart for text to image, and the very init image for image to image."""

    name = NAME

    def __init__(self, device: str | None = None) -> None:
        import torch

        self.device = torch.device(device or "cpu")

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the chart of `request.seed`, or `request.init_image` itself.

        Raises:
            Cancelled: the token said so.
            RenderError: the init image does not have the requested size.
        """
        cancel.check_cancel()
        image = request.init_image
        if image is None:
            return _chart(request.seed, request.width_px, request.height_px).to(self.device)
        if tuple(image.shape) != (3, request.height_px, request.width_px):
            raise RenderError(
                messages.INIT_IMAGE_SIZE(
                    found=tuple(image.shape), height_px=request.height_px, width_px=request.width_px
                )
            )
        return image

    @contextmanager
    def place(self) -> Iterator[NullEngine]:
        """Yield the engine itself: it remembers nothing of a request, so its images are those of a lone job."""
        yield self

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Do nothing: the engine holds no memory."""
        yield

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return none."""
        return ()


@lru_cache(maxsize=4)
def _chart(seed: int, width_px: int, height_px: int) -> Image:
    import torch

    return torch.from_numpy(chart_pixels(seed, width_px, height_px)).permute(2, 0, 1)


def chart_pixels(seed: int, width_px: int, height_px: int) -> np.ndarray:
    """Return the chart of `seed`, (H, W, 3) float32 0..1 on the 8-bit grid.

    Rows of colour bars in the seed's order, a grey and a colour ramp, a grid every 32 pixels, the two
    diagonals and discs at places that the seed chose.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    chart = _fields(rng, x / width_px, y / height_px)
    for _ in range(6):
        centre = rng.uniform(0, 1, 2) * (width_px, height_px)
        radius = rng.uniform(0.04, 0.12) * min(width_px, height_px)
        distance = np.hypot(x - centre[0], y - centre[1])
        chart[distance < radius] = rng.uniform(0, 1, 3)
        chart[np.abs(distance - radius) < 1.5] = 1.0
    chart[(x % _GRID_PX < 1) | (y % _GRID_PX < 1)] *= 0.5
    slope = height_px / width_px
    chart[(np.abs(y - x * slope) < 1) | (np.abs(height_px - y - x * slope) < 1)] = 1.0
    return np.rint(chart * 255).astype(np.float32) / 255


def _fields(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bars, ramps and a hue field, one above the other; `u` and `v` are 0..1 over the image."""
    bars = _BARS[rng.permutation(len(_BARS))][np.minimum((u * len(_BARS)).astype(int), len(_BARS) - 1)]
    hue_phase = rng.uniform(0, 1)
    hue = 0.5 + 0.5 * np.cos(2 * np.pi * (u[..., None] + hue_phase + np.array([0, 1, 2], np.float32) / 3))
    grey = np.repeat(u[..., None], 3, axis=2)
    sky = (1 - v[..., None]) * hue + v[..., None] * (1 - hue)
    rows = [v[..., None] < 0.25, v[..., None] < 0.35, v[..., None] < 0.45]
    return np.select([np.broadcast_to(row, bars.shape) for row in rows], [bars, grey, hue], sky).astype(
        np.float32
    )
