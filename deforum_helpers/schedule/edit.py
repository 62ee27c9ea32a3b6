"""Edits of schedules and prompts that rewrite one entry and leave the rest of the text byte for byte.

    >>> with_key("0: (1),  30 : (2) ~hold", "numbers", 1, "2.5s")
    '0: (1),  2.5s : (2) ~hold'

Entries are numbered from 0 in the order of the text. No function evaluates anything: a key may be any text that
`key_frame` can read, a value any number or expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from deforum_helpers.core.bounded_json import parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.messages import Message
from deforum_helpers.schedule import messages
from deforum_helpers.schedule.easing import MARK
from deforum_helpers.schedule.grammar import (
    PLAIN_NUMBER,
    Entry,
    Structure,
    read_entries,
    structure_of,
    unwrapped,
)
from deforum_helpers.schedule.reading import Reading, Span, shown

Kind = Literal["numbers", "words", "prompts"]
SETTING = "schedule"
_BETWEEN = ", "
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_COLON = re.compile(r"\s*:\s*")


@dataclass(frozen=True)
class TextEntry:
    """A key frame as it stands in the text.

    Args:
        key: the key without quotes and brackets around it; "" if the whole text is a value.
        value: the value without brackets and quotes around it; of prompts the decoded text.
        easing: name and arguments without `~`, "" = none.
        key_span, value_span, easing_span: where these three are in the text; of prompts between the quotes.
        span: the whole entry, without blanks and commas around it.
    """

    key: str
    value: str
    easing: str
    key_span: Span
    value_span: Span
    easing_span: Span | None
    span: Span


def entries_of(text: str, kind: Kind) -> tuple[TextEntry, ...]:
    """Return the entries of a text in its order.

    Args:
        text: a schedule, or prompts as a JSON object.
        kind: "numbers" = a schedule of numbers, "words" = one of names or texts, "prompts".

    Raises:
        SettingsError: the text cannot be split into entries.
    """
    if kind == "prompts":
        return tuple(_json_entries(text))
    reading = Reading(SETTING, text)
    entries, structure = read_entries(reading, words=kind == "words")
    reading.finish()
    return tuple(_text_entry(text, entry, structure) for entry in entries)


def with_key(text: str, kind: Kind, number: int, key: str) -> str:
    """Return `text` with another key in entry `number`.

    Raises:
        SettingsError: the text cannot be read, or the edit would change another entry.
    """
    entry = entries_of(text, kind)[number]
    if kind == "prompts":
        return _checked(text, kind, number, entry, _quoted(key), _outside(entry.key_span), key=key)
    if not entry.key:
        whole = _written(key, entry.value, entry.easing, kind)
        return _checked(text, kind, number, entry, whole, entry.span, key=key)
    return _checked(text, kind, number, entry, key.strip(), entry.key_span, key=key)


def with_keys(text: str, kind: Kind, keys: Sequence[str]) -> str:
    """Return `text` with other keys, one per entry.

    Raises:
        SettingsError: as `with_key`.
    """
    entries = entries_of(text, kind)
    found = text
    for entry, key in zip(reversed(entries), reversed(keys), strict=True):
        if entry.key != key and (entry.key or kind == "prompts"):
            span, written = (entry.key_span, key.strip())
            if kind == "prompts":
                span, written = _outside(span), _quoted(key)
            found = _replaced(found, span, written)
    expected = [
        replace(entry, key=key if entry.key else "") for entry, key in zip(entries, keys, strict=True)
    ]
    try:
        _check(found, kind, expected, shown(found))
    except SettingsError:  # a lenient reading, such as a repeated key, held the old text together
        pieces = [_written(key, one.value, one.easing, kind) for one, key in zip(entries, keys, strict=True)]
        found = _BETWEEN.join(pieces)
        _check(found, kind, expected, shown(found))
    return found


def with_value(text: str, kind: Kind, number: int, value: str) -> str:
    """Return `text` with another value in entry `number`; its brackets and its easing stay.

    Raises:
        SettingsError: as `with_key`.
    """
    entry = entries_of(text, kind)[number]
    if kind == "prompts":
        return _checked(text, kind, number, entry, _quoted(value), _outside(entry.value_span), value=value)
    structure = structure_of(Reading(SETTING, value))
    if structure.unclosed or structure.stray:
        raise _problem(messages.EDIT_NOT_ONE_ENTRY, shown(value), "a value with paired brackets")
    bare = text[: entry.value_span.start].rstrip()[-1:] not in ("(", '"', "'")
    brackets = bare and not PLAIN_NUMBER.fullmatch(value.strip())
    written = f"({value.strip()})" if brackets else value.strip()
    return _checked(text, kind, number, entry, written, entry.value_span, value=value)


def with_easing(text: str, number: int, easing: str) -> str:
    """Return a schedule of numbers with another easing in entry `number`: `ease_in`, `bezier(0, 0, 0.5, 1)`; "" = none.

    Raises:
        SettingsError: as `with_key`.
    """
    entry = entries_of(text, "numbers")[number]
    end = entry.span.end
    if entry.easing_span is not None:
        span = entry.easing_span
        if not easing:
            mark = text.rindex(MARK, entry.span.start, span.start)
            span = Span(len(text[:mark].rstrip()), end)
        return _checked(text, "numbers", number, entry, easing.strip(), span, easing=easing)
    written = f" {MARK}{easing.strip()}" if easing else ""
    return _checked(text, "numbers", number, entry, written, Span(end, end), easing=easing)


def with_entry(text: str, kind: Kind, number: int, key: str, value: str, easing: str = "") -> str:
    """Return `text` with a new entry, which becomes entry `number`; the separator is that of the entries before it.

    Raises:
        SettingsError: as `with_key`.
    """
    written = _written(key, value, easing, kind)
    blank = not text.strip() or (kind == "prompts" and not parse_json(text))
    if blank:
        return f"{{{written}}}" if kind == "prompts" else written
    entries = entries_of(text, kind)
    if not entries[0].key and kind != "prompts":
        text = with_key(text, kind, 0, "0")
        entries = entries_of(text, kind)
    if number < len(entries):
        place = entries[number].span.start
        following = number + 1 if number + 1 < len(entries) else number
        new = f"{written}{_separator(text, entries, following)}"
    else:
        place = entries[-1].span.end
        new = f"{_separator(text, entries, len(entries) - 1)}{written}"
    found = _replaced(text, Span(place, place), new)
    expected = [*entries[:number], TextEntry(key, value, easing, *[Span(0, 0)] * 4), *entries[number:]]
    _check(found, kind, expected, shown(written))
    return found


def without_entry(text: str, kind: Kind, number: int) -> str:
    """Return `text` without entry `number` and one comma beside it.

    Raises:
        SettingsError: as `with_key`, or the entry is the only one.
    """
    entries = entries_of(text, kind)
    if len(entries) == 1:
        raise _problem(
            messages.LAST_ENTRY, shown(text.strip()), "another key frame before this one is deleted"
        )
    entry = entries[number]
    if number + 1 < len(entries):
        span = Span(entry.span.start, entries[number + 1].span.start)
    else:
        span = Span(entries[number - 1].span.end, entry.span.end)
    found = _replaced(text, span, "")
    _check(found, kind, [*entries[:number], *entries[number + 1 :]], shown(entry.key))
    return found


def _text_entry(text: str, entry: Entry, structure: Structure) -> TextEntry:
    value = unwrapped(text, entry.value, structure)
    key = Span(value.start, value.start)
    start = _trimmed(text, entry.value).start
    if entry.frame is not None:
        key = unwrapped(text, entry.frame, structure)
        start = _trimmed(text, entry.frame).start
    end = entry.easing.end if entry.easing is not None else _trimmed(text, entry.value).end
    easing = "" if entry.easing is None else text[entry.easing.start : entry.easing.end]
    return TextEntry(
        text[key.start : key.end],
        text[value.start : value.end],
        easing,
        key,
        value,
        entry.easing,
        Span(start, end),
    )


def _trimmed(text: str, span: Span) -> Span:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)


def _json_entries(text: str) -> Iterator[TextEntry]:
    try:
        prompts = parse_json(text)
    except ValueError as error:
        raise _problem(messages.NOT_JSON_PROMPTS, str(error), '{"0": "a lake"}') from None
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise _problem(messages.NOT_JSON_PROMPTS, shown(text), '{"0": "a lake"}')
    place = 0
    while (quote := text.find('"', place)) >= 0 and (key := _STRING.match(text, quote)):
        colon = _COLON.match(text, key.end())
        value = _STRING.match(text, colon.end() if colon else key.end())
        if value is None:
            return
        yield TextEntry(
            json.loads(key[0], strict=False),
            json.loads(value[0], strict=False),
            "",
            Span(key.start() + 1, key.end() - 1),
            Span(value.start() + 1, value.end() - 1),
            None,
            Span(key.start(), value.end()),
        )
        place = value.end()


def _written(key: str, value: str, easing: str, kind: Kind) -> str:
    if kind == "prompts":
        return f"{_quoted(key)}: {_quoted(value)}"
    return f"{key.strip()}: ({value.strip()})" + (f" {MARK}{easing.strip()}" if easing else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _outside(span: Span) -> Span:
    """The span with its quotes."""
    return Span(span.start - 1, span.end + 1)


def _separator(text: str, entries: tuple[TextEntry, ...], number: int) -> str:
    """Return the text between the entries `number` - 1 and `number`, if it is a comma with blanks."""
    if not 0 < number < len(entries):
        return _BETWEEN
    between = text[entries[number - 1].span.end : entries[number].span.start]
    return between if between.strip() == "," else _BETWEEN


def _replaced(text: str, span: Span, new: str) -> str:
    return text[: span.start] + new + text[span.end :]


def _checked(
    text: str,
    kind: Kind,
    number: int,
    entry: TextEntry,
    new: str,
    span: Span,
    *,
    key: str | None = None,
    value: str | None = None,
    easing: str | None = None,
) -> str:
    """Return `text` with `new` at `span`, after checking that it reads as entry `number` with the new part."""
    expected = list(entries_of(text, kind))
    expected[number] = replace(
        entry,
        key=entry.key if key is None else key,
        value=entry.value if value is None else value,
        easing=entry.easing if easing is None else easing,
    )
    if key is not None and not key.strip():
        raise _problem(messages.EDIT_NOT_ONE_ENTRY, shown(key), "a key")
    found = _replaced(text, span, new)
    _check(found, kind, expected, shown(new))
    return found


def _check(text: str, kind: Kind, expected: list[TextEntry], new: str) -> None:
    """Raise a SettingsError if the entries of `text` differ from the expected ones."""
    read = [(one.key, one.value, one.easing) for one in entries_of(text, kind)]
    wanted = [
        (one.key, one.value, one.easing)
        if kind == "prompts"
        else (_bare(one.key), _bare(one.value), one.easing.strip())
        for one in expected
    ]
    blank = kind != "prompts" and not all(value for _, value, _ in read)
    if read != wanted or blank:
        raise _problem(messages.EDIT_NOT_ONE_ENTRY, new, "one key, one value or one easing")


def _bare(text: str) -> str:
    span = unwrapped(text, Span(0, len(text)), structure_of(Reading(SETTING, text)))
    return text[span.start : span.end]


def _problem(message: Message, found: str, allowed: str) -> SettingsError:
    return SettingsError(
        [Problem(message(found=found, allowed=allowed), SETTING, found=found, allowed=allowed)]
    )
