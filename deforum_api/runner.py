"""What works the jobs off: one at a time, each attempt fenced off from others, interrupted and delayed ones again."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from deforum_api.errors import StoreUnavailable
from deforum_api.happenings import Claimed, Delayed, Event, Failed, Interrupted
from deforum_api.logs import about_job
from deforum_api.record import IllegalTransition, Job
from deforum_api.records import Records, Superseded
from deforum_api.submission import Limits
from deforum_api.worker import Check, Render, Worker, attempt, reported
from deforum_helpers.cancel import CancelToken

if TYPE_CHECKING:
    from deforum_helpers.job import Progress

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


class Runner:
    """Renders the waiting jobs of `records` on one thread, and looks on another at what other programs do to them.

    Args:
        records: the jobs.
        check: (settings, options_overrides) -> prepared job.
        render: renders a prepared job.
        limits: how many ended jobs are remembered, and when a failed one is tried again.
    """

    def __init__(self, records: Records, check: Check, render: Render, limits: Limits) -> None:
        self.check = check
        self.render = render
        self._records = records
        self._limits = limits
        self._running: dict[str, tuple[Job, CancelToken]] = {}
        self._stopping = threading.Event()
        self._worker = Worker(self._work_next)
        self._watch = threading.Thread(target=self._look_on, name="deforum-watch", daemon=True)
        self._adopt()
        for _ in records.store.queued():
            self.wake()
        self._watch.start()

    def wake(self) -> None:
        """Let the worker look for one more job."""
        self._worker.wake()

    @property
    def running(self) -> str | None:
        """The id of the job that works here, or None."""
        return next(iter(list(self._running)), None)

    def token(self, job_id: str) -> CancelToken | None:
        """Return the token of a job that works here, or None."""
        running = self._running.get(job_id)
        return running[1] if running else None

    def begin_close(self) -> None:
        """Take no more jobs and let the working one stop at its next frame."""
        self._stopping.set()
        for _, token in list(self._running.values()):
            token.park()

    def close(self, timeout: float) -> bool:
        """Return whether everything here has stopped, within `timeout` seconds."""
        stopped = self._worker.stop(timeout)
        self._watch.join(timeout)
        return stopped and not self._watch.is_alive()

    def _work_next(self) -> None:
        claimed = self._claim()
        if claimed is None:
            return
        with about_job(claimed[0].id):
            self._work_on(*claimed)
        self._records.store.prune(self._limits.finished)
        self.wake()

    def _work_on(self, job: Job, token: CancelToken) -> None:
        try:
            event = attempt(
                job, self.check, self.render, token, lambda progress: self._report(job, token, progress)
            )
            ended = self._end(job, event)
        finally:
            del self._running[job.id]
        if ended:
            log.info("%s ended: %s%s", job.id, ended.status, f" ({ended.message})" if ended.message else "")

    def _claim(self) -> tuple[Job, CancelToken] | None:
        """Take the first job that is due, with its token; None if none is or the queue closes."""
        while not self._stopping.is_set():
            job = self._first_due()
            if job is None:
                return None
            token = CancelToken()
            try:
                claimed = self._records.change(job, Claimed())
            except IllegalTransition:
                continue
            if claimed:
                self._running[job.id] = claimed, token
                self._obey(claimed, token)
                if self._stopping.is_set():
                    token.park()
                return claimed, token
        return None

    def _first_due(self) -> Job | None:
        now = self._records.clock()
        jobs = map(self._records.store.get, self._records.store.queued())
        return next((job for job in jobs if job and job.due(now)), None)

    def _report(self, job: Job, token: CancelToken, progress: Progress) -> None:
        try:
            self._obey(self._records.apply_to_attempt(job, reported(progress)), token)
        except Superseded:
            token.park()
        except StoreUnavailable as error:
            log.warning("%s: progress was not recorded: %s", job.id, error)

    def _end(self, job: Job, event: Event) -> Job | None:
        """Record how the attempt ended; None if it was no longer ours or cannot be recorded before the queue closes."""
        if isinstance(event, Failed) and event.retryable and job.delays < len(self._limits.retry_after_s):
            delay = self._limits.retry_after_s[job.delays]
            message = f"{event.message} It is tried again by itself after {delay:g} s."
            event = Delayed(message, self._records.clock() + delay)
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

    def _look_on(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            self._look_again()

    def _look_again(self) -> None:
        try:
            self._look()
        except StoreUnavailable as error:
            log.error("%s", error)

    def _look(self) -> None:
        """Do what other programs, and the time, ask for."""
        store = self._records.store
        for job, token in list(self._running.values()):
            kept = store.get(job.id)
            if kept is None or kept.attempt != job.attempt:
                token.park()
            else:
                self._obey(kept, token)
        if self._running:
            store.beat()
        self._adopt()
        if not self._running and self._first_due():
            self.wake()
        self._records.tell_changed()

    def _obey(self, job: Job, token: CancelToken) -> None:
        """Pass on what was asked of the job, here or in another program."""
        if job.cancel_requested:
            token.cancel()
        elif job.held:
            token.park()

    def _adopt(self) -> None:
        """Queue the jobs of programs that ended, or end those that were interrupted too often."""
        for job in self._records.store.orphans():
            try:
                adopted = self._records.change(job, Interrupted())
            except IllegalTransition:
                continue
            if adopted:
                log.warning("%s was interrupted: %s", job.id, adopted.message)
