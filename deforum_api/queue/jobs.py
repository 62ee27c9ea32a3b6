"""The job queue: checks, records, orders, cancels and resumes jobs; nothing else changes their status."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deforum_api.queue import messages
from deforum_api.queue.checks.processes import Checker, InlineChecker
from deforum_api.queue.checks.request import CheckRequest, CheckResult, batch_body, tool_body
from deforum_api.queue.deliveries import Deliveries, Sender
from deforum_api.queue.errors import (
    AlreadyFinished,
    FilesGone,
    InvalidBody,
    KeyReused,
    NotFinished,
    NotResumable,
    QueueClosed,
    QueueFull,
    StillEnding,
    StoreUnavailable,
    TooLateToPause,
    UnknownId,
)
from deforum_api.queue.events import CancelRequested, Moved, PauseRequested, Released, Resumed
from deforum_api.queue.executors import Executor, WorkerInfo
from deforum_api.queue.folders import Roots, located
from deforum_api.queue.record import DeliveryKind, IllegalTransition, Job
from deforum_api.queue.runner import Runner, is_preview
from deforum_api.queue.store import Delivery, JobStore, KeyTaken, MemoryStore, Receipt, Records
from deforum_api.queue.submission import RECEIPT_KEPT_S, Limits, new_jobs, reply, unused_batch_id
from deforum_api.queue.webhooks import Webhooks
from deforum_api.queue.worker import Check, Render

log = logging.getLogger(__name__)

DELIVERIES_END_S = 2.0
SETTLE_EVERY_S = 0.2


class JobQueue:
    """All jobs of one server, rendered by the workers of an executor by priority and order of submission.

    Motion previews run beside them.

    Args:
        check: (settings, options_overrides) -> prepared job; raises `SettingsError`.
        render: renders a prepared job.
        checks: makes the checks of submitted jobs; by default the thread that submits.
        store: keeps the records.
        limits: how much is taken.
        clock: Unix time in seconds.
        draw: a random number for a batch id, 0 <= n < 10**9.
        roots: folders in which those of jobs are looked for that were moved.
        executor: has the workers; by default the one of this process, which renders one job at a time.
        webhooks: notifies of the end of jobs that have a `webhook_url`; by default without a signature.
        uploads: uploads the outputs of jobs, except motion previews; by default none are uploaded.
    """

    def __init__(
        self,
        check: Check,
        render: Render,
        *,
        checks: Checker | None = None,
        store: JobStore | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], int] = lambda: secrets.randbelow(10**9),
        roots: Roots = tuple,
        executor: Executor | None = None,
        webhooks: Webhooks | None = None,
        uploads: Sender | None = None,
    ) -> None:
        self.check = check
        self.checks: Checker = checks or InlineChecker(check)
        self.limits = limits or Limits()
        self.store: JobStore = store or MemoryStore()
        self.records = Records(self.store, clock)
        self._draw = draw
        self._roots = roots
        self._adding = threading.Lock()
        self._closing = False
        self.runner = Runner(self.records, check, render, self.limits, executor)
        self._webhooks, self._uploads = webhooks or Webhooks(), uploads
        senders: dict[DeliveryKind, Sender] = {"webhook": self._webhooks}
        if uploads is not None:
            senders["upload"] = uploads
        self._deliveries = Deliveries(self.store, senders, clock)

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
            Busy, QueueFull, QueueClosed, StoreUnavailable: not now.
        """
        # Files of this machine may be longer than what comes over HTTP.
        body = batch_body(settings, overrides)
        return self.submit_request(CheckRequest("submit", body, self.limits.batch, most_bytes=len(body)))

    def submit_tool(
        self, tool: str, arguments: Mapping[str, Any], overrides: Mapping[str, Any] | None = None
    ) -> Job:
        """Check, record and queue a tool with its arguments; its job is returned as it was recorded.

        Raises:
            InvalidBatch: any of them is wrong.
            ApiError: as `submit`.
        """
        request = CheckRequest("submit", tool_body(arguments, overrides), self.limits.batch, tool=tool)
        return self.submit_request(request)[0]

    def submit_request(self, request: CheckRequest, gone: threading.Event | None = None) -> tuple[Job, ...]:
        """Check, record and queue a request with an unparsed body; `gone` is set when its client disconnects.

        Raises:
            ApiError: as `submit`.
        """
        return self._queue(self.checks.examine(request, gone))

    def submit_once(self, key: str, request: CheckRequest, gone: threading.Event | None = None) -> str:
        """Do as `submit_request` unless it was done with `key` in the last 24 hours; return the answer of then as JSON.

        Raises:
            KeyReused: the key came with another batch.
            ApiError: as `submit`.
        """
        now = self.records.clock()
        while True:
            receipt = self.store.receipt(key)
            if receipt and receipt.at >= now - RECEIPT_KEPT_S:
                if receipt.digest != self.checks.examine(replace(request, kind="digest"), gone).digest:
                    raise KeyReused
                return receipt.reply
            self.store.forget_receipts(now - RECEIPT_KEPT_S)
            found = self.checks.examine(request, gone)
            try:
                return reply(self._queue(found, Receipt(key, found.digest, "", now)))
            except KeyTaken:
                log.debug("the batch of an Idempotency-Key came in twice at once")

    def _queue(self, found: CheckResult, receipt: Receipt | None = None) -> tuple[Job, ...]:
        url = found.terms.webhook_url
        if url and (refusal := self._webhooks.refusal(url)):
            raise InvalidBody(refusal, ("body", "webhook_url"))
        with self._adding:
            if self._closing:
                raise QueueClosed
            if len(self.store.queued()) + len(found.jobs) > self.limits.queued:
                raise QueueFull(self.limits.queued)
            batch_id, order = unused_batch_id(self.store, self._draw), self.store.next_order()
            now = self.records.clock()
            jobs = new_jobs(
                found.jobs,
                found.overrides_json,
                found.terms,
                upload=self._uploads is not None,
                batch_id=batch_id,
                order=order,
                now=now,
            )
            jobs = tuple(replace(job, upload=False) if is_preview(job) else job for job in jobs)
            jobs = self.store.add(jobs, replace(receipt, reply=reply(jobs)) if receipt else None)
            for _ in jobs:
                self.runner.wake()
        return jobs

    def job(self, job_id: str) -> Job:
        """Return the job.

        Raises:
            UnknownId: no job or batch has this id.
        """
        return self.records.job(job_id)

    def located(self, job: Job) -> Job:
        """Return the job with the folder in which its files are now.

        Raises:
            FilesGone: it has ended, and they are found nowhere.
        """
        roots = self._roots()
        found = located(job, roots)
        if job.finished and found.outdir and not Path(found.outdir).is_dir():
            raise FilesGone(job.id, found.outdir, next(iter(roots), None))
        return found

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
                changed = self.records.change(job, CancelRequested())
            except IllegalTransition:
                raise AlreadyFinished(job_id, job.status) from None
            if changed:
                if token := self.runner.token(job_id):
                    token.cancel()
                elif not changed.finished:
                    self.runner.wake()
                return changed

    def pause(self, job_id: str) -> Job:
        """Let the job stop at its next frame, or not begin, until it is resumed.

        Raises:
            UnknownId: there is no such job.
            AlreadyFinished: it ended, or its frames are finished.
            StillEnding: it is being cancelled.
        """
        while True:
            job = self.job(job_id)
            if job.cancel_requested and not job.finished:
                raise StillEnding(job_id)
            try:
                changed = self.records.change(job, PauseRequested())
            except IllegalTransition:
                if job.finished:
                    raise AlreadyFinished(job_id, job.status) from None
                raise TooLateToPause(job_id) from None
            if changed:
                if token := self.runner.token(job_id):
                    token.park()
                return changed

    def move_up(self, job_id: str) -> None:
        """Let a waiting job change places with the one that is taken before it; others stay where they are.

        If their priorities differ, they exchange these as well. A job that waits no longer, or is the first, stays
        where it is.
        """
        with suppress(
            IllegalTransition, UnknownId
        ):  # one of the two was taken, cancelled or forgotten meanwhile
            while (waiting := self.store.queued()) and job_id in waiting[1:]:
                job, before = self.job(job_id), self.job(waiting[waiting.index(job_id) - 1])
                forward, back = Moved(before.place, before.priority), Moved(job.place, job.priority)
                if self.records.change_together((job, forward), (before, back)):
                    return

    def forget(self, job_id: str) -> None:
        """Take a finished job off the records; its files stay.

        Raises:
            UnknownId: there is no such job.
            NotFinished: it has not ended.
        """
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
        """Continue a paused, failed or cancelled job from its last saved frame.

        Raises:
            UnknownId: there is no such job.
            NotResumable: it did not fail and was not cancelled.
            StillEnding: it is being cancelled.
            QueueClosed: not now.
        """
        if self._closing:
            raise QueueClosed
        while True:
            job = self.job(job_id)
            if job.cancel_requested and not job.finished:
                raise StillEnding(job_id)
            try:
                changed = self.records.change(job, Released() if job.held else Resumed())
            except IllegalTransition:
                raise NotResumable(job_id, job.status) from None
            if changed:
                self.runner.wake()
                return changed

    def deliveries(self, jobs: Iterable[Job]) -> dict[str, tuple[Delivery, ...]]:
        """Return job id -> deliveries of each of the jobs that has any."""
        asked = [job for job in jobs if job.deliveries]
        return self.store.deliveries(asked) if asked else {}

    def settle(self, jobs: Iterable[Job], timeout: float) -> None:
        """Wait at most `timeout` seconds for the first try of each delivery of jobs, so that a server may end then."""
        ids, deadline = [job.id for job in jobs], time.monotonic() + timeout
        while not self._closing and time.monotonic() < deadline:
            with suppress(StoreUnavailable):
                ended = [job for job_id in ids if (job := self.store.get(job_id)) and job.finished]
                succeeded = {job.id for job in ended if job.status == "SUCCEEDED"}
                found = (one for some in self.deliveries(ended).values() for one in some)
                expected = [one for one in found if one.kind == "webhook" or one.job_id in succeeded]
                if all(one.state not in ("WAITING", "SENDING") for one in expected):
                    return
            time.sleep(SETTLE_EVERY_S)

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return the workers, in the order in which they joined."""
        return self.runner.executor.workers()

    def lacks(self) -> tuple[str, ...]:
        """Return, as sentences, why queued jobs have fewer workers than they could have; empty if they have all."""
        executor = self.runner.executor
        resting = all(worker.state in ("draining", "drained") for worker in executor.workers())
        return (
            (*executor.lacks(), messages.ALL_DRAINED())
            if resting and executor.workers()
            else executor.lacks()
        )

    def drain(self, worker_id: str) -> WorkerInfo:
        """Let a worker finish its job and take no other one; a restart of the server undrains it.

        Raises:
            UnknownId: there is no such worker.
        """
        worker = self.runner.executor.drain(worker_id)
        log.info("Worker %s is %s.", worker_id, worker.state)
        return worker

    def undrain(self, worker_id: str) -> WorkerInfo:
        """Let a worker take jobs again.

        Raises:
            UnknownId: there is no such worker.
        """
        worker = self.runner.executor.undrain(worker_id)
        log.info("Worker %s is %s.", worker_id, worker.state)
        return worker

    def listen(self, job_id: str, changed: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `changed` (from any thread) after every update of the job, and when the queue closes."""
        return self.records.listen(job_id, changed)

    def close(self, timeout: float) -> bool:
        """Take no more jobs and park the running one; return whether it stopped within `timeout` seconds."""
        with self._adding:
            self._closing = True
        self.checks.close()
        self.runner.begin_close()
        self.records.notify_all()
        deadline = time.monotonic() + timeout
        stopped = self.runner.close(timeout)
        self._deliveries.close(max(0.0, min(DELIVERIES_END_S, deadline - time.monotonic())))
        return stopped
