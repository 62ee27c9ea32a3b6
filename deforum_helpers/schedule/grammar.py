"""The grammar of schedules: key frames and their values, read leniently where a mistake has one evident meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.easing import MARK, split_easing
from deforum_helpers.schedule.expression import MAX_CHARACTERS, MAX_MAGNITUDE
from deforum_helpers.schedule.reading import Reading, Span, shown

_TRAILING_FRAME = re.compile(r"""(?<=[\s)"'])(?:[0-9]{1,9}|"[^"]*"|'[^']*')\Z""")
_TRAILING_NAME = re.compile(r"(?<=\))\s*([A-Za-z_][^()]*)\Z")
_LONGEST_FRAME = 64
_BLANKS_AND_QUOTES = " \t\r\n'\""


def repeats_frame(text: str, frame: Span, middle: Span) -> bool:
    """Return whether `middle` repeats the frame, as in `0: 0: (1)`."""
    again = text[middle.start : middle.end].strip(_BLANKS_AND_QUOTES)
    return bool(again) and again == text[frame.start : frame.end].strip(_BLANKS_AND_QUOTES)


def frame_pair(text: str, frame: Span, middle: Span) -> tuple[int, int] | None:
    """Return both numbers if `middle` is a plain frame too, as in `0: 4: (1)`, else None."""
    both = [text[span.start : span.end].strip(_BLANKS_AND_QUOTES) for span in (frame, middle)]
    if not all(re.fullmatch("[0-9]{1,9}", one) for one in both):
        return None
    return int(both[0]), int(both[1])


def missing_comma(text: str, middle: Span, words: bool) -> int | None:
    """Return the index of a key frame that begins inside a value because a comma is missing, or None."""
    end = middle.end
    while end > middle.start and text[end - 1].isspace():
        end -= 1
    start = max(middle.start, end - _LONGEST_FRAME)
    match = _TRAILING_FRAME.search(text, start, end)
    if match is None and not words:
        match = _TRAILING_NAME.search(text, start, end)
    if match is None or not text[middle.start : match.start()].strip():
        return None
    return match.start(match.lastindex or 0)


MAX_TEXT = 2_000_000
MAX_KEY_FRAMES = 100_000
MAX_MARKS = 60_000
MAX_NESTING = 100
_ENTRY = "frame: (value), as in 0: (1)"

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
PLAIN_NUMBER = re.compile(_NUMBER)
_PLAIN_ENTRY = re.compile(rf"\s*([0-9]{{1,9}})\s*:\s*(?:\(\s*({_NUMBER})\s*\)|({_NUMBER}))\s*(?:,|\Z)")
_MARK = re.compile(r"""[(),:'"]""")
_CLOSING_QUOTE = {quote: re.compile(rf"{quote}(?=\s*(?:[),:]|\Z))") for quote in "'\""}


class Entry(NamedTuple):
    """A key frame, its value and its easing; `frame` is None if the whole text is a value.

    `easing` excludes its mark `~`. Values that are names or texts have none.
    """

    frame: Span | None
    value: Span
    easing: Span | None = None


@dataclass(frozen=True)
class Structure:
    """The brackets and separators of a text, by index.

    Args:
        closing: opening bracket -> its closing bracket.
        unclosed: opening brackets without a closing one.
        stray: closing brackets without an opening one.
        separators: commas and colons outside all brackets and quotes, as (index, character).
    """

    closing: dict[int, int]
    unclosed: frozenset[int]
    stray: frozenset[int]
    separators: tuple[tuple[int, str], ...]


def plain_entries(text: str) -> dict[int, float] | None:
    """Return the numbers by frame if the text consists of well-formed `frame: (number)` entries, else None.

    The fast path for most schedules. Also None if a frame is repeated, which the full grammar warns about.
    """
    text = text.rstrip()
    numbers: dict[int, float] = {}
    count = place = 0
    while (match := _PLAIN_ENTRY.match(text, place)) and count < MAX_KEY_FRAMES:
        frame, bracketed, bare = match.groups()
        numbers[int(frame)] = float(bracketed or bare)
        place = match.end()
        count += 1
    if not count or place != len(text) or len(numbers) != count:
        return None
    return numbers if max(map(abs, numbers.values())) <= MAX_MAGNITUDE else None


def read_entries(reading: Reading, *, words: bool) -> tuple[list[Entry], Structure]:
    """Split a schedule into key frames and values.

    Args:
        reading: the text; problems and warnings are added to it.
        words: whether values are names or texts, which may contain commas and colons without quotes.

    Raises:
        SettingsError: the text is empty or too long.
    """
    _check_size(reading)
    structure = structure_of(reading)
    for place in sorted(structure.unclosed):
        reading.warn(place, messages.UNCLOSED_BRACKET())
    for place in sorted(structure.stray):
        reading.warn(place, messages.STRAY_BRACKET())
    if not any(character == ":" for _, character in structure.separators):
        reading.warn(None, messages.FRAME_MISSING(value=shown(reading.text.strip())))
        entries = [Entry(None, Span(0, len(reading.text)))]
    else:
        entries = []
        for chunk in _chunks(reading, structure):
            _read_chunk(reading, chunk, entries, words)
    if not words and MARK in reading.text:
        entries = [Entry(entry.frame, *split_easing(reading.text, entry.value)) for entry in entries]
    return entries, structure


def _check_size(reading: Reading) -> None:
    text = reading.text
    if not text.strip():
        raise SettingsError([reading.problem(0, messages.EMPTY_TEXT, allowed=_ENTRY)])
    if len(text) > MAX_TEXT:
        allowed = f"at most {MAX_TEXT} characters"
        raise SettingsError(
            [reading.problem(0, messages.TEXT_TOO_LONG, found=str(len(text)), allowed=allowed)]
        )
    marks = sum(map(text.count, "(),:'\""))
    if marks > MAX_MARKS:
        found = f"{marks} brackets, quotes, commas and colons"
        allowed = f"at most {MAX_MARKS}, or {MAX_KEY_FRAMES} key frames that are all plain numbers"
        raise SettingsError([reading.problem(0, messages.TOO_MANY_MARKS, found=found, allowed=allowed)])


def structure_of(reading: Reading) -> Structure:
    """Find brackets, quotes and separators in one pass; an unclosed bracket encloses nothing.

    Raises:
        SettingsError: more than `MAX_NESTING` brackets are open at once, or have no opening bracket.
    """
    text = reading.text
    marks: list[tuple[int, str]] = []
    closing: dict[int, int] = {}
    opened: list[int] = []
    stray: list[int] = []
    quotes = _Quotes(text)
    for match in _MARK.finditer(text):
        place, character = match.start(), match[0]
        if place < quotes.end:
            continue
        if character in "'\"":
            quotes.open(place)
            continue
        if character == "(":
            opened.append(place)
        elif character == ")" and opened:
            closing[opened.pop()] = place
        elif character == ")":
            stray.append(place)
        if len(opened) > MAX_NESTING or len(stray) > MAX_NESTING:
            allowed = f"at most {MAX_NESTING} brackets without their partner so far"
            found = "more"
            raise SettingsError(
                [reading.problem(place, messages.UNBALANCED_BRACKETS, found=found, allowed=allowed)]
            )
        marks.append((place, character))
        quotes.begin = place + 1 if character != ")" else None
    return Structure(closing, frozenset(opened), frozenset(stray), tuple(_outer(marks, closing)))


class _Quotes:
    """Distinguishes quotes around a text from apostrophes in it.

    A quote opens a text where a frame or a value may begin, and closes it where either may end.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._hopeless = ""
        self.begin: int | None = 0
        self.end = 0

    def open(self, place: int) -> None:
        """Set `end` to the end of the quoted text that begins at `place`, if there is one."""
        begin, self.begin = self.begin, None
        quote = self._text[place]
        if begin is None or quote in self._hopeless or self._text[begin:place].strip():
            return
        match = _CLOSING_QUOTE[quote].search(self._text, place + 1)
        if match is None:
            self._hopeless += quote
        else:
            self.end = match.end()


def _outer(marks: list[tuple[int, str]], closing: dict[int, int]) -> Iterator[tuple[int, str]]:
    resume = 0
    for place, character in marks:
        if place < resume:
            continue
        if character in ",:":
            yield place, character
        elif character == "(":
            resume = closing.get(place, place)


def _chunks(reading: Reading, structure: Structure) -> Iterator[list[int]]:
    """Yield start, colons and end of each entry between two commas."""
    chunk = [0]
    for place, character in structure.separators:
        chunk.append(place)
        if character == ",":
            if reading.text[chunk[0] : place].strip():
                yield chunk
            else:
                reading.warn(place, messages.EMPTY_ENTRY())
            chunk = [place + 1]
    chunk.append(len(reading.text))
    if reading.text[chunk[0] :].strip():
        yield chunk


def _read_chunk(reading: Reading, chunk: list[int], entries: list[Entry], words: bool) -> None:
    start, *colons, end = chunk
    if not colons:
        if words and entries:
            reading.warn(start - 1, messages.COMMA_IN_VALUE())
            entries[-1] = entries[-1]._replace(value=Span(entries[-1].value.start, end))
        else:
            place = _first_place(reading.text, start, end)
            found = shown(reading.text[place:end].strip())
            reading.refuse(reading.problem(place, messages.NOT_A_KEY_FRAME, found=found, allowed=_ENTRY))
        return
    frame, value_start = Span(start, colons[0]), colons[0] + 1
    inside = 0  # colons in the value: with one it is neither blank nor a frame, and needs no further check
    for colon in colons[1:]:
        middle = Span(value_start, colon)
        if not inside and repeats_frame(reading.text, frame, middle):
            reading.warn(colon, messages.FRAME_REPEATED())
            value_start = colon + 1
            continue
        if following := missing_comma(reading.text, middle, words):
            reading.warn(following, messages.COMMA_MISSING())
            entries.append(Entry(frame, Span(value_start, following)))
            frame, value_start, inside = Span(following, colon), colon + 1, 0
        elif not words and (pair := frame_pair(reading.text, frame, middle)):
            earlier, later = pair
            if earlier > later:
                reading.warn(colon, messages.EXTRA_VALUE(frame=earlier, value=later))
                end = colon
                break
            reading.warn(frame.start, messages.KEY_WITHOUT_VALUE(frame=earlier))
            frame, value_start = middle, colon + 1
        elif words and (inside or reading.text[value_start:colon].strip()):
            inside += 1
        else:
            allowed = "a comma between two key frames"
            reading.refuse(
                reading.problem(colon, messages.SECOND_COLON, found="a second ':'", allowed=allowed)
            )
            return
    entries.append(Entry(frame, Span(value_start, end)))


def _first_place(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def unwrapped(text: str, span: Span, structure: Structure) -> Span:
    """Return the span without blanks, brackets and quotes that enclose all of it.

    Quoted text is not changed; brackets that are part of the value stay.
    """
    start, end = span
    while True:
        start = _first_place(text, start, end)
        while end > start and text[end - 1].isspace():
            end -= 1
        if end - start < 1:
            return Span(start, end)
        if text[start] == "(" and structure.closing.get(start) == end - 1:
            start, end = start + 1, end - 1
        elif start in structure.unclosed:
            start += 1
        elif end - 1 in structure.stray:
            end -= 1
        else:
            break
    quote = text[start]
    if quote in "'\"" and end - start > 1 and text.find(quote, start + 1, end) == end - 1:
        return Span(start + 1, end - 1)
    return Span(start, end)


def check_value_length(reading: Reading, span: Span, frame: int) -> bool:
    """Return whether a value has an allowed length; if not, add a problem."""
    length = span.end - span.start
    if length > MAX_CHARACTERS:
        found, allowed = str(length), f"a value of at most {MAX_CHARACTERS} characters"
        reading.refuse(
            reading.problem(span.start, messages.VALUE_TOO_LONG, found=found, allowed=allowed, frame=frame)
        )
    return length <= MAX_CHARACTERS
