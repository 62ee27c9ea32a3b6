"""Pieces of work for the tests of `core/spread.py`, done in other processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import DiskFull


def write(arguments: Mapping[str, Any], done: Callable[[int], None]) -> None:
    """Write the numbers of a range, one file each; end the process the first time that `deadly` is met."""
    folder = Path(arguments["folder"])
    for count, number in enumerate(range(*arguments["numbers"]), start=1):
        mark = folder / f"{number}.died"
        if number in arguments.get("deadly", ()) and not mark.exists():
            mark.touch()
            os._exit(3)
        if number == arguments.get("full"):
            raise DiskFull("no space")
        (folder / str(number)).write_text(str(os.getpid()))
        done(count)
