"""Images and depths that the golden numbers were taken of, and others for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deforum_helpers.image.convert import from_bytes
from deforum_helpers.image.types import Image

GOLDEN = Path(__file__).parents[1] / "golden"
WIDTH_PX, HEIGHT_PX = 24, 16


def golden(name: str) -> dict[str, Any]:
    """Return a file of golden numbers."""
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def pixels_of_hex(text: str, width_px: int = WIDTH_PX) -> np.ndarray:
    """Return (H, W, 3) whole levels, as int64, so that differences do not wrap."""
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, width_px, 3).astype(np.int64)


def chart_u8() -> np.ndarray:
    """Return the 24x16 test image, whose channels climb and wrap at 256."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return np.stack([7 * x + 3 * y, x * x + 5 * y, 3 * x + 2 * y * y + 40], -1).astype(np.uint8)


def chart() -> Image:
    """Return the test image as an image."""
    return from_bytes(chart_u8())


def hills_depth() -> np.ndarray:
    """Return the 24x16 test depth as a model would answer it."""
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    return (np.sin(x / 5) + np.cos(y / 4) + 0.03 * x).astype(np.float32)


def random_image(height_px: int, width_px: int, seed: int = 0) -> Image:
    """Return an image of random 8-bit pixels."""
    generator = np.random.default_rng(seed)
    return from_bytes(generator.integers(0, 256, (height_px, width_px, 3), dtype=np.uint8))


def soft_image(height_px: int, width_px: int) -> Image:
    """Return an image of slow waves, as photographs have."""
    y, x = np.mgrid[:height_px, :width_px] / max(height_px, width_px)
    waves = [0.5 + 0.45 * np.sin(7 * x + 3 * y), 0.5 + 0.4 * np.cos(5 * y - x), 0.3 + 0.3 * x * y]
    return from_bytes(np.round(np.stack(waves, -1) * 255).astype(np.uint8))


def levels_apart(a: Image, b: Image) -> torch.Tensor:
    """Return how far two images are apart, in 8-bit levels."""
    return (a - b).abs() * 255
