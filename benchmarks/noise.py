"""Perlin noise over an image, on the CPU."""

from __future__ import annotations

from benchmarks.pictures import picture
from benchmarks.rows import Row, best_of
from deforum_helpers.image.noise import add_noise

NAME = "noise"
BAR = "Perlin noise, 4 octaves: 6.6 ms at 512x512, 31 ms at 1024x1024"
BARS_MS = {512: 6.6, 1024: 31.0}


def run() -> list[Row]:
    """Measure one frame's noise at each size."""
    return [row for side_px in BARS_MS for row in _rows(side_px)]


def _rows(side_px: int) -> list[Row]:
    image = picture(side_px)

    def noisy(kind: str) -> None:
        add_noise(image, kind=kind, amount=0.065, seed=1, octaves=4, persistence=0.5)

    return [
        Row(f"Perlin noise, {side_px}x{side_px}", best_of(lambda: noisy("perlin"), 20), BARS_MS[side_px]),
        Row(f"uniform noise, {side_px}x{side_px}", best_of(lambda: noisy("uniform"), 20)),
    ]
