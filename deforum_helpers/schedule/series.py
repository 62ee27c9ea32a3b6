"""Schedules expanded to one value per frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.easing import Easing, apply_easings, read_easing
from deforum_helpers.schedule.evaluation import Evaluation, Floats
from deforum_helpers.schedule.expression import MAX_MAGNITUDE, Expression, parse_expression
from deforum_helpers.schedule.grammar import (
    PLAIN_NUMBER,
    Entry,
    Structure,
    check_value_length,
    plain_entries,
    read_entries,
    unwrapped,
)
from deforum_helpers.schedule.keyframes import frame_at, named_frames
from deforum_helpers.schedule.reading import Reading, Span, shown
from deforum_helpers.schedule.timeline import Timeline

MAX_NODES = 60_000

T = TypeVar("T")


@dataclass(frozen=True)
class NumericSeries:
    """A schedule of numbers.

    Args:
        values: float64, shape (frames,), read-only.
        key_frames: the key frames within the run, ascending.
        warnings: sentences about lenient readings.
    """

    values: Floats
    key_frames: tuple[int, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StringSeries:
    """A schedule of texts: one value per frame, the key frames within the run, warnings."""

    values: tuple[str, ...]
    key_frames: tuple[int, ...]
    warnings: tuple[str, ...] = ()


def numeric_series(text: str, timeline: Timeline, setting: str) -> NumericSeries:
    """Expand a schedule of numbers to one number per frame.

    After a plain number, values are linear up to the next key frame; an expression is evaluated at every frame up to
    the next key frame. `0: (1), 4: (3)` gives 1, 1.5, 2, 2.5, 3, 3, ... If the next key frame has an easing, the values
    run by that easing from the value at this key frame: `0: (1), 4: (3) ~ease_in` gives 1, 1.125, 1.5, 2.125, 3, ...

    Args:
        text: the schedule.
        timeline: the frames, and the values of names in expressions.
        setting: name of the setting, for messages.

    Raises:
        SettingsError: the text cannot be read, or a value is not a finite number up to 2**53.
    """
    reading = Reading(setting, text)
    points: Mapping[int, float | Expression] | None = plain_entries(text)
    easings: dict[int, Easing] = {}
    if points is None:
        points, easings = _numeric_points(reading, timeline)
        reading.finish()
    used = points_in_range(reading, points, timeline.frames)
    values = _expanded(reading, used, easings, timeline)
    reading.finish()
    values.flags.writeable = False
    inside = tuple(frame for frame in used if 0 <= frame < timeline.frames)
    return NumericSeries(values, inside, reading.warnings)


def string_series(text: str, timeline: Timeline, setting: str) -> StringSeries:
    """Expand a schedule of texts, each held until the next key frame.

    Brackets and quotes around a value are removed, those inside stay. A plain number repeats the previous value.

    Args:
        text: the schedule, such as `0: ("Euler a"), 30: (DDIM)`.
        timeline: the frames, and the values of names in key frames.
        setting: name of the setting, for messages.

    Raises:
        SettingsError: the text cannot be read.
    """
    reading = Reading(setting, text)
    points = _string_points(reading, timeline)
    reading.finish()
    used = points_in_range(reading, points, timeline.frames)
    ends = [*list(used)[1:], timeline.frames]
    values: list[str] = []
    for (frame, span), end in zip(used.items(), ends, strict=True):
        value = text[span.start : span.end]
        if PLAIN_NUMBER.fullmatch(value):
            if not values:
                found, allowed = (
                    f"the number {shown(value)}",
                    "a name; a number only repeats the name before it",
                )
                raise SettingsError(
                    [
                        reading.problem(
                            span.start, messages.NUMBER_FOR_NAME, found=found, allowed=allowed, frame=frame
                        )
                    ]
                )
            value = values[-1]
        values.extend([value] * (end - len(values)))
    inside = tuple(frame for frame in used if 0 <= frame < timeline.frames)
    return StringSeries(tuple(values), inside, reading.warnings)


def points_in_range(reading: Reading, points: Mapping[int, T], frames: int) -> dict[int, T]:
    """Return the key frames within the video, ascending; a warning names the others.

    If all key frames lie outside 0 .. `frames` - 1, the next one after the video (else the last one before it) is
    returned, and its value applies to all frames.
    """
    ordered = sorted(points)
    inside = [frame for frame in ordered if 0 <= frame < frames]
    if len(inside) < len(ordered):
        outside = named_frames(frame for frame in ordered if not 0 <= frame < frames)
        reading.warn(None, messages.KEYS_OUTSIDE(last=frames - 1, frames=outside))
    if not inside:
        inside = [frame for frame in ordered if frame >= frames][:1] or ordered[-1:]
    if inside[0] != 0:
        reading.warn(None, messages.NO_KEY_AT_ZERO(frame=inside[0]))
    return {frame: points[frame] for frame in inside}


def _by_frame(
    reading: Reading, entries: list[Entry], structure: Structure, timeline: Timeline
) -> dict[int, Entry]:
    """Return the entries by key frame; of repeated key frames the last one counts."""
    found: dict[int, Entry] = {}
    for entry in entries:
        try:
            frame = 0
            if entry.frame is not None:
                frame = frame_at(reading, unwrapped(reading.text, entry.frame, structure), timeline)
        except SettingsError as error:
            reading.refuse(*error.problems)
            continue
        if frame in found:
            reading.warn(entry.value.start, messages.KEY_GIVEN_AGAIN(frame=frame))
        if not reading.text[entry.value.start : entry.value.end].strip():
            reading.refuse(
                reading.problem(
                    entry.value.start, messages.VALUE_MISSING, allowed="a value after ':'", frame=frame
                )
            )
        elif check_value_length(reading, entry.value, frame):
            found[frame] = entry
    return found


def _string_points(reading: Reading, timeline: Timeline) -> dict[int, Span]:
    entries, structure = read_entries(reading, words=True)
    keyed = _by_frame(reading, entries, structure, timeline)
    return {frame: unwrapped(reading.text, entry.value, structure) for frame, entry in keyed.items()}


def _numeric_points(
    reading: Reading, timeline: Timeline
) -> tuple[dict[int, float | Expression], dict[int, Easing]]:
    """Return the values and the easings by key frame."""
    entries, structure = read_entries(reading, words=False)
    points: dict[int, float | Expression] = {}
    easings: dict[int, Easing] = {}
    nodes = 0
    for frame, (_, span, easing) in _by_frame(reading, entries, structure, timeline).items():
        inner = unwrapped(reading.text, span, structure)
        _warn_of_trailing_text(reading, inner, span, structure)
        try:
            if easing is not None:
                easings[frame] = read_easing(reading, easing, frame)
            point = _number_or_expression(reading, inner, frame, timeline)
        except SettingsError as error:
            reading.refuse(*error.problems)
            continue
        points[frame] = point
        nodes += point.nodes if isinstance(point, Expression) else 0
        if nodes > MAX_NODES:
            allowed = f"at most {MAX_NODES} numbers, names and operations in all"
            message = messages.EXPRESSION_TOO_LARGE
            raise SettingsError(
                [reading.problem(span.start, message, found="more", allowed=allowed, frame=frame)]
            )
    return points, easings


def _warn_of_trailing_text(reading: Reading, inner: Span, span: Span, structure: Structure) -> None:
    text = reading.text
    if _CUT_NUMBER.fullmatch(text[inner.start : inner.end]):
        return
    closing = structure.closing.get(inner.start)
    if closing is not None and text[span.start : inner.start].strip() == "" and closing < inner.end - 1:
        reading.warn(closing + 1, messages.TEXT_AFTER_BRACKET())


def _number_or_expression(reading: Reading, span: Span, frame: int, timeline: Timeline) -> float | Expression:
    text = reading.text[span.start : span.end]
    if PLAIN_NUMBER.fullmatch(text) and abs(float(text)) <= MAX_MAGNITUDE:
        return float(text)
    if _CUT_NUMBER.fullmatch(text):
        reading.warn(span.start, messages.CUT_NUMBER(text=shown(text), number=text.translate(_NO_BRACKETS)))
        return float(text.translate(_NO_BRACKETS))
    expression = parse_expression(
        reading,
        span.start,
        span.end,
        timeline.names,
        timeline.functions,
        frame=frame,
        close_brackets=True,
    )
    cleaned = text.translate(_NO_BRACKETS).strip()
    return float(cleaned) if PLAIN_NUMBER.fullmatch(cleaned) else expression


_CUT_NUMBER = re.compile(r"\([+-]?[0-9]{1,15}\)\.[0-9]{1,15}")  # 0: (1).5
_NO_BRACKETS = str.maketrans("", "", "()'\"")


def _expanded(
    reading: Reading,
    points: dict[int, float | Expression],
    easings: Mapping[int, Easing],
    timeline: Timeline,
) -> Floats:
    """Return one value per frame: numbers and evaluated expressions, linear or eased across gaps.

    Gaps are the frames after a plain number, those before an easing, and those where an expression is undefined.
    """
    if any(isinstance(point, Expression) for point in points.values()):
        values = _evaluated(reading, points, easings, timeline)
    else:
        values = _linear(np.array([*points]), np.array([*points.values()], float), timeline.frames)
    if easings:
        keys = [frame for frame in points if 0 <= frame < timeline.frames]
        if easing := easings.get(next(iter(points))):
            reading.warn(
                None, messages.EASING_WITHOUT_START(frame=next(iter(points)), easing=f"~{easing.name}")
            )
        apply_easings(values, keys, easings)
    return values


def _linear(known: np.ndarray, found: Floats, frames: int) -> Floats:
    """Return one value per frame: linear between the ascending frames `known`, constant before and after them."""
    values = np.full(frames, found[-1])
    if len(known) > 1:
        last = int(known[-1])
        values[:last] = np.interp(np.arange(last), known, found)
    return values


def _evaluated(
    reading: Reading,
    points: Mapping[int, float | Expression],
    easings: Mapping[int, Easing],
    timeline: Timeline,
) -> Floats:
    """Return one value per frame, linear across the gaps; no easing is applied yet."""
    ends = [*list(points)[1:], timeline.frames]
    values = np.full(timeline.frames, np.nan)
    undefined: dict[int, Expression] = {}
    evaluation = Evaluation(timeline)
    for (frame, point), end in zip(points.items(), ends, strict=True):
        inside = 0 <= frame < timeline.frames
        if not isinstance(point, Expression):
            values[frame if inside else slice(None)] = point
            continue
        end = frame + 1 if end in easings or not inside else end
        found = evaluation.values(reading, point, frame, end)
        values[slice(frame, end) if inside else slice(None)] = found
        undefined |= dict.fromkeys((frame + np.flatnonzero(np.isnan(found))).tolist(), point)
    known = np.flatnonzero(~np.isnan(values))
    if not known.size:
        first = min(undefined)
        evaluation.refuse(reading, undefined[first], first)
        return values
    _warn_of_gaps(reading, evaluation, undefined)
    return values if known.size == timeline.frames else _linear(known, values[known], timeline.frames)


def _warn_of_gaps(reading: Reading, evaluation: Evaluation, undefined: Mapping[int, Expression]) -> None:
    """Add one warning per expression that names the frames where it is undefined."""
    frames: dict[int, list[int]] = {}
    for frame, expression in undefined.items():
        frames.setdefault(id(expression), []).append(frame)
    for bad in frames.values():
        evaluation.warn_of_gaps(reading, undefined[bad[0]], bad)
