"""The events that change a job's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deforum_api.queue.record import Phase


@dataclass(frozen=True)
class Claimed:
    """The worker has taken the job."""


@dataclass(frozen=True)
class Reported:
    """The job has made progress; `fraction` is the finished share of the phase, 0..1."""

    phase: Phase
    fraction: float
    frame: int = 0
    max_frames: int = 0
    outdir: str | None = None
    timestring: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CancelRequested:
    """A client cancels the job; a queued one ends at once."""


@dataclass(frozen=True)
class Succeeded:
    """All outputs exist and were checked."""

    outdir: str
    timestring: str
    frames: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The job has ended with an error; `retryable`: the same job may succeed later."""

    message: str
    retryable: bool = False


@dataclass(frozen=True)
class Delayed:
    """The job has failed temporarily and is tried again after Unix time `until`; `note` tells the user so."""

    message: str
    until: float
    note: str = ""


@dataclass(frozen=True)
class Interrupted:
    """The server that rendered the job has ended without parking it; with `worker`, this worker of the server has."""

    worker: str = ""


@dataclass(frozen=True)
class Cancelled:
    """The job has stopped after a cancel; `note` says why its frames are in no video yet, "" if they are."""

    note: str = ""


@dataclass(frozen=True)
class Stalled:
    """The running job makes no progress, as `message` says; None: it does again."""

    message: str | None


@dataclass(frozen=True)
class Parked:
    """The job has stopped between two frames and is queued again."""


@dataclass(frozen=True)
class Resumed:
    """A client resumes a failed or cancelled job, as a new attempt."""


@dataclass(frozen=True)
class PauseRequested:
    """A client pauses the job; a running one stops at its next frame."""


@dataclass(frozen=True)
class Released:
    """A client resumes a paused job."""


@dataclass(frozen=True)
class Moved:
    """A client moves a queued job to another place in the queue."""

    turn: int


Event = (
    Claimed
    | Reported
    | CancelRequested
    | Succeeded
    | Failed
    | Delayed
    | Interrupted
    | Cancelled
    | Stalled
    | Parked
    | Resumed
    | PauseRequested
    | Released
    | Moved
)
