"""Numbers and sentences for people, and text that is safe inside a page."""

from __future__ import annotations

from html import escape as _escape

from deforum_helpers.core.errors import DeforumError, Problem, SettingsError
from deforum_helpers.pipeline.prepare import HostFacts


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


def model_html(facts: HostFacts) -> str:
    """Return what the host's model can draw, with its words folded; nothing of one that can draw anything."""
    ability = facts.abilities.generates
    if not ability:
        return ""
    words = facts.abilities.vocabulary()
    listed = f"<details><summary>Its {len(words)} words</summary><p>{escape(', '.join(words))}</p></details>"
    return f'<div class="deforum-model"><p>{escape(ability)} Other words change little.</p>{listed}</div>'
