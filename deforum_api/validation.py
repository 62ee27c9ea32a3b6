"""What would become of a job, told without queueing it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from deforum_api.errors import Account, ApiError, TooLarge, few
from deforum_api.submission import checked_or_error, job_number
from deforum_helpers.errors import SettingsError
from deforum_helpers.settings import flat_settings

if TYPE_CHECKING:
    from deforum_api.worker import Check
    from deforum_helpers.prepare import Prepared

SERIES_FRAMES = 20_000
# Of one answer, beside the settings that it repeats; with every value of every frame.
MOST_ANSWER_BYTES = 4 * 2**20
MOST_SERIES_BYTES = 16 * 2**20


def validation_answer(
    check: Check,
    settings: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Any] | None,
    *,
    series: bool,
    body_bytes: int,
) -> bytes:
    """Return the answer of `validated` as JSON in UTF-8.

    Args:
        body_bytes: length of the request, whose settings the answer repeats.

    Raises:
        ApiError: as `validated`; the answer would be too long.
    """
    most = (MOST_SERIES_BYTES if series else MOST_ANSWER_BYTES) + body_bytes
    parts: list[bytes] = []
    for answer in validated(check, settings, overrides, series):
        parts.append(json.dumps(answer, ensure_ascii=False).encode())
        most -= len(parts[-1])
        if most < 0:
            raise TooLarge("The answer would be too long; send fewer jobs, or shorter ones, at once.")
    return b'{"jobs": [' + b", ".join(parts) + b"]}"


def validated(
    check: Check, settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None, series: bool
) -> Iterator[dict[str, Any]]:
    """Yield one answer per job: its errors, or what it means and costs.

    Args:
        check: plans a job.
        settings: of each job, as submitted.
        overrides: host options for all of them.
        series: add every value of every frame.

    Raises:
        ApiError: more frames than are told value by value.
    """
    account, frames = Account(), 0
    for number, submitted in enumerate(settings):
        checked = cast("Prepared | SettingsError", checked_or_error(check, submitted, overrides))
        if isinstance(checked, SettingsError):
            problems = [(job_number(number, problem), problem) for problem in checked.problems]
            found, warnings = account.entries(problems), list(few(checked.warnings))
            yield {"errors": found, "warnings": warnings, "settings": None, "plan": None}
            continue
        if series:
            frames += checked.plan.frames
            _check_series(checked, frames)
        yield _answer(checked, series)


def _answer(prepared: Prepared, series: bool) -> dict[str, Any]:
    answer = {
        "errors": [],
        "warnings": list(few(prepared.warnings)),
        "settings": flat_settings(prepared.settings),
        "plan": prepared.summary,
    }
    return {**answer, **_series(prepared)} if series else answer


def _check_series(prepared: Prepared, frames: int) -> None:
    if frames > SERIES_FRAMES:
        message = f"series=true is for {SERIES_FRAMES} frames at once; these jobs have {frames} or more: send fewer."
        raise ApiError(message, code=400)
    prompts = prepared.plan.prompts
    if sum(map(len, (*prompts.positive, *prompts.negative))) > MOST_SERIES_BYTES:
        raise TooLarge("The prompts of all frames would be too long for one answer; send fewer frames.")


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
