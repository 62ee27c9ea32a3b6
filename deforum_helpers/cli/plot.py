"""`plot`: plots the schedules and prompts of settings files as SVG."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deforum_helpers.cli import messages
from deforum_helpers.cli.job_files import DEFAULT_OUTPUT_ROOT, host_facts, prepare_file
from deforum_helpers.pipeline.plot import changing_schedules, plot_svg


def plot(options: argparse.Namespace) -> int:
    """Plot each file beside it or to `--out`; return 0 if all were plotted, else 2."""
    facts = host_facts(options, DEFAULT_OUTPUT_ROOT)
    failed = False
    for path in options.files:
        prepared = prepare_file(path, options, facts)
        if prepared is None:
            failed = True
            continue
        names = options.schedules.split(",") if options.schedules else changing_schedules(prepared.plan)
        unknown = [name for name in names if name not in prepared.plan.schedules.values]
        if unknown:
            allowed = ", ".join(sorted(prepared.plan.schedules.values))
            print(messages.NOT_A_SCHEDULE(name=unknown[0], allowed=allowed), file=sys.stderr)
            return 2
        target = _target(path, options.out)
        try:
            target.write_text(plot_svg(prepared.plan, names), encoding="utf-8")
        except OSError as error:
            print(messages.FILE_NOT_WRITTEN(path=target, reason=error.strerror), file=sys.stderr)
            return 2
        print(target)
    return 2 if failed else 0


def _target(path: Path, out: Path | None) -> Path:
    if out is None:
        return path.with_suffix(".svg")
    return out / f"{path.stem}.svg" if out.is_dir() else out
