"""Test images for the benchmarks of image operations."""

from __future__ import annotations

import numpy as np

from deforum_helpers.image.convert import from_bytes
from deforum_helpers.image.types import Image


def picture(side_px: int) -> Image:
    """Return a square 8-bit image of waves with some grain."""
    y, x = np.mgrid[:side_px, :side_px] / side_px
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y - 2 * x), np.sin(5 * x * y)], -1)
    grain = np.random.default_rng(0).normal(0, 8, waves.shape)
    return from_bytes(np.clip(127 + 90 * waves + grain, 0, 255).astype(np.uint8))
