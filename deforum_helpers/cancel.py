"""How a job is told to stop: a token that it owns and asks at known points."""

from __future__ import annotations

import threading
from typing import Literal

from deforum_helpers.errors import Cancelled, Parked

Wish = Literal["none", "park", "cancel"]


class CancelToken:
    """Carries the wish to stop from any thread to the one that renders.

    A cancel outranks a park and neither is ever taken back: a token belongs to one attempt of one job.
    Whoever asks it is alive, so that it also tells whether the job still moves.
    """

    def __init__(self) -> None:
        self._wish: Wish = "none"
        self._lock = threading.Lock()
        self._signs = 0

    @property
    def wish(self) -> Wish:
        return self._wish

    @property
    def signs(self) -> int:
        """How often the job has shown that it moves; a count, so that no clock matters."""
        return self._signs

    def beat(self) -> None:
        """Show that the job moves, where it does not ask."""
        self._signs += 1

    def cancel(self) -> None:
        """Ask the job to end for good."""
        with self._lock:
            self._wish = "cancel"

    def park(self) -> None:
        """Ask the job to stop at the next edge between two frames, to be continued later."""
        with self._lock:
            if self._wish == "none":
                self._wish = "park"

    def check_cancel(self) -> None:
        """Raise `Cancelled` if the job is to end for good; the check inside a frame, where parking would lose work."""
        self.beat()
        if self._wish == "cancel":
            raise Cancelled("The job was cancelled.")

    def check(self) -> None:
        """Raise `Cancelled` or `Parked` if the job is to stop; the check between two frames."""
        self.check_cancel()
        if self._wish == "park":
            raise Parked("The job was parked and can be resumed.")
