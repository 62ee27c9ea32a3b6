"""The job queue: checks, records, orders, cancels and resumes jobs; nothing else changes their status."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deforum_api import record
from deforum_api.errors import (
    AlreadyFinished,
    NotFinished,
    NotResumable,
    QueueClosed,
    QueueFull,
    UnknownId,
)
from deforum_api.record import Event, IllegalTransition, Job
from deforum_api.store import JobStore, MemoryStore
from deforum_api.submission import Limits, check_all, check_size, fresh_batch_id, new_jobs
from deforum_api.worker import Check, Render, Worker, attempt, reported
from deforum_helpers.cancel import CancelToken

if TYPE_CHECKING:
    from deforum_helpers.job import Progress

log = logging.getLogger(__name__)


class JobQueue:
    """All jobs of one server, worked off one at a time in the order of submission.

    Args:
        check: (settings, options_overrides) -> prepared job; raises `SettingsError`.
        render: renders a prepared job.
        store: keeps the records.
        limits: how much is taken.
        clock: Unix time in seconds.
        draw: a random number for a batch id, 0 <= n < 10**9.
    """

    def __init__(
        self,
        check: Check,
        render: Render,
        *,
        store: JobStore | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], int] = lambda: secrets.randbelow(10**9),
    ) -> None:
        self.check = check
        self.limits = limits or Limits()
        self.store: JobStore = store or MemoryStore()
        self._render = render
        self._clock = clock
        self._draw = draw
        self._adding = threading.Lock()
        self._tokens: dict[str, CancelToken] = {}
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._closing = False
        self._worker = Worker(self._work_next)
        for _ in self.store.queued():
            self._worker.wake()

    @property
    def closing(self) -> bool:
        return self._closing

    def submit(
        self, settings: Sequence[Mapping[str, Any]], overrides: Mapping[str, Any] | None = None
    ) -> tuple[Job, ...]:
        """Check, record and queue a batch; its jobs are returned as they were recorded.

        Raises:
            InvalidBatch: any of its settings is wrong; nothing of it is kept.
            InvalidBody: no job at all.
            ApiError: more jobs than a batch may have.
            QueueFull, QueueClosed: not now.
        """
        check_size(settings, self.limits.batch)
        checked = check_all(self.check, settings, overrides)
        with self._adding:
            if self._closing:
                raise QueueClosed
            if len(self.store.queued()) + len(checked) > self.limits.queued:
                raise QueueFull(self.limits.queued)
            batch_id, order = fresh_batch_id(self.store, self._draw), self.store.next_order()
            jobs = new_jobs(batch_id, order, self._clock(), settings, overrides, checked)
            self.store.add(jobs)
            for _ in jobs:
                self._worker.wake()
        return jobs

    def job(self, job_id: str) -> Job:
        """Return the job.

        Raises:
            UnknownId: there is none.
        """
        job = self.store.get(job_id)
        if job is None:
            raise UnknownId("job", job_id)
        return job

    def positions(self) -> dict[str, int]:
        """Return the place in the queue of every waiting job, 0 = next."""
        return {job_id: place for place, job_id in enumerate(self.store.queued())}

    def batch(self, batch_id: str) -> tuple[Job, ...]:
        """Return the jobs of a batch in the order of submission.

        Raises:
            UnknownId: there is no such batch.
        """
        jobs = self.store.batch(batch_id)
        if not jobs:
            raise UnknownId("batch", batch_id)
        return jobs

    def cancel(self, job_id: str) -> Job:
        """End the job: a queued one now, a running one within one sampling step.

        Raises:
            UnknownId: there is no such job.
            AlreadyFinished: it ended before.
        """
        while True:
            job = self.job(job_id)
            if job.cancel_requested and not job.finished:
                return job
            try:
                changed = self._try(job, record.CancelAsked())
            except IllegalTransition:
                raise AlreadyFinished(job_id, job.status) from None
            if changed:
                if token := self._tokens.get(job_id):
                    token.cancel()
                elif not changed.finished:
                    self._worker.wake()
                return changed

    def pause(self, job_id: str) -> Job:
        """Let the job stop at its next frame, or not begin, until it is resumed.

        Raises:
            UnknownId: there is no such job.
            AlreadyFinished: it ended, or its film is being made.
        """
        try:
            job = self._apply(job_id, record.HoldAsked())
        except IllegalTransition:
            raise AlreadyFinished(job_id, self.job(job_id).phase) from None
        if token := self._tokens.get(job_id):
            token.park()
        return job

    def move_up(self, job_id: str) -> None:
        """Let a waiting job change places with the one that is taken before it; others stay where they are."""
        waiting = self.store.queued()
        place = waiting.index(job_id) if job_id in waiting else 0
        if place:
            job, before = self.job(job_id), self.job(waiting[place - 1])
            if self._try(job, record.Moved(before.place)):
                self._try(before, record.Moved(job.place))

    def forget(self, job_id: str) -> None:
        """Take a finished job off the records; its files stay. Raises `UnknownId`, `NotFinished`."""
        job = self.job(job_id)
        if not job.finished:
            raise NotFinished(job_id)
        self.store.remove(job)

    def cancel_batch(self, batch_id: str) -> tuple[str, ...]:
        """End all unfinished jobs of a batch, last first so that none starts meanwhile; return their ids.

        Raises:
            UnknownId: there is no such batch.
        """
        cancelled = []
        for job in reversed(self.batch(batch_id)):
            if job.finished or job.cancel_requested:
                continue
            try:
                cancelled.append(self.cancel(job.id).id)
            except AlreadyFinished:
                log.debug("%s finished before it could be cancelled", job.id)
        return tuple(reversed(cancelled))

    def resume(self, job_id: str) -> Job:
        """Let a paused job, or a failed or cancelled one, go on from its last saved frame.

        Raises:
            UnknownId: there is no such job.
            NotResumable: it did not fail and was not cancelled.
            QueueClosed: not now.
        """
        if self._closing:
            raise QueueClosed
        while True:
            job = self.job(job_id)
            try:
                changed = self._try(job, record.Released() if job.held else record.Resumed())
            except IllegalTransition:
                raise NotResumable(job_id, job.status) from None
            if changed:
                self._worker.wake()
                return changed

    @contextmanager
    def listen(self, job_id: str, changed: Callable[[], None]) -> Iterator[None]:
        """Call `changed` (from any thread) after every update of the job, and when the queue closes."""
        self._listeners.setdefault(job_id, []).append(changed)
        try:
            yield
        finally:
            listeners = self._listeners[job_id]
            listeners.remove(changed)
            if not listeners:
                self._listeners.pop(job_id, None)

    def close(self, timeout: float) -> bool:
        """Take no more jobs and park the running one; return whether it stopped within `timeout` seconds."""
        with self._adding:
            self._closing = True
        for token in list(self._tokens.values()):
            token.park()
        for job_id in list(self._listeners):
            self._tell(job_id)
        return self._worker.stop(timeout)

    def _try(self, job: Job, event: Event) -> Job | None:
        """Apply `event` to the record `job`; None if the kept record is another one by now."""
        changed = record.after(job, event, self._clock())
        if not self.store.swap(job, changed):
            return None
        self._tell(job.id)
        return changed

    def _apply(self, job_id: str, event: Event) -> Job:
        while True:
            changed = self._try(self.job(job_id), event)
            if changed:
                return changed

    def _tell(self, job_id: str) -> None:
        for changed in tuple(self._listeners.get(job_id, ())):
            changed()

    def _work_next(self) -> None:
        claimed = self._claim()
        if claimed is None:
            return
        job, token = claimed
        try:
            event = attempt(
                job, self.check, self._render, token, lambda progress: self._report(job.id, token, progress)
            )
            ended = self._apply(job.id, event)
        finally:
            del self._tokens[job.id]
        log.info("%s ended: %s%s", job.id, ended.status, f" ({ended.message})" if ended.message else "")
        self.store.prune(self.limits.finished)

    def _claim(self) -> tuple[Job, CancelToken] | None:
        """Take the first waiting job, with its token; None if none waits or the queue closes."""
        while not self._closing:
            waiting = self.store.queued()
            job = self.store.get(waiting[0]) if waiting else None
            if job is None:
                return None
            token = self._tokens[job.id] = CancelToken()
            try:
                claimed = self._try(job, record.Claimed())
            except IllegalTransition:
                claimed = None
            if claimed:
                if claimed.cancel_requested:
                    token.cancel()
                if self._closing:
                    token.park()
                return claimed, token
            del self._tokens[job.id]
        return None

    def _report(self, job_id: str, token: CancelToken, progress: Progress) -> None:
        if self._apply(job_id, reported(progress)).cancel_requested:
            token.cancel()
