"""A picture of a plan: schedules as curves, prompts as bands, key frames as ticks, from the numbers that render."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.render.plan import Plan
from deforum_helpers.render.schedules import is_read

WIDTH_PX, MARGIN_PX, ROW_PX, GAP_PX, BAND_PX, HEAD_PX = 1200, 24, 84, 30, 34, 46
# Okabe and Ito's palette: told apart by all eyes, on dark and on light ground.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def changing_schedules(plan: Plan) -> list[str]:
    """Return the schedules of numbers that have an effect and are not the same at every frame."""
    return [
        name
        for name, values in plan.schedules.values.items()
        if is_read(name, plan.settings) and np.ptp(values) > 0
    ]


def plot_svg(plan: Plan, names: Sequence[str]) -> str:
    """Return an SVG drawing of `plan`.

    Args:
        plan: what is drawn.
        names: schedules of numbers, one row each; each row's scale runs from its lowest to its highest value.
    """
    height = HEAD_PX + BAND_PX + (ROW_PX + GAP_PX) * len(names) + 2 * MARGIN_PX
    rows = [_axis(plan), _bands(plan)]
    top = HEAD_PX + BAND_PX + GAP_PX
    for number, name in enumerate(names):
        rows.append(_curve(plan, name, plan.schedules.values[name], top, COLORS[number % len(COLORS)]))
        top += ROW_PX + GAP_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(rows)}</svg>\n'
    )


def frame_x(plan: Plan, frame: float) -> float:
    """Return the x coordinate, in px, at which `frame` is drawn."""
    return MARGIN_PX + (WIDTH_PX - 2 * MARGIN_PX) * frame / max(1, plan.frames - 1)


def _axis(plan: Plan) -> str:
    marks = []
    for frame in np.unique(np.linspace(0, plan.frames - 1, 9).round().astype(int)):
        x = frame_x(plan, frame)
        marks.append(
            f'<text x="{x:.1f}" y="16" text-anchor="middle" fill="#333">{frame}</text>'
            f'<text x="{x:.1f}" y="30" text-anchor="middle" fill="#777">{frame / plan.fps:.1f} s</text>\n'
        )
    for key in plan.key_frames:
        x = frame_x(plan, key.index)
        marks.append(f'<path d="M{x:.2f} 36V44" stroke="#333" stroke-width="1"/>\n')
    return "".join(marks)


def _bands(plan: Plan) -> str:
    bands = []
    starts = [
        0,
        *(
            frame
            for frame in range(1, plan.frames)
            if plan.prompts.texts[frame] != plan.prompts.texts[frame - 1]
        ),
    ]
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], plan.frames], strict=True)):
        x, end = frame_x(plan, start), frame_x(plan, min(stop, plan.frames - 1))
        text = plan.prompts.texts[start].split("--neg")[0].strip()
        room = int((end - x) / 6.2)
        shown = text if len(text) <= room else text[: max(0, room - 1)] + "…"
        bands.append(
            f'<g><title>{escape(text)}</title><rect x="{x:.1f}" y="{HEAD_PX}" width="{max(1.0, end - x):.1f}" '
            f'height="{BAND_PX - 8}" fill="{COLORS[number % len(COLORS)]}" fill-opacity="0.25"/>'
            f'<text x="{x + 4:.1f}" y="{HEAD_PX + 17}" fill="#222">{escape(shown)}</text></g>\n'
        )
    return "".join(bands)


def _curve(plan: Plan, name: str, values: NDArray[np.float64], top: int, color: str) -> str:
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    points = " ".join(
        f"{frame_x(plan, frame):.2f},{top + ROW_PX - (value - low) / span * ROW_PX:.2f}"
        for frame, value in enumerate(values)
    )
    line = f'<path d="M{MARGIN_PX} {{y}}H{WIDTH_PX - MARGIN_PX}" stroke="#ddd"/>'
    return (
        f"{line.format(y=top)}{line.format(y=top + ROW_PX)}"
        f'<text x="{MARGIN_PX}" y="{top - 6}" fill="{color}" font-weight="bold">{escape(name)}</text>'
        f'<text x="{WIDTH_PX - MARGIN_PX}" y="{top - 6}" text-anchor="end" fill="#777">{low:g} to {high:g}</text>'
        f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"/>\n'
    )
