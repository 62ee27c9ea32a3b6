"""`check`: says whether settings files can be rendered, and how large their films are."""

from __future__ import annotations

import argparse

from deforum_helpers.commands.job_files import DEFAULT_OUTPUT_ROOT, host_facts, prepare_file, print_warnings


def check(options: argparse.Namespace) -> int:
    """Check every file; 0 if all can be rendered, else 2."""
    facts = host_facts(options, options.out or DEFAULT_OUTPUT_ROOT)
    wrong = False
    for path in options.files:
        prepared = prepare_file(path, options, facts)
        if prepared is None:
            wrong = True
            continue
        size, settings = prepared.summary, prepared.settings
        print(
            f"{path}: {size['frames']} frames of {settings.W}x{settings.H} "
            f"({size['frames'] / prepared.plan.fps:.1f} s at {prepared.plan.fps:g} fps), "
            f"{size['diffused_frames']} diffused in {size['sampling_steps']} sampling steps, "
            f"about {size['disk_bytes'] / 1e6:.0f} MB"
        )
        print_warnings(prepared.warnings)
    return 2 if wrong else 0
