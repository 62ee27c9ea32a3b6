"""What every tool is given and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deforum_helpers.cancel import CancelToken
from deforum_helpers.options import Options


def _nobody(share: float) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """Where a tool writes, how it encodes, and who is told and asked on the way.

    Args:
        output_root: folder that holds everything the program writes.
        options: encoder and ffmpeg.
        cancel: asked at every picture.
        report: is told the share that is done, 0..1, never falling, on the calling thread.
        device: where models run.
    """

    output_root: Path
    options: Options = field(default_factory=Options)
    cancel: CancelToken = field(default_factory=CancelToken)
    report: Callable[[float], None] = _nobody
    device: str = "cpu"


@dataclass(frozen=True)
class ToolResult:
    """What a tool has made.

    Args:
        video: the film.
        frames: its number of frames, counted in the file.
        fps: its frames per second.
        pictures: the kept pictures, in order; empty where they were not kept.
        warnings: what a person should know, as plain sentences.
    """

    video: Path
    frames: int
    fps: float
    pictures: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


def part(report: Callable[[float], None], begin: float, end: float) -> Callable[[float], None]:
    """Return a report whose 0..1 is begin..end of another."""
    return lambda share: report(begin + (end - begin) * share)
