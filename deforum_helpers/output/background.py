"""A bounded queue and one thread that works it off, to keep slow work off the render thread."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Calls `work` with each item, in order, on a thread of its own.

    After an error in `work` the remaining items are dropped; the next `put` or `close` raises the error.
    Leaving the context processes all queued items and raises nothing.

    Args:
        work: called with each item.
        name: name of the thread.
        capacity: maximum number of queued items; `put` blocks while the queue is full.
        begin: called on the thread before the first item.
    """

    def __init__(
        self, work: Callable[[T], None], name: str, capacity: int, begin: Callable[[], None] | None = None
    ) -> None:
        self._work = work
        self._begin = begin
        self._items: queue.Queue[T | None] = queue.Queue(capacity)
        self._error: BaseException | None = None
        # Log lines of the thread carry the caller's context, such as the job's id.
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name=name, daemon=True)

    def __enter__(self) -> Background[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._items.put(None)
            self._thread.join()

    def put(self, item: T) -> None:
        """Queue `item`; blocks while the queue is full. Raises the error of `work`, if any."""
        self._raise()
        self._items.put(item)

    def close(self) -> None:
        """Wait until all items are processed. Raises the error of `work`, if any."""
        self._items.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            if self._begin is not None:
                self._begin()
        except BaseException as error:
            self._error = error
        while (item := self._items.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._work(item)
            except BaseException as error:
                self._error = error
