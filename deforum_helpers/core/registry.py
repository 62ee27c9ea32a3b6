"""Choice by name: one literal table, one error that lists the names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from deforum_helpers.core.errors import DeforumError

T = TypeVar("T")


class UnknownName(DeforumError):
    """A name that a table does not have."""


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """Return `table[name]`.

    Args:
        table: choices by name.
        name: the wanted one.
        what: what is chosen, for the error: "depth model".

    Raises:
        UnknownName: no such name; the message lists the names there are.
    """
    try:
        return table[name]
    except KeyError:
        raise UnknownName(f"Unknown {what} {name!r}; allowed: {', '.join(table)}.") from None
