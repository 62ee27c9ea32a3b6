"""Settings files on the command line: reading, `--set` and `--option`, preparation, problems as text."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from deforum_helpers.cli import messages
from deforum_helpers.core.errors import ModelError, Problem, SettingsError, group_problems, summary_of
from deforum_helpers.core.progress_line import above_progress
from deforum_helpers.engines.part_options import model_parts, part_words
from deforum_helpers.engines.registry import declared, lacks_checkpoint
from deforum_helpers.output.metadata import read_settings
from deforum_helpers.pipeline.host_facts import check_checkpoint, own_engine, own_facts
from deforum_helpers.pipeline.prepare import HostFacts, Prepared, prepare
from deforum_helpers.settings.files import with_files_beside
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.load import KNOWN_NAMES, nearest_names

DEFAULT_OUTPUT_ROOT = Path("outputs")


def engine_name(options: argparse.Namespace) -> str:
    """Return the name of the engine that the options select."""
    return own_engine(options.engine, options.ckpt)


def check_engine(options: argparse.Namespace) -> None:
    """Check the checkpoint of the selected engine without loading it.

    Raises:
        ModelError: the checkpoint is missing or cannot be used.
    """
    name = engine_name(options)
    if lacks_checkpoint(name, options.ckpt):
        raise ModelError(messages.CKPT_MISSING(engine=name))
    parts = model_parts(options)
    if parts and not declared(name).takes_checkpoint:
        raise ModelError(messages.PARTS_WITHOUT_CKPT(options=", ".join(part_words(parts)[::2])))
    check_checkpoint(name, options.ckpt, options.allow_download, parts)


def host_facts(options: argparse.Namespace, output_root: Path) -> HostFacts:
    """Return the facts about this command line as a host."""
    return own_facts(engine_name(options), options.ckpt, output_root, "command line", model_parts(options))


def read_submitted(path: Path, changes: list[str]) -> dict[str, Any]:
    """Read the settings in a file and apply `NAME=VALUE` changes.

    Raises:
        SettingsError: the file cannot be read, or a change names no setting.
    """
    submitted = with_files_beside(read_settings(path), path.parent)
    changed = read_changes(changes, "--set")
    if problems := [_unknown_setting(name) for name in changed if name not in KNOWN_NAMES]:
        raise SettingsError(problems)
    return submitted | changed


def _unknown_setting(name: str) -> Problem:
    """Return the problem of an unknown name in `--set`; old settings files may contain such names, `--set` may not."""
    found = repr(name[:80])
    if name in {option.name for option in fields(Options)}:
        return Problem(messages.SET_OPTION(name=found), found=found, allowed="--option")
    near = nearest_names(name)
    advice = messages.DID_YOU_MEAN(names=" or ".join(near)) if near else messages.SEE_SETTINGS()
    return Problem(
        messages.SET_UNKNOWN(name=found, advice=advice), found=found, allowed="the name of a setting"
    )


def read_changes(changes: list[str], flag: str) -> dict[str, Any]:
    """Return the values of `NAME=VALUE` texts: JSON, or plain text where the value is not JSON.

    Raises:
        SettingsError: a text is not `NAME=VALUE`; the message names `flag`.
    """
    values: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            message = messages.CHANGE_WITHOUT_NAME(flag=flag, found=change[:80])
            raise SettingsError([Problem(message, found=change[:80], allowed="NAME=VALUE")])
        try:
            values[name.strip()] = json.loads(text)
        except ValueError:
            values[name.strip()] = text
    return values


def prepare_file(path: Path, options: argparse.Namespace, facts: HostFacts) -> Prepared | None:
    """Prepare one file; print its problems and return None if it has any."""
    try:
        submitted = read_submitted(path, options.changes)
        overrides = read_changes(options.options, "--option")
        return prepare(submitted, facts, overrides, resume=getattr(options, "resume", None))
    except SettingsError as error:
        print_problems(path, error)
        return None


def print_problems(path: Path, error: SettingsError) -> None:
    """Print the problems of one file to standard error, similar ones as one line."""
    lines = [summary_of(group) for group in group_problems(error.problems)]
    count = len(lines)
    with above_progress():
        print(
            messages.PROBLEM_COUNT(path=path, count=count, plural="s" if count > 1 else ""), file=sys.stderr
        )
        for line in lines:
            print(f"  {line}", file=sys.stderr)


def print_warnings(warnings: tuple[str, ...]) -> None:
    """Print warnings to standard error, one per line."""
    with above_progress():
        for warning in warnings:
            print(f"  warning: {warning}", file=sys.stderr)
