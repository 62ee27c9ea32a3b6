"""Whether the job that works still moves: every look at its token and every report is a sign of life.

A thread cannot be killed. So a job that hangs is named, in its record, in the log and in `/deforum_api/health`; one
that is cancelled and does not answer ends on record, while its thread keeps the device until it lets go of it.
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

# Before its first frame a job loads a model, which may have to be fetched; after its last, ffmpeg has an hour.
OUTSIDE_FRAMES_FACTOR = 6.0
# A machine is as slow as it has been: this many times its longest step is no hanging.
SLOW_FACTOR = 10.0


class Patience:
    """How long a job may be silent, by what was seen of this program's jobs.

    Args:
        hang_after_s: seconds; 0 = for ever.
        give_up_after_s: seconds in which a cancelled job has to answer.
    """

    def __init__(self, hang_after_s: float, give_up_after_s: float) -> None:
        self._hang_after_s = hang_after_s
        self._give_up_after_s = give_up_after_s
        self._longest_s = 0.0

    def learn(self, silence_s: float) -> None:
        """Take note of a silence between two signs of life, at frames after a job's first."""
        self._longest_s = max(self._longest_s, silence_s)

    def named_after_s(self, *, at_frames: bool) -> float:
        """Return the seconds of silence after which a job is said to hang; `at_frames`: it is past its first one."""
        if not self._hang_after_s:
            return float("inf")
        factor = 1.0 if at_frames else OUTSIDE_FRAMES_FACTOR
        return max(factor * self._hang_after_s, SLOW_FACTOR * self._longest_s)

    @property
    def given_up_after_s(self) -> float:
        """Seconds of silence after which a cancelled job ends on record, whatever its thread does."""
        return max(self._give_up_after_s, 2 * self._longest_s)


class Attempt:
    """One attempt at a job, made by the thread that works on it.

    `named` is why it is said to hang, or None; `over` tells that its thread is free again.

    Args:
        job: as it was claimed.
        token: its wish to stop.
        clock: seconds that never run back.
    """

    def __init__(self, job: Job, token: CancelToken, clock: Callable[[], float] = time.monotonic) -> None:
        self.job = job
        self.token = token
        self.phase = "PREPARING"
        self.named: str | None = None
        self.over = False
        self._first, self._frame, self._max_frames = job.frame, job.frame, job.max_frames
        self._thread = threading.get_ident()
        self._clock = clock
        self._signs, self._heard_at, self._told_at = token.signs, clock(), time.time()
        self._cancel_seen_at: float | None = None

    def told(self, progress: Progress) -> None:
        """Take note of a report."""
        self.token.beat()
        self.phase, self._frame, self._max_frames = progress.phase, progress.frame, progress.max_frames

    @property
    def at_frames(self) -> bool:
        """Whether it has drawn a frame and draws more."""
        return self.phase == "GENERATING" and self._frame > self._first

    def silence_s(self, patience: Patience) -> float:
        """Return the seconds since the last sign of life; `patience` learns from those that are over."""
        now, signs = self._clock(), self.token.signs
        if signs != self._signs:
            if self.at_frames:
                patience.learn(now - self._heard_at)
            self._signs, self._heard_at, self._told_at = signs, now, time.time()
        return now - self._heard_at

    def unanswered_s(self) -> float:
        """Return for how many seconds a wish to cancel has had no sign of life; 0 where there is no such wish."""
        if self.token.wish != "cancel":
            return 0.0
        now = self._clock()
        if self._cancel_seen_at is None:
            self._cancel_seen_at = now
        return now - max(self._cancel_seen_at, self._heard_at)

    def hanging(self, silence_s: float) -> str:
        """Return the message that the job hangs: since when, in which phase and function."""
        since = time.strftime("%H:%M:%S", time.localtime(self._told_at))
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
        """Return where its thread stands, as a traceback."""
        frame = sys._current_frames().get(self._thread)
        return "".join(traceback.format_stack(frame)) if frame else ""


def _innermost(frame: FrameType | None) -> str:
    """Return the innermost function of ours on a stack, as module and name."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in PACKAGES and module != __name__:
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return ""
