"""One turn at the host's queue: our picture is drawn while nobody else's is, and stopped where it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from deforum_helpers.cancel import CancelToken

Ending = Literal["finished", "cancelled", "interrupted", "skipped"]

LOOK_EVERY_S = 0.05
JOB_NAME = "deforum"


class Turns:
    """The turns of one job.

    Between two of them the host serves its other users. A press on its Interrupt or Skip that was meant for us may
    come in that time as well; it counts if nobody else has had a turn since.
    """

    def __init__(self) -> None:
        self._began_at: float | None = None

    @contextmanager
    def next(self, cancel: CancelToken) -> Iterator[Turn]:
        """Wait for our turn, and hold the queue for the length of the context.

        Raises:
            Cancelled: the token said so before it was our turn.
        """
        from modules import call_queue, shared

        with locked(call_queue.queue_lock, cancel):
            pressed = self._pressed(shared.state)
            shared.state.begin(job=JOB_NAME)
            self._began_at = shared.state.time_start
            turn = Turn(shared.state, cancel, pressed)
            try:
                yield turn
            finally:
                turn.close()
                shared.state.end()

    def forget(self) -> None:
        """Let no press from before count: a reload of the host presses Interrupt as well."""
        self._began_at = None

    def _pressed(self, state: Any) -> Ending:
        if self._began_at is None or state.time_start != self._began_at:
            return "finished"
        return _ending(state)


class Turn:
    """Our turn: watches the job's token while the host draws.

    Args:
        state: of the host.
        cancel: the job's wish to stop.
        pressed: what was pressed before the turn began; "finished" = nothing.
    """

    def __init__(self, state: Any, cancel: CancelToken, pressed: Ending) -> None:
        self.pressed = pressed
        self._state = state
        self._cancel = cancel
        self._skipped = False
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, name="deforum-watch")
        self._watch.start()

    def ending(self) -> Ending:
        """Tell how the drawing ended; anything but "finished" leaves a half-baked picture, or none."""
        if self._cancel.wish == "cancel":
            return "cancelled"
        ending = _ending(self._state)
        return "skipped" if self._skipped and ending == "finished" else ending

    def close(self) -> None:
        """Stop watching, so that a late cancel cannot meet the next user's picture; take back our own flags."""
        self._over.set()
        self._watch.join()
        if self._cancel.wish == "cancel":
            self._state.interrupted = False
        self._state.skipped = False

    def _look(self) -> None:
        step = None
        while not self._over.wait(LOOK_EVERY_S):
            before, step = step, (self._state.job_no, self._state.sampling_step)
            if step != before:
                self._cancel.beat()
            if self._cancel.wish == "cancel":
                self._state.interrupted = True
                return
            # The host itself forgets a press that comes before its sampler runs.
            self._skipped = self._skipped or self._state.skipped


def _ending(state: Any) -> Ending:
    if state.interrupted or getattr(state, "stopping_generation", False):
        return "interrupted"
    return "skipped" if state.skipped else "finished"


@contextmanager
def locked(lock: Any, cancel: CancelToken) -> Iterator[None]:
    """Hold the host's lock, which has no timeout; a cancelled job gives its place in the line up."""
    place = None if lock.acquire(False) else _Place(lock)
    while place is not None and not place.reached.wait(LOOK_EVERY_S):
        cancel.beat()  # to wait for others is not to hang
        if cancel.wish == "cancel":
            place.leave()
            cancel.check_cancel()
    try:
        yield
    finally:
        lock.release()


class _Place:
    """A place in the line for a lock, kept by a thread of its own."""

    def __init__(self, lock: Any) -> None:
        self.reached = threading.Event()
        self._lock = lock
        self._left = False
        self._deciding = threading.Lock()
        threading.Thread(target=self._stand, name="deforum-place", daemon=True).start()

    def leave(self) -> None:
        """Give the place up; the lock is released as soon as it is ours."""
        with self._deciding:
            self._left = True
            if self.reached.is_set():
                self._lock.release()

    def _stand(self) -> None:
        self._lock.acquire()
        with self._deciding:
            if self._left:
                self._lock.release()
            else:
                self.reached.set()
