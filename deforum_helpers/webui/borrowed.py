"""Options of the host that hold while one of our pictures is drawn, and not a moment longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_ABSENT = object()


@contextmanager
def borrowed_options(values: Mapping[str, Any]) -> Iterator[None]:
    """Give options of the host other values, and put everything back on any exit.

    An option that the host does not have is left out, as is one that has the value already. What someone else
    changes meanwhile stays as they want it.

    The host's own way of overriding is not used: it forgets to put back options that were never set before.

    Args:
        values: name of an option -> its value for now.
    """
    from modules import shared

    stored = shared.opts.data
    known = {name: value for name, value in values.items() if name in shared.opts.data_labels}
    before = {
        name: stored.get(name, _ABSENT)
        for name, value in known.items()
        if getattr(shared.opts, name, None) != value
    }
    stored.update({name: known[name] for name in before})
    try:
        yield
    finally:
        for name, value in before.items():
            if stored.get(name, _ABSENT) != known[name]:
                continue
            if value is _ABSENT:
                del stored[name]
            else:
                stored[name] = value
