"""Calls that nothing can interrupt, and how long they are waited for."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

# A thread that the system never lets go stays until the program ends: there are no more of them than this.
MOST_AT_ONCE = 32
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return the answer of `call`, made on a thread of its own, which does not keep the program from ending.

    Network drives and name servers that do not answer hold a thread for minutes, whatever the program wishes.

    Args:
        seconds: how long the answer is waited for; one that comes later is dropped.
        call: asks the system for something.

    Raises:
        TimeoutError: there is no answer in time.
        RuntimeError: no thread can be started.
        Exception: what `call` raises.
    """
    places = _places
    if not places.acquire(timeout=seconds):
        raise TimeoutError
    asked = _Asked(contextvars.copy_context(), call, places)
    try:
        threading.Thread(target=asked.run, name="deforum-asks", daemon=True).start()
    except BaseException:
        places.release()
        raise
    if not asked.over.wait(seconds):
        raise TimeoutError
    error, asked.error = asked.error, None
    if error is None:
        return asked.answers[0]
    try:
        raise error
    finally:  # else the error and the frames that it names hold each other, and all that their callers work with
        del error, asked


class _Asked(Generic[Answer]):
    """One call and what came of it."""

    def __init__(
        self, context: contextvars.Context, call: Callable[[], Answer], places: threading.BoundedSemaphore
    ) -> None:
        self.over = threading.Event()
        self.answers: list[Answer] = []
        self.error: BaseException | None = None
        self._context = context
        self._call = call
        self._places = places

    def run(self) -> None:
        try:
            self.answers.append(self._context.run(self._call))
        except BaseException as error:
            self.error = error
        finally:
            self._places.release()
            self.over.set()
