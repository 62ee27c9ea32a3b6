"""Rendering of settings files named on the command line, through the job queue."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from deforum_api.hosts import messages
from deforum_api.http.outputs import outputs
from deforum_api.queue.errors import ApiError
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import frame_words, state_words
from deforum_helpers.core.progress_line import ProgressLine, above_progress
from deforum_helpers.settings.files import read_settings_file, with_files_beside

log = logging.getLogger(__name__)

MAX_COMMAS = 100
# The server may end once the files are rendered; their upload is waited for so long, and goes on at the next start.
SETTLE_S = 1800.0


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
        out: a terminal gets one line that is updated in place, anything else a line every ten percent.
    """
    try:
        jobs = queue.submit([_read(file) for file in files])
    except ApiError as error:
        for entry in error.errors or [{"job": None, "message": error.message}]:
            text = entry["message"]
            number = entry["job"]
            _say(out, text if number is None else messages.ABOUT_FILE(file=files[number], text=text))
        return False
    except _Unreadable as error:
        _say(out, str(error))
        return False
    ends = [_follow(queue, job, file, out) for job, file in zip(jobs, files, strict=True)]
    queue.settle(jobs, SETTLE_S)
    return all(ends)


class _Unreadable(Exception):
    """A settings file that is not there or has no settings; the message names it."""


def _read(file: str) -> dict[str, Any]:
    try:
        path = Path(file.strip()).expanduser()
        return with_files_beside(read_settings_file(path), path.parent)
    except SettingsError as error:
        raise _Unreadable(messages.ABOUT_FILE(file=file, text=error)) from None
    except OSError as error:
        raise _Unreadable(messages.FILE_UNREADABLE(file=file, reason=error.strerror)) from None


def _follow(queue: JobQueue, job: Job, file: str, out: TextIO) -> bool:
    changed, line = threading.Event(), ProgressLine(out)
    for warning in job.warnings:
        _say(out, messages.ABOUT_FILE(file=Path(file).name, text=warning))
    with queue.listen(job.id, changed.set):
        while not job.finished and not queue.closing:
            _show(job, queue.positions().get(job.id), Path(file).name, line)
            changed.wait(1.0)
            changed.clear()
            job = queue.job(job.id)
    _show(job, None, Path(file).name, line)
    line.end()
    _say(out, _end(job, file))
    return job.status == "SUCCEEDED"


def _show(job: Job, position: int | None, name: str, line: ProgressLine) -> None:
    state = state_words(job.phase, position=position, paused=job.held, cancelling=job.cancel_requested)
    frames = frame_words(
        job.frame, job.max_frames, seconds_per_frame=job.seconds_per_frame, eta_seconds=job.eta_seconds
    )
    line.show(name, ", ".join(filter(None, (state, frames))), job.phase_progress, stage=state)


def _end(job: Job, file: str) -> str:
    if job.status == "SUCCEEDED":
        video = next((found.path for found in outputs(job) if found.kind == "video"), None)
        return messages.RUN_VIDEO(path=video) if video else messages.RUN_FRAMES(folder=job.outdir)
    if job.finished:
        return messages.RUN_ENDED(file=file, status=job.status, text=job.message)
    if job.frame:
        return messages.RUN_INTERRUPTED_FRAMES(file=file, folder=job.outdir)
    return messages.RUN_INTERRUPTED(file=file)


def _say(out: TextIO, text: str) -> None:
    with above_progress():
        out.write(f"{text}\n")
        out.flush()
