"""`check`: reports problems, warnings, the size of the video and the effect of each setting, without rendering."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from deforum_helpers.cli.job_files import (
    DEFAULT_OUTPUT_ROOT,
    host_facts,
    print_problems,
    read_changes,
    read_submitted,
)
from deforum_helpers.cli.report import Checked, as_json, as_text
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress_line import ProgressLine
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.settings.report import file_report


def check(options: argparse.Namespace) -> int:
    """Print a report on each file; return 0 if all can be rendered, else 2.

    With --strict, missing LoRAs, images and features are errors.
    """
    facts = host_facts(options, options.out or DEFAULT_OUTPUT_ROOT)
    line, checked = ProgressLine(sys.stderr, in_logs=False), []
    try:
        for path in options.files:
            line.show("Checking", path.name)
            checked.append(_checked(path, options, facts))
    finally:
        line.end(keep=False)
    if options.json:
        print(json.dumps([as_json(file) for file in checked], indent=2, ensure_ascii=False))
    else:
        for file in checked:
            _print(file, classic=options.compare_classic)
    return 0 if all(file.prepared is not None for file in checked) else 2


def _checked(path: Path, options: argparse.Namespace, facts: HostFacts) -> Checked:
    try:
        submitted = read_submitted(path, options.changes)
        overrides = read_changes(options.options, "--option")
        report = file_report(submitted)
    except SettingsError as error:
        return Checked(path, problems=error.problems)
    abilities = facts.abilities
    checked = Checked(path, report, ability=abilities.generates, words=abilities.vocabulary())
    try:
        prepared = prepare(submitted, facts, overrides)
        if options.strict and prepared.missing:
            raise SettingsError(prepared.missing)
        return replace(checked, prepared=prepared)
    except SettingsError as error:
        return replace(checked, problems=error.problems)


def _print(checked: Checked, *, classic: bool) -> None:
    if checked.problems:
        sys.stdout.flush()
        print_problems(checked.path, SettingsError(checked.problems))
        sys.stderr.flush()
    text = as_text(checked, colored=_shows_colors(), classic=classic)
    if text:
        print(text)


def _shows_colors() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
