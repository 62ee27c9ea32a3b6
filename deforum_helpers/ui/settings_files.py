"""Settings that the tab loads, from files of any version, frames, videos, presets and runs; and the files it saves."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError, group_problems, summary_of
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.settings import (
    FIELDS,
    Loaded,
    defaults,
    examine_settings,
    flat_settings,
    load_settings,
    parse_settings_text,
)
from deforum_helpers.settings.legacy import migrated
from deforum_helpers.settings.load import KNOWN_NAMES, unknown_warnings
from deforum_helpers.settings.messages import sentences
from deforum_helpers.settings.report import file_report
from deforum_helpers.ui import messages
from deforum_helpers.ui.controls import NAMES
from deforum_helpers.ui.formatting import code_attribute, escape, message_of

MAX_LISTED = 12
OPTIONS_FILE = "deforum_options.json"
MAX_BYTES = 16 << 20
_NAME = re.compile(r"\w[\w .()-]{0,120}\.(txt|json)", re.ASCII)
# Names of files that the server, or a WebUI, keeps in the same folder.
_OWN = re.compile(r"(deforum_(options|jobs|persistent)|config|ui-config|cache).*", re.IGNORECASE)


@dataclass(frozen=True)
class LoadResult:
    """Settings for the controls, and a report on how they were read.

    Args:
        source: name of the file, preset, job or run.
        settings: by flat name, one per control.
        changed: names of settings whose value differs from the one before.
        unknown: names that are not settings.
        notes: how older notations were converted; without `unknown`.
        left_out: problems of the values that were rejected.
        ignored: settings without an effect on this video, with the reason.
        different: what will differ from classic Deforum.
    """

    source: str
    settings: dict[str, Any]
    changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[Problem, ...] = ()
    ignored: tuple[str, ...] = ()
    different: tuple[str, ...] = ()


def load_over(
    source: str, submitted: Mapping[str, Any], current: Mapping[str, Any], *, group: str | None = None
) -> LoadResult:
    """Return `current` with the settings in `submitted` replaced.

    A setting that `submitted` does not name, or whose value is invalid, keeps its current value.

    Args:
        source: for the report.
        submitted: settings of any version and notation.
        current: by flat name, one per control.
        group: replace only settings of this group.

    Raises:
        SettingsError: the settings cannot be read at all.
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
    reported = {name: value for name, value in wanted.items() if name not in bad | absent}
    report = file_report({} if KNOWN_NAMES.isdisjoint(reported) else reported, _without_problems(settings))
    listed = {name: value for name, value in loaded.unknown.items() if not name.startswith("deforum_")}
    notes = [note for note in (*change.notes, *loaded.notes) if note not in unknown_warnings(listed)]
    return LoadResult(
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
    """Return the settings with defaults for invalid values, which the controls may have held before."""
    loaded, problems = examine_settings(settings)
    bad = {problem.setting for problem in problems}
    flat = flat_settings(loaded.settings)
    return defaults() | {name: value for name, value in flat.items() if name not in bad}


def _asked(name: str, group: str | None) -> bool:
    return group is None or FIELDS[name].group == group


def _readable(values: Mapping[str, Any]) -> tuple[Loaded, tuple[Problem, ...]]:
    """Load the valid settings; return them and the problems of the others."""
    try:
        return load_settings(values), ()
    except SettingsError as error:
        named = {problem.setting for problem in error.problems} & set(values)
        if not named:
            raise
        left = {name: value for name, value in values.items() if name not in named}
        if KNOWN_NAMES.isdisjoint(left):  # load_settings refuses an object without any known name
            return replace(load_settings({}), unknown=left), error.problems
        loaded, more = _readable(left)
        return loaded, (*error.problems, *more)


def default_settings() -> dict[str, Any]:
    """Return the default of every control; a job's settings are loaded over them."""
    return {name: value for name, value in defaults().items() if name in NAMES}


def report_html(one: LoadResult) -> str:
    """Return the report as HTML: changed, converted, unknown and rejected settings."""
    parts = [f"<b>{escape(one.source)}</b>: {_count(len(one.changed), 'setting')} changed."]
    parts.append(_list("Rejected", [problem.message for problem in one.left_out], bad=True))
    parts.append(_list("Notes", list(one.notes)))
    parts.append(_list("Unknown settings, ignored", list(one.unknown)))
    parts.append(_list("No effect on this video", list(one.ignored)))
    parts.append(_list("Changed", [_label(name) for name in one.changed]))
    parts.append(_list("Different from classic Deforum", list(one.different)))
    return f'<div class="deforum-report" role="status">{"".join(parts)}</div>'


def problem_html(source: str, error: SettingsError) -> str:
    """Return the report of a file that could not be loaded."""
    rows = _list("Nothing was loaded", list(map(summary_of, group_problems(error.problems))), bad=True)
    code = code_attribute(message_of(error))
    return f'<div class="deforum-report" role="status"{code}><b>{escape(source)}</b>{rows}</div>'


def _label(name: str) -> str:
    return FIELDS[name].label or name


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _list(title: str, rows: list[str], *, bad: bool = False) -> str:
    if not rows:
        return ""
    listed = rows[:MAX_LISTED] + ([f"and {len(rows) - MAX_LISTED} more"] if len(rows) > MAX_LISTED else [])
    items = "".join(f"<li{code_attribute(row)}>{escape(row[:400])}</li>" for row in listed)
    opened = " open" if bad else ""
    return f"<details{opened}><summary>{escape(title)} ({len(rows)})</summary><ul>{items}</ul></details>"


def saved_text(settings: Mapping[str, Any]) -> str:
    """Return submitted settings as the text of a settings file."""
    saved = {name: settings[name] for name in FIELDS if name in settings and FIELDS[name].saved}
    return json.dumps(saved, indent=4, ensure_ascii=False) + "\n"


class SavedFiles:
    """The settings files of the tab: plain names in the output folder, without links and files of the server.

    Args:
        root: the output folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> dict[str, Any]:
        """Return the settings in a file.

        Raises:
            SettingsError: the name is not allowed, or the file is missing, a link, or without settings.
        """
        path = self._path(name)
        try:
            content = read_file(path, MAX_BYTES + 1)
        except FileNotFoundError:
            raise _refused(messages.FILE_MISSING(name=name[:60])) from None
        except OSError as error:
            raise _refused(messages.FILE_UNREADABLE(name=name[:60], reason=error.strerror)) from None
        if len(content) > MAX_BYTES:
            raise _refused(messages.FILE_TOO_LARGE(name=name[:60]))
        try:
            return parse_settings_text(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise _refused(messages.FILE_NOT_UTF8(name=name[:60])) from None

    def write(self, name: str, settings: Mapping[str, Any]) -> Path:
        """Write settings to a file and return its path; an existing file must contain settings.

        Raises:
            SettingsError: the name is not allowed, or the existing file is of another kind.
            DiskFull, RenderError: the file cannot be written.
        """
        path = self._path(name)
        if os.path.lexists(path) and not set(self.read(name)) & set(FIELDS):
            raise _refused(messages.FILE_IS_FOREIGN(name=name[:60]))
        with disk_errors(path.name):
            make_folder(path.parent)
        write_whole(path, saved_text(settings).encode("utf-8", "replace"))
        return path

    def _path(self, name: str) -> Path:
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise _refused(messages.FILE_NAME(name=name[:60]))
        if _OWN.fullmatch(name):
            raise _refused(messages.FILE_NAME_RESERVED(name=name[:60]))
        return self._root.resolve() / name


def download_html(label: str, name: str, content: bytes) -> str:
    """Return a link with the file as a data URL, since the server does not serve settings files by path."""
    encoded = base64.b64encode(content).decode("ascii")
    return (
        f'<a class="deforum-link" href="data:application/json;base64,{encoded}" download="{escape(name)}">'
        f"{escape(label)}</a>"
    )


def run_content(path: Path) -> bytes | None:
    """Return the settings file of a run, or None if it is missing, a link, or too large."""
    try:
        content = read_file(path, MAX_BYTES + 1)
    except OSError:
        return None
    return content if len(content) <= MAX_BYTES else None


def run_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a run.

    Raises:
        SettingsError: the file has none.
    """
    try:
        return parse_settings_text((run_content(path) or b"").decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _refused(messages.FILE_NOT_UTF8(name=path.name[:60])) from None


def _refused(message: str) -> SettingsError:
    return SettingsError([Problem(message)])
