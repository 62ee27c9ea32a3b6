"""`check`: says whether settings files can be rendered, how large their films are, and what becomes of each setting."""

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
    """Check every file and report on it; 0 if all can be rendered, else 2.

    With --strict what would be left out of a video, as it is not there, is an error too.
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
        print(json.dumps([as_json(one) for one in checked], indent=2, ensure_ascii=False))
    else:
        for one in checked:
            _print(one, classic=options.compare_classic)
    return 0 if all(one.prepared is not None for one in checked) else 2


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


def _print(one: Checked, *, classic: bool) -> None:
    if one.problems:
        sys.stdout.flush()
        print_problems(one.path, SettingsError(one.problems))
        sys.stderr.flush()
    text = as_text(one, colored=_shows_colors(), classic=classic)
    if text:
        print(text)


def _shows_colors() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
