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
# A program that looks again after longer than this has slept itself, and the other one perhaps with it.
LONGEST_LOOK_S = 2.0

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


@dataclass(frozen=True)
class _Heard:
    """What was heard of another program: its beats, for how long no new one came, and when that was looked at."""

    beats: int
    silent_s: float
    at: float


class Owners:
    """What this program has seen of the others."""

    def __init__(self, me: Me, clock: Callable[[], float] = time.monotonic) -> None:
        self._me = me
        self._clock = clock
        self._heard: dict[str, _Heard] = {}

    def is_dead(self, read: Read, owner: str) -> bool:
        """Whether the program `owner` has ended.

        On this machine its process tells: one that is only slow is there. Of a program elsewhere, before a restart
        of the machine, hidden from us, or in this very process, which may have begun anew under its old number, the
        heartbeat tells; it is a count, so that no clock matters.
        """
        rows = read("SELECT machine, pid, began, beats FROM servers WHERE id = ?", owner)
        if not rows:
            return True
        machine, pid, began, beats = rows[0]
        if machine and machine == self._me.machine:
            seen = process_start(pid)
            ended = seen != began if seen else not _exists(pid)
            if ended or (seen and pid != self._me.pid):
                return ended
        return self._silence_s(owner, beats) > SILENCE_S

    def _silence_s(self, owner: str, beats: int) -> float:
        """Return for how long a program has not beaten while this one was awake to hear it."""
        now, last = self._clock(), self._heard.get(owner)
        silent_s = 0.0
        if last is not None and last.beats == beats:
            silent_s = last.silent_s + min(now - last.at, LONGEST_LOOK_S)
        self._heard[owner] = _Heard(beats, silent_s, now)
        return silent_s

    def tidy(self, change: sqlite3.Connection) -> None:
        """Forget the programs that own no job any more."""
        change.execute("DELETE FROM servers WHERE id NOT IN (SELECT owner FROM jobs WHERE owner IS NOT NULL)")


def process_start(pid: int) -> str | None:
    """Return when process `pid` began, in the system's own count; "over" if it has ended; None if it cannot be seen."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = state.rpartition(")")[2].split()
    return fields[19] if fields[0] not in "ZX" else "over"


def _exists(pid: int) -> bool:
    """Whether there is such a process, ours or not; asked only where /proc would show it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
