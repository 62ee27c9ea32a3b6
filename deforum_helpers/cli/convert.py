"""`convert`: writes settings files with all keys in frames, seconds or beats."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deforum_helpers.cli import messages
from deforum_helpers.cli.job_files import DEFAULT_OUTPUT_ROOT, host_facts, prepare_file, print_problems
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.files import settings_text
from deforum_helpers.settings.keys import with_keys_in


def convert(options: argparse.Namespace) -> int:
    """Print each file with its keys in the unit `--keys`, or write it to `--out`.

    Returns 0 if all were converted, else 2.
    """
    facts = host_facts(options, DEFAULT_OUTPUT_ROOT)
    failed = False
    for path in options.files:
        prepared = prepare_file(path, options, facts)
        if prepared is None:
            failed = True
            continue
        try:
            # Not the settings of the plan, whose seed is drawn already.
            settings = load_settings(prepared.submitted).settings
            text = settings_text(with_keys_in(settings, prepared.plan.timeline, options.keys))
        except SettingsError as error:
            print_problems(path, error)
            failed = True
            continue
        if options.out is None:
            sys.stdout.write(text)
            continue
        target: Path = options.out / path.name if options.out.is_dir() else options.out
        try:
            target.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            print(messages.FILE_NOT_WRITTEN(path=target, reason=error.strerror), file=sys.stderr)
            return 2
        print(target)
    return 2 if failed else 0
