"""SVG plots of a plan: schedules as curves, prompts as bands, key frames as ticks, the sound, the camera path in 3D."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.pose import chained
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.pipeline import messages
from deforum_helpers.render.plan import Plan

WIDTH_PX, MARGIN_PX, ROW_PX, GAP_PX, BAND_PX, HEAD_PX = 1200, 24, 84, 30, 34, 46
ROW_TICKS = 4
SOUND_PX = 40  # height of the waveform
BEAT_PX, BAR_PX, BAR_NUMBER_PX = (
    6,
    3,
    40,
)  # smallest distances at which beats, bars and their numbers are drawn
END_PX = 60  # space for the number of the last frame
# Okabe and Ito's palette, which color-blind people can distinguish, on dark and light backgrounds.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def changing_schedules(plan: Plan) -> list[str]:
    """Return the names of the numeric schedules that have an effect and are not constant."""
    return [
        name
        for name, values in plan.schedules.values.items()
        if name in plan.schedules.used and np.ptp(values) > 0
    ]


def plot_svg(plan: Plan, names: Sequence[str], width_px: int = WIDTH_PX) -> str:
    """Return an SVG plot of `plan`, on the beats and bars of its sound or tempo, below the waveform of the sound.

    A sound that cannot be read, or in which no beats are found, is left out.

    Args:
        plan: the plan.
        names: numeric schedules, one row each; a row is scaled from its lowest to its highest value.
        width_px: width of the plot; text keeps its size.
    """
    waveform = _waveform(plan, HEAD_PX + BAND_PX, width_px)
    top = HEAD_PX + BAND_PX + (SOUND_PX if waveform else 0) + GAP_PX
    height = top + (ROW_PX + GAP_PX) * len(names) - GAP_PX + 2 * MARGIN_PX
    beats = _beats(plan, height - MARGIN_PX, width_px)
    rows = [beats, _axis(plan, width_px), _bands(plan, width_px), waveform]
    for number, name in enumerate(names):
        rows.append(_curve(plan, name, top, COLORS[number % len(COLORS)], width_px))
        top += ROW_PX + GAP_PX
    return _svg(width_px, height, "".join(rows))


def _svg(width_px: int, height_px: int, content: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{content}</svg>\n'
    )


def frame_x(plan: Plan, frame: float, width_px: int = WIDTH_PX) -> float:
    """Return the x coordinate of `frame`, in pixels."""
    return MARGIN_PX + (width_px - 2 * MARGIN_PX) * frame / max(1, plan.frames - 1)


def _axis(plan: Plan, width_px: int) -> str:
    """Return round frame numbers and times, the last frame and its time, and a tick for each key frame."""
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
    """Return the multiples in a range of the smallest step 1, 2 or 5 times a power of ten that gives at most `most`.

    Args:
        low, high: range, both ends included.
        most: largest number of ticks, 2 or more.
        whole: integers only.

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
    """Return the pixel column of each of `frames`, ascending."""
    x = MARGIN_PX + (width_px - 2 * MARGIN_PX) * frames / max(1, plan.frames - 1)
    return x.astype(np.int64)


def _firsts(columns: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return the indices in `columns`, ascending, at which a new column begins."""
    return np.flatnonzero(np.diff(columns, prepend=columns[:1] - 1))


def _curve_frames(plan: Plan, values: NDArray[np.float64], width_px: int) -> NDArray[np.integer[Any]]:
    """Return the frames that a curve passes through, ascending.

    In each pixel column these are the first, the last, the lowest and the highest; a line through all frames covers
    the same pixels.
    """
    frames = np.arange(len(values))
    firsts = _firsts(_columns(plan, frames, width_px))
    if len(values) <= 4 * len(firsts):
        return frames
    chosen: set[int] = set()
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(values)], strict=True):
        part = values[first:stop]
        chosen |= {first, first + int(part.argmin()), first + int(part.argmax()), stop - 1}
    return np.array(sorted(chosen))


def _bands(plan: Plan, width_px: int) -> str:
    bands = []
    texts = plan.prompts.texts
    changes = np.array([0, *(frame for frame in range(1, plan.frames) if texts[frame] != texts[frame - 1])])
    starts = changes[_firsts(_columns(plan, changes, width_px))].tolist()
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


def _waveform(plan: Plan, top: int, width_px: int) -> str:
    """Return the loudness of the sound as a waveform, or "" without a sound."""
    sound = plan.timeline.sound
    if sound is None or sound.find_levels is None:
        return ""
    frames = np.linspace(0, plan.frames - 1, width_px // 2)
    try:
        levels = sound.at("rms", frames, plan.fps)
    except SettingsError:
        return ""
    middle, half = top + SOUND_PX / 2, np.maximum(levels, 0.02) * SOUND_PX / 2
    columns = [f"{frame_x(plan, frame, width_px):.1f}" for frame in frames.tolist()]
    above = [f"{x},{middle - y:.1f}" for x, y in zip(columns, half.tolist(), strict=True)]
    below = [f"{x},{middle + y:.1f}" for x, y in zip(columns, half.tolist(), strict=True)]
    points = " ".join([*above, *reversed(below)])
    return f'<polygon class="sound" points="{points}" fill="{COLORS[5]}" fill-opacity="0.55"/>\n'


def _beats(plan: Plan, bottom: int, width_px: int) -> str:
    """Return lines at beats and bars and the numbers of the bars, each where they are far enough apart."""
    sound = plan.timeline.sound
    if sound is None or plan.frames < 2:
        return ""
    try:
        beats = sound.beats
    except SettingsError:
        return ""
    numbers = beats.within(plan.frames - 1, plan.fps, plan.frames)
    frames = beats.frame(numbers, plan.fps)
    begins_bar = numbers % beats.per_bar == 0
    marks = []
    if _apart_px(plan, frames, width_px) >= BEAT_PX:
        marks += [
            _line(plan, frame, "beat", "#e2e2e2", bottom, width_px) for frame in frames[~begins_bar].tolist()
        ]
    bars_px = _apart_px(plan, frames[begins_bar], width_px)
    if bars_px >= BAR_PX:
        marks += [
            _line(plan, frame, "bar", "#bbb", bottom, width_px) for frame in frames[begins_bar].tolist()
        ]
    if bars_px >= BAR_NUMBER_PX:
        marks += [
            f'<text x="{frame_x(plan, frames[place], width_px) + 3:.1f}" y="{bottom}" fill="#777" '
            f'font-size="10">bar {numbers[place] // beats.per_bar}</text>\n'
            for place in np.flatnonzero(begins_bar).tolist()
        ]
    return "".join(marks)


def _apart_px(plan: Plan, frames: NDArray[np.int64], width_px: int) -> float:
    """Return the median distance of frames, ascending, in pixels."""
    if len(frames) < 2:
        return width_px
    return float(np.median(np.diff(frames))) * (frame_x(plan, 1, width_px) - MARGIN_PX)


def _line(plan: Plan, frame: int, kind: str, color: str, bottom: int, width_px: int) -> str:
    x = frame_x(plan, frame, width_px)
    return f'<path class="{kind}" d="M{x:.2f} {HEAD_PX}V{bottom}" stroke="{color}"/>\n'


def _curve(plan: Plan, name: str, top: int, color: str, width_px: int) -> str:
    values = plan.schedules.values[name]
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    points = " ".join(
        f"{frame_x(plan, frame, width_px):.2f},{top + ROW_PX - (values[frame] - low) / span * ROW_PX:.2f}"
        for frame in _curve_frames(plan, values, width_px).tolist()
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
    """Return the camera pose of every frame, (frames, 4, 4) `first_from_frame`, in scene units; frame 0 is the origin.

    The columns are the axes of the camera (right, down, forward) and its position, in coordinates of frame 0.
    """
    return chained(plan.poses)


def camera_svg(plan: Plan) -> str:
    """Return an SVG plot of the camera path in 3D from above and from the side, with frustums of key frames.

    In other modes there is no camera path, and the plot says so.
    """
    deep = plan.settings.animation_mode == "3D"
    width_px, height_px = (CAMERA_PX, PANE_PX + 40) if deep else (NOTE_PX, 48)
    if not deep:
        note = f'<text x="24" y="28" fill="#333">{_no_path_note(plan)}</text>'
        return _svg(width_px, height_px, note)
    path = camera_path(plan)
    fov_deg = plan.schedules.values["fov_schedule"]
    aspect = plan.settings.W / plan.settings.H
    keys = plan.key_frames.indices
    frustums = [_frustum(path[key], float(fov_deg[key]), aspect, _reach(path)) for key in _spread(keys)]
    panes = (("from above", 0, 2, -1.0), ("from the side", 2, 1, 1.0))
    views = [
        _pane(title, path[:, :3, 3], frustums, (across, along), sign, 20 + number * (CAMERA_PX // 2))
        for number, (title, across, along, sign) in enumerate(panes)
    ]
    return _svg(width_px, height_px, "".join(views))


def _no_path_note(plan: Plan) -> str:
    """Return why there is no camera path."""
    if plan.settings.animation_mode == "2D":
        return messages.NO_PATH_IN_2D()
    return messages.NO_PATH_WITHOUT_MOTION()


def _spread(keys: Sequence[int], most: int = 40) -> Sequence[int]:
    """Return at most `most` of the key frames, evenly spread, with the first and the last."""
    if len(keys) <= most:
        return keys
    return [keys[place] for place in np.linspace(0, len(keys) - 1, most).round().astype(int)]


def _reach(path: NDArray[np.float64]) -> float:
    """Return the length of the frustums: a tenth of the extent of the path."""
    extent = float(np.ptp(path[:, :3, 3], axis=0).max())
    return max(extent / 10, 1e-3)


def _frustum(
    first_from_frame: NDArray[np.float64], fov_deg: float, aspect: float, reach: float
) -> NDArray[np.float64]:
    """Return the position of the camera and the four far corners of its view, (5, 3)."""
    half = np.tan(np.radians(min(abs(fov_deg), 150.0)) / 2)
    corners = _FRUSTUM * reach * np.array([half * aspect, half, 1.0])
    points = np.vstack([np.zeros(3), corners])
    return points @ first_from_frame[:3, :3].T + first_from_frame[:3, 3]


def _apart(points: NDArray[np.float64]) -> list[int]:
    """Return the indices of the points (N, 2) for a line; of a long path, those more than half a pixel apart."""
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
    """Return one view; `axes` point right and, times `sign`, down, on one scale."""
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
