"""Key frames: the frame number that a key means, and lists of frames for messages."""

from __future__ import annotations

import math
import re
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
_TIMED = re.compile(r"([+-]?)([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})[ \t]{0,9}(s|b|bars?|%)")
# A key such as 0-30 is how a frame before frame 0 is written.
_RANGE = re.compile(r"0{0,8}[1-9][0-9]{0,8}[ \t]{0,9}-[ \t]{0,9}[0-9]{1,9}")
_FROM_END = re.compile(r"-[ \t]{0,9}([0-9]{1,9}(?:\.[0-9]{0,9})?)")


def key_frame(text: str, timeline: Timeline, setting: str) -> tuple[int, tuple[str, ...]]:
    """Return the frame number of a key, and warnings.

    | key                        | frame                                                              |
    |----------------------------|--------------------------------------------------------------------|
    | `30`, `max_f-2`, `max_f/4` | the number, rounded towards zero                                   |
    | `-10`                      | 10 frames before the end of the video: -1 is the last frame        |
    | `2.5s`                     | the nearest to 2.5 seconds                                         |
    | `8b`, `2bar`               | the one that this beat, or the first beat of this bar, falls on, counted from 0 |
    | `50%`                      | the nearest to half of the way to the last frame                   |

    Before a unit a minus means from the end, too. A negative result of a formula lies before frame 0.

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
    if timed := _TIMED.fullmatch(key):
        return _timed_frame(reading, span, timed, timeline)
    expression = parse_expression(reading, span.start, span.end, timeline.key_names, timeline.functions)
    with np.errstate(all="ignore"):
        scope = timeline.constants()
        number = float(expression.at(scope))
        if number < 0 and _FROM_END.fullmatch(key):
            number += timeline.frames
        if abs(number) < MAX_FRAME:
            if PLAIN_NUMBER.fullmatch(key) and number != int(number):
                reading.warn(span.start, messages.KEY_ROUNDED(key=key, frame=int(number)))
            if number < 0 and _RANGE.fullmatch(key):
                reading.warn(span.start, messages.KEY_LIKE_RANGE(key=key, frame=int(number)))
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


def _timed_frame(reading: Reading, span: Span, timed: re.Match[str], timeline: Timeline) -> int:
    """Return the frame of a key with a unit.

    Raises:
        SettingsError: the key is in beats, but neither a tempo nor a sound gives them; or it is out of range.
    """
    sign, digits, unit = timed.groups()
    number, from_end = float(digits), sign == "-"
    if unit == "s":
        frame = _nearest(timeline.frames - number * timeline.fps if from_end else number * timeline.fps)
    elif unit == "%":
        frame = _nearest((100 - number if from_end else number) / 100 * timeline.max_f)
    else:
        if timeline.sound is None:
            found, allowed = f"{timed[0]} in beats", "a tempo in bpm, or a sound in audio_path"
            raise SettingsError(
                [reading.problem(span.start, messages.BEATS_UNKNOWN, found=found, allowed=allowed)]
            )
        beats = timeline.sound.beats
        beat = number if unit == "b" else number * beats.per_bar
        beat = float(beats.count(timeline.frames, timeline.fps)) - beat if from_end else beat
        frame = int(beats.frame(beat, timeline.fps))
    if abs(frame) < MAX_FRAME:
        return frame
    found, allowed = f"frame {frame}", f"a frame number below {MAX_FRAME}"
    raise SettingsError(
        [reading.problem(span.start, messages.KEY_OUT_OF_RANGE, found=found, allowed=allowed)]
    )


def _nearest(frame: float) -> int:
    return math.floor(frame + 0.5)


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
