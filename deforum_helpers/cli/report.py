"""What `check` says of one settings file, as plain text for a terminal and as values for JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import Problem
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.settings.legacy import REMOVED, removed_warning
from deforum_helpers.settings.report import FileReport

WIDTH = 100
PROMPTS_SHOWN = 12
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True)
class Checked:
    """One settings file and what was found.

    Args:
        path: the file.
        report: what becomes of its settings; None where it cannot be read.
        prepared: the job; None where it has problems.
        problems: why it cannot be rendered.
        ability, words: what the model can draw and the words that it knows; empty where it can draw anything.
    """

    path: Path
    report: FileReport | None = None
    prepared: Prepared | None = None
    problems: tuple[Problem, ...] = ()
    ability: str = ""
    words: tuple[str, ...] = ()


def as_json(one: Checked) -> dict[str, Any]:
    """Return everything that is known of the file, ready for JSON."""
    return {
        "file": str(one.path),
        "ok": one.prepared is not None,
        "problems": [asdict(problem) | {"code": problem.code} for problem in one.problems],
        "film": None if one.prepared is None else _film(one.prepared),
        "settings": None if one.report is None else asdict(one.report),
        "warnings": list(_more_warnings(one)),
        "model": {"draws": one.ability, "words": list(one.words)},
    }


def _film(prepared: Prepared) -> dict[str, Any]:
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


def _more_warnings(one: Checked) -> Iterator[str]:
    """Yield the job's warnings but those that the report on its settings has already."""
    told = {removed_warning(name) for name in REMOVED}
    told |= set(one.report.taken_over) if one.report is not None else set()
    for warning in one.prepared.warnings if one.prepared is not None else ():
        if warning not in told and not warning.startswith(("Unknown settings ", "Ignored: ")):
            yield warning


def as_text(one: Checked, *, colored: bool, classic: bool = False) -> str:
    """Return the report for people, at most `WIDTH` columns wide; problems are not part of it.

    What a person may have to change comes first.

    Args:
        one: the file and what was found.
        colored: whether headings may stand out by terminal codes.
        classic: say what looks different from classic Deforum.
    """
    parts = [] if one.prepared is None else [_size(one.path, one.prepared)]
    if one.report is not None:
        report = one.report
        own = [name for name in report.kept if name not in report.defaults]
        kept = [", ".join(own)] if own else []
        if report.defaults:
            kept.append(f"and {len(report.defaults)} at their defaults")
        sections = [
            ("Warnings", dict.fromkeys((*report.remarked, *_more_warnings(one)))),
            ("Unknown, without effect", [", ".join(report.unknown)] if report.unknown else []),
            ("Without effect on this film", map(str, report.ignored)),
            ("Prompts", _prompts(one.prepared) if one.prepared is not None else ()),
            (f"Kept ({len(report.kept)})", kept),
            (
                "Taken over from another notation",
                [text for text in report.taken_over if text not in report.remarked],
            ),
        ]
        if one.ability:
            sections.append(("Built-in model", [one.ability, f"Its words are: {', '.join(one.words)}."]))
        if classic:
            sections.append(("Looks different from classic Deforum", map(str, report.different)))
        parts += [text for title, rows in sections if (text := _section(title, rows, colored))]
    return "\n".join(parts)


def _size(path: Path, prepared: Prepared) -> str:
    film = _film(prepared)
    megabytes = film["disk_bytes"] / 1e6
    disk = f"about {megabytes:,.0f} MB" if megabytes >= 1 else "less than 1 MB"
    return (
        f"{path}: {film['frames']} frames of {film['width']}x{film['height']} "
        f"({film['seconds']:.1f} s at {film['fps']:g} fps), {film['animation_mode']}, "
        f"{film['diffused_frames']} diffused in {film['sampling_steps']} sampling steps, "
        f"{disk} on disk"
    )


def _prompts(prepared: Prepared) -> Iterator[str]:
    prompts = _film(prepared)["prompts"]
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
    """Return text that comes from a file without codes that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
