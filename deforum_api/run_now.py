"""Renders settings files given on the command line, through the same queue as everything else."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from deforum_api.errors import ApiError
from deforum_api.jobs import JobQueue
from deforum_api.outputs import outputs
from deforum_api.record import Job
from deforum_helpers.errors import SettingsError
from deforum_helpers.settings import read_settings_file

log = logging.getLogger(__name__)

BAR_WIDTH = 24
PLAIN_STEP_PERCENT = 10
MAX_COMMAS = 100


def settings_files(text: str) -> list[str]:
    """Return the files that `--deforum-run-now` names, parted by commas; names of files may hold some too."""
    pieces = text.split(",")
    files: list[str] = []
    start = 0
    while start < len(pieces):
        longest = min(len(pieces), start + MAX_COMMAS + 1)
        joined = [",".join(pieces[start:end]).strip() for end in range(longest, start, -1)]
        name = next((one for one in joined if _is_file(one)), joined[-1])
        start = longest - joined.index(name)
        files += [name] if name else []
    return files


def _is_file(name: str) -> bool:
    try:
        return bool(name) and Path(name).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def run_files(queue: JobQueue, files: Sequence[str], out: TextIO = sys.stdout) -> bool:
    """Render the files as one batch, with progress on `out`; return whether all of them succeeded.

    Args:
        queue: the server's jobs.
        files: paths of settings files.
        out: a terminal gets a line that is drawn over, anything else a line every ten percent.
    """
    try:
        jobs = queue.submit([_read(file) for file in files])
    except ApiError as error:
        for entry in error.errors or [{"job": None, "message": error.message}]:
            name = f"{files[entry['job']]}: " if entry["job"] is not None else ""
            _say(out, f"{name}{entry['message']}")
        return False
    except _Unreadable as error:
        _say(out, str(error))
        return False
    ends = [_follow(queue, job, file, out) for job, file in zip(jobs, files, strict=True)]
    return all(ends)


class _Unreadable(Exception):
    """A settings file that is not there or has no settings; the message names it."""


def _read(file: str) -> dict[str, Any]:
    try:
        return read_settings_file(Path(file.strip()).expanduser())
    except SettingsError as error:
        raise _Unreadable(f"{file}: {error}") from None
    except OSError as error:
        raise _Unreadable(f"{file} cannot be read: {error.strerror}.") from None


def _follow(queue: JobQueue, job: Job, file: str, out: TextIO) -> bool:
    changed = threading.Event()
    shown = ""
    for warning in job.warnings:
        _say(out, f"{Path(file).name}: {warning}")
    with queue.listen(job.id, changed.set):
        while not job.finished and not queue.closing:
            changed.wait(1.0)
            changed.clear()
            job = queue.job(job.id)
            shown = _show(job, Path(file).name, shown, out)
    _say(out, "\n" * out.isatty() + _end(job, file))
    return job.status == "SUCCEEDED"


def _show(job: Job, name: str, shown: str, out: TextIO) -> str:
    """Draw the progress line if it differs from `shown`, and return it."""
    share = job.frame / job.max_frames if job.max_frames else 0.0
    percent = int(100 * share)
    if not out.isatty():
        percent -= percent % PLAIN_STEP_PERCENT
    bar = "#" * (BAR_WIDTH * percent // 100)
    line = f"{name} [{bar:<{BAR_WIDTH}}] {percent:3d} % {job.phase.lower().replace('_', ' ')}"
    if line == shown:
        return shown
    if out.isatty():
        left = f" frame {job.frame}/{job.max_frames}, {job.eta_seconds:.0f} s left"
        _say(out, f"\r{line}{left}\x1b[K", end="")
    else:
        _say(out, line)
    return line


def _end(job: Job, file: str) -> str:
    if job.status == "SUCCEEDED":
        film = next((found.path for found in outputs(job) if found.kind == "video"), None)
        return f"Film: {film}" if film else f"Frames: {job.outdir}"
    if not job.finished:
        so_far = f" Its frames so far are in {job.outdir}." if job.frame else ""
        return f"{file}: interrupted; it goes on when the server is started again.{so_far}"
    return f"{file}: {job.status}: {job.message}"


def _say(out: TextIO, text: str, end: str = "\n") -> None:
    out.write(text + end)
    out.flush()
