"""The record of a job and its transition table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from deforum_api.queue import messages
from deforum_api.queue.errors import limit_warnings, shorten
from deforum_api.queue.events import (
    Cancelled,
    CancelRequested,
    Claimed,
    Delayed,
    Event,
    Failed,
    Interrupted,
    Moved,
    Parked,
    PauseRequested,
    Released,
    Reported,
    Resumed,
    Stalled,
    Succeeded,
)

Status = Literal["ACCEPTED", "SUCCEEDED", "FAILED", "CANCELLED"]
Phase = Literal["QUEUED", "PREPARING", "GENERATING", "POST_PROCESSING", "DONE"]
ErrorType = Literal["NONE", "RETRYABLE", "TERMINAL"]

STATUSES: tuple[Status, ...] = ("ACCEPTED", "SUCCEEDED", "FAILED", "CANCELLED")
PHASES: tuple[Phase, ...] = ("QUEUED", "PREPARING", "GENERATING", "POST_PROCESSING", "DONE")
WORKING: tuple[Phase, ...] = ("PREPARING", "GENERATING", "POST_PROCESSING")
UNFINISHED: tuple[Phase, ...] = ("QUEUED", *WORKING)

ANIMATION = "animation"

MAX_ATTEMPTS = 3
MAX_DELAY_S = 600.0
MOST_MESSAGE = 4000  # characters


@dataclass(frozen=True)
class Job:
    """The record of one job.

    Args:
        id, batch_id: `batch(N)-k`, `batch(N)`.
        order: place in the order of submission over all batches.
        settings_json, overrides_json: the submitted settings and `options_overrides` as JSON text, "null" = none.
        started_at, last_updated, generating_since: Unix seconds.
        update_interval_time: seconds between the last two updates.
        updates: number of updates so far; two records of one job with equal numbers are the same record.
        attempt: 1 at first, incremented by each resume, delay and interruption; a server that holds an older attempt
            knows that the job is no longer its own.
        delays: number of automatic retries since it was submitted or resumed.
        interruptions: number of times a server or worker ended while rendering it, since then.
        not_before: Unix seconds before which it is not tried again.
        cancel_requested: it is to end as CANCELLED as soon as possible.
        held: it is paused, or pauses at its next frame.
        turn: place in the queue if that differs from the order of submission; -1 is before all.
        max_frames: frames of the video; `frame` of them are written, the last one at Unix time `frame_at`.
        work: sampling steps of the job, in megapixels; 0 in records of older versions.
        frames_before: frames that earlier attempts had written; `frames_in_film`: frames in the video made at its last
            cancel.
        kind: "animation" or the name of a tool, whose arguments are the settings. A tool that stops leaves no files and
            starts again from its first frame.
    """

    id: str
    batch_id: str
    order: int
    settings_json: str
    overrides_json: str
    started_at: float
    last_updated: float
    status: Status = "ACCEPTED"
    phase: Phase = "QUEUED"
    error_type: ErrorType = "NONE"
    phase_progress: float = 0.0
    update_interval_time: float = 0.0
    updates: int = 0
    attempt: int = 1
    delays: int = 0
    interruptions: int = 0
    not_before: float = 0.0
    cancel_requested: bool = False
    held: bool = False
    turn: int | None = None
    message: str | None = None
    outdir: str | None = None
    timestring: str | None = None
    frame: int = 0
    max_frames: int = 0
    generating_since: float = 0.0
    frames_before: int = 0
    frame_at: float = 0.0
    frames_in_film: int = 0
    work: float = 0.0
    warnings: tuple[str, ...] = ()
    kind: str = ANIMATION

    @property
    def is_tool(self) -> bool:
        return self.kind != ANIMATION

    @property
    def finished(self) -> bool:
        return self.status != "ACCEPTED"

    @property
    def queued(self) -> bool:
        return self.status == "ACCEPTED" and self.phase == "QUEUED" and not self.held

    @property
    def place(self) -> int:
        """Sort key of queued jobs."""
        return self.order if self.turn is None else self.turn

    def due(self, now: float) -> bool:
        """Tell whether a queued job may start at Unix time `now`; a clock that is set back delays it only briefly."""
        return not 0.0 < self.not_before - now <= MAX_DELAY_S

    @property
    def seconds_per_frame(self) -> float:
        """Mean time of this attempt's frames; 0 if unknown."""
        frames = self.frame - self.frames_before
        return max(0.0, self.frame_at - self.generating_since) / frames if frames > 0 else 0.0

    @property
    def eta_seconds(self) -> float:
        """Estimated seconds until the last frame; 0 if unknown."""
        if self.finished or self.phase != "GENERATING":
            return 0.0
        return self.seconds_per_frame * max(0, self.max_frames - self.frame)


# The (status, phase) pairs in which each event is legal; every other combination is an error.
TRANSITIONS: dict[type, frozenset[tuple[Status, Phase]]] = {
    Claimed: frozenset({("ACCEPTED", "QUEUED")}),
    Reported: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    CancelRequested: frozenset({("ACCEPTED", phase) for phase in UNFINISHED}),
    Succeeded: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Failed: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Delayed: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Interrupted: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Cancelled: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Stalled: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Parked: frozenset({("ACCEPTED", phase) for phase in WORKING}),
    Resumed: frozenset({(status, phase) for status in ("FAILED", "CANCELLED") for phase in UNFINISHED}),
    PauseRequested: frozenset({("ACCEPTED", phase) for phase in ("QUEUED", "PREPARING", "GENERATING")}),
    Released: frozenset({("ACCEPTED", phase) for phase in UNFINISHED}),
    Moved: frozenset({("ACCEPTED", "QUEUED")}),
}


class IllegalTransition(Exception):
    """The event is not legal in the job's status and phase."""


def after(job: Job, event: Event, now: float) -> Job:
    """Return `job` after `event` at Unix time `now`.

    Raises:
        IllegalTransition: `TRANSITIONS` does not allow it.
    """
    if (job.status, job.phase) not in TRANSITIONS[type(event)]:
        raise IllegalTransition(f"{type(event).__name__} does not fit {job.id} ({job.status}, {job.phase}).")
    now = max(now, job.last_updated)
    changed = _applied(job, event, now)
    if changed.is_tool and changed.status != "SUCCEEDED":
        changed = _without_files(changed)
    return replace(
        changed,
        held=changed.held and not changed.finished,
        updates=job.updates + 1,
        last_updated=now,
        update_interval_time=now - job.last_updated,
    )


def _applied(job: Job, event: Event, now: float) -> Job:
    if job.cancel_requested and isinstance(event, Failed | Delayed):
        return _cancelled(job, messages.CANCEL_FAILED(reason=event.message), has_video=False)
    if job.cancel_requested and isinstance(event, Succeeded | Parked):
        event = Cancelled()
    if isinstance(event, Claimed):
        message = job.message if job.cancel_requested else None
        return replace(job, phase="PREPARING", phase_progress=0.0, message=message)
    if isinstance(event, Reported):
        return _progressed(job, event, now)
    if isinstance(event, PauseRequested | Released):
        return replace(job, held=isinstance(event, PauseRequested) and not job.cancel_requested)
    if isinstance(event, Moved):
        return replace(job, turn=event.turn)
    if isinstance(event, CancelRequested):
        return _cancel_asked(job)
    if isinstance(event, Succeeded):
        return _succeeded(job, event)
    if isinstance(event, Failed):
        return _failed(job, event)
    if isinstance(event, Cancelled):
        return _cancelled(job, event.note, has_video=not event.note)
    if isinstance(event, Stalled):
        cancelling = messages.CANCELLING() if job.cancel_requested else None
        return replace(job, message=event.message or cancelling)
    if isinstance(event, Interrupted):
        return _interrupted(job, event.worker)
    return _requeued(job, event)


def _without_files(job: Job) -> Job:
    """Return the record of a stopped tool, which leaves no files."""
    if job.phase == "QUEUED":
        return replace(job, outdir=None, timestring=None, frame=0)
    return replace(job, outdir=None, timestring=None) if job.finished else job


def _cancel_asked(job: Job) -> Job:
    asked = replace(job, cancel_requested=True, held=False, not_before=0.0, message=messages.CANCELLING())
    if job.phase != "QUEUED":
        return asked
    if job.frame > job.frames_in_film:  # frames that are in no video yet become one before the job ends
        return replace(asked, turn=-1, message=messages.VIDEO_BEFORE_CANCEL())
    ended = _cancelled(asked)
    return ended if job.frame else replace(ended, message=messages.CANCELLED_UNSTARTED())


def _failed(job: Job, event: Failed) -> Job:
    error_type: ErrorType = "RETRYABLE" if event.retryable else "TERMINAL"
    return replace(job, status="FAILED", error_type=error_type, message=shorten(event.message, MOST_MESSAGE))


def _cancelled(job: Job, note: str = "", *, has_video: bool = True) -> Job:
    """Return the cancelled job; without `has_video` its frames become one if it is resumed and cancelled again."""
    if has_video or not job.frame or job.is_tool:
        message = messages.CANCELLED(frame=job.frame, frames=job.max_frames)
    else:
        message = messages.CANCELLED_WITHOUT_VIDEO(frame=job.frame, frames=job.max_frames, outdir=job.outdir)
    job = replace(job, frames_in_film=job.frame) if has_video else job
    return replace(job, status="CANCELLED", message=f"{message} {note}" if note else message, turn=None)


def _interrupted(job: Job, worker: str) -> Job:
    count, ending = job.interruptions + 1, job.cancel_requested
    if ending and job.is_tool:
        return _cancelled(job)
    if count >= MAX_ATTEMPTS and ending:
        return _cancelled(job, messages.CANCEL_INTERRUPTED(count=count), has_video=False)
    if count >= MAX_ATTEMPTS:
        by = messages.BY_LOST_WORKER(worker=worker) if worker else messages.BY_RESTART()
        too_often = messages.TOOL_INTERRUPTED_TOO_OFTEN if job.is_tool else messages.INTERRUPTED_TOO_OFTEN
        return _failed(job, Failed(too_often(count=count, by=by), retryable=True))
    if worker:
        lost = messages.TOOL_WORKER_LOST if job.is_tool else messages.WORKER_LOST
        message = lost(worker=worker)
    else:
        message = messages.TOOL_INTERRUPTED() if job.is_tool else messages.INTERRUPTED()
    return replace(
        _queued(job),
        attempt=job.attempt + 1,
        interruptions=count,
        cancel_requested=ending,
        held=job.held and not ending,
        message=messages.CANCELLING() if ending else message,
    )


def _progressed(job: Job, event: Reported, now: float) -> Job:
    phase, fraction = event.phase, min(max(event.fraction, 0.0), 1.0)
    if job.cancel_requested or PHASES.index(phase) < PHASES.index(job.phase):
        phase, fraction = job.phase, job.phase_progress
    if phase == job.phase:
        fraction = max(fraction, job.phase_progress)
    begins = phase == "GENERATING" and job.phase != "GENERATING"
    frame = max(job.frame, event.frame)
    return replace(
        job,
        phase=phase,
        phase_progress=fraction,
        frame=frame,
        max_frames=event.max_frames or job.max_frames,
        outdir=event.outdir or job.outdir,
        timestring=event.timestring or job.timestring,
        generating_since=now if begins else job.generating_since,
        frames_before=frame if begins else job.frames_before,
        frame_at=now if frame > job.frame else job.frame_at,
        warnings=limit_warnings((*job.warnings, *event.warnings)),
    )


def _succeeded(job: Job, event: Succeeded) -> Job:
    return replace(
        job,
        status="SUCCEEDED",
        phase="DONE",
        phase_progress=1.0,
        outdir=event.outdir,
        timestring=event.timestring,
        frame=event.frames,
        max_frames=event.frames,
        message=None,
        warnings=limit_warnings((*job.warnings, *event.warnings)),
    )


def _requeued(job: Job, event: Parked | Resumed | Delayed) -> Job:
    job = _queued(job)
    if isinstance(event, Parked):
        return job
    job = replace(job, attempt=job.attempt + 1)
    if isinstance(event, Delayed):
        message = f"{shorten(event.message, MOST_MESSAGE)} {event.note}".rstrip()
        return replace(job, delays=job.delays + 1, not_before=event.until, message=message)
    return replace(job, delays=0, interruptions=0, not_before=0.0)


def _queued(job: Job) -> Job:
    return replace(
        job,
        status="ACCEPTED",
        phase="QUEUED",
        error_type="NONE",
        phase_progress=0.0,
        cancel_requested=False,
        message=None,
    )
