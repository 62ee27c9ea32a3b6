"""What would become of a job, told without queueing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deforum_api.errors import ApiError, problem_entry
from deforum_api.jobs import JobQueue
from deforum_api.submission import check_size, checked_or_error, job_number
from deforum_helpers.errors import SettingsError
from deforum_helpers.settings import flat_settings

if TYPE_CHECKING:
    from deforum_helpers.prepare import Prepared

SERIES_FRAMES = 20_000


def validated(
    jobs: JobQueue, settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None, series: bool
) -> list[dict[str, Any]]:
    """Return one answer per job: its errors, or what it means and costs.

    Args:
        jobs: the queue that checks them.
        settings: of each job, as submitted.
        overrides: host options for all of them.
        series: add every value of every frame.

    Raises:
        ApiError: more jobs than a batch may have, or more frames than are told value by value.
    """
    check_size(settings, jobs.limits.batch)
    checked = [checked_or_error(jobs.check, submitted, overrides) for submitted in settings]
    frames = sum(one.plan.frames for one in checked if not isinstance(one, SettingsError)) if series else 0
    if frames > SERIES_FRAMES:
        message = f"series=true is for {SERIES_FRAMES} frames at once; these jobs have {frames}: send fewer."
        raise ApiError(message, code=400)
    return [_answer(number, one, series) for number, one in enumerate(checked)]


def _answer(number: int, prepared: Prepared | SettingsError, series: bool) -> dict[str, Any]:
    if isinstance(prepared, SettingsError):
        found = [problem_entry(job_number(number, problem), problem) for problem in prepared.problems]
        return {"errors": found, "warnings": list(prepared.warnings), "settings": None, "plan": None}
    answer = {
        "errors": [],
        "warnings": list(prepared.warnings),
        "settings": flat_settings(prepared.settings),
        "plan": prepared.summary,
    }
    return {**answer, **_series(prepared)} if series else answer


def _series(prepared: Prepared) -> dict[str, Any]:
    plan = prepared.plan
    values = {name: series.tolist() for name, series in plan.schedules.values.items()}
    texts = {name: list(series) for name, series in plan.schedules.texts.items()}
    seeds = [key.request.seed for key in plan.key_frames for _ in range(key.index, key.stop)]
    return {
        "series": values | texts,
        "prompts": list(plan.prompts.positive),
        "negative_prompts": list(plan.prompts.negative),
        "seeds": seeds,
        "poses": plan.poses.reshape(-1, 16).tolist(),
    }
