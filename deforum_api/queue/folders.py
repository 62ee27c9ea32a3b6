"""Where the files of a job are: records keep where they were written, and people move output folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from deforum_api.queue.record import Job
from deforum_helpers.output.paths import Run

# The folders in which those of jobs may lie: the output root first, then those inside it.
Roots = Callable[[], Sequence[Path]]

# The folder of a run, and those of `outdir_samples` above it.
MOST_PARTS = 5


def located(job: Job, roots: Sequence[Path]) -> Job:
    """Return the job with the folder in which its files are now; unchanged where they are found nowhere else."""
    if not job.outdir or not job.timestring or _holds(Path(job.outdir), job.timestring):
        return job
    for root in roots:
        for folder in _places(root, job.outdir):
            if _holds(folder, job.timestring) and folder.resolve().is_relative_to(root.resolve()):
                return replace(job, outdir=str(folder))
    return job


def _places(root: Path, outdir: str) -> Iterator[Path]:
    """Yield where the folder `outdir` would be below `root`, the most of its own names first."""
    names = PureWindowsPath(outdir).parts[-MOST_PARTS:]  # either system's separators
    for start in range(len(names)):
        if not PureWindowsPath(names[start]).anchor:
            yield root.joinpath(*names[start:])


def _holds(folder: Path, timestring: str) -> bool:
    """Whether a folder has files of the run `timestring`."""
    run = Run(folder, timestring)
    try:
        return run.settings_path.is_file() or run.manifest_path.is_file()
    except OSError:
        return False
