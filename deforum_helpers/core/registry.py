"""Choice by name from a table; the error for an unknown name lists the names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from deforum_helpers.core import messages
from deforum_helpers.core.errors import DeforumError

T = TypeVar("T")


class UnknownName(DeforumError):
    """A name is not in a table."""


def choose(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return `table[name]`.

    Args:
        table: choices by name.
        name: the name to look up.
        kind: kind of the choices, for the error: "depth model".

    Raises:
        UnknownName: the table has no such name; the message lists its names.
    """
    try:
        return table[name]
    except KeyError:
        raise UnknownName(messages.UNKNOWN_CHOICE(kind=kind, name=name, allowed=", ".join(table))) from None
