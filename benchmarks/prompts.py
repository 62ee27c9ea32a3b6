"""Prompts with expressions over 1,000 frames."""

from __future__ import annotations

from benchmarks.rows import Row, best_of
from deforum_helpers.schedule import Timeline, interpolated_prompt_series, prompt_series

NAME = "prompts"
BAR = "1,000 frames with maths: 10 ms"

PROMPTS = {
    "0": "a castle (mist:`where(cos(t/30)>0, cos(t/30), 0)`) --neg (sun:`where(cos(t/30)<0, -cos(t/30), 0)`)",
    "250": "a city (night:`t/max_f`) (rain:`0.5+0.5*sin(2*pi*t/fps)`) --neg blurry, `max_f-t` people",
    "max_f/2": "a forest (fog:`clip(noise(t/12), 0, 1)`) --neg text",
    "750": "the sea (waves:`abs(sin(t/20))`), sunset",
}


def run() -> list[Row]:
    timeline = Timeline(frames=1_000, seed=42, fps=15.0, width=512, height=512)
    additions = ("a painting,", "watermark")
    return [
        Row("held prompts", best_of(lambda: prompt_series(PROMPTS, timeline, *additions), 20), 10.0),
        Row(
            "blended prompts",
            best_of(lambda: interpolated_prompt_series(PROMPTS, timeline, *additions), 20),
        ),
    ]
