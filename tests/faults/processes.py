"""Processes that a program has started, as Linux shows them."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

# A process: its number, and when it started, as numbers are given again.
Process = tuple[int, str]


def processes() -> dict[Process, tuple[int, str]]:
    """Return the parent and the command line of each process that has not ended."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if fields[0] not in "ZX":
                found[int(folder.name), fields[19]] = int(fields[1]), command
    return found


def descendants(parent: int) -> dict[Process, str]:
    """Return the command lines of the processes that a process, or one of these, has started."""
    children = defaultdict(dict)
    for process, (of, command) in processes().items():
        children[of][process] = command
    found, waiting = {}, [parent]
    while waiting:
        started = children[waiting.pop()]
        found |= started
        waiting += [number for number, _ in started]
    return found


def alive(some: dict[Process, str]) -> dict[Process, str]:
    """Return those of `some` processes that have not ended."""
    return {process: command for process, command in some.items() if process in processes()}
