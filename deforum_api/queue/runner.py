"""What works the jobs off: one at a time, each attempt fenced off from others, interrupted and delayed ones again.

Motion previews are worked off beside the others, one at a time as well: they need no model.
"""

from __future__ import annotations

import json
import logging
import threading
import time
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
from deforum_api.queue.logs import about_job
from deforum_api.queue.record import IllegalTransition, Job
from deforum_api.queue.records import Records, Superseded
from deforum_api.queue.submission import Limits
from deforum_api.queue.watchdog import Attempt, Patience
from deforum_api.queue.worker import Check, Render, Worker, attempt, reported
from deforum_helpers.core import errors
from deforum_helpers.core.progress import CancelToken

if TYPE_CHECKING:
    from deforum_helpers.pipeline.job import Progress

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


def is_preview(job: Job) -> bool:
    """Tell whether a job is a motion preview: the camera moves a test picture, and nothing is generated."""
    text = "" if job.is_tool else job.settings_json
    return '"motion_preview_mode"' in text and json.loads(text).get("motion_preview_mode") is True


class Runner:
    """Renders the waiting jobs of `records` on one thread, and looks on another at what other programs do to them.

    A third renders motion previews.

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
        self._running: dict[str, Attempt] = {}
        self._given_up: Attempt | None = None
        self._patience = Patience(limits.hang_after_s, limits.give_up_after_s)
        self._stopping = threading.Event()
        self._workers = {
            previews: Worker(partial(self._work_next, previews=previews)) for previews in (False, True)
        }
        self._watch = threading.Thread(target=self._look_on, name="deforum-watch", daemon=True)
        self._adopt()
        for _ in records.store.queued():
            self.wake()
        self._watch.start()

    def wake(self) -> None:
        """Let the workers look for one more job."""
        for worker in self._workers.values():
            worker.wake()

    @property
    def running(self) -> str | None:
        """The id of the job that works here, or None; that of a preview only where nothing else does."""
        working = sorted(self._running.values(), key=lambda one: is_preview(one.job))
        return working[0].job.id if working else None

    def token(self, job_id: str) -> CancelToken | None:
        """Return the token of a job that works here, or None."""
        running = self._running.get(job_id)
        return running.token if running else None

    @property
    def hanging(self) -> str | None:
        """What keeps the worker from its jobs, as plain sentences; None if nothing does."""
        given_up = self._given_up
        if given_up is not None and not given_up.over:
            return messages.CANCELLED_JOB_HANGS(id=given_up.job.id)
        named = (running.named for running in list(self._running.values()))
        return next((text for text in named if text), None)

    def begin_close(self) -> None:
        """Take no more jobs and let the working one stop at its next frame."""
        self._stopping.set()
        for running in list(self._running.values()):
            running.token.park()

    def close(self, timeout: float) -> bool:
        """Return whether everything here has stopped, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        left = [worker.stop(max(0.0, deadline - time.monotonic())) for worker in self._workers.values()]
        self._watch.join(timeout)
        return all(left) and not self._watch.is_alive()

    def _work_next(self, *, previews: bool) -> None:
        claimed = self._claim(previews)
        if claimed is None:
            return
        with about_job(claimed.job.id):
            self._work_on(claimed)
        self._records.store.prune(self._limits.finished)
        self.wake()

    def _work_on(self, claimed: Attempt) -> None:
        job = claimed.job
        try:
            event = attempt(
                job, self.check, self.render, claimed.token, lambda told: self._report(claimed, told)
            )
            ended = self._end(job, event)
        finally:
            claimed.over = True
            self._running.pop(job.id, None)
        if ended:
            log.info("%s ended: %s%s", job.id, ended.status, f" ({ended.message})" if ended.message else "")

    def _claim(self, previews: bool) -> Attempt | None:
        """Take the first job, or the first preview, that is due; None if none is or the queue closes."""
        while not self._stopping.is_set():
            job = self._first_due(previews)
            if job is None:
                return None
            try:
                claimed = self._records.change(job, Claimed())
            except IllegalTransition:
                continue
            if claimed:
                running = self._running[job.id] = Attempt(claimed, CancelToken())
                self._obey(claimed, running.token)
                if self._stopping.is_set():
                    running.token.park()
                return running
        return None

    def _first_due(self, previews: bool) -> Job | None:
        now = self._records.clock()
        jobs = map(self._records.store.get, self._records.store.queued())
        return next((job for job in jobs if job and job.due(now) and is_preview(job) == previews), None)

    def _report(self, running: Attempt, progress: Progress) -> None:
        """Record where the job stands.

        Raises:
            Parked: it is another attempt's by now, whose files these are.
        """
        running.told(progress)
        try:
            self._obey(self._records.apply_to_attempt(running.job, reported(progress)), running.token)
        except Superseded:
            running.token.park()
            kept = self._records.store.get(running.job.id)
            if kept is None or kept.attempt != running.job.attempt:
                raise errors.Parked("Another attempt at the job has begun.") from None
        except StoreUnavailable as error:
            log.warning("%s: progress was not recorded: %s", running.job.id, error)

    def _end(self, job: Job, event: Event) -> Job | None:
        """Record how the attempt ended; None if it was no longer ours or cannot be recorded before the queue closes."""
        if isinstance(event, Failed) and self._stopping.is_set():
            # A program that ends starts no more threads, among others; what fails for good does so again.
            log.warning("%s failed while the program ends; it goes on at the next start.", job.id)
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

    def _look_on(self) -> None:
        trouble = ""
        while not self._stopping.wait(LOOK_EVERY_S):
            trouble = self._look_despite(trouble)

    def _look_despite(self, trouble: str) -> str:
        """Look and return the database's trouble, "" for none; what was told before is not told twice a second."""
        try:
            self._look()
        except StoreUnavailable as error:
            if error.message != trouble:
                log.error("%s", error)
            return error.message
        return ""

    def _look(self) -> None:
        """Do what other programs, and the time, ask for."""
        store = self._records.store
        for running in list(self._running.values()):
            with about_job(running.job.id):
                self._look_after(running)
        if self._running:
            store.beat()
        self._adopt()
        busy = {is_preview(running.job) for running in list(self._running.values())}
        for previews in self._workers.keys() - busy:
            if self._first_due(previews):
                self._workers[previews].wake()
        self._records.tell_changed()

    def _look_after(self, running: Attempt) -> None:
        job, token = running.job, running.token
        kept = self._records.store.get(job.id)
        if kept is None or kept.attempt != job.attempt:
            token.park()
        else:
            self._obey(kept, token)
        silence_s = running.silence_s(self._patience)
        try:
            if silence_s < self._patience.named_after_s(at_frames=running.at_frames):
                self._unname(running)
            elif running.named is None:
                self._name(running, silence_s)
            unanswered_s = running.unanswered_s()
            if unanswered_s >= self._patience.given_up_after_s and running.phase != "POST_PROCESSING":
                self._give_up(running)
        except Superseded:
            log.debug("%s ended just now", job.id)

    def _name(self, running: Attempt, silence_s: float) -> None:
        running.named = running.hanging(silence_s)
        log.error("%s: %s", running.job.id, running.named)
        _log_stack(running)
        self._records.apply_to_attempt(running.job, Stalled(running.named))

    def _unname(self, running: Attempt) -> None:
        if running.named is not None:
            running.named = None
            log.warning("%s: it moves again.", running.job.id)
            self._records.apply_to_attempt(running.job, Stalled(None))

    def _give_up(self, running: Attempt) -> None:
        """End a cancelled job that does not answer; its thread, and what that holds, cannot be taken from it."""
        self._given_up = running
        self._running.pop(running.job.id, None)
        log.error("%s was cancelled, but does not answer.", running.job.id)
        _log_stack(running)
        note = messages.TOOL_UNRESPONSIVE() if running.job.is_tool else messages.JOB_UNRESPONSIVE()
        self._records.apply_to_attempt(running.job, Cancelled(note))

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


def _log_stack(running: Attempt) -> None:
    for line in running.stack().splitlines():
        log.error("| %s", line)
