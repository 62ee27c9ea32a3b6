"""The servers that share a job database: which one runs a job, and whether it is still alive."""

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

# A server whose process cannot be seen is dead after this time without a heartbeat.
SILENCE_S = 30.0
# If more time passes between two looks, this machine was suspended, and perhaps the other server with it.
LONGEST_LOOK_S = 2.0

Read = Callable[..., list[Any]]


@dataclass(frozen=True)
class ServerIdentity:
    """The identity of a server's process.

    Args:
        id: random, chosen at its start.
        machine: host name, boot id and PID namespace; "" = process ids cannot be compared.
        pid: process id.
        began: start time as the system counts it; distinguishes the process from a later one with the same pid.
    """

    id: str
    machine: str
    pid: int
    began: str

    @classmethod
    def now(cls) -> ServerIdentity:
        """Return the identity of this process."""
        pid = os.getpid()
        return cls(secrets.token_hex(8), _machine(), pid, process_start(pid) or "")

    def enter(self, change: sqlite3.Connection) -> None:
        """Record this server, so that others can check whether it is alive."""
        change.execute(
            "INSERT OR IGNORE INTO servers VALUES (?, ?, ?, ?, 0)",
            (self.id, self.machine, self.pid, self.began),
        )

    def beat(self, change: sqlite3.Connection) -> None:
        """Count one more heartbeat."""
        change.execute("UPDATE servers SET beats = beats + 1 WHERE id = ?", (self.id,))


@dataclass(frozen=True)
class _LastBeat:
    """Another server's heartbeat count, how long it has not changed, and when it was read."""

    beats: int
    silent_s: float
    at: float


class OtherServers:
    """Decides which of the other servers are dead."""

    def __init__(self, me: ServerIdentity, clock: Callable[[], float] = time.monotonic) -> None:
        self._me = me
        self._clock = clock
        self._last_beats: dict[str, _LastBeat] = {}

    def is_dead(self, read: Read, owner: str) -> bool:
        """Tell whether the server `owner` has ended.

        On this machine its process decides, as a slow server still has one. For other machines, earlier boots, hidden
        processes and this very pid (which a restarted container may reuse) the heartbeat decides; it is a count, so
        clocks do not matter.
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
        """Return how long a server's heartbeat has not changed while this process was awake."""
        now, last = self._clock(), self._last_beats.get(owner)
        silent_s = 0.0
        if last is not None and last.beats == beats:
            silent_s = last.silent_s + min(now - last.at, LONGEST_LOOK_S)
        self._last_beats[owner] = _LastBeat(beats, silent_s, now)
        return silent_s

    def tidy(self, change: sqlite3.Connection) -> None:
        """Delete the servers that own no job."""
        change.execute("DELETE FROM servers WHERE id NOT IN (SELECT owner FROM jobs WHERE owner IS NOT NULL)")


def process_start(pid: int) -> str | None:
    """Return the start time of process `pid` as the system counts it; "over" if it has ended; None if unknown."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = state.rpartition(")")[2].split()
    return fields[19] if fields[0] not in "ZX" else "over"


def _exists(pid: int) -> bool:
    """Tell whether a process exists; called only where /proc would show it."""
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
