"""Text for the page: escaping, sizes, messages of errors."""

from __future__ import annotations

from html import escape as _escape

from deforum_helpers.core.errors import DeforumError, Problem, SettingsError
from deforum_helpers.core.messages import Text, code_of
from deforum_helpers.pipeline.host_facts import HostFacts


def escape(text: object) -> str:
    """Return text with the special characters of HTML escaped, for elements and attributes."""
    return _escape(str(text), quote=True)


def size(count: float) -> str:
    """Return a number of bytes: 1500000 is "1.5 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def problems_of(error: DeforumError) -> tuple[Problem, ...]:
    """Return the problems of an error; one without a list of problems counts as one problem."""
    if isinstance(error, SettingsError):
        return error.problems
    return (Problem(message_of(error)),)


def message_of(error: DeforumError) -> Text:
    """Return the message of an error with its code."""
    return Text(str(error), error.message_code)


def code_attribute(message: str) -> str:
    """Return the HTML attribute `data-code` with the code of a message, or nothing if it has none."""
    code = code_of(message)
    return f' data-code="{escape(code)}"' if code else ""


def refusal_html(message: str) -> str:
    """Return the panel of a refused action."""
    return f'<div class="deforum-verdict bad" role="alert"{code_attribute(message)}>{escape(message)}</div>'


def model_html(facts: HostFacts) -> str:
    """Return what the host's model can generate and its vocabulary, or nothing if it is not limited."""
    ability = facts.abilities.generates
    if not ability:
        return ""
    words = facts.abilities.vocabulary()
    listed = f"<details><summary>Vocabulary ({len(words)} words)</summary><p>{escape(', '.join(words))}</p></details>"
    return (
        f'<div class="deforum-model"><p>{escape(ability)} Other words have little effect.</p>{listed}</div>'
    )
