"""From submitted settings to the records of a new batch: checks of sizes and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deforum_api.queue import messages
from deforum_api.queue.errors import (
    MOST_PROBLEMS,
    ApiError,
    InvalidBatch,
    InvalidBody,
    TooManyFrames,
    limit_warnings,
)
from deforum_api.queue.record import ANIMATION, Job
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.settings import FIELDS

if TYPE_CHECKING:
    from deforum_api.queue.store import JobStore
    from deforum_api.queue.worker import Check
    from deforum_helpers.pipeline.prepare import Prepared
    from deforum_helpers.tools.prepare import PreparedTool

RECEIPT_KEPT_S = 24 * 3600.0
HANG_AFTER_S = 600.0
# Values of schedules in one request: five videos of 100,000 frames, or 100 of 5,000.
SCHEDULES = sum(info.kind == "schedule" for info in FIELDS.values())
MOST_CELLS = 500_000 * SCHEDULES


@dataclass(frozen=True)
class Limits:
    """Limits of a queue.

    Args:
        queued: number of queued jobs.
        batch: jobs per batch.
        finished: records of finished jobs that are kept.
        retry_after_s: seconds before each retry of a temporarily failed job; its length is the number of retries.
        hang_after_s: seconds without a sign of life after which a job is reported as hanging, 0 = never.
        abandon_after_s: seconds without one after which a cancelled job ends, even if its thread does not.
    """

    queued: int = 1000
    batch: int = 100
    finished: int = 10_000
    retry_after_s: tuple[float, ...] = (5.0, 30.0, 120.0)
    hang_after_s: float = HANG_AFTER_S
    abandon_after_s: float = 30.0


@dataclass(frozen=True)
class BatchTerms:
    """The fields of a batch that say how its jobs are treated.

    Args:
        priority: jobs of a higher one are taken first.
        webhook_url: address that is notified of each job's end; "" = none.
    """

    priority: int = 0
    webhook_url: str = ""


DEFAULT_TERMS = BatchTerms()


@dataclass(frozen=True)
class CheckedJob:
    """The part of a valid job that its record needs.

    Args:
        settings_json: the submitted settings as JSON text.
        frames: number of frames.
        warnings: warnings for the user.
        work: expected work; see `Prepared.work`.
        kind: "animation" or the name of a tool.
    """

    settings_json: str
    frames: int
    warnings: tuple[str, ...]
    work: float
    kind: str = ANIMATION


def check_size(settings: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Raise `InvalidBody` if a batch has no job, `ApiError` if it has more than `limit`."""
    if not settings:
        raise InvalidBody(messages.EMPTY_BATCH(), ("body", "deforum_settings"))
    if len(settings) > limit:
        raise ApiError(messages.TOO_MANY_JOBS(found=len(settings), most=limit), code=400)


def check_frames(settings: Sequence[Mapping[str, Any]], most_cells: int) -> None:
    """Raise `TooManyFrames` if the schedules of a batch have more values than one request may have.

    Checked before any schedule is evaluated. A length that an init video or a sound determines is not counted, as it is
    not known yet.
    """
    frames = sum(_frames(submitted) for submitted in settings)
    if frames * SCHEDULES > most_cells:
        raise TooManyFrames(frames, most_cells // SCHEDULES)


def _frames(submitted: Mapping[str, Any]) -> int:
    given = submitted.get("max_frames", FIELDS["max_frames"].default)
    try:
        frames = int(float(given)) if isinstance(given, (int, float, str)) else 0
    except (ValueError, OverflowError):
        return 0
    most = FIELDS["max_frames"].maximum or frames
    return frames if 0 < frames <= most else 0  # 0 = as the sound; others are refused


def check_all(
    check: Check,
    settings: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Any] | None,
    kind: str = ANIMATION,
) -> tuple[CheckedJob, ...]:
    """Check and plan all jobs of a batch, all of one kind.

    Raises:
        InvalidBatch: with the problems of all jobs; checking stops after `MOST_PROBLEMS`.
    """
    checked: list[CheckedJob] = []
    problems: dict[tuple[int | None, Problem], None] = {}
    for number, submitted in enumerate(settings):
        outcome = prepared_or_error(check, submitted, overrides, kind)
        if isinstance(outcome, SettingsError):
            problems |= {(job_number(number, problem), problem): None for problem in outcome.problems}
            if len(problems) > MOST_PROBLEMS:
                break
        else:
            frames, warnings = outcome.summary["frames"], limit_warnings(outcome.warnings)
            checked.append(CheckedJob(json.dumps(submitted), frames, warnings, outcome.work, kind))
    if problems:
        raise InvalidBatch(list(problems))
    return tuple(checked)


def prepared_or_error(
    check: Check, submitted: Mapping[str, Any], overrides: Mapping[str, Any] | None, kind: str = ANIMATION
) -> Prepared | PreparedTool | SettingsError:
    """Return the prepared job, or the error with its problems."""
    try:
        return check(submitted, overrides, kind=kind)
    except SettingsError as error:
        return error


def job_number(number: int, problem: Problem) -> int | None:
    """Return the number of the job that has the problem; None for options_overrides, which all jobs share."""
    shared = (problem.setting or "").startswith("options_overrides")
    return None if shared else number


def unused_batch_id(store: JobStore, draw: Callable[[], int]) -> str:
    """Return an id that no batch of `store` has."""
    while True:
        batch_id = f"batch({draw()})"
        if not store.batch(batch_id):
            return batch_id


def new_jobs(
    checked: Sequence[CheckedJob],
    overrides_json: str,
    terms: BatchTerms,
    *,
    upload: bool,
    batch_id: str,
    order: int,
    now: float,
) -> tuple[Job, ...]:
    """Return the records of a batch.

    Args:
        checked: its jobs.
        overrides_json: the `options_overrides` of all of them.
        terms: of all of them.
        upload: their outputs are uploaded.
        batch_id: of all of them.
        order: of the first of them.
        now: Unix seconds.
    """
    return tuple(
        Job(
            id=f"{batch_id}-{number}",
            batch_id=batch_id,
            order=order + number,
            settings_json=job.settings_json,
            overrides_json=overrides_json,
            started_at=now,
            last_updated=now,
            max_frames=job.frames,
            warnings=job.warnings,
            work=job.work,
            kind=job.kind,
            priority=terms.priority,
            webhook_url=terms.webhook_url,
            upload=upload,
        )
        for number, job in enumerate(checked)
    )


def reply(jobs: Sequence[Job]) -> str:
    """Return the answer to an accepted batch as JSON text."""
    return json.dumps(
        {
            "message": "Job(s) accepted",
            "batch_id": jobs[0].batch_id,
            "job_ids": [job.id for job in jobs],
            "warnings": {job.id: job.warnings for job in jobs},
        }
    )


def digest_of(
    settings: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Any] | None,
    tool: str | None = None,
    terms: BatchTerms = DEFAULT_TERMS,
) -> str:
    """Return a hash of a submitted batch that does not depend on the order of keys."""
    told = [settings, overrides] if tool is None else [settings, overrides, tool]
    if terms != DEFAULT_TERMS:  # receipts of older versions know no terms
        default = asdict(DEFAULT_TERMS)
        told.append({name: value for name, value in asdict(terms).items() if value != default[name]})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
