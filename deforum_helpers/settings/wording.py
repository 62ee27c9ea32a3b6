"""How messages show values: short, printable, and the same in errors and warnings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from deforum_helpers.errors import Problem, SettingsError
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
