"""From submitted settings to the records of a new batch: sizes and settings checked, nothing kept yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deforum_api.errors import ApiError, InvalidBatch, InvalidBody
from deforum_api.record import Job
from deforum_helpers.errors import Problem, SettingsError

if TYPE_CHECKING:
    from deforum_api.store import JobStore
    from deforum_api.worker import Check
    from deforum_helpers.prepare import Prepared

RECEIPT_KEPT_S = 24 * 3600.0
HANG_AFTER_S = 600.0


@dataclass(frozen=True)
class Limits:
    """How much a queue takes, and how long it waits.

    Args:
        queued: jobs that wait at once.
        batch: jobs of one batch.
        finished: ended jobs that are remembered.
        retry_after_s: seconds after which a job that failed, but may succeed later, is tried again; one try for each.
        hang_after_s: seconds without a sign of life after which a job is said to hang, 0 = never.
        give_up_after_s: seconds without one after which a cancelled job ends, even if its thread does not.
    """

    queued: int = 1000
    batch: int = 100
    finished: int = 10_000
    retry_after_s: tuple[float, ...] = (5.0, 30.0, 120.0)
    hang_after_s: float = HANG_AFTER_S
    give_up_after_s: float = 30.0


def check_size(settings: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Raise `InvalidBody` if a batch has no job, `ApiError` if it has more than `limit`."""
    if not settings:
        message = "deforum_settings is an empty list; send at least one job."
        raise InvalidBody(message, ("body", "deforum_settings"))
    if len(settings) > limit:
        message = f"A batch may have {limit} jobs; this one has {len(settings)}: send it in parts."
        raise ApiError(message, code=400)


def check_all(
    check: Check, settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None
) -> list[Prepared]:
    """Check and plan all jobs of a batch.

    Raises:
        InvalidBatch: with the problems of all of them.
    """
    checked: list[Prepared] = []
    problems: dict[tuple[int | None, Problem], None] = {}
    for number, submitted in enumerate(settings):
        outcome = checked_or_error(check, submitted, overrides)
        if isinstance(outcome, SettingsError):
            problems |= {(job_number(number, problem), problem): None for problem in outcome.problems}
        else:
            checked.append(outcome)
    if problems:
        raise InvalidBatch(list(problems))
    return checked


def checked_or_error(
    check: Check, submitted: Mapping[str, Any], overrides: Mapping[str, Any] | None
) -> Prepared | SettingsError:
    """Return the prepared job, or what is wrong with it."""
    try:
        return check(submitted, overrides)
    except SettingsError as error:
        return error


def job_number(number: int, problem: Problem) -> int | None:
    """Return the number of the job that a problem belongs to; options_overrides are of all jobs: None."""
    shared = (problem.setting or "").startswith("options_overrides")
    return None if shared else number


def fresh_batch_id(store: JobStore, draw: Callable[[], int]) -> str:
    """Return an id that no batch of `store` has."""
    while True:
        batch_id = f"batch({draw()})"
        if not store.batch(batch_id):
            return batch_id


def new_jobs(
    settings: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Any] | None,
    checked: Sequence[Prepared],
    *,
    batch_id: str,
    order: int,
    now: float,
) -> tuple[Job, ...]:
    """Return the records of a batch.

    Args:
        settings, overrides: as submitted.
        checked: what the settings mean, one per job.
        batch_id: of all of them.
        order: of the first of them.
        now: Unix seconds.
    """
    return tuple(
        Job(
            id=f"{batch_id}-{number}",
            batch_id=batch_id,
            order=order + number,
            settings_json=json.dumps(submitted),
            overrides_json=json.dumps(overrides),
            started_at=now,
            last_updated=now,
            max_frames=prepared.summary["frames"],
            warnings=tuple(prepared.warnings),
            work=prepared.work,
        )
        for number, (submitted, prepared) in enumerate(zip(settings, checked, strict=True))
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


def digest_of(settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None) -> str:
    """Return what tells one submitted batch from another, whatever the order of its keys."""
    return hashlib.sha256(json.dumps([settings, overrides], sort_keys=True).encode()).hexdigest()
