"""What a person should know of how settings were read: one sentence for all that were read in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

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
