"""The text of a camera path: `0: orbit(1.5, 90) ~ease_in_out, 60: truck(0.5) + look_at(0, 0, 2)`.

Entries are written as in schedules. A value is one move or a sum of moves, each a name with arguments in brackets, and
an easing after `~`. Arguments are numbers, by position or by name; `file` has the quoted path or address of a camera
file first. A text without moves is such a file alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from deforum_helpers.camera import messages as camera_messages
from deforum_helpers.camera.path import ALIASES, EASINGS, MOVES, SETTING, Entry, Move
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import pasted_path
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.grammar import read_entries, unwrapped
from deforum_helpers.schedule.keyframes import frame_at
from deforum_helpers.schedule.reading import Reading, Span, shown
from deforum_helpers.schedule.timeline import Timeline

FILE_ENDINGS = (".json", ".gltf", ".glb", ".txt")
MOST_MOVES = 20

_MOVE = re.compile(r"[A-Za-z_]+ ?\(")
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"""|(?P<text>"[^"]*"|'[^']*')|(?P<mark>[(),+=~]))"""
)
_NAMES_OF_FILE = ("camera", "animation")


def camera_entries(text: str, timeline: Timeline) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Return the entries of a path in ascending order, and warnings.

    Args:
        text: not empty.
        timeline: gives the values of names in keys, such as `max_f`.

    Raises:
        SettingsError: with the problems of the text.
    """
    if is_file(text):
        source = pasted_path(text)
        return (Entry(0, (Move("file", (1.0, 0.0), source),)),), ()
    reading = Reading(SETTING, text)
    found, structure = read_entries(reading, words=True)
    entries: dict[int, Entry] = {}
    for frame_span, value, _ in found:
        try:
            frame = 0
            if frame_span is not None:
                frame = frame_at(reading, unwrapped(text, frame_span, structure), timeline)
            if frame in entries or frame < 0:
                place = (frame_span or value).start
                allowed = "each frame once, 0 or later"
                reading.refuse(
                    reading.problem(
                        place,
                        messages.KEY_OUT_OF_RANGE,
                        found=f"frame {frame} again" if frame >= 0 else str(frame),
                        allowed=allowed,
                    )
                )
                continue
            entries[frame] = _Value(reading, unwrapped(text, value, structure), frame).entry()
        except SettingsError as error:
            reading.refuse(*[problem for problem in error.problems if problem not in reading.problems])
    reading.finish()
    return tuple(entries[frame] for frame in sorted(entries)), reading.warnings


def is_file(text: str) -> bool:
    """Tell whether a path is the name of a file alone: it ends as camera files do, or contains no move."""
    stripped = pasted_path(text)
    values = (value.lstrip("( \t\r\n") for value in stripped.split(":"))
    return stripped.casefold().endswith(FILE_ENDINGS) or not any(map(_MOVE.match, values))


class _Value:
    """Parses the value of one entry: a recursive descent without recursion, as moves are not nested."""

    def __init__(self, reading: Reading, span: Span, frame: int) -> None:
        self._reading, self._span, self._frame = reading, span, frame
        self._place = span.start
        self._next()

    def entry(self) -> Entry:
        moves = [self._move()]
        while self._mark("+"):
            moves.append(self._move())
            if len(moves) > MOST_MOVES:
                raise self._unexpected(f"at most {MOST_MOVES} moves")
        easing = "linear"
        if self._mark("~"):
            easing = self._name(EASINGS, "easing")
        if self._kind:
            raise self._unexpected("a comma before the next entry, + or ~")
        return Entry(self._frame, tuple(moves), easing)

    def _move(self) -> Move:
        name = self._name((*MOVES, *ALIASES), "move")
        name = ALIASES.get(name, name)
        parameters = MOVES[name].parameters
        values: dict[str, float] = {}
        texts: dict[str, str] = {}
        if not self._mark("("):
            raise self._unexpected(f"( after {name}")
        if name == "file":
            texts["source"] = self._text("the path of a camera file in quotes")
            if self._kind and self._token != ")" and not self._mark(","):
                raise self._unexpected(", or )")
        while not self._mark(")"):
            self._argument(name, values, texts)
            if not self._mark(",") and self._token != ")":
                raise self._unexpected(", or )")
        missing = [key for key, one in parameters.items() if one.default is None and key not in values]
        if missing:
            written = ", ".join(parameters)
            raise self._unexpected(f"{name}({written}) with {' and '.join(missing)}")
        numbers = tuple(values.get(key, one.default or 0.0) for key, one in parameters.items())
        return Move(name, numbers, **texts)

    def _argument(self, move: str, values: dict[str, float], texts: dict[str, str]) -> None:
        parameters = MOVES[move].parameters
        allowed = (*parameters, *(_NAMES_OF_FILE if move == "file" else ()))
        key = ""
        if self._kind == "name":
            key = self._name(allowed, f"argument of {move}")
            if not self._mark("="):
                raise self._unexpected(f"= after {key}")
        elif move == "file":
            raise self._unexpected(f"one of {', '.join(allowed)} with = after it")
        else:
            key = next((one for one in parameters if one not in values), "")
        if key in _NAMES_OF_FILE:
            texts[key] = self._text("a name in quotes")
            return
        if not key or key in values:
            raise self._unexpected(f"{move}({', '.join(parameters)})")
        if self._kind != "number":
            raise self._unexpected("a number")
        number, bounds = float(self._token), parameters[key]
        if not math.isfinite(number) or not bounds.low <= number <= bounds.high:
            found, expected = f"{number:g}", f"{bounds.low:g} to {bounds.high:g}"
            message = camera_messages.PATH_VALUE(
                setting=SETTING, frame=self._frame, name=key, move=move, found=found, allowed=expected
            )
            raise SettingsError([Problem(message, SETTING, self._frame, found=found, allowed=expected)])
        values[key] = number
        self._next()

    def _name(self, allowed: Iterable[str], what: str) -> str:
        names = list(allowed)
        if self._kind != "name" or self._token not in names:
            raise self._unexpected(f"a {what} ({', '.join(names)})" if names else f"no {what}")
        name = self._token
        self._next()
        return name

    def _text(self, expected: str) -> str:
        if self._kind != "text" or not self._token[1:-1].strip():
            raise self._unexpected(expected)
        text = self._token[1:-1]
        self._next()
        return text

    def _mark(self, mark: str) -> bool:
        if self._kind != "mark" or self._token != mark:
            return False
        self._next()
        return True

    def _next(self) -> None:
        text, end = self._reading.text, self._span.end
        match = _TOKEN.match(text, self._place, end)
        if match is not None and match.lastgroup is not None:
            self._kind, self._token = match.lastgroup, match[match.lastgroup]
            self._at, self._place = match.start(match.lastgroup), match.end()
            return
        rest = text[self._place : end].strip()
        self._at = end - len(text[self._place : end].lstrip()) if rest else end
        self._kind, self._token = ("unknown" if rest else ""), rest
        self._place = end

    def _unexpected(self, allowed: str) -> SettingsError:
        found = shown(self._token) if self._kind else "the end"
        return SettingsError(
            [
                self._reading.problem(
                    self._at, messages.UNEXPECTED_TOKEN, found=found, allowed=allowed, frame=self._frame
                )
            ]
        )
