"""Turns at what only a few may have at once: in the order of asking, and only while they are wanted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from deforum_api.errors import Busy, QueueClosed

LONGEST_WAIT_S = 60.0
LOOK_EVERY_S = 0.1


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
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def turn(self, gone: threading.Event, *, waited: bool = False) -> Iterator[None]:
        """Wait for a turn, and have it meanwhile; who has `waited` in another line already is not turned away here.

        Raises:
            Busy: too many wait, or for too long.
            QueueClosed, Abandoned: it is not wanted any more.
        """
        mine, until = object(), time.monotonic() + LONGEST_WAIT_S
        with self._changed:
            if len(self._waiting) >= self._most_waiting and not waited:
                raise Busy
            self._waiting.append(mine)
            try:
                while self._waiting[0] is not mine or self._turns < 1:
                    check_wanted(gone, self._closed)
                    if time.monotonic() > until and not waited:
                        raise Busy
                    self._changed.wait(LOOK_EVERY_S)
                check_wanted(gone, self._closed)
                self._turns -= 1
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._turns += 1
                self._changed.notify_all()


def check_wanted(gone: threading.Event, closed: threading.Event) -> None:
    """Raise `QueueClosed` or `Abandoned` if an answer is not wanted any more."""
    if closed.is_set():
        raise QueueClosed
    if gone.is_set():
        raise Abandoned
