"""What may happen to a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deforum_api.queue.record import Phase


@dataclass(frozen=True)
class Claimed:
    """The worker takes the job."""


@dataclass(frozen=True)
class Reported:
    """The job moved on; `fraction` is the share of the phase's work done, 0..1."""

    phase: Phase
    fraction: float
    frame: int = 0
    max_frames: int = 0
    outdir: str | None = None
    timestring: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CancelAsked:
    """A client wants the job to end; a queued one ends at once."""


@dataclass(frozen=True)
class Succeeded:
    """All outputs exist and were checked."""

    outdir: str
    timestring: str
    frames: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The job ended with an error; `retryable`: the same job may succeed later."""

    message: str
    retryable: bool = False


@dataclass(frozen=True)
class Delayed:
    """The job failed in a way that may pass: as `note` says, it goes on by itself after Unix time `until`."""

    message: str
    until: float
    note: str = ""


@dataclass(frozen=True)
class Interrupted:
    """The program that worked on the job ended without a word."""


@dataclass(frozen=True)
class Cancelled:
    """The job stopped as it was asked to; `note`: why there is no film of its frames yet, or nothing where there is."""

    note: str = ""


@dataclass(frozen=True)
class Stalled:
    """The working job does not move, as `message` says; None: it moves again."""

    message: str | None


@dataclass(frozen=True)
class Parked:
    """The job was interrupted between two frames and waits again."""


@dataclass(frozen=True)
class Resumed:
    """A client wants a failed or cancelled job to go on, as a new attempt."""


@dataclass(frozen=True)
class HoldAsked:
    """A client wants the job to pause; a working one does so at the next frame."""


@dataclass(frozen=True)
class Released:
    """A client wants a paused job to go on."""


@dataclass(frozen=True)
class Moved:
    """A client wants a waiting job to be taken in another place."""

    turn: int


Event = (
    Claimed
    | Reported
    | CancelAsked
    | Succeeded
    | Failed
    | Delayed
    | Interrupted
    | Cancelled
    | Stalled
    | Parked
    | Resumed
    | HoldAsked
    | Released
    | Moved
)
