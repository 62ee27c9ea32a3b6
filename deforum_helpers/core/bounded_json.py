"""JSON from untrusted sources, parsed only after its length, depth and number of values have been checked.

Sixteen megabytes of `[],` compress to a few kilobytes inside an image and would be parsed into gigabytes of lists.
"""

from __future__ import annotations

import json
import re
from typing import Any

from deforum_helpers.core import messages

MOST_BYTES = 16 << 20
MOST_VALUES = 200_000
DEEPEST = 64
MOST_DIGITS = 400

# Brackets, commas and strings; the last string may be unterminated.
_TOKEN = re.compile(r'[\[{\]},]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class JsonTooLarge(ValueError):
    """A JSON text exceeds a limit; `str()` is a clause: "nests deeper than 64 levels"."""


def parse_json(
    text: str | bytes, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES, **hooks: Any
) -> Any:
    """Return the value of a JSON text.

    Args:
        text: the text, with or without a byte order mark; bytes are UTF-8.
        most_bytes: largest length of the text.
        most_values: largest number of values, all levels counted.
        hooks: keyword arguments of `json.loads`.

    Raises:
        JsonTooLarge: the text exceeds a limit.
        UnicodeDecodeError, json.JSONDecodeError, ValueError: the text is not JSON. All of these are `ValueError`.
    """
    if len(text) > most_bytes:
        raise JsonTooLarge(messages.JSON_TOO_LONG(limit=most_bytes / 1e6))
    plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    _check(plain, most_values)
    return json.loads(plain, **{"parse_int": _whole_number, **hooks})


def _check(text: str, most_values: int) -> None:
    depth = values = 0
    for token in _TOKEN.finditer(text):
        mark = token[0][0]
        if mark == '"':
            continue
        if mark in "[{":
            depth += 1
            if depth > DEEPEST:
                raise JsonTooLarge(messages.JSON_TOO_DEEP(limit=DEEPEST))
        elif mark in "]}":
            depth -= 1
            continue
        values += 1
        if values > most_values:
            raise JsonTooLarge(messages.JSON_TOO_LARGE(limit=most_values))


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise JsonTooLarge(messages.JSON_NUMBER_TOO_LONG(limit=MOST_DIGITS))
    return int(text)
