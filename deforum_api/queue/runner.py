"""Runs the queued jobs on the workers of an executor and watches them; interrupted and delayed ones run again.

Motion previews run beside the other jobs, one at a time in this process, as they need no model.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from deforum_api.queue import messages
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.events import (
    Cancelled,
    Claimed,
    Delayed,
    Event,
    Failed,
    Interrupted,
    Parked,
    Stalled,
)
from deforum_api.queue.executors import Executor, LocalExecutor
from deforum_api.queue.logs import job_in_log
from deforum_api.queue.record import IllegalTransition, Job
from deforum_api.queue.store import Records, Superseded
from deforum_api.queue.submission import Limits
from deforum_api.queue.watchdog import Attempt, SilenceLimits
from deforum_api.queue.worker import Check, Render, Worker, attempt, progress_event
from deforum_helpers.core import errors
from deforum_helpers.core.progress import CancelToken

if TYPE_CHECKING:
    from deforum_api.queue.executors import Report
    from deforum_helpers.pipeline.job import Progress

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
# Name of the thread that makes motion previews among those of the executor's workers.
PREVIEWS = "previews"


def is_preview(job: Job) -> bool:
    """Tell whether a job is a motion preview, which warps a test image and generates nothing."""
    text = "" if job.is_tool else job.settings_json
    return '"motion_preview_mode"' in text and json.loads(text).get("motion_preview_mode") is True


class Runner:
    """Has one thread per worker of the executor and one for motion previews; another watches them and the database.

    Args:
        records: the jobs.
        check: (settings, options_overrides) -> prepared job.
        render: renders a prepared job in this process.
        limits: number of finished jobs to keep, delays of retries, times after which a job hangs.
        executor: has the workers; by default the one of this process.
    """

    def __init__(
        self, records: Records, check: Check, render: Render, limits: Limits, executor: Executor | None = None
    ) -> None:
        self.check = check
        self.render = render
        self.executor: Executor = executor or LocalExecutor()
        self._records = records
        self._limits = limits
        self._running: dict[str, Attempt] = {}
        self._abandoned: Attempt | None = None
        self._patience = SilenceLimits(limits.hang_after_s, limits.abandon_after_s)
        self._stopping = threading.Event()
        self._claiming, self._joining = threading.Lock(), threading.Lock()
        self._workers = {PREVIEWS: Worker(partial(self._work_next, None))}
        self._watch = threading.Thread(target=self._watch_loop, name="deforum-watch", daemon=True)
        self._adopt()
        self.executor.start(self.attempt_here, self.wake)
        self.wake()
        self._watch.start()

    def wake(self) -> None:
        """Let each worker look for another job; one that has joined meanwhile gets its thread."""
        with self._joining:
            for worker in self.executor.workers():
                if worker.id not in self._workers and not self._stopping.is_set():
                    self._workers[worker.id] = Worker(partial(self._work_next, worker.id))
            threads = list(self._workers.values())
        for thread in threads:
            thread.wake()

    @property
    def running(self) -> tuple[str, ...]:
        """The ids of the jobs that run here, motion previews last."""
        working = sorted(self._running.values(), key=lambda one: is_preview(one.job))
        return tuple(one.job.id for one in working)

    def token(self, job_id: str) -> CancelToken | None:
        """Return the cancel token of a job that runs here, or None."""
        running = self._running.get(job_id)
        return running.token if running else None

    @property
    def hanging(self) -> str | None:
        """The message about a hanging job that blocks the worker, or None."""
        abandoned = self._abandoned
        if abandoned is not None and not abandoned.ended:
            return messages.CANCELLED_JOB_HANGS(id=abandoned.job.id)
        hang_report = (running.hang_report for running in list(self._running.values()))
        return next((text for text in hang_report if text), None)

    def begin_close(self) -> None:
        """Start no more jobs and park the running ones."""
        self._stopping.set()
        for running in list(self._running.values()):
            running.token.park()

    def close(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the threads to stop; return whether they have."""
        deadline = time.monotonic() + timeout
        with self._joining:
            threads = list(self._workers.values())
        left = [thread.stop(max(0.0, deadline - time.monotonic())) for thread in threads]
        self.executor.close(max(0.0, deadline - time.monotonic()))
        self._watch.join(timeout)
        return all(left) and not self._watch.is_alive()

    def attempt_here(self, job: Job, cancel: CancelToken, report: Report) -> Event:
        """Render a claimed job in this process and return the event that ends this attempt."""
        return attempt(job, self.check, self.render, cancel, report)

    def _work_next(self, worker_id: str | None) -> None:
        """Render the next job for a worker; with None, the next motion preview in this process."""
        claimed = self._claim(worker_id)
        if claimed is None:
            return
        try:
            with job_in_log(claimed.job.id):
                self._work_on(claimed, worker_id)
        finally:
            if worker_id is not None:
                self.executor.free(worker_id)
        self._records.store.prune(self._limits.finished)
        self.wake()

    def _work_on(self, claimed: Attempt, worker_id: str | None) -> None:
        job, token = claimed.job, claimed.token

        def report(progress: Progress) -> None:
            self._report(claimed, progress)

        if worker_id is not None:
            log.info("%s runs on worker %s (attempt %d).", job.id, worker_id, job.attempt)
        try:
            if worker_id is None:
                event = self.attempt_here(job, token, report)
            else:
                event = self.executor.attempt(worker_id, job, token, report)
            ended = self._end(job, event)
        finally:
            claimed.ended = True
            self._running.pop(job.id, None)
        if ended:
            log.info("%s ended: %s%s", job.id, ended.status, f" ({ended.message})" if ended.message else "")

    def _claim(self, worker_id: str | None) -> Attempt | None:
        """Claim a job that is due for a worker (None = a motion preview); None if none is or the queue closes."""
        with self._claiming:  # else a worker's choice would not count with that of another
            while not self._stopping.is_set():
                due = self._due(previews=worker_id is None)
                job = next(due, None) if worker_id is None else self.executor.choose(worker_id, due)
                if job is None:
                    return None
                try:
                    claimed = self._records.change(job, Claimed())
                except IllegalTransition:
                    continue
                if claimed:
                    running = self._running[job.id] = Attempt(claimed, CancelToken(), worker_id=worker_id)
                    if worker_id is not None:
                        self.executor.take(worker_id, claimed)
                    self._forward_requests(claimed, running.token)
                    if self._stopping.is_set():
                        running.token.park()
                    return running
        return None

    def _due(self, *, previews: bool) -> Iterator[Job]:
        """Yield the queued jobs (with `previews`, motion previews) that are due, in queue order."""
        now = self._records.clock()
        jobs = map(self._records.store.get, self._records.store.queued())
        return (job for job in jobs if job and job.due(now) and is_preview(job) == previews)

    def _report(self, running: Attempt, progress: Progress) -> None:
        """Record the job's progress.

        Raises:
            Parked: another attempt has begun and owns the files.
        """
        running.note_progress(progress)
        try:
            self._forward_requests(
                self._records.apply_to_attempt(running.job, progress_event(progress)), running.token
            )
        except Superseded:
            running.token.park()
            kept = self._records.store.get(running.job.id)
            if kept is None or kept.attempt != running.job.attempt:
                raise errors.Parked("Another attempt at the job has begun.") from None
        except StoreUnavailable as error:
            log.warning("%s: progress was not recorded: %s", running.job.id, error)

    def _end(self, job: Job, event: Event) -> Job | None:
        """Record the end of an attempt; None if another one has begun or the queue closes before it is recorded."""
        if isinstance(event, Failed) and self._stopping.is_set():
            # A failure now may be caused by the shutdown itself (no new threads, for one); a real one recurs.
            log.warning("%s failed while the server was stopping; it continues at the next start.", job.id)
            event = Parked()
        if isinstance(event, Failed) and event.retryable and job.delays < len(self._limits.retry_after_s):
            delay = self._limits.retry_after_s[job.delays]
            note = messages.RETRY_SCHEDULED(delay=delay)
            event = Delayed(event.message, self._records.clock() + delay, note)
        while True:
            try:
                return self._records.apply_to_attempt(job, event)
            except Superseded:
                log.warning(
                    "%s: this attempt is not the current one any more; its end is not recorded", job.id
                )
                return None
            except StoreUnavailable as error:
                log.error("%s: its end is not recorded yet: %s", job.id, error)
            if self._stopping.wait(LOOK_EVERY_S):
                return None

    def _watch_loop(self) -> None:
        trouble = ""
        while not self._stopping.wait(LOOK_EVERY_S):
            trouble = self._watch_once(trouble)

    def _watch_once(self, trouble: str) -> str:
        """Check once; return the database's error message or "". An error equal to `trouble` is not logged again."""
        try:
            self._check_jobs()
        except StoreUnavailable as error:
            if error.message != trouble:
                log.error("%s", error)
            return error.message
        return ""

    def _check_jobs(self) -> None:
        """React to other servers, cancels, retries that are due, and hanging jobs."""
        store = self._records.store
        for running in list(self._running.values()):
            with job_in_log(running.job.id):
                self._watch_attempt(running)
        if self._running:
            store.beat()
        self._adopt()
        if self._records.store.queued():  # a retry may be due, or another server has queued a job
            self.wake()
        self._records.notify_changed()

    def _watch_attempt(self, running: Attempt) -> None:
        job, token = running.job, running.token
        kept = self._records.store.get(job.id)
        if kept is None or kept.attempt != job.attempt:
            token.park()
        else:
            self._forward_requests(kept, token)
        silence_s = running.silence_s(self._patience)
        try:
            if silence_s < self._patience.hanging_after_s(at_frames=running.at_frames):
                self._clear_hanging(running)
            elif running.hang_report is None:
                self._report_hanging(running, silence_s)
            unanswered_s = running.unanswered_s()
            if unanswered_s >= self._patience.abandoned_after_s and running.phase != "POST_PROCESSING":
                self._abandon(running)
        except Superseded:
            log.debug("%s ended just now", job.id)

    def _report_hanging(self, running: Attempt, silence_s: float) -> None:
        running.hang_report = running.hanging(silence_s)
        log.error("%s: %s", running.job.id, running.hang_report)
        _log_stack(running)
        self._records.apply_to_attempt(running.job, Stalled(running.hang_report))

    def _clear_hanging(self, running: Attempt) -> None:
        if running.hang_report is not None:
            running.hang_report = None
            log.warning("%s: it moves again.", running.job.id)
            self._records.apply_to_attempt(running.job, Stalled(None))

    def _abandon(self, running: Attempt) -> None:
        """Record the end of a cancelled job that does not respond; its thread cannot be killed and keeps the device."""
        self._abandoned = running
        self._running.pop(running.job.id, None)
        log.error("%s was cancelled, but does not answer.", running.job.id)
        _log_stack(running)
        if running.worker_id is not None:
            self.executor.abandon(running.worker_id)
        note = messages.TOOL_UNRESPONSIVE() if running.job.is_tool else messages.JOB_UNRESPONSIVE()
        self._records.apply_to_attempt(running.job, Cancelled(note))

    def _forward_requests(self, job: Job, token: CancelToken) -> None:
        """Forward a cancel or pause, requested here or at another server, to the job's token."""
        if job.cancel_requested:
            token.cancel()
        elif job.held:
            token.park()

    def _adopt(self) -> None:
        """Queue the jobs of servers that have ended, or fail those interrupted too often."""
        for job in self._records.store.orphans():
            try:
                adopted = self._records.change(job, Interrupted())
            except IllegalTransition:
                continue
            if adopted:
                log.warning("%s was interrupted: %s", job.id, adopted.message)


def _log_stack(running: Attempt) -> None:
    for line in running.stack().splitlines():
        log.error("| %s", line)
