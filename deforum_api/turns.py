"""Turns at what only a few may have at once: in the order of asking, and only while they are wanted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from deforum_api.errors import Busy, QueueClosed

LONGEST_WAIT_S = 60.0
LOOK_EVERY_S = 0.25


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Line:
    """Those who wait for their turn, in the order in which they came.

    Args:
        turns: how many have it at once.
        most_waiting: how many wait at once.
        closed: is set when nobody gets it any more.
    """

    def __init__(self, turns: int, most_waiting: int, closed: threading.Event) -> None:
        self._turns = turns
        self._most_waiting = most_waiting
        self._closed = closed
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, gone: threading.Event, *, waited: bool = False) -> Iterator[None]:
        """Wait for a turn, and have it meanwhile; who has `waited` in another line already is not turned away here.

        Raises:
            Busy: too many wait, or for too long.
            QueueClosed, Abandoned: it is not wanted any more.
        """
        mine, until = threading.Event(), time.monotonic() + LONGEST_WAIT_S
        with self._lock:
            if len(self._waiting) >= self._most_waiting and not waited:
                raise Busy
            self._waiting.append(mine)
        try:
            while True:
                check_wanted(gone, self._closed)
                if self._begun(mine):
                    break
                if time.monotonic() > until and not waited:
                    raise Busy
                mine.wait(LOOK_EVERY_S)
                mine.clear()
        except BaseException:
            with self._lock:
                self._waiting.remove(mine)
                self._tell_first()
            raise
        try:
            yield
        finally:
            with self._lock:
                self._turns += 1
                self._tell_first()

    def _begun(self, mine: threading.Event) -> bool:
        with self._lock:
            if self._turns < 1 or self._waiting[0] is not mine:
                return False
            self._turns -= 1
            self._waiting.popleft()
            self._tell_first()
            return True

    def _tell_first(self) -> None:
        """Wake the one whose turn may have come, and nobody else."""
        if self._waiting:
            self._waiting[0].set()


def check_wanted(gone: threading.Event, closed: threading.Event) -> None:
    """Raise `QueueClosed` or `Abandoned` if an answer is not wanted any more."""
    if closed.is_set():
        raise QueueClosed
    if gone.is_set():
        raise Abandoned
