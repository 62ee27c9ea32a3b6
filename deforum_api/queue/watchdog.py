"""Detects a running job that hangs: every check of its token and every report is a sign of life.

A thread cannot be killed. A hanging job is therefore reported in its record, in the log and in `/deforum_api/health`; a
cancelled one that does not respond ends on record, while its thread keeps the device until it releases it.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from deforum_api.queue import messages
from deforum_api.queue.logs import PACKAGES

if TYPE_CHECKING:
    from deforum_api.queue.record import Job
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.pipeline.job import Progress

# Before the first frame a model may be downloaded, after the last one ffmpeg encodes the video.
OUTSIDE_FRAMES_FACTOR = 6.0
# Slow machines: up to this multiple of the longest step seen counts as normal.
SLOW_FACTOR = 10.0


class SilenceLimits:
    """How long a job may give no sign of life, adapted to the silences seen in this process.

    Args:
        hang_after_s: seconds; 0 = forever.
        abandon_after_s: seconds within which a cancelled job has to respond.
    """

    def __init__(self, hang_after_s: float, abandon_after_s: float) -> None:
        self._hang_after_s = hang_after_s
        self._give_up_after_s = abandon_after_s
        self._longest_s = 0.0

    def learn(self, silence_s: float) -> None:
        """Record a silence between two signs of life, after a job's first frame."""
        self._longest_s = max(self._longest_s, silence_s)

    def hanging_after_s(self, *, at_frames: bool) -> float:
        """Return the seconds of silence after which a job hangs; `at_frames`: it is past its first frame."""
        if not self._hang_after_s:
            return float("inf")
        factor = 1.0 if at_frames else OUTSIDE_FRAMES_FACTOR
        return max(factor * self._hang_after_s, SLOW_FACTOR * self._longest_s)

    @property
    def abandoned_after_s(self) -> float:
        """Seconds of silence after which a cancelled job ends on record."""
        return max(self._give_up_after_s, 2 * self._longest_s)


class Attempt:
    """A running attempt at a job; created on the thread that renders it.

    `hang_report` is why it is said to hang, or None; `ended` tells that its thread is free again.

    Args:
        job: as it was claimed.
        token: its wish to stop.
        clock: seconds that never run back.
        worker_id: the executor's worker that renders it; None = it is a motion preview, rendered beside the workers.
    """

    def __init__(
        self,
        job: Job,
        token: CancelToken,
        clock: Callable[[], float] = time.monotonic,
        worker_id: str | None = None,
    ) -> None:
        self.job = job
        self.token = token
        self.worker_id = worker_id
        self.phase = "PREPARING"
        self.hang_report: str | None = None
        self.ended = False
        self._first, self._frame, self._max_frames = job.frame, job.frame, job.max_frames
        self._thread = threading.get_ident()
        self._clock = clock
        self._signs, self._heard_at, self._heard_time = token.signs, clock(), time.time()
        self._cancel_seen_at: float | None = None

    def note_progress(self, progress: Progress) -> None:
        """Record a progress report."""
        self.token.beat()
        self.phase, self._frame, self._max_frames = progress.phase, progress.frame, progress.max_frames

    @property
    def at_frames(self) -> bool:
        """Whether it has generated a frame and generates more."""
        return self.phase == "GENERATING" and self._frame > self._first

    def silence_s(self, patience: SilenceLimits) -> float:
        """Return the seconds since the last sign of life, and record finished silences in `patience`."""
        now, signs = self._clock(), self.token.signs
        if signs != self._signs:
            if self.at_frames:
                patience.learn(now - self._heard_at)
            self._signs, self._heard_at, self._heard_time = signs, now, time.time()
        return now - self._heard_at

    def unanswered_s(self) -> float:
        """Return the seconds without a sign of life since a cancel; 0 without a cancel."""
        if self.token.stop_request != "cancel":
            return 0.0
        now = self._clock()
        if self._cancel_seen_at is None:
            self._cancel_seen_at = now
        return now - max(self._cancel_seen_at, self._heard_at)

    def hanging(self, silence_s: float) -> str:
        """Return the message that the job hangs: since when, in which phase and function."""
        since = time.strftime("%H:%M:%S", time.localtime(self._heard_time))
        function = _innermost(sys._current_frames().get(self._thread))
        if function:
            return messages.JOB_HANGS_IN(since=since, silence=silence_s, work=self._work(), function=function)
        return messages.JOB_HANGS(since=since, silence=silence_s, work=self._work())

    def _work(self) -> str:
        if self.phase == "GENERATING":
            return messages.WHILE_GENERATING(frame=self._frame, frames=self._max_frames)
        if self.phase == "POST_PROCESSING":
            return messages.WHILE_POST_PROCESSING()
        return messages.WHILE_PREPARING()

    def stack(self) -> str:
        """Return the traceback of its thread."""
        frame = sys._current_frames().get(self._thread)
        return "".join(traceback.format_stack(frame)) if frame else ""


def _innermost(frame: FrameType | None) -> str:
    """Return the innermost function of this project on a stack, as module and name."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("deforum_api.queue.ray."):
            return ""  # the job itself is elsewhere
        if module.partition(".")[0] in PACKAGES and module != __name__:
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return ""
