"""Settings into the tab and out of it: files of any year, frames and films of ours, presets, stopped runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError, alike, told
from deforum_helpers.settings import (
    FIELDS,
    Loaded,
    defaults,
    examine_settings,
    flat_settings,
    load_settings,
)
from deforum_helpers.settings.legacy import migrated
from deforum_helpers.settings.load import KNOWN_NAMES, unknown_warnings
from deforum_helpers.settings.messages import sentences
from deforum_helpers.settings.report import file_report
from deforum_helpers.ui.controls import NAMES
from deforum_helpers.ui.formatting import escape

MAX_LISTED = 12


@dataclass(frozen=True)
class Taken:
    """Settings that go into the controls, and what a person should know of how they were read.

    Args:
        source: the file's name, or what else they came from.
        settings: by flat name, one per control.
        changed: names whose value differs from what the controls held.
        unknown: names that are no settings.
        notes: how old notations were read; not what is `unknown`.
        left_out: problems of values that were not taken.
        ignored: settings that change nothing here, and why.
        different: what will look different from classic Deforum.
    """

    source: str
    settings: dict[str, Any]
    changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[Problem, ...] = ()
    ignored: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


def taken(
    source: str, submitted: Mapping[str, Any], current: Mapping[str, Any], *, group: str | None = None
) -> Taken:
    """Return what becomes of the controls when `submitted` is loaded over `current`.

    A setting that `submitted` does not name keeps its current value; one that cannot be used does too.

    Args:
        source: what it came from, for the report.
        submitted: settings of any year and notation.
        current: by flat name, one per control.
        group: take only settings of this group.

    Raises:
        SettingsError: not even the good values can be read.
    """
    change = migrated(submitted)
    wanted = {
        name: value for name, value in change.values.items() if name not in FIELDS or _asked(name, group)
    }
    loaded, left_out = _readable(wanted)
    flat = flat_settings(loaded.settings)
    bad = {problem.setting for problem in left_out}
    settings = {name: flat[name] if name in wanted and name not in bad else current[name] for name in NAMES}
    absent = {"legacy_colormatch"} - set(submitted)
    told = {name: value for name, value in wanted.items() if name not in bad | absent}
    report = file_report({} if KNOWN_NAMES.isdisjoint(told) else told, _without_problems(settings))
    listed = {name: value for name, value in loaded.unknown.items() if not name.startswith("deforum_")}
    notes = [note for note in (*change.notes, *loaded.notes) if note not in unknown_warnings(listed)]
    return Taken(
        source,
        settings,
        changed=tuple(name for name in NAMES if settings[name] != current[name]),
        unknown=tuple(name for name in loaded.unknown if name in submitted),
        notes=sentences(notes),
        left_out=left_out,
        ignored=tuple(map(str, report.ignored)),
        different=tuple(map(str, report.different)),
    )


def _without_problems(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with defaults for those that are wrong: the controls may have held anything before."""
    loaded, problems = examine_settings(settings)
    bad = {problem.setting for problem in problems}
    flat = flat_settings(loaded.settings)
    return defaults() | {name: value for name, value in flat.items() if name not in bad}


def _asked(name: str, group: str | None) -> bool:
    return group is None or FIELDS[name].group == group


def _readable(values: Mapping[str, Any]) -> tuple[Loaded, tuple[Problem, ...]]:
    """Read what can be read; what cannot is left out, setting by setting, with its problem."""
    try:
        return load_settings(values), ()
    except SettingsError as error:
        named = {problem.setting for problem in error.problems} & set(values)
        if not named:
            raise
        left = {name: value for name, value in values.items() if name not in named}
        if KNOWN_NAMES.isdisjoint(left):  # which alone would be no settings at all
            return replace(load_settings({}), unknown=left), error.problems
        loaded, more = _readable(left)
        return loaded, (*error.problems, *more)


def default_settings() -> dict[str, Any]:
    """Return every control's default: what a film's settings are loaded over."""
    return {name: value for name, value in defaults().items() if name in NAMES}


def report_html(one: Taken) -> str:
    """Return what was loaded, changed, migrated, unknown and left out."""
    parts = [f"<b>{escape(one.source)}</b>: {_count(len(one.changed), 'setting')} changed."]
    parts.append(_list("Not taken", [problem.message for problem in one.left_out], bad=True))
    parts.append(_list("Read from an older notation, or worth knowing", list(one.notes)))
    parts.append(_list("Unknown, without effect", list(one.unknown)))
    parts.append(_list("Without effect on this film", list(one.ignored)))
    parts.append(_list("Changed", [_label(name) for name in one.changed]))
    parts.append(_list("Looks different from classic Deforum", list(one.different)))
    return f'<div class="deforum-report" role="status">{"".join(parts)}</div>'


def problem_html(source: str, error: SettingsError) -> str:
    """Return the report of a file that could not be loaded."""
    rows = _list("Nothing was loaded", list(map(told, alike(error.problems))), bad=True)
    return f'<div class="deforum-report" role="status"><b>{escape(source)}</b>{rows}</div>'


def _label(name: str) -> str:
    return FIELDS[name].label or name


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _list(title: str, rows: list[str], *, bad: bool = False) -> str:
    if not rows:
        return ""
    listed = rows[:MAX_LISTED] + ([f"and {len(rows) - MAX_LISTED} more"] if len(rows) > MAX_LISTED else [])
    items = "".join(f"<li>{escape(row[:400])}</li>" for row in listed)
    opened = " open" if bad else ""
    return f"<details{opened}><summary>{escape(title)} ({len(rows)})</summary><ul>{items}</ul></details>"


def saved_text(settings: Mapping[str, Any]) -> str:
    """Return submitted settings as a settings file."""
    saved = {name: settings[name] for name in FIELDS if name in settings and FIELDS[name].saved}
    return json.dumps(saved, indent=4, ensure_ascii=False) + "\n"
