"""Overrides of the host's options that only the thread of a job sees, while it generates an image."""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

# The host's category of options that affect images, as opposed to pages, folders and formats.
GENERATION_CATEGORY = "sd"


@contextmanager
def option_overrides(values: Mapping[str, Any]) -> Iterator[None]:
    """Override options of the host for this thread until the context ends.

    Other threads neither see these values nor save them with the host's settings, and changes that they make meanwhile
    are kept. Values that the host writes from this thread, such as the title of a checkpoint that it loads for the job,
    end with the context. Options that the host does not have are ignored.

    The host's own overrides are not used: they change the options for all users, and do not restore options that were
    never set.

    Args:
        values: name of an option -> its value for this thread.
    """
    from modules import shared

    options = shared.opts
    theirs = options.data
    seen = _ThreadOptions(
        theirs, {name: value for name, value in values.items() if name in options.data_labels}
    )
    options.data = seen
    try:
        yield
    finally:
        if options.data is seen:  # otherwise the host has reloaded its options
            options.data = theirs


def generation_options() -> dict[str, Any]:
    """Return the host's options that affect images; empty in older hosts, which have no categories."""
    from modules import shared

    return {
        name: getattr(shared.opts, name)
        for name, info in shared.opts.data_labels.items()
        if getattr(info, "category_id", None) == GENERATION_CATEGORY and not info.do_not_save
    }


# A `dict` whose methods all use the five abstract ones of `MutableMapping`.
_Dict: Any = type("_Dict", (MutableMapping, dict), {})


class _ThreadOptions(_Dict):  # type: ignore[misc]
    """The host's options, overlaid with other values for the thread that created this object.

    Writes of other threads go to the host's dict at once, so that none is lost when this object is removed. It is a
    `dict` with a copy of the host's values, for readers that bypass its methods: hosts serialize it in their API.
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
