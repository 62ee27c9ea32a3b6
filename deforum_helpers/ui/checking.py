"""The check of the settings in the tab: its problems, or the cost of the video, as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.core.errors import DeforumError, Problem, group_problems, summary_of
from deforum_helpers.core.progress import duration
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.settings import FIELDS
from deforum_helpers.ui.controls import hidden_names, submitted_settings, to_control
from deforum_helpers.ui.formatting import code_attribute, escape, problems_of, size
from deforum_helpers.ui.service import JobService

MAX_MARKED = 40


@dataclass(frozen=True)
class CheckResult:
    """The result of a check: a planned job, or problems.

    Args:
        settings: that were checked.
        prepared: the planned job, or None if there are problems.
        problems: all that were found.
        seconds: estimated time of the job, or None if unknown.
    """

    settings: dict[str, Any]
    prepared: Prepared | None
    problems: tuple[Problem, ...] = ()
    seconds: float | None = None


def check(service: JobService, values: Mapping[str, Any] | tuple[Any, ...]) -> CheckResult:
    """Check the values of the controls."""
    settings = submitted_settings(values)
    try:
        prepared = service.check(settings)
    except DeforumError as error:
        return CheckResult(settings, None, problems_of(error))
    return CheckResult(settings, prepared, seconds=service.expected_seconds(prepared))


def marks_json(checked: CheckResult) -> str:
    """Return JSON for the page's script: the hidden controls, and the problems of each setting."""
    by_setting: dict[str, list[dict[str, Any]]] = {}
    for problem in checked.problems:
        if problem.setting and problem.setting in FIELDS:
            by_setting.setdefault(problem.setting, []).append(_mark(checked, problem))
    return json.dumps({"hidden": hidden_names(checked.settings), "problems": by_setting})


def _mark(checked: CheckResult, problem: Problem) -> dict[str, Any]:
    """Return a problem with an excerpt of the text around its column."""
    mark: dict[str, Any] = {"message": problem.message, "frame": problem.frame, "column": problem.column}
    if problem.column and problem.setting:
        text = checked.settings[problem.setting]
        if not isinstance(text, str):
            text = to_control(problem.setting, text)
        if isinstance(text, str):
            place = min(max(problem.column - 1, 0), len(text))
            start = max(0, place - MAX_MARKED // 2)
            line = text[start : start + MAX_MARKED].replace("\n", " ")
            mark |= {
                "before": line[: place - start],
                "at": line[place - start :][:1],
                "after": line[place - start + 1 :],
            }
    return mark


def verdict_html(checked: CheckResult, *, refused: bool = False) -> str:
    """Return the panel below "Check".

    Args:
        checked: the result.
        refused: whether the settings were to be queued; the panel then says that they were not.
    """
    marks = f'<span class="deforum-marks" data-marks="{escape(marks_json(checked))}"></span>'
    if checked.prepared is None:
        return marks + _problems_html(checked.problems, "Not queued: " if refused else "")
    return marks + _cost_html(checked.prepared, checked.seconds)


def _problems_html(problems: tuple[Problem, ...], before: str) -> str:
    groups = group_problems(problems)
    rows = "".join(map(_problem_html, groups))
    count = f"{len(groups)} problems" if len(groups) > 1 else "1 problem"
    return f'<div class="deforum-verdict bad" role="status"><b>{before}{count}</b><ul>{rows}</ul></div>'


def _problem_html(group: tuple[Problem, ...]) -> str:
    """Return a list item for problems that differ only in their place, with a button for each setting."""
    names = dict.fromkeys(
        problem.setting for problem in group if problem.setting and problem.setting in FIELDS
    )
    links = "".join(
        f'<button type="button" class="deforum-link" data-go="{escape(name)}">'
        f"{escape(FIELDS[name].label or name)}</button> "
        for name in names
    )
    message = summary_of(group)
    return f"<li{code_attribute(message)}>{links}{escape(message)}</li>"


def _cost_html(prepared: Prepared, seconds: float | None) -> str:
    summary = prepared.summary
    time = duration(seconds) if seconds is not None else "known after the first video"
    facts = (
        ("Frames", f"{summary['frames']:,}"),
        ("Key frames", f"{summary['diffused_frames']:,}"),
        ("Sampling steps", f"{summary['sampling_steps']:,}"),
        ("Video", f"{summary['frames'] / prepared.plan.fps:.1f} s at {prepared.plan.fps:g} fps"),
        ("Estimated time", time),
        ("Disk space", f"about {size(summary['disk_bytes'])}"),
    )
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        f'<div class="deforum-verdict good" role="status"><b>Ready to render</b><dl>{rows}</dl>'
        f"{warnings_html(prepared.warnings)}</div>"
    )


def warnings_html(warnings: tuple[str, ...]) -> str:
    """Return warnings as a collapsed list."""
    if not warnings:
        return ""
    rows = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    count = f"{len(warnings)} notes" if len(warnings) > 1 else "1 note"
    return f"<details><summary>{count}</summary><ul>{rows}</ul></details>"
