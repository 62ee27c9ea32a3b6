"""Numbers and sentences for people, and text that is safe inside a page."""

from __future__ import annotations

from html import escape as _escape

from deforum_helpers.errors import DeforumError, Problem, SettingsError


def escape(text: object) -> str:
    """Return text that a page shows as it is, in elements and in attributes."""
    return _escape(str(text), quote=True)


def size(count: float) -> str:
    """Return a number of bytes: 1500000 is "1.5 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def problems_of(error: DeforumError) -> tuple[Problem, ...]:
    """Return every problem that an error tells of."""
    if isinstance(error, SettingsError):
        return error.problems
    return (Problem(str(error)),)
