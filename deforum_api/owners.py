"""Which program works on a job, and whether it still lives: several may share one job database."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A program of which nothing but its heartbeat can be seen is dead after so long without one.
SILENCE_S = 30.0

Read = Callable[..., list[Any]]


@dataclass(frozen=True)
class Me:
    """This program.

    Args:
        id: drawn at its start.
        machine: names the machine, its current boot and the space of its process ids; "" = ids say nothing here.
        pid: its process id.
        began: its process's start, as the system tells it; tells it from a later process of the same id.
    """

    id: str
    machine: str
    pid: int
    began: str

    @classmethod
    def now(cls) -> Me:
        """Return the running program."""
        pid = os.getpid()
        return cls(secrets.token_hex(8), _machine(), pid, process_start(pid) or "")

    def enter(self, change: sqlite3.Connection) -> None:
        """Write this program down, so that others can ask whether it lives."""
        change.execute(
            "INSERT OR IGNORE INTO servers VALUES (?, ?, ?, ?, 0)",
            (self.id, self.machine, self.pid, self.began),
        )

    def beat(self, change: sqlite3.Connection) -> None:
        """Tell the others that it lives."""
        change.execute("UPDATE servers SET beats = beats + 1 WHERE id = ?", (self.id,))


class Owners:
    """What this program has seen of the others."""

    def __init__(self, me: Me, clock: Callable[[], float] = time.monotonic) -> None:
        self._me = me
        self._clock = clock
        self._heard: dict[str, tuple[int, float]] = {}

    def is_dead(self, read: Read, owner: str) -> bool:
        """Whether the program `owner` has ended.

        On this machine its process tells: one that is only slow is there. Of a program elsewhere, or before a restart
        of the machine, the heartbeat tells; it is a count, so that no clock matters.
        """
        rows = read("SELECT machine, pid, began, beats FROM servers WHERE id = ?", owner)
        if not rows:
            return True
        machine, pid, began, beats = rows[0]
        if machine and machine == self._me.machine:
            return process_start(pid) != began
        now = self._clock()
        last, heard_at = self._heard.setdefault(owner, (beats, now))
        if beats != last:
            self._heard[owner] = (beats, now)
            return False
        return now - heard_at > SILENCE_S

    def tidy(self, change: sqlite3.Connection) -> None:
        """Forget the programs that own no job any more."""
        change.execute("DELETE FROM servers WHERE id NOT IN (SELECT owner FROM jobs WHERE owner IS NOT NULL)")


def process_start(pid: int) -> str | None:
    """Return when process `pid` began, in the system's own count; None if there is none or it cannot be seen."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = state.rpartition(")")[2].split()
    return fields[19] if fields[0] not in "ZX" else None


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
