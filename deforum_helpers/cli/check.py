"""`check`: reports problems, warnings, the size of the video and the effect of each setting, without rendering."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deforum_helpers.cli.job_files import (
    DEFAULT_OUTPUT_ROOT,
    host_facts,
    print_problems,
    read_changes,
    read_submitted,
)
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress_line import ProgressLine
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.settings.legacy import REMOVED, removed_warning
from deforum_helpers.settings.messages import OPTIONS_AMONG_SETTINGS, UNKNOWN_SETTINGS
from deforum_helpers.settings.report import FileReport, file_report

WIDTH = 100
PROMPTS_SHOWN = 12
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


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


@dataclass(frozen=True)
class Checked:
    """The result of checking one settings file.

    Args:
        path: the file.
        report: the effect of its settings, or None if it cannot be read.
        prepared: the job, or None if it has problems.
        problems: the reasons why it cannot be rendered.
        ability, words: subjects and vocabulary of a model with limits; empty for other models.
    """

    path: Path
    report: FileReport | None = None
    prepared: Prepared | None = None
    problems: tuple[Problem, ...] = ()
    ability: str = ""
    words: tuple[str, ...] = ()


def as_json(checked: Checked) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {
        "file": str(checked.path),
        "ok": checked.prepared is not None,
        "problems": [asdict(problem) | {"code": problem.code} for problem in checked.problems],
        "film": None if checked.prepared is None else _video(checked.prepared),
        "settings": None if checked.report is None else asdict(checked.report),
        "warnings": list(_job_warnings(checked)),
        "model": {"draws": checked.ability, "words": list(checked.words)},
    }


def _video(prepared: Prepared) -> dict[str, Any]:
    plan, settings = prepared.plan, prepared.settings
    return {
        **prepared.summary,
        "width": settings.W,
        "height": settings.H,
        "fps": plan.fps,
        "seconds": plan.frames / plan.fps,
        "animation_mode": settings.animation_mode,
        "sampler": settings.sampler,
        "prompts": [
            {
                "frame": frame,
                "positive": plan.prompts.positive[frame],
                "negative": plan.prompts.negative[frame],
            }
            for frame in plan.prompts.key_frames
            if frame < plan.frames
        ],
    }


# The report names these settings itself.
_REPORTED_CODES = (UNKNOWN_SETTINGS.code, OPTIONS_AMONG_SETTINGS.code)


def _job_warnings(checked: Checked) -> Iterator[str]:
    """Yield the job's warnings except those that the report on its settings contains."""
    reported = {removed_warning(name) for name in REMOVED}
    reported |= set(checked.report.taken_over) if checked.report is not None else set()
    for warning in checked.prepared.warnings if checked.prepared is not None else ():
        if warning not in reported and code_of(warning) not in _REPORTED_CODES:
            yield warning


def as_text(checked: Checked, *, colored: bool, classic: bool = False) -> str:
    """Return the report as text of at most `WIDTH` columns, without the problems.

    Sections that may require a change come first.

    Args:
        checked: the file and its report.
        colored: print headings in bold by terminal codes.
        classic: list differences from classic Deforum.
    """
    parts = [] if checked.prepared is None else [_size(checked.path, checked.prepared)]
    if checked.report is not None:
        report = checked.report
        own = [name for name in report.kept if name not in report.defaults]
        kept = [", ".join(own)] if own else []
        if report.defaults:
            kept.append(f"{len(report.defaults)} others have their defaults")
        sections = [
            ("Warnings", dict.fromkeys((*report.remarked, *_job_warnings(checked)))),
            ("Unknown, without effect", [", ".join(report.unknown)] if report.unknown else []),
            ("Without effect on this video", map(str, report.ignored)),
            ("Prompts", _prompts(checked.prepared) if checked.prepared is not None else ()),
            (f"Kept ({len(report.kept)})", kept),
            (
                "Converted from another notation",
                [text for text in report.taken_over if text not in report.remarked],
            ),
        ]
        if checked.ability:
            words = f"It knows the words {', '.join(checked.words)}."
            sections.append(("Built-in model", [checked.ability, words]))
        if classic:
            sections.append(("Differences from classic Deforum", map(str, report.different)))
        parts += [text for title, rows in sections if (text := _section(title, rows, colored))]
    return "\n".join(parts)


def _size(path: Path, prepared: Prepared) -> str:
    video = _video(prepared)
    megabytes = video["disk_bytes"] / 1e6
    disk = f"about {megabytes:,.0f} MB" if megabytes >= 1 else "less than 1 MB"
    parts = f", {video['segments']} independent segments" if video["segments"] > 1 else ""
    return (
        f"{path}: {video['frames']} frames of {video['width']}x{video['height']} "
        f"({video['seconds']:.1f} s at {video['fps']:g} fps), {video['animation_mode']}, "
        f"{video['diffused_frames']} key frames, {video['sampling_steps']} sampling steps, "
        f"{disk} on disk{parts}"
    )


def _prompts(prepared: Prepared) -> Iterator[str]:
    prompts = _video(prepared)["prompts"]
    for prompt in prompts[:PROMPTS_SHOWN]:
        without = f" --neg {prompt['negative']}" if prompt["negative"] else ""
        text = f"frame {prompt['frame']}: {prompt['positive']}{without}"
        yield textwrap.shorten(text, WIDTH - 4, placeholder=" ...")
    if len(prompts) > PROMPTS_SHOWN:
        yield f"and {len(prompts) - PROMPTS_SHOWN} more"


def _section(title: str, rows: Iterable[str], colored: bool) -> str:
    listed = [_printable(row) for row in rows]
    if not listed:
        return ""
    heading = f"{_BOLD}{title}{_PLAIN}" if colored else title
    lines = textwrap.TextWrapper(
        WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return "\n".join((f"\n{heading}", *map(lines.fill, listed)))


def _printable(text: str) -> str:
    """Return text of a file without control characters, which a terminal would execute."""
    return "".join(character if character.isprintable() else " " for character in text)
