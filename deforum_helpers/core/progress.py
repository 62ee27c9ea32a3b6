"""Progress of a job, and the token that stops it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deforum_helpers.core import messages
from deforum_helpers.core.errors import Cancelled, Parked

StopRequest = Literal["none", "park", "cancel"]


class CancelToken:
    """Carries a request to stop from any thread to the thread that renders.

    A cancel outranks a park, and neither can be revoked: a token belongs to one attempt of one job. Each check of the
    token is also a sign of life of the job, which the watchdog counts.
    """

    def __init__(self) -> None:
        self._stop_request: StopRequest = "none"
        self._lock = threading.Lock()
        self._signs = 0
        self._asked: Callable[[StopRequest], None] | None = None

    @property
    def stop_request(self) -> StopRequest:
        return self._stop_request

    @property
    def signs(self) -> int:
        """Number of signs of life so far; a count, independent of any clock."""
        return self._signs

    def beat(self) -> None:
        """Give a sign of life without a check."""
        self._signs += 1

    def cancel(self) -> None:
        """Ask the job to end for good."""
        self._ask("cancel")

    def park(self) -> None:
        """Ask the job to stop before its next frame, to be continued later."""
        self._ask("park")

    def pass_on(self, asked: Callable[[StopRequest], None]) -> None:
        """Call `asked` with each change of `stop_request` from now on, and at once if there was a request before."""
        with self._lock:
            self._asked = asked
            before = self._stop_request
        if before != "none":
            asked(before)

    def _ask(self, wish: StopRequest) -> None:
        with self._lock:
            if self._stop_request == wish or self._stop_request == "cancel":
                return
            self._stop_request, asked = wish, self._asked
        if asked is not None:
            asked(wish)

    def check_cancel(self) -> None:
        """Raise `Cancelled` after a cancel; the check within a frame, where parking would lose work."""
        self.beat()
        if self._stop_request == "cancel":
            raise Cancelled(messages.CANCELLED())

    def check(self) -> None:
        """Raise `Cancelled` or `Parked` after a request to stop; the check between two frames."""
        self.check_cancel()
        if self._stop_request == "park":
            raise Parked(messages.PARKED())


Phase = Literal["PREPARING", "GENERATING", "POST_PROCESSING"]


@dataclass(frozen=True)
class Progress:
    """The progress of a job.

    Args:
        phase: the current phase.
        fraction: share of the phase that is done, 0..1, never decreasing within a phase.
        frame: number of finished frames.
        max_frames: number of frames of the video.
        outdir, timestring: folder of the run and prefix of its file names; "" until known.
        warnings: warnings so far, one sentence each.
    """

    phase: Phase
    fraction: float
    frame: int
    max_frames: int
    outdir: str = ""
    timestring: str = ""
    warnings: tuple[str, ...] = ()


PHASES = {
    "QUEUED": "waiting",
    "PREPARING": "preparing",
    "GENERATING": "generating",
    "POST_PROCESSING": "making the video",
    "DONE": "done",
}


def state_words(
    phase: str, *, position: int | None = None, paused: bool = False, cancelling: bool = False
) -> str:
    """Return the state of an unfinished job in a few words.

    Args:
        phase: name of the phase in the API.
        position: number of jobs before it in the queue, or None.
        paused: the job is paused, or will be after this frame.
        cancelling: the job was cancelled and has not ended yet.

    >>> state_words("QUEUED", position=0), state_words("GENERATING", paused=True)
    ("next in the queue", "pausing after this frame")
    """
    if cancelling:
        return "cancelling"
    if paused:
        return "paused" if phase == "QUEUED" else "pausing after this frame"
    if phase == "QUEUED" and position is not None:
        return f"number {position + 1} in the queue" if position else "next in the queue"
    return PHASES.get(phase, phase.lower())


def frame_words(
    frame: int, max_frames: int, *, seconds_per_frame: float = 0.0, eta_seconds: float = 0.0
) -> str:
    """Return the frame, the pace and the time left; a value of 0 is unknown and omitted.

    >>> frame_words(5, 10, seconds_per_frame=696.0, eta_seconds=3480.0)
    "frame 5 of 10, 696 s per frame, 58 min left"
    """
    words = [f"frame {frame} of {max_frames}"] if max_frames else []
    if seconds_per_frame > 0:
        digits = 2 if seconds_per_frame < 10 else 1 if seconds_per_frame < 100 else 0
        pace = f"{seconds_per_frame:.{digits}f}" if seconds_per_frame >= 0.01 else "less than 0.01"
        words.append(f"{pace} s per frame")
    if eta_seconds > 0:
        words.append(f"{duration(eta_seconds)} left")
    return ", ".join(words)


def duration(seconds: float) -> str:
    """Return a duration: 42 is "42 s", 150 is "2 min 30 s", 3480 is "58 min", 7300 is "2 h 2 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 or not seconds else "less than 1 s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class Pace:
    """Measures the time per frame of one attempt from its progress reports.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[int, float] | None = None
        self._newest = 0, 0.0

    def seconds_per_frame(self, progress: Progress) -> float:
        """Record a report and return the pace; 0 while it is unknown."""
        if progress.phase != "GENERATING":
            return 0.0
        if self._first is None:
            self._first = self._newest = progress.frame, self._clock()
        if progress.frame > self._newest[0]:
            self._newest = progress.frame, self._clock()
        frames, seconds = (self._newest[0] - self._first[0], self._newest[1] - self._first[1])
        return seconds / frames if frames else 0.0


@dataclass(frozen=True)
class RunResult:
    """The result of a finished job.

    Args:
        outdir, timestring: folder of the run and prefix of its file names.
        frames: number of frames written.
        video: path of the main video, or None if the settings skip it.
        warnings: all warnings of the job.
        more_videos: paths of the upscaled and interpolated videos.
    """

    outdir: Path
    timestring: str
    frames: int
    video: Path | None
    warnings: tuple[str, ...]
    more_videos: tuple[Path, ...] = ()


def distinct_messages(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts without those that differ from an earlier one only in numbers.

    >>> distinct_messages(["no word of 'cat 1'", "no word of 'cat 2.5'", "no word of 'dog'"])
    ("no word of 'cat 1'", "no word of 'dog'")
    """
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(re.sub(r"[0-9.]+", "", text), text)
    return tuple(first.values())
