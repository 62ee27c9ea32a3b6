"""What a job tells while it works, and what it leaves behind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Phase = Literal["PREPARING", "GENERATING", "POST_PROCESSING"]


@dataclass(frozen=True)
class Progress:
    """Where a job stands.

    Args:
        phase: what it does.
        fraction: share of the phase that is done, 0..1, never falling within a phase.
        frame: number of frames finished.
        max_frames: number of frames of the film.
        outdir, timestring: where its files are and what their names begin with; empty until that is known.
        warnings: what came up while rendering, as plain sentences.
    """

    phase: Phase
    fraction: float
    frame: int
    max_frames: int
    outdir: str = ""
    timestring: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunResult:
    """What a finished job left behind.

    Args:
        outdir, timestring: where its files are and what their names begin with.
        frames: number of frames written.
        video: the film, or None where none was asked for.
        warnings: all of the job's warnings.
        more_videos: films of enlarged frames and of frames in between.
    """

    outdir: Path
    timestring: str
    frames: int
    video: Path | None
    warnings: tuple[str, ...]
    more_videos: tuple[Path, ...] = ()


def told_once(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the texts without those that were told before, be it with a number of another frame.

    >>> told_once(["no word of 'cat 1'", "no word of 'cat 2.5'", "no word of 'dog'"])
    ("no word of 'cat 1'", "no word of 'dog'")
    """
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(re.sub(r"[0-9.]+", "", text), text)
    return tuple(first.values())
