"""Time limits for system calls that cannot be interrupted."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

# A call that never returns occupies its thread until the program ends; this bounds their number.
MOST_AT_ONCE = 32
_places = threading.BoundedSemaphore(MOST_AT_ONCE)


def within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return the result of `call`, made on a daemon thread.

    A network drive or name server that does not respond can block a call for minutes; the caller gives up earlier.

    Args:
        seconds: time limit; a later result is dropped.
        call: makes the system call.

    Raises:
        TimeoutError: there is no result in time.
        RuntimeError: no thread can be started.
        Exception: any error of `call`.
    """
    places = _places
    if not places.acquire(timeout=seconds):
        raise TimeoutError
    pending = _PendingCall(contextvars.copy_context(), call, places)
    try:
        threading.Thread(target=pending.run, name="deforum-call", daemon=True).start()
    except BaseException:
        places.release()
        raise
    if not pending.over.wait(seconds):
        raise TimeoutError
    error, pending.error = pending.error, None
    if error is None:
        return pending.answers[0]
    try:
        raise error
    finally:  # breaks the cycle of the error and its traceback, which would keep the callers' objects alive
        del error, pending


class _PendingCall(Generic[Answer]):
    """A call and its result."""

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
