"""Options of the host that hold for our thread while it draws a frame; every other thread sees its own."""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

# How hosts file the options that change what is drawn, beside those of their pages, folders and formats.
DRAWING_CATEGORY = "sd"


@contextmanager
def borrowed_options(values: Mapping[str, Any]) -> Iterator[None]:
    """Give options of the host other values for this thread alone, until the context ends.

    Other threads neither see these values, nor save them with the host's settings, and what they change meanwhile
    is kept, even where it equals a value of ours. What the host itself writes from this thread, such as the title
    of a checkpoint that it loads for us, ends with the context. An option that the host does not have is left out.

    The host's own way of overriding is not used: it changes the options of everybody, and forgets to put back those
    that were never set.

    Args:
        values: name of an option -> its value for this thread.
    """
    from modules import shared

    options = shared.opts
    theirs = options.data
    seen = _SeenByThread(
        theirs, {name: value for name, value in values.items() if name in options.data_labels}
    )
    options.data = seen
    try:
        yield
    finally:
        if options.data is seen:  # else the host has read all of them anew
            options.data = theirs


def drawing_options() -> dict[str, Any]:
    """Return the present values of the host's options that change what is drawn; older hosts do not tell which."""
    from modules import shared

    return {
        name: getattr(shared.opts, name)
        for name, info in shared.opts.data_labels.items()
        if getattr(info, "category_id", None) == DRAWING_CATEGORY and not info.do_not_save
    }


# A true `dict` whose methods all come down to the five that a mapping must have.
_Dict: Any = type("_Dict", (MutableMapping, dict), {})


class _SeenByThread(_Dict):  # type: ignore[misc]
    """The host's options, and for the thread that made this with other values before them.

    Every write goes on to theirs, so that nothing is lost where another thread writes just as this is taken away.
    It is a `dict`, with theirs in it, for readers that take no other mapping and ask none of its methods: hosts
    answer their API with it.
    """

    def __init__(self, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
        dict.__init__(self, dict.items(theirs))
        self._theirs = theirs
        self._ours = ChainMap(ours, theirs)
        self._thread = threading.get_ident()

    @property
    def _seen(self) -> MutableMapping[str, Any]:
        return self._ours if threading.get_ident() == self._thread else self._theirs

    def __getitem__(self, name: str) -> Any:
        return self._seen[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._seen[name] = value
        if self._seen is self._theirs:
            dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        del self._seen[name]
        if self._seen is self._theirs:
            dict.pop(self, name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def copy(self) -> dict[str, Any]:
        return dict(self._seen)
