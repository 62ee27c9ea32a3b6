"""A picture of a plan: schedules as curves, prompts as bands, key frames as ticks, from the numbers that render."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.render.plan import Plan

WIDTH_PX, MARGIN_PX, ROW_PX, GAP_PX, BAND_PX, HEAD_PX = 1200, 24, 84, 30, 34, 46
ROW_TICKS = 4
END_PX = 60  # room of the last frame's number
# Okabe and Ito's palette: told apart by all eyes, on dark and on light ground.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def changing_schedules(plan: Plan) -> list[str]:
    """Return the schedules of numbers that have an effect and are not the same at every frame."""
    return [
        name
        for name, values in plan.schedules.values.items()
        if name in plan.schedules.used and np.ptp(values) > 0
    ]


def plot_svg(plan: Plan, names: Sequence[str], width_px: int = WIDTH_PX) -> str:
    """Return an SVG drawing of `plan`.

    Args:
        plan: what is drawn.
        names: schedules of numbers, one row each; each row's scale runs from its lowest to its highest value.
        width_px: of the drawing; text keeps its size.
    """
    height = HEAD_PX + BAND_PX + (ROW_PX + GAP_PX) * len(names) + 2 * MARGIN_PX
    rows = [_axis(plan, width_px), _bands(plan, width_px)]
    top = HEAD_PX + BAND_PX + GAP_PX
    for number, name in enumerate(names):
        rows.append(_curve(plan, name, top, COLORS[number % len(COLORS)], width_px))
        top += ROW_PX + GAP_PX
    return _svg(width_px, height, "".join(rows))


def _svg(width_px: int, height_px: int, drawn: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{drawn}</svg>\n'
    )


def frame_x(plan: Plan, frame: float, width_px: int = WIDTH_PX) -> float:
    """Return the x coordinate, in px, at which `frame` is drawn."""
    return MARGIN_PX + (width_px - 2 * MARGIN_PX) * frame / max(1, plan.frames - 1)


def _axis(plan: Plan, width_px: int) -> str:
    """Return round numbers of frames and seconds, the last frame with its time, and a tick for each key frame."""
    last, most = plan.frames - 1, 11 if width_px > 800 else 6
    rows = (
        (16, "#333", 1.0, "", round_ticks(0, last, most, whole=True)),
        (30, "#777", plan.fps, " s", round_ticks(0, last / plan.fps, most)),
    )
    marks = []
    for y, color, frames, unit, ticks in rows:
        at_end = width_px - MARGIN_PX
        for value in ticks:
            x = frame_x(plan, value * frames, width_px)
            if x < at_end - END_PX or not last:
                text = f"{value:.12g}{unit}"
                marks.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" fill="{color}">{text}</text>\n')
        if last:
            text = f"{last / frames:.1f}{unit}" if unit else str(last)
            marks.append(f'<text x="{at_end}" y="{y}" text-anchor="end" fill="{color}">{text}</text>\n')
    keys = np.array(plan.key_frames.indices)
    for frame in keys[_firsts(_columns(plan, keys, width_px))]:
        x = frame_x(plan, frame, width_px)
        marks.append(f'<path d="M{x:.2f} 36V44" stroke="#333" stroke-width="1"/>\n')
    return "".join(marks)


def round_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return the multiples of the smallest round step, 1, 2 or 5 times a power of ten, of which at most `most` fit.

    Args:
        low, high: where they lie, both included.
        most: 2 or more.
        whole: no fractions.

    >>> round_ticks(0, 95, 11), round_ticks(-0.989, 0.9999, 4)
    ([0, 10, 20, 30, 40, 50, 60, 70, 80, 90], [-0.5, 0, 0.5])
    """
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-300):
        return [low]
    exponent = math.floor(math.log10((high - low) / most))
    if whole:
        exponent = max(exponent, 0)
    while True:
        for factor in (1, 2, 5):
            step = Fraction(factor) * Fraction(10) ** exponent
            first, last = math.ceil(Fraction(low) / step), math.floor(Fraction(high) / step)
            if last - first < most:
                return [float(number * step) for number in range(first, last + 1)]
        exponent += 1


def _columns(plan: Plan, frames: NDArray[np.integer[Any]], width_px: int) -> NDArray[np.integer[Any]]:
    """Return the column of pixels that each of `frames`, ascending, lies in."""
    x = MARGIN_PX + (width_px - 2 * MARGIN_PX) * frames / max(1, plan.frames - 1)
    return x.astype(np.int64)


def _firsts(columns: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return the places in `columns`, ascending, at which a new column begins."""
    return np.flatnonzero(np.diff(columns, prepend=columns[:1] - 1))


def _drawn_frames(plan: Plan, values: NDArray[np.float64], width_px: int) -> NDArray[np.integer[Any]]:
    """Return the frames that a curve is drawn through, ascending.

    Of each column of pixels they are the first, the last, the lowest and the highest: a line through all frames covers
    the same pixels.
    """
    frames = np.arange(len(values))
    firsts = _firsts(_columns(plan, frames, width_px))
    if len(values) <= 4 * len(firsts):
        return frames
    drawn: set[int] = set()
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(values)], strict=True):
        part = values[first:stop]
        drawn |= {first, first + int(part.argmin()), first + int(part.argmax()), stop - 1}
    return np.array(sorted(drawn))


def _bands(plan: Plan, width_px: int) -> str:
    bands = []
    texts = plan.prompts.texts
    begun = np.array([0, *(frame for frame in range(1, plan.frames) if texts[frame] != texts[frame - 1])])
    starts = begun[_firsts(_columns(plan, begun, width_px))].tolist()
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], plan.frames], strict=True)):
        x, end = (frame_x(plan, frame, width_px) for frame in (start, min(stop, plan.frames - 1)))
        text = texts[start].split("--neg")[0].strip()
        room = int((end - x) / 6.2)
        shown = text if len(text) <= room else text[: max(0, room - 1)] + "…"
        bands.append(
            f'<g><title>{escape(text)}</title><rect x="{x:.1f}" y="{HEAD_PX}" width="{max(1.0, end - x):.1f}" '
            f'height="{BAND_PX - 8}" fill="{COLORS[number % len(COLORS)]}" fill-opacity="0.25"/>'
            f'<text x="{x + 4:.1f}" y="{HEAD_PX + 17}" fill="#222">{escape(shown)}</text></g>\n'
        )
    return "".join(bands)


def _curve(plan: Plan, name: str, top: int, color: str, width_px: int) -> str:
    values = plan.schedules.values[name]
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    points = " ".join(
        f"{frame_x(plan, frame, width_px):.2f},{top + ROW_PX - (values[frame] - low) / span * ROW_PX:.2f}"
        for frame in _drawn_frames(plan, values, width_px).tolist()
    )
    line = f'<path d="M{MARGIN_PX} {{y:.12g}}H{width_px - MARGIN_PX}" stroke="#ddd"/>'
    ticks = "".join(
        f"{line.format(y=round(y, 2))}"
        f'<text x="{MARGIN_PX + 2}" y="{y - 2:.1f}" fill="#999" font-size="10">{value:.12g}</text>'
        for value in round_ticks(low, high, ROW_TICKS)
        if (y := top + ROW_PX - (value - low) / span * ROW_PX)
    )
    return (
        f"{line.format(y=top)}{line.format(y=top + ROW_PX)}{ticks}"
        f'<text x="{MARGIN_PX}" y="{top - 6}" fill="{color}" font-weight="bold">{escape(name)}</text>'
        f'<text x="{width_px - MARGIN_PX}" y="{top - 6}" text-anchor="end" fill="#777">{low:.4g} to {high:.4g}</text>'
        f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"/>\n'
    )


CAMERA_PX, PANE_PX = 760, 360
NOTE_PX = 640
_FRUSTUM = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])


def camera_path(plan: Plan) -> NDArray[np.float64]:
    """Return the camera of every frame as (frames, 4, 4) `first_from_frame`, in scene units; frame 0 is the origin.

    The columns are the camera's axes (right, down, forward) and its place, seen from frame 0's camera.
    """
    path = np.empty((plan.frames, 4, 4))
    path[0] = np.eye(4)
    for frame, prev_from_next in enumerate(np.linalg.inv(plan.poses[1:]), 1):
        path[frame] = path[frame - 1] @ prev_from_next
    return path


def camera_svg(plan: Plan) -> str:
    """Return an SVG drawing of the camera's way in 3D from above and from the side, with a frustum per key frame.

    In 2D nothing moves but the picture plane, and the drawing says so.
    """
    deep = plan.settings.animation_mode == "3D"
    width_px, height_px = (CAMERA_PX, PANE_PX + 40) if deep else (NOTE_PX, 48)
    if not deep:
        note = f'<text x="24" y="28" fill="#333">{_flat_words(plan)}</text>'
        return _svg(width_px, height_px, note)
    path = camera_path(plan)
    fov_deg = plan.schedules.values["fov_schedule"]
    aspect = plan.settings.W / plan.settings.H
    keys = plan.key_frames.indices
    frustums = [_frustum(path[key], float(fov_deg[key]), aspect, _reach(path)) for key in _spread(keys)]
    panes = (("from above", 0, 2, -1.0), ("from the side", 2, 1, 1.0))
    drawn = [
        _pane(title, path[:, :3, 3], frustums, (across, along), sign, 20 + number * (CAMERA_PX // 2))
        for number, (title, across, along, sign) in enumerate(panes)
    ]
    return _svg(width_px, height_px, "".join(drawn))


def _flat_words(plan: Plan) -> str:
    """Return why no way of a camera is drawn."""
    if plan.settings.animation_mode == "2D":
        return "The camera's way is drawn for 3D; this film moves the picture plane."
    return "The camera's way is drawn for 3D; nothing moves in this film."


def _spread(keys: Sequence[int], most: int = 40) -> Sequence[int]:
    """Return at most `most` of the key frames, evenly spread, first and last among them."""
    if len(keys) <= most:
        return keys
    return [keys[place] for place in np.linspace(0, len(keys) - 1, most).round().astype(int)]


def _reach(path: NDArray[np.float64]) -> float:
    """Return how far frustums are drawn: a tenth of the way's extent."""
    extent = float(np.ptp(path[:, :3, 3], axis=0).max())
    return max(extent / 10, 1e-3)


def _frustum(
    first_from_frame: NDArray[np.float64], fov_deg: float, aspect: float, reach: float
) -> NDArray[np.float64]:
    """Return the camera's place and the four far corners of its view, (5, 3)."""
    half = np.tan(np.radians(min(abs(fov_deg), 150.0)) / 2)
    corners = _FRUSTUM * reach * np.array([half * aspect, half, 1.0])
    points = np.vstack([np.zeros(3), corners])
    return points @ first_from_frame[:3, :3].T + first_from_frame[:3, 3]


def _apart(points: NDArray[np.float64]) -> list[int]:
    """Return which points (N, 2) a line is drawn through; the others of a long film lie half a pixel off at most."""
    if len(points) <= 4 * CAMERA_PX:
        return list(range(len(points)))
    apart = [0]
    x, y = points[0].tolist()
    for place, (next_x, next_y) in enumerate(points.tolist()):
        if abs(next_x - x) > 0.5 or abs(next_y - y) > 0.5:
            apart.append(place)
            x, y = next_x, next_y
    return apart if apart[-1] == len(points) - 1 else [*apart, len(points) - 1]


def _pane(
    title: str,
    places: NDArray[np.float64],
    frustums: list[NDArray[np.float64]],
    axes: tuple[int, int],
    sign: float,
    left_px: int,
) -> str:
    """Return one view; `axes` are drawn to the right and, times `sign`, downward. Both have one scale."""
    side = CAMERA_PX // 2 - 40
    points = np.vstack([places, *frustums])[:, axes] * np.array([1.0, sign])
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    scale = min(side, PANE_PX - 40) / max(float(span.max()), 1e-9)
    offset = np.array([left_px, 40.0]) + (np.array([side, PANE_PX - 40]) - span * scale) / 2

    def placed(some: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((some[:, axes] * np.array([1.0, sign]) - low) * scale + offset, np.float64)

    def on_paper(some: NDArray[np.float64]) -> str:
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in placed(some))

    views = "".join(
        f'<polygon points="{on_paper(one[[0, *pair]])}" fill="{COLORS[0]}" fill-opacity="0.06" '
        f'stroke="{COLORS[0]}" stroke-opacity="0.5" stroke-width="0.7"/>\n'
        for one in frustums
        for pair in ((1, 2), (2, 3), (3, 4), (4, 1))
    )
    start, way = on_paper(places[:1]).split(","), on_paper(places[_apart(placed(places))])
    return (
        f'<text x="{left_px}" y="22" fill="#333" font-weight="bold">{title}</text>{views}'
        f'<polyline points="{way}" fill="none" stroke="{COLORS[1]}" stroke-width="1.8"/>\n'
        f'<circle cx="{start[0]}" cy="{start[1]}" r="4" fill="{COLORS[2]}"/>\n'
    )
