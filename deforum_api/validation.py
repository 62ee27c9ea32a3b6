"""What would become of a job, told without queueing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deforum_api.errors import problem_entry
from deforum_api.jobs import JobQueue
from deforum_helpers.errors import SettingsError

if TYPE_CHECKING:
    from deforum_helpers.prepare import Prepared


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
        ApiError: more jobs than a batch may have.
    """
    jobs.check_size(settings)
    return [
        _validated(jobs, number, submitted, overrides, series) for number, submitted in enumerate(settings)
    ]


def _validated(
    jobs: JobQueue,
    number: int,
    submitted: Mapping[str, Any],
    overrides: Mapping[str, Any] | None,
    series: bool,
) -> dict[str, Any]:
    from deforum_helpers.settings import flat_settings

    try:
        prepared = jobs.check(submitted, overrides)
    except SettingsError as error:
        problems = [problem_entry(number, problem) for problem in error.problems]
        return {"errors": problems, "warnings": [], "settings": None, "plan": None}
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
