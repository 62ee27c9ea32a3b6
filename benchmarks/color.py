"""Colour coherence, on the CPU."""

from __future__ import annotations

from benchmarks.pictures import picture
from benchmarks.rows import Row, best_of
from deforum_helpers.image.color import ColorReference, match_color

NAME = "color"
BAR = "LAB match with its reference's histogram: 5.5 ms at 512x512, 26 ms at 1024x1024"
BARS_MS = {512: 5.5, 1024: 26.0}


def run() -> list[Row]:
    """Measure one match at each size, with a reused and with a new reference."""
    return [row for side_px in BARS_MS for row in _rows(side_px)]


def _rows(side_px: int) -> list[Row]:
    image = picture(side_px)
    wanted = image.flip(2) * 0.9
    reused = ColorReference.of(wanted, "LAB")
    size = f"{side_px}x{side_px}"
    return [
        Row(
            f"LAB match, kept reference, {size}",
            best_of(lambda: match_color(image, reused), 20),
            BARS_MS[side_px],
        ),
        Row(
            f"LAB match, fresh reference, {size}",
            best_of(lambda: match_color(image, ColorReference.of(wanted, "LAB")), 20),
            BARS_MS[side_px],
        ),
        *(
            Row(f"{mode} match, kept reference, {size}", best_of(lambda: match_color(image, reference), 20))  # noqa: B023
            for mode in ("HSV", "RGB")
            for reference in [ColorReference.of(wanted, mode)]
        ),
    ]
