"""The timeline's data as JSON (schedules with their key frames, prompts, camera moves), and the edits that it sends."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.pipeline.plot import changing_schedules
from deforum_helpers.render.plan import Plan
from deforum_helpers.schedule import Timeline, key_frame, numeric_series
from deforum_helpers.schedule.easing import NAMES as EASINGS
from deforum_helpers.schedule.easing import read_easing
from deforum_helpers.schedule.edit import (
    Kind,
    TextEntry,
    entries_of,
    with_easing,
    with_entry,
    with_key,
    with_value,
    without_entry,
)
from deforum_helpers.schedule.grammar import PLAIN_NUMBER, structure_of
from deforum_helpers.schedule.reading import Reading
from deforum_helpers.schedule.sound import Beats, Sound
from deforum_helpers.settings import FIELDS, defaults
from deforum_helpers.settings.keys import Unit, key_written
from deforum_helpers.settings.modes import acting, is_moved, is_reversed
from deforum_helpers.ui.checking import CheckResult
from deforum_helpers.ui.controls import submitted_settings

PROMPTS = "prompts"
SCHEDULES = tuple(name for name, info in FIELDS.items() if info.kind == "schedule")
# Rows that are shown besides those that change, by animation mode.
FIRST_ROWS = {
    "2D": ("zoom", "angle", "strength_schedule"),
    "3D": ("translation_z", "rotation_3d_y", "strength_schedule"),
}
MAX_ROWS = 60
MAX_EDITS = 20_000
COLUMNS = 1000
MAX_MOVES = 240
MAX_BEATS = 20_000

Floats = NDArray[np.float64]
_BEATS = re.compile(r"[0-9]\s*b")
_OFFSET = re.compile(r"(\(.*\))\s*([+-])\s*([0-9]+(?:\.[0-9]+)?)", re.DOTALL)


@dataclass(frozen=True)
class Request:
    """A request of the page.

    Args:
        rows: names of schedules; empty = those that change.
        first, last: frames in view, for which the series are sent in detail.
        edits: setting -> edits of its key frames, as `edited` takes them.
    """

    rows: tuple[str, ...] = ()
    first: int = 0
    last: int = 0
    edits: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def read_request(wanted: Mapping[str, Any]) -> Request:
    """Return the request in a JSON object of the page, without everything that is of another kind."""
    rows, edits = wanted.get("rows"), wanted.get("edits")
    names = dict.fromkeys(name for name in rows if name in SCHEDULES) if isinstance(rows, list) else ()
    return Request(
        tuple(names)[:MAX_ROWS],
        _whole(wanted.get("first")),
        _whole(wanted.get("last")),
        {
            name: [one for one in listed[:MAX_EDITS] if isinstance(one, dict)]
            for name, listed in (edits if isinstance(edits, dict) else {}).items()
            if name in (PROMPTS, *SCHEDULES) and isinstance(listed, list)
        },
    )


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and abs(value) < 1e9 else 0


def video_timeline(settings: Mapping[str, Any]) -> Timeline:
    """Return the frames of settings that may be incomplete or invalid; the default replaces an invalid number."""

    def number(name: str, low: float, high: float = 1e6) -> float:
        value = settings.get(name)
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        return float(value if valid and value is not None else defaults()[name])

    bpm = number("bpm", 0, 1000)
    steady = partial(Beats.steady, bpm, number("beat_offset", -1e6), int(number("beats_per_bar", 1, 64)))
    return Timeline(
        frames=int(number("max_frames", 1, 100_000)),
        seed=int(max(0, number("seed", -1, 2**32))),
        fps=number("fps", 0.001),
        width=int(number("W", 1)),
        height=int(number("H", 1)),
        sound=Sound(steady) if bpm > 0 else None,
    )


# ---- edits ----


def edited(text: str, name: str, edits: Sequence[Mapping[str, Any]], timeline: Timeline) -> str:
    """Return the text of a setting after edits; everything else in it keeps its characters.

    Args:
        text: a schedule, or the prompts as JSON.
        name: the setting.
        edits: each names a key frame by its number `at` and changes it: `to` (another frame), `value` (text), `offset`
            (number to add to an expression), `easing` ("" = none), `remove`; or it has `add`, the frame of a new key,
            and its `value` and `easing`.
        timeline: the frames.

    Raises:
        SettingsError: the text cannot be read, or a value is none.
    """
    kind: Kind = "prompts" if name == PROMPTS else "numbers"
    numbers = _numbers_by_frame(text, kind, name, timeline)
    removed: set[int] = set()
    added: dict[int, Mapping[str, Any]] = {}
    for edit in edits:
        number = numbers.get(_whole(edit.get("at", edit.get("add"))))
        if number is None and "add" in edit:
            added[_whole(edit["add"])] = edit
        elif number is not None and edit.get("remove") is True:
            removed.add(number)
        elif number is not None:
            text = _changed(text, kind, number, edit, timeline)
    for number in sorted(removed, reverse=True):
        text = without_entry(text, kind, number)
    for frame, edit in sorted(added.items()):
        places = _numbers_by_frame(text, kind, name, timeline)
        before = [number for other, number in places.items() if other < frame]
        number = max(before) + 1 if before else 0
        text = with_entry(
            text, kind, number, str(frame), str(edit.get("value")), str(edit.get("easing") or "")
        )
    return text


def _numbers_by_frame(text: str, kind: Kind, name: str, timeline: Timeline) -> dict[int, int]:
    """Return the number of the entry that counts for each key frame."""
    return {
        key_frame(entry.key, timeline, name)[0] if entry.key else 0: number
        for number, entry in enumerate(entries_of(text, kind))
    }


def _changed(text: str, kind: Kind, number: int, edit: Mapping[str, Any], timeline: Timeline) -> str:
    offset = edit.get("offset")
    if isinstance(offset, (int, float)) and not isinstance(offset, bool) and offset:
        value = entries_of(text, kind)[number].value
        text = with_value(text, kind, number, offset_expression(value, float(offset)))
    if isinstance(edit.get("value"), str):
        text = with_value(text, kind, number, edit["value"])
    if isinstance(edit.get("easing"), str) and kind == "numbers":
        text = with_easing(text, number, edit["easing"])
    if "to" in edit and _whole(edit["to"]) != _whole(edit.get("at")):
        key = entries_of(text, kind)[number].key
        text = with_key(
            text, kind, number, key_written(_whole(edit["to"]), timeline, _unit_of(key, timeline))
        )
    return text


def _unit_of(key: str, timeline: Timeline) -> Unit:
    """Return the unit that a moved key is written in: its own, where that is seconds or beats."""
    letters = key.lstrip("+-0123456789. \t")
    if letters == "s":
        return "seconds"
    return "beats" if letters in ("b", "bar", "bars") and timeline.sound is not None else "frames"


def offset_expression(value: str, offset: float) -> str:
    """Return an expression plus a number; a number that an earlier call added is replaced by the sum.

    >>> offset_expression("sin(t)", 0.5), offset_expression("(sin(t)) + 0.5", -0.75)
    ('(sin(t)) + 0.5', '(sin(t)) - 0.25')
    """
    inner = value
    match = _OFFSET.fullmatch(value.strip())
    if match and structure_of(Reading("", match[1])).closing.get(0) == len(match[1]) - 1:
        inner, offset = match[1][1:-1], offset + float(match[2] + match[3])
    amount = float(f"{offset:.9g}")
    if not amount:
        return inner
    return f"({inner}) {'-' if amount < 0 else '+'} {np.format_float_positional(abs(amount), trim='-')}"


def edited_texts(
    values: Mapping[str, Any], request: Request, planned: Callable[[], CheckResult]
) -> tuple[dict[str, str], str]:
    """Return the texts of the settings that a request edits, and why there are none.

    A request edits all of its settings or none.

    Args:
        values: values of the controls by setting.
        request: with the edits.
        planned: checks the values; called where keys are in beats of a sound.
    """
    timeline = video_timeline(submitted_settings(values))
    if timeline.sound is None and any(_BEATS.search(str(values[name])) for name in request.edits):
        checked = planned()
        timeline = checked.prepared.plan.timeline if checked.prepared else timeline
    try:
        return {
            name: edited(str(values[name]), name, edits, timeline) for name, edits in request.edits.items()
        }, ""
    except SettingsError as error:
        return {}, error.problems[0].message


# ---- data ----


def timeline_data(checked: CheckResult, values: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return the timeline of checked settings for JSON.

    Settings with problems have no plan. Each row is then evaluated alone, and one that cannot be has a `problem`.

    Args:
        checked: the settings.
        values: values of the controls by setting.
        request: rows and range.
    """
    plan = checked.prepared.plan if checked.prepared else None
    timeline = plan.timeline if plan is not None else video_timeline(checked.settings)
    rows = request.rows or _first_rows(plan, checked.settings)
    acts = acting((*SCHEDULES, "max_frames"), checked.settings)
    return {
        "frames": timeline.frames,
        "fps": timeline.fps,
        "length_acts": "max_frames" in acts,
        "rows": [_row(name, values, plan, timeline, request) for name in rows],
        "schedules": [
            {"name": name, "label": FIELDS[name].label or name, "acts": name in acts} for name in SCHEDULES
        ],
        "easings": EASINGS,
        "prompts": _prompts(values, timeline),
        "motion": _motion(plan),
        "ruler": _ruler(timeline),
        "problem": checked.problems[0].message if checked.problems else "",
    }


def _first_rows(plan: Plan | None, settings: Mapping[str, Any]) -> Sequence[str]:
    changing = changing_schedules(plan) if plan is not None else []
    always = FIRST_ROWS.get(str(settings.get("animation_mode")), ("strength_schedule",))
    return list(dict.fromkeys([*always, *changing]))[:MAX_ROWS]


def _row(
    name: str, values: Mapping[str, Any], plan: Plan | None, timeline: Timeline, request: Request
) -> dict[str, Any]:
    text = values[name]
    row: dict[str, Any] = {
        "name": name,
        "label": FIELDS[name].label or name,
        "bounds": [FIELDS[name].minimum, FIELDS[name].maximum],
        "text": text,
        "points": [],
        "problem": "",
    }
    series = None if plan is None else plan.schedules.values[name]
    try:
        if not isinstance(text, str):
            text = str(text)
        if series is None or values.get("parseq_manifest"):
            own = numeric_series(text, timeline, name).values
            row["driven"] = series is not None and not np.array_equal(own, series)
            series = own if series is None else series
        row["points"] = key_points(text, name, timeline)
    except SettingsError as error:
        row["problem"] = error.problems[0].message
    if series is not None:
        row["series"] = _series_json(series, 0, len(series) - 1)
        first, last = max(request.first, 0), min(request.last, len(series) - 1)
        if first < last < len(series) and last - first < len(series) - 1 and len(series) > 2 * COLUMNS:
            row["detail"] = _series_json(series, first, last)
    return row


def key_points(text: str, name: str, timeline: Timeline) -> list[dict[str, Any]]:
    """Return the key frames that count, ascending."""
    found: dict[int, dict[str, Any]] = {}
    for entry in entries_of(text, "numbers"):
        frame = key_frame(entry.key, timeline, name)[0] if entry.key else 0
        plain = PLAIN_NUMBER.fullmatch(entry.value)
        found[frame] = {
            "frame": frame,
            "key": entry.key or "0",
            "value": entry.value,
            "number": float(entry.value) if plain else None,
            "easing": _easing(text, entry),
        }
    return [found[frame] for frame in sorted(found)]


def _easing(text: str, entry: TextEntry) -> dict[str, Any] | None:
    if entry.easing_span is None:
        return None
    name, numbers = read_easing(Reading("", text), entry.easing_span)
    return {"name": name, "numbers": numbers, "text": entry.easing}


def _series_json(values: Floats, first: int, last: int) -> dict[str, Any]:
    """Return the values of the frames `first` to `last`, or the lowest and highest of groups of frames.

    Returns:
        `values` of each frame from `first` on (one number if all are equal), or `low` and `high` of each `step` frames.
    """
    part = values[first : last + 1]
    if part.min() == part.max():
        return {"first": first, "last": last, "values": _short(part[:1])}
    if len(part) <= 2 * COLUMNS:
        return {"first": first, "last": last, "values": _short(part)}
    step = -(-len(part) // COLUMNS)
    whole = np.pad(part, (0, -len(part) % step), mode="edge").reshape(-1, step)
    return {
        "first": first,
        "last": last,
        "step": step,
        "low": _short(whole.min(axis=1)),
        "high": _short(whole.max(axis=1)),
    }


def _short(values: Floats) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]


def _ruler(timeline: Timeline) -> dict[str, Any]:
    """Return the frames of beats and bars, up to half a video beyond the end, which may be dragged there; and levels.

    `peaks` has the level of the sound, 0..1, evenly spread from the start of the video to its end, several to a frame.
    Whatever is unknown is empty.
    """
    ruler: dict[str, Any] = {"beats": [], "bars": [], "peaks": []}
    if timeline.sound is None:
        return ruler
    with suppress(SettingsError):
        if timeline.sound.find_levels is not None:
            # A short video is drawn wide, so its frames are too far apart.
            places = np.linspace(0, timeline.frames, min(8 * timeline.frames, 2 * COLUMNS) + 1)
            ruler["peaks"] = [
                round(one, 3) for one in timeline.sound.levels.at("rms", places, timeline.fps).tolist()
            ]
    try:
        beats = timeline.sound.beats
    except SettingsError:
        return ruler
    numbers = beats.within(math.ceil(timeline.frames * 1.5), timeline.fps, MAX_BEATS)
    frames = beats.frame(numbers, timeline.fps)
    return ruler | {"beats": frames.tolist(), "bars": frames[numbers % beats.per_bar == 0].tolist()}


def _prompts(values: Mapping[str, Any], timeline: Timeline) -> dict[str, Any]:
    text = values[PROMPTS]
    try:
        prompts = {
            key_frame(entry.key, timeline, PROMPTS)[0]: entry.value
            for entry in entries_of(str(text), "prompts")
        }
    except DeforumError as error:
        return {"text": text, "bands": [], "problem": str(error)}
    bands = [{"frame": frame, "text": prompts[frame]} for frame in sorted(prompts)]
    return {"text": text, "bands": bands, "problem": ""}


def _motion(plan: Plan | None) -> dict[str, Any]:
    """Return the camera moves of evenly spread frames, for a preview.

    2D moves are homographies (9 numbers) with x and y from -1 to 1 over the image, 3D moves the upper three rows of
    `next_from_prev` (12 numbers); `fov_deg` has the field of view of each.
    """
    if plan is None or not is_moved(plan.settings):
        return {"kind": "none"}
    settings = plan.settings
    frames = np.unique(np.linspace(0, plan.frames - 1, min(MAX_MOVES, plan.frames)).round().astype(int))
    poses = plan.poses
    if is_reversed(settings):
        # The move into a rendered frame undoes the one out of it in the video.
        poses = np.asarray(np.linalg.pinv(poses)[-np.arange(plan.frames)], np.float64)
    poses = poses[frames]
    data = {"frames": frames.tolist(), "aspect": settings.W / settings.H}
    if settings.animation_mode == "3D":
        fovs = plan.schedules.values["fov_schedule"]
        moves = poses[:, :3, :].reshape(len(frames), 12)
        return {"kind": "3D", "moves": _rounded(moves), "fov_deg": _short(fovs[frames]), **data}
    half = np.array([settings.W / 2, settings.H / 2])
    px_from_share = np.array([[half[0], 0, half[0]], [0, half[1], half[1]], [0, 0, 1]])
    flat = poses[:, [0, 1, 3]][:, :, [0, 1, 3]]
    moves = (np.linalg.inv(px_from_share) @ flat @ px_from_share).reshape(len(frames), 9)
    return {"kind": "2D", "moves": _rounded(moves), **data}


def _rounded(moves: Floats) -> list[list[float]]:
    return [[round(one, 7) for one in move] for move in moves.tolist()]
