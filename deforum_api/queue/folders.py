"""The folders of jobs, found again after a user has moved the output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from deforum_api.queue.record import Job
from deforum_helpers.output.paths import Run

# Returns the folders to search for folders of jobs: the output root first, then folders inside it.
Roots = Callable[[], Sequence[Path]]

# The folder of a run, and those of `outdir_samples` above it.
MOST_PARTS = 5


def located(job: Job, roots: Sequence[Path]) -> Job:
    """Return the job with the current folder of its files as `outdir`; unchanged if they are not found elsewhere."""
    if not job.outdir or not job.timestring or _contains_run(Path(job.outdir), job.timestring):
        return job
    for root in roots:
        for folder in _candidates(root, job.outdir):
            if _contains_run(folder, job.timestring) and folder.resolve().is_relative_to(root.resolve()):
                return replace(job, outdir=str(folder))
    return job


def _candidates(root: Path, outdir: str) -> Iterator[Path]:
    """Yield candidates for the folder `outdir` below `root`, those with most of its path components first."""
    names = PureWindowsPath(outdir).parts[-MOST_PARTS:]  # either system's separators
    for start in range(len(names)):
        if not PureWindowsPath(names[start]).anchor:
            yield root.joinpath(*names[start:])


def _contains_run(folder: Path, timestring: str) -> bool:
    """Tell whether a folder has files of the run `timestring`."""
    run = Run(folder, timestring)
    try:
        return run.settings_path.is_file() or run.manifest_path.is_file()
    except OSError:
        return False
