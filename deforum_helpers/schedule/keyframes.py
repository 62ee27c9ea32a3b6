"""Key frames: the frame number that a key means, and lists of frames for messages."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.expression import parse_expression
from deforum_helpers.schedule.grammar import PLAIN_NUMBER, structure_of, unwrapped
from deforum_helpers.schedule.reading import Reading, Span, shown
from deforum_helpers.schedule.timeline import Timeline

MAX_FRAME = 10**9
MAX_KEY_CHARACTERS = 256


def key_frame(text: str, timeline: Timeline, setting: str) -> tuple[int, tuple[str, ...]]:
    """Return the frame number of a key such as `30`, `"max_f-2"` or `(max_f/4)`, rounded towards zero, and warnings.

    Args:
        text: the key.
        timeline: gives the values of names.
        setting: name of the setting, for messages.

    Raises:
        SettingsError: the key cannot be read, or is not a frame number.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text), ()
    reading = Reading(setting, text, f"key {shown(text)}")
    if not text.strip():
        allowed = "a frame number, or an expression such as max_f/2"
        raise SettingsError([reading.problem(0, messages.EMPTY_TEXT, allowed=allowed)])
    if len(text) > MAX_KEY_CHARACTERS:
        found, allowed = str(len(text)), f"a key of at most {MAX_KEY_CHARACTERS} characters"
        raise SettingsError([reading.problem(0, messages.KEY_TOO_LONG, found=found, allowed=allowed)])
    frame = frame_at(reading, unwrapped(text, Span(0, len(text)), structure_of(reading)), timeline)
    return frame, reading.warnings


def frame_at(reading: Reading, span: Span, timeline: Timeline) -> int:
    """Return the frame number of the key at `span`, which excludes enclosing brackets and quotes.

    Raises:
        SettingsError: as `key_frame`.
    """
    key = reading.text[span.start : span.end]
    if key.isascii() and key.isdigit() and len(key) < 10:
        return int(key)
    expression = parse_expression(reading, span.start, span.end, timeline.key_names, timeline.functions)
    with np.errstate(all="ignore"):
        scope = timeline.constants()
        number = float(expression.at(scope))
        if abs(number) < MAX_FRAME:
            if PLAIN_NUMBER.fullmatch(key) and number != int(number):
                reading.warn(span.start, messages.KEY_ROUNDED(key=key, frame=int(number)))
            return int(number)
        undefined = expression.undefined(scope)
    allowed = f"a frame number below {MAX_FRAME}"
    raise SettingsError(
        [
            reading.problem(
                undefined.place, messages.KEY_OUT_OF_RANGE, found=undefined.account, allowed=allowed
            )
        ]
    )


def named_frames(frames: Iterable[int]) -> str:
    """Return frames as text for a warning: the first five and the number of the others."""
    named = [str(frame) for frame in frames]
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")


def frame_ranges(frames: Iterable[int]) -> str:
    """Return ascending frames as text for a warning, as ranges: the first five and the number of other frames.

    >>> frame_ranges([2, 3, 4, 8])
    'the frames 2-4, 8'
    """
    stretches: list[tuple[int, int]] = []
    for frame in frames:
        joins = bool(stretches) and frame == stretches[-1][1] + 1
        stretches[-1:] = [(stretches[-1][0], frame)] if joins else [*stretches[-1:], (frame, frame)]
    told = [f"{first}" if first == last else f"{first}-{last}" for first, last in stretches]
    word = "the frame" if stretches and stretches[0][0] == stretches[-1][1] else "the frames"
    unsaid = sum(last - first + 1 for first, last in stretches[5:])
    return f"{word} {', '.join(told[:5])}" + (f" and {unsaid} more" if unsaid else "")
