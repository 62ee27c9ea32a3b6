"""Easings: how a schedule of numbers runs to a key frame, written after its value as in `30: (2) ~ease_in_out`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.easing import CURVES, Floats, bezier
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import Message
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.reading import Reading, Span, shown

MARK = "~"
BEZIER = "bezier"
MOST_BEZIER_Y = 100.0
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})")
_WRITTEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)(?:\s*\(([^()]*)\))?\s*")
_OPERAND_END = re.compile(r"""[A-Za-z0-9_.)"']""")


class Easing(NamedTuple):
    """An easing: its name, and the control points x1, y1, x2, y2 of a Bézier curve."""

    name: str
    numbers: tuple[float, ...] = ()


def _cubic_slopes(lengths: Floats, rises: Floats) -> Floats:
    """Slope at each inner key frame of the parabola through it and its neighbors."""
    before, after = lengths[:-1], lengths[1:]
    return (after * rises[:-1] + before * rises[1:]) / (before + after)


def _monotone_slopes(lengths: Floats, rises: Floats) -> Floats:
    """Weighted harmonic mean of the slopes on both sides, 0 at extremes: no overshoot (Fritsch and Butland, 1984)."""
    before, after = lengths[:-1], lengths[1:]
    weights = 2 * after + before, after + 2 * before
    turns = rises[:-1] * rises[1:] <= 0
    safe = np.where(turns, 1.0, rises[:-1]), np.where(turns, 1.0, rises[1:])
    return np.where(turns, 0.0, sum(weights) / (weights[0] / safe[0] + weights[1] / safe[1]))


# Slopes of a cubic curve at the inner key frames, (N - 2,) per frame, by the lengths of the N - 1 stretches in frames
# and their slopes. At the first and the last key frame the slope is 0, as the value is constant beyond them.
SPLINES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "cubic": _cubic_slopes,
    "monotone": _monotone_slopes,
}

NAMES = (*CURVES, *SPLINES, BEZIER)


def split_easing(text: str, value: Span) -> tuple[Span, Span | None]:
    """Return the span of a value without its easing, and the span of the easing without its mark, or None.

    A `~` directly after an operand is no operator of expressions, so it can only begin an easing.
    """
    mark = text.rfind(MARK, value.start, value.end)
    if mark < 0:
        return value, None
    match = _WRITTEN.fullmatch(text, mark + 1, value.end)
    before = mark
    while before > value.start and text[before - 1].isspace():
        before -= 1
    if match is None or before == value.start or not _OPERAND_END.match(text, before - 1):
        return value, None
    end = value.end
    while text[end - 1].isspace():
        end -= 1
    return Span(value.start, before), Span(match.start(1), end)


def read_easing(reading: Reading, span: Span, frame: int | None = None) -> Easing:
    """Parse the easing at `span`, as `split_easing` returns it.

    Raises:
        SettingsError: an unknown name, or arguments that it does not take.
    """

    def refuse(message: Message, found: str, allowed: str) -> NoReturn:
        raise SettingsError([reading.problem(span.start, message, found=found, allowed=allowed, frame=frame)])

    match = _WRITTEN.fullmatch(reading.text, span.start, span.end)
    name, arguments = (match[1], match[2]) if match else (reading.text[span.start : span.end], None)
    if name not in NAMES:
        refuse(messages.UNKNOWN_EASING, shown(name), "one of the easings " + ", ".join(NAMES))
    if name != BEZIER:
        if arguments is not None:
            refuse(messages.EASING_ARGUMENTS, f"{name} with brackets", f"~{name} without brackets")
        return Easing(name)
    allowed = f"~bezier(x1, y1, x2, y2) with x from 0 to 1 and y from -{MOST_BEZIER_Y:g} to {MOST_BEZIER_Y:g}"
    words = [] if arguments is None else [word.strip() for word in arguments.split(",")]
    numbers = tuple(float(word) for word in words if _NUMBER.fullmatch(word))
    fits = len(numbers) == len(words) == 4
    if not fits or not all(0 <= x <= 1 for x in numbers[::2]) or max(map(abs, numbers)) > MOST_BEZIER_Y:
        refuse(messages.EASING_ARGUMENTS, shown(reading.text[span.start : span.end]), allowed)
    return Easing(name, numbers)


def apply_easings(values: Floats, keys: Sequence[int], easings: Mapping[int, Easing]) -> None:
    """Replace the values between key frames by those of the easings.

    Each easing runs from the value at the previous key frame to the value at its own; both stay.

    Args:
        values: (frames,) one value per frame, changed in place.
        keys: the key frames, ascending, all within the frames.
        easings: easing by its key frame.
    """
    slopes: dict[str, Floats] = {}
    places = np.array(keys)
    for number, (first, last) in enumerate(pairwise(keys)):
        easing = easings.get(last)
        if easing is None or last - first < 2:
            continue
        u = np.arange(1, last - first) / (last - first)
        begin, end = values[first], values[last]
        if easing.name in SPLINES:
            if easing.name not in slopes:
                slopes[easing.name] = _slopes(easing.name, places, values[places])
            ends = slopes[easing.name][number : number + 2] * (last - first)
            bends = u * (1 - u) ** 2 * ends[0] - u**2 * (1 - u) * ends[1]
            values[first + 1 : last] = begin + (end - begin) * u**2 * (3 - 2 * u) + bends
            continue
        share = bezier(u, *easing.numbers) if easing.name == BEZIER else CURVES[easing.name](u)
        values[first + 1 : last] = begin + (end - begin) * share


def _slopes(name: str, places: npt.NDArray[np.int64], values: Floats) -> Floats:
    slopes = np.zeros(len(places))
    lengths = np.diff(places).astype(np.float64)
    slopes[1:-1] = SPLINES[name](lengths, np.diff(values) / lengths)
    return slopes
