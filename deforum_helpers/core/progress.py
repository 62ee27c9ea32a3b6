"""How a job is told to stop: a token that it owns and asks at known points."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deforum_helpers.core.errors import Cancelled, Parked

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


Phase = Literal["PREPARING", "GENERATING", "POST_PROCESSING"]


@dataclass(frozen=True)
class Progress:
    """Where a job stands.

    Args:
        phase: what it does.
        fraction: share of the phase that is done, 0..1, never falling within a phase.
        frame: number of frames finished.
        max_frames: number of frames of the film.
        outdir, timestring: where its files are and what their names begin with; empty until that is known.
        warnings: what came up while rendering, as plain sentences.
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
    """Return what an unfinished job does, in a few words.

    Args:
        phase: as the API names it.
        position: number of jobs before it in the queue, or None.
        paused: it waits until it is resumed, or will after this frame.
        cancelling: it was told to end.

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
    """Return frames, pace and time left; what is 0 is not known and left out.

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
    """Measures how long a frame of this attempt takes, from its reports.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[int, float] | None = None
        self._newest = 0, 0.0

    def seconds_per_frame(self, progress: Progress) -> float:
        """Note a report and return the pace; 0 while it is not known."""
        if progress.phase != "GENERATING":
            return 0.0
        if self._began is None:
            self._began = self._newest = progress.frame, self._clock()
        if progress.frame > self._newest[0]:
            self._newest = progress.frame, self._clock()
        frames, seconds = (self._newest[0] - self._began[0], self._newest[1] - self._began[1])
        return seconds / frames if frames else 0.0


@dataclass(frozen=True)
class RunResult:
    """What a finished job left behind.

    Args:
        outdir, timestring: where its files are and what their names begin with.
        frames: number of frames written.
        video: the film, or None where none was asked for.
        warnings: all of the job's warnings.
        more_videos: films of enlarged frames and of frames in between.
    """

    outdir: Path
    timestring: str
    frames: int
    video: Path | None
    warnings: tuple[str, ...]
    more_videos: tuple[Path, ...] = ()


def told_once(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts without those that were told before, be it with a number of another frame.

    >>> told_once(["no word of 'cat 1'", "no word of 'cat 2.5'", "no word of 'dog'"])
    ("no word of 'cat 1'", "no word of 'dog'")
    """
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(re.sub(r"[0-9.]+", "", text), text)
    return tuple(first.values())
