"""JSON of strangers: how long it is, how deep it nests and how much it holds is known before anything is made of it.

`[],` sixteen million bytes long packs into a few kilobytes of a picture, and unpacked makes gigabytes of lists.
"""

from __future__ import annotations

import json
import re
from typing import Any

MOST_BYTES = 16 << 20
MOST_VALUES = 200_000
DEEPEST = 64
MOST_DIGITS = 400

# What holds values, parts them or is a text; the last one may have no end.
_TOKEN = re.compile(r'[\[{\]},]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class TooMuch(ValueError):
    """A JSON text that is not parsed; `str()` is the rest of a sentence: "nests deeper than 64 levels"."""


def parse_json(
    text: str | bytes, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES, **hooks: Any
) -> Any:
    """Return the value of a JSON text.

    Args:
        text: as it came; bytes are UTF-8, with or without a mark at their beginning.
        most_bytes: length up to which it is looked at.
        most_values: how many values it may hold, all levels counted.
        hooks: arguments of `json.loads`.

    Raises:
        TooMuch: it is longer, deeper or larger than that.
        UnicodeDecodeError, json.JSONDecodeError, ValueError: it is no JSON. All of these are `ValueError`.
    """
    if len(text) > most_bytes:
        raise TooMuch(f"is longer than {most_bytes / 1e6:.3g} MB")
    plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text
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
                raise TooMuch(f"nests deeper than {DEEPEST} levels")
        elif mark in "]}":
            depth -= 1
            continue
        values += 1
        if values > most_values:
            raise TooMuch(f"holds more than {most_values:,} values")


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise TooMuch(f"has a number of more than {MOST_DIGITS} digits")
    return int(text)
