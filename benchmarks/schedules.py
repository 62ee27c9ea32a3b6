"""Parsing and evaluating 47 schedules, 10 of them with expressions."""

from __future__ import annotations

from benchmarks.rows import Row, best_of
from deforum_helpers.schedule import Timeline, numeric_series, string_series

NAME = "schedules"
BAR = "47 series, 10 with maths, parse and evaluate: 3 ms over 1,000 frames, 150 ms over 100,000"

MATHS = (
    "0: (1.0025+0.002*sin(1.25*3.14*t/30))",
    "0: (0.25 * cos((72 / 60 * 3.141 * (t + 0) / 30))**13 + 0.7)",
    "0: (10*sin(2*3.14*t/20)), 500: (0)",
    "0: (where(t<max_f/2, t/max_f, 1-t/max_f))",
    "0: (2*noise(t/24) + 0.5*noise(t/6))",
    "0: (clip(1.5*sin(t/10), -1, 1)), 250: (abs(cos(t/15))), 750: (t%30/30)",
    "0: (s+t)",
    "0: (5*(cos(3.141*t/15)**100)+2), max_f/2: (1+exp(-t/100))",
    "0: (0.65 - 0.1*(t%24==0))",
    "0: (sqrt(t)*0.01 + min(t/100, 1))",
)
PLAIN = (
    "0: (0)",
    "0: (1), 100: (1.02), 300: (1.05)",
    "0: (0.5), 250: (0.65), 500: (0.55), 999: (0.7)",
    "0:(0), 30:(-1.5), 60:(1.5), 90:(0)",
)
WORDS = (
    '0: ("Euler a")',
    '0: ("model1.ckpt"), 100: ("model2.safetensors")',
    '0: ("{video_mask}")',
    '0: ("{video_mask}")',
)


def expand(frames: int) -> None:
    """Evaluate all 47 schedules at every frame."""
    timeline = Timeline(frames=frames, seed=42, fps=15.0, width=512, height=512)
    for text in MATHS:
        numeric_series(text, timeline, "zoom")
    for number in range(33):
        numeric_series(PLAIN[number % len(PLAIN)], timeline, "angle")
    for text in WORDS:
        string_series(text, timeline, "mask_schedule")


def run() -> list[Row]:
    return [
        Row("47 series, 1,000 frames", best_of(lambda: expand(1_000), 20), 3.0),
        Row("47 series, 100,000 frames", best_of(lambda: expand(100_000), 5), 150.0),
    ]
