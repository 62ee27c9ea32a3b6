"""What a page may send as the value of a control: text, numbers, yes and no, and lists of texts; nothing else.

An object is never the value of a control of ours, so no form in which gradio or anybody else would write a file, an
address or an update of a component can get any further.
"""

from __future__ import annotations

import math
from typing import Any

from deforum_helpers.errors import DeforumError

MAX_TEXT = 8 << 20
MAX_TEXTS = 1000
MAX_NUMBER = 1e15


def scalar(value: Any) -> Any:
    """Return a text, a number, yes or no, or nothing.

    Raises:
        DeforumError: it is something else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= MAX_NUMBER:
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise DeforumError(f"a control holds text, a number, or yes or no; found {_kind(value)}.")


def number(value: Any) -> Any:
    """Return a number, or nothing.

    Raises:
        DeforumError: it is something else.
    """
    if isinstance(scalar(value), (bool, str)):
        raise DeforumError(f"this control holds a number; found {_kind(value)}.")
    return value


def text(value: Any) -> str:
    """Return a text; nothing is an empty one.

    Raises:
        DeforumError: it is something else.
    """
    if value is None:
        return ""
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise DeforumError(f"this control holds text; found {_kind(value)}.")


def switch(value: Any) -> bool:
    """Return yes or no; nothing is no.

    Raises:
        DeforumError: it is something else.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    raise DeforumError(f"this control holds yes or no; found {_kind(value)}.")


def texts(value: Any) -> list[str]:
    """Return a list of texts; nothing is an empty one.

    Raises:
        DeforumError: it is something else.
    """
    if value is None:
        return []
    if isinstance(value, list) and len(value) <= MAX_TEXTS and all(isinstance(one, str) for one in value):
        return value
    raise DeforumError(f"this control holds a list of texts; found {_kind(value)}.")


def is_scalar(value: Any) -> bool:
    """Tell whether `scalar` takes a value."""
    try:
        scalar(value)
    except DeforumError:
        return False
    return True


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "yes or no"}
    return kinds.get(type(value), "another number" if isinstance(value, (int, float)) else "something else")
