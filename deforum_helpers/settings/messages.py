"""How messages show values: short, printable, and the same in errors and warnings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.settings.fields import FieldInfo

MAX_SHOWN = 60


def shown(value: object) -> str:
    """Return `value` as a short printable text for a message."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if isinstance(value, Mapping):
        return f"an object of {len(value)} entries" if value else "{}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)} values" if value else "[]"
    if isinstance(value, (int, float)):
        return repr(value)
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    start = value[: MAX_SHOWN + 1]
    text = repr(start) if start.isprintable() else ascii(start)
    whole = len(value) <= MAX_SHOWN and len(text) <= MAX_SHOWN + len("''")
    return text if whole else f"{text[:MAX_SHOWN]}...{text[0]}"


def bad_value(info: FieldInfo, value: object, allowed: str, hint: str = "") -> SettingsError:
    """Return the error that says that `info` cannot be `value`, and what it can be."""
    message = f"{info.name} is {shown(value)}, but must be {allowed}.{hint}"
    return SettingsError([Problem(message, setting=info.name, found=shown(value), allowed=allowed)])


def number_text(number: float) -> str:
    """Return a finite number as plain digits, without exponent: 1e-07 is "0.0000001"."""
    return str(number) if isinstance(number, int) else format(Decimal(repr(number)), "f")


# Beginnings of the messages of Python's json, with what they say to a person.
_JSON_SAYS = {
    "Expecting value": "a value is expected",
    "Expecting property name": "a name in double quotes is expected",
    "Expecting ',' delimiter": "a comma or the closing bracket is expected",
    "Expecting ':' delimiter": "a colon is expected",
    "Illegal trailing comma": "a comma stands before the closing bracket",
    "Unterminated string": "a text begins that is never closed",
    "Invalid control character": "a line break or a tab stands in a text",
    "Invalid \\": "a backslash means nothing",
    "Extra data": "something follows the last bracket",
}


def json_account(error: json.JSONDecodeError) -> str:
    """Return what is wrong with a JSON text, where, and what to do about the commonest mistakes, in sentences."""
    says = next((plain for begin, plain in _JSON_SAYS.items() if error.msg.startswith(begin)), error.msg)
    return f"{says} at line {error.lineno}, column {error.colno}.{_json_advice(error)}"


def _json_advice(error: json.JSONDecodeError) -> str:
    """Return a blank and a sentence, or nothing."""
    found = error.doc[error.pos : error.pos + 1]
    if error.msg.startswith("Illegal trailing comma"):
        return " Remove it."
    if found and found in "}]" and error.doc[: error.pos].rstrip().endswith(","):
        return " Remove the comma before it."
    if "escape" in error.msg:
        return " A backslash in a text is written twice."
    if "control character" in error.msg:
        return " A line break in a text is written \\n."
    if error.msg.startswith(("Expecting value", "Expecting property")) and (found.isalpha() or found == "'"):
        return " Text stands in double quotes."
    return ""


Kind = Literal["name", "notation", "text number", "bare number", "null", "empty"]


class Finding(NamedTuple):
    """One setting that was read as something else than it is written as.

    Args:
        kind: in which way.
        name: as it is written.
        found: its value, as messages show it.
        meant: what it was read as: a name or a value.
    """

    kind: Kind
    name: str
    found: str = ""
    meant: str = ""


Note = Finding | str


def sentences(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return plain sentences, each in the place of the first note that it tells of; text stays as it is."""
    alike: dict[str, dict[Finding, None]] = {}
    for note in notes:
        found = alike.setdefault(note if isinstance(note, str) else note.kind, {})
        if isinstance(note, Finding):
            found[note] = None
    return tuple(_SENTENCES[key](tuple(found)) if found else key for key, found in alike.items())


def _names(found: Sequence[Finding]) -> str:
    pairs = ", ".join(f"{one.name} as {one.meant}" for one in found)
    return (
        f"{found[0].name} is read as {found[0].meant}."
        if len(found) == 1
        else f"Read by other names: {pairs}."
    )


def _notations(found: Sequence[Finding]) -> str:
    if len(found) == 1:
        return f"{found[0].name} is {found[0].found}; it is read as {found[0].meant}."
    values = ", ".join(f"{one.name} {one.found} as {one.meant}" for one in found)
    return f"Read from other notations: {values}."


def _text_numbers(found: Sequence[Finding]) -> str:
    first, *more = found
    if not more:
        return f"{first.name} is the text {first.found}; it is read as a number."
    return f"{first.name} is the text {first.found}, {_listed(more)}; they are read as numbers."


def _bare_numbers(found: Sequence[Finding]) -> str:
    first, *more = found
    if not more:
        return f"{first.name} is {first.found}; it is read as {first.meant}, the same for all frames."
    return f"{first.name} is {first.found}, {_listed(more)}; each is the same for all frames."


def _nulls(found: Sequence[Finding]) -> str:
    if len(found) == 1:
        return f"{found[0].name} is null; it counts as not given."
    return f"{', '.join(one.name for one in found)} are null; they count as not given."


def _empties(found: Sequence[Finding]) -> str:
    if len(found) == 1:
        return f"{found[0].name} is empty; it counts as not given."
    return f"{', '.join(one.name for one in found)} are empty; they count as not given."


def _listed(found: Sequence[Finding]) -> str:
    return ", ".join(f"{one.name} {one.found}" for one in found)


_SENTENCES: dict[str, Callable[[Sequence[Finding]], str]] = {
    "name": _names,
    "notation": _notations,
    "text number": _text_numbers,
    "bare number": _bare_numbers,
    "null": _nulls,
    "empty": _empties,
}
