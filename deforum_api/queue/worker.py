"""The worker thread, and one attempt at a job, whose end is an event."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deforum_api.queue import messages
from deforum_api.queue.descriptors import out_of_descriptors
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.events import Cancelled, Event, Failed, Parked, Reported, Succeeded
from deforum_api.queue.record import ANIMATION, Job
from deforum_helpers.core import errors
from deforum_helpers.core.files.atomic import is_full
from deforum_helpers.output.paths import Run

if TYPE_CHECKING:
    from deforum_helpers.core.progress import CancelToken
    from deforum_helpers.pipeline.job import Progress, RunResult
    from deforum_helpers.pipeline.prepare import Prepared
    from deforum_helpers.tools.prepare import PreparedTool

log = logging.getLogger(__name__)

# Wordings of torch and OpenCV.
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "insufficient memory")


class Check(Protocol):
    """Checks and plans a job. Raises `SettingsError`.

    `resume` is the timestring of the run to resume; with a tool as `kind`, `submitted` has its arguments.
    """

    def __call__(
        self,
        submitted: Mapping[str, Any],
        overrides: Mapping[str, Any] | None,
        *,
        resume: str | None = None,
        kind: str = ANIMATION,
    ) -> Prepared | PreparedTool: ...


Render = Callable[["Prepared | PreparedTool", "CancelToken", Callable[["Progress"], None]], "RunResult"]


class Worker:
    """A daemon thread that calls `work_next` after every `wake`; unlike a pool's threads it never delays the exit."""

    def __init__(self, work_next: Callable[[], None]) -> None:
        self._work_next = work_next
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="deforum-worker", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Let the worker look for another job; no effect after `stop`."""
        self._wanted.set()

    def stop(self, timeout: float) -> bool:
        """Start no more jobs; return whether the running one ended within `timeout` seconds."""
        self._stopping = True
        self._wanted.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopping:
            self._wanted.clear()
            try:
                self._work_next()
            except StoreUnavailable as error:
                log.error("No job is taken: %s", error)
            except Exception:
                log.exception("The worker met an error outside any job.")


def attempt(
    job: Job, check: Check, render: Render, cancel: CancelToken, report: Callable[[Progress], None]
) -> Event:
    """Render `job` and return the event that ends this attempt; never raises an `Exception`."""
    try:
        resume = run_to_resume(job)
        submitted, overrides = json.loads(job.settings_json), json.loads(job.overrides_json)
        prepared = check(submitted, overrides, resume=resume, kind=job.kind)
        result = render(prepared, cancel, report)
    except errors.Cancelled:
        return Cancelled()
    except errors.Parked:
        return Parked()
    except errors.SettingsError as error:
        if error.retryable or _is_out_of_resources(error):
            return Failed(messages.GENERATION_ERROR(reason=error), retryable=True)
        return Failed(messages.INVALID_ARGUMENTS(reason=error))
    except errors.RenderError as error:
        log.warning("%s: %s", job.id, error, exc_info=error.__cause__)
        return Failed(messages.GENERATION_ERROR(reason=error), error.retryable or _is_out_of_resources(error))
    except Exception as error:
        if cause := _temporary_cause(error):
            log.warning("%s: %s", job.id, cause, exc_info=error)
            return Failed(cause, retryable=True)
        log.exception("%s ended with an unexpected error", job.id)
        return Failed(messages.UNEXPECTED_ERROR(kind=type(error).__name__, id=job.id))
    return Succeeded(str(result.outdir), result.timestring, result.frames, tuple(result.warnings))


def _is_out_of_resources(error: Exception) -> bool:
    """Tell whether a system resource ran out, even if a library hides the cause."""
    return errors.exhausted_resource(error) is not None or out_of_descriptors(error)


def _temporary_cause(error: Exception) -> str | None:
    """Return the message for a temporary error of Python, torch or the system; None for any other error."""
    said = str(error).lower()
    no_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    of_a_library = isinstance(error, RuntimeError) or type(error).__module__ == "cv2"
    if no_memory or (of_a_library and any(words in said for words in _NO_MEMORY)):
        return messages.JOB_OUT_OF_MEMORY()
    if lack := errors.exhausted_resource(error):
        return messages.JOB_OUT_OF_RESOURCES(resource=lack)
    if out_of_descriptors(error):
        return messages.JOB_OUT_OF_FILES()
    if isinstance(error, OSError) and is_full(error):
        return messages.JOB_DISK_FULL()
    return None


def run_to_resume(job: Job) -> str | None:
    """Return the timestring of the run that the job resumes, or None if it has not begun one."""
    if not job.timestring or not job.outdir:
        return None
    begun = job.frame > 0 or Run(Path(job.outdir), job.timestring).settings_path.exists()
    return job.timestring if begun else None


def progress_event(progress: Progress) -> Reported:
    """Return a progress report of the pipeline as an event."""
    return Reported(
        phase=progress.phase,
        fraction=progress.fraction,
        frame=progress.frame,
        max_frames=progress.max_frames,
        outdir=progress.outdir,
        timestring=progress.timestring,
        warnings=progress.warnings,
    )
