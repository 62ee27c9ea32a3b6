"""Settings files on the command line: read, changed, prepared, and their problems in plain text."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import ModelError, Problem, SettingsError, group_problems, summary_of
from deforum_helpers.core.progress_line import above_progress
from deforum_helpers.engines.registry import lacks_checkpoint
from deforum_helpers.output.metadata import read_settings
from deforum_helpers.pipeline.host_facts import check_checkpoint, own_engine, own_facts
from deforum_helpers.pipeline.prepare import HostFacts, Prepared, prepare
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.load import KNOWN_NAMES, nearest_names

DEFAULT_OUTPUT_ROOT = Path("outputs")


def engine_name(options: argparse.Namespace) -> str:
    """Return the name of the engine that a command line asks for."""
    return own_engine(options.engine, options.ckpt)


def check_engine(options: argparse.Namespace) -> None:
    """Look at the checkpoint of the engine asked for, without loading it.

    Raises:
        ModelError: there is none, or none that can be used.
    """
    name = engine_name(options)
    if lacks_checkpoint(name, options.ckpt):
        raise ModelError(f"The engine {name!r} needs --ckpt with a diffusers folder or a .safetensors file.")
    check_checkpoint(name, options.ckpt, options.allow_download)


def host_facts(options: argparse.Namespace, output_root: Path) -> HostFacts:
    """Describe this command line as a host."""
    return own_facts(engine_name(options), options.ckpt, output_root, "command line")


def read_submitted(path: Path, changes: list[str]) -> dict[str, Any]:
    """Read the settings in a file and apply `NAME=VALUE` changes.

    Raises:
        SettingsError: the file cannot be read, or a change has no name or one that is no setting's.
    """
    submitted, changed = read_settings(path), read_changes(changes, "--set")
    if problems := [_no_setting(name) for name in changed if name not in KNOWN_NAMES]:
        raise SettingsError(problems)
    return submitted | changed


def _no_setting(name: str) -> Problem:
    """Return the problem of a name that nobody would type to have it ignored, unlike one in an old file."""
    found = repr(name[:80])
    if name in {option.name for option in fields(Options)}:
        return Problem(
            f"--set {found}: this is an option, not a setting; use --option.", found=found, allowed="--option"
        )
    near = nearest_names(name)
    advice = f"did you mean {' or '.join(near)}?" if near else "docs/settings.md lists all."
    return Problem(
        f"--set {found}: there is no such setting; {advice}", found=found, allowed="a setting's name"
    )


def read_changes(changes: list[str], flag: str) -> dict[str, Any]:
    """Return the values of `NAME=VALUE` texts, each JSON or else taken as text.

    Raises:
        SettingsError: a text has no name; the message names `flag`.
    """
    values: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            message = f"{flag} takes NAME=VALUE, found {change[:80]!r}."
            raise SettingsError([Problem(message, found=change[:80], allowed="NAME=VALUE")])
        try:
            values[name.strip()] = json.loads(text)
        except ValueError:
            values[name.strip()] = text
    return values


def prepare_file(path: Path, options: argparse.Namespace, facts: HostFacts) -> Prepared | None:
    """Prepare one file; prints its problems and returns None where it has any."""
    try:
        submitted = read_submitted(path, options.changes)
        overrides = read_changes(options.options, "--option")
        return prepare(submitted, facts, overrides, resume=getattr(options, "resume", None))
    except SettingsError as error:
        print_problems(path, error)
        return None


def print_problems(path: Path, error: SettingsError) -> None:
    messages = [summary_of(group) for group in group_problems(error.problems)]
    count = len(messages)
    with above_progress():
        print(f"{path}: {count} problem{'s' if count > 1 else ''}", file=sys.stderr)
        for message in messages:
            print(f"  {message}", file=sys.stderr)


def print_warnings(warnings: tuple[str, ...]) -> None:
    with above_progress():
        for warning in warnings:
            print(f"  warning: {warning}", file=sys.stderr)
