"""What every tool is given and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deforum_helpers.cancel import CancelToken
from deforum_helpers.options import Options
from deforum_helpers.progress import Phase, Progress


def _nobody(progress: Progress) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """Where a tool writes, how it encodes, and who is told and asked on the way.

    Args:
        output_root: folder that holds everything the program writes.
        options: encoder and ffmpeg.
        cancel: asked at every picture.
        report: is told of every progress, on the calling thread.
        device: where models run.
        name: what the outputs are named by; by default the name of the file that the tool works on.
    """

    output_root: Path
    options: Options = field(default_factory=Options)
    cancel: CancelToken = field(default_factory=CancelToken)
    report: Callable[[Progress], None] = _nobody
    device: str = "cpu"
    name: str = ""

    def shares(self, phase: Phase, frames: int, outdir: Path) -> Callable[[float], None]:
        """Return what takes the share 0..1 of a phase that is done, and reports it.

        Args:
            phase: GENERATING makes `frames` frames in files of their own, POST_PROCESSING the video.
            frames: of the finished video.
            outdir: folder of the tool's files.
        """

        def told(share: float) -> None:
            done = {"PREPARING": 0, "GENERATING": round(share * frames)}.get(phase, frames)
            self.report(Progress(phase, share, done, frames, outdir=str(outdir)))

        return told


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
