"""The unsharp mask, on the CPU."""

from __future__ import annotations

from benchmarks.pictures import picture
from benchmarks.rows import Row, best_of
from deforum_helpers.image.adjust import unsharp

NAME = "sharpen"
BAR = "unsharp mask, kernel 5: 0.52 ms at 512x512, 2.2 ms at 1024x1024"
BARS_MS = {512: 0.52, 1024: 2.2}


def run() -> list[Row]:
    """Measure one unsharp mask at each size."""
    return [row for side_px in BARS_MS for row in _rows(side_px)]


def _rows(side_px: int) -> list[Row]:
    image = picture(side_px)

    def sharpened(threshold: float) -> None:
        unsharp(image, kernel=5, sigma=1.0, amount=0.1, threshold=threshold)

    size = f"{side_px}x{side_px}"
    return [
        Row(f"unsharp mask, {size}", best_of(lambda: sharpened(0), 50), BARS_MS[side_px]),
        Row(f"unsharp mask with threshold, {size}", best_of(lambda: sharpened(3), 20)),
    ]
