"""Job stores: their interface, a store in memory, and the record changes that they report to listeners."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, Protocol

from deforum_api.queue import record
from deforum_api.queue.errors import UnknownId
from deforum_api.queue.events import Event
from deforum_api.queue.record import DeliveryKind, Job, Status


@dataclass(frozen=True)
class Receipt:
    """The response to a request with an `Idempotency-Key`.

    Args:
        key: the client's.
        digest: hash of the submitted batch.
        reply: the response as JSON text.
        at: Unix seconds.
    """

    key: str
    digest: str
    reply: str
    at: float


DeliveryState = Literal["WAITING", "SENDING", "RETRYING", "DELIVERED", "FAILED"]
OPEN_STATES: tuple[DeliveryState, ...] = ("WAITING", "SENDING", "RETRYING")
# A `not_before` further away comes from a clock that was set back meanwhile.
LONGEST_PAUSE_S = 6 * 3600.0
# A webhook waits for the first try of its job's upload, so that it can carry the links, but not for longer.
UPLOAD_WAIT_S = 3600.0


@dataclass(frozen=True)
class Delivery:
    """What is sent after a job's end, and how far that is.

    Args:
        job_id, kind: the job, and what is sent.
        state: WAITING for the job's end or for the first try; SENDING; RETRYING: a try failed, another follows;
            DELIVERED; FAILED: it is not tried again.
        tries: number of tries that began.
        not_before: Unix seconds before which it is not tried (again); while it is sent, the time at which it counts as
            interrupted. Negative after a resume, another number each time, so that no claim for an earlier end counts.
        message: why the last try failed, or None.
        place: address of the uploaded files, or None.
    """

    job_id: str
    kind: DeliveryKind
    state: DeliveryState = "WAITING"
    tries: int = 0
    not_before: float = 0.0
    message: str | None = None
    place: str | None = None

    def due(self, job: Job, upload: Delivery | None, now: float) -> bool:
        """Tell whether it is to be tried at Unix time `now`; `upload` is that of the same job."""
        if not job.finished or self.state not in OPEN_STATES or 0 < self.not_before - now <= LONGEST_PAUSE_S:
            return False
        if job.status != "SUCCEEDED":
            return self.kind == "webhook"
        begins = upload is not None and (upload.state, upload.tries) in (("WAITING", 0), ("SENDING", 1))
        return self.kind == "upload" or not begins or now - job.last_updated > UPLOAD_WAIT_S


class KeyTaken(ValueError):
    """The store has a receipt with this key."""


class StaleRecord(ValueError):
    """The stored record of a job has changed since it was read."""


class JobStore(Protocol):
    """Keeps the records of jobs. Every method may be called from any thread.

    Raises:
        StoreUnavailable: any method, if what it keeps them in fails.
    """

    def add(self, jobs: Sequence[Job], receipt: Receipt | None = None) -> tuple[Job, ...]:
        """Store new jobs with their deliveries, and the receipt, durably.

        Returns the stored records, whose `order` is increased if other jobs have taken theirs meanwhile.

        Raises:
            ValueError: an id exists; nothing is stored.
            KeyTaken: the receipt's key exists; nothing is stored.
        """
        ...

    def get(self, job_id: str) -> Job | None:
        """Return the job, or None."""
        ...

    def swap(self, old: Job, new: Job, *more: tuple[Job, Job]) -> bool:
        """Replace `old` by `new`, and likewise each pair of `more`: all or none.

        The deliveries of a finished job that is queued again wait for its next end.

        Returns False, without a change, if any stored record is no longer its `old`.
        """
        ...

    def batch(self, batch_id: str) -> tuple[Job, ...]:
        """Return the jobs of a batch in the order of submission; empty if there is no such batch."""
        ...

    def batches(self) -> dict[str, list[str]]:
        """Return batch id -> job ids, both in the order of submission."""
        ...

    def page(
        self, status: Status | None = None, after: int = -1, limit: int | None = None
    ) -> tuple[Job, ...]:
        """Return at most `limit` jobs of `status` (None = any) whose `order` is greater than `after`."""
        ...

    def orders(
        self, status: Status | None = None, after: int = -1, limit: int | None = None
    ) -> tuple[int, ...]:
        """Return the `order` of each job that `page` returns."""
        ...

    def counts(self) -> dict[Status, int]:
        """Return how many jobs there are of each status that any has."""
        ...

    def queued(self) -> tuple[str, ...]:
        """Return the ids of the queued jobs in queue order."""
        ...

    def remove(self, job: Job) -> bool:
        """Delete `job`; False, without a change, if the stored record has changed."""
        ...

    def next_order(self) -> int:
        """Return a number greater than that of every job ever added."""
        ...

    def prune(self, keep: int) -> None:
        """Delete the oldest finished jobs beyond `keep`."""
        ...

    def receipt(self, key: str) -> Receipt | None:
        """Return the receipt of the request that had `key`, or None."""
        ...

    def forget_receipts(self, before: float) -> None:
        """Delete the receipts that are older than Unix time `before`."""
        ...

    def deliveries(self, jobs: Iterable[Job]) -> dict[str, tuple[Delivery, ...]]:
        """Return job id -> deliveries of each of the jobs that has any."""
        ...

    def due_deliveries(self, kind: DeliveryKind, now: float, limit: int) -> tuple[Delivery, ...]:
        """Return at most `limit` deliveries that are due at Unix time `now`, those that wait longest first."""
        ...

    def swap_delivery(self, old: Delivery, new: Delivery) -> bool:
        """Replace `old` by `new`; False, without a change, if the stored one is no longer `old`."""
        ...

    def beat(self) -> None:
        """Signal to other servers on the same store that this one is alive."""
        ...

    def orphans(self) -> tuple[Job, ...]:
        """Return the running jobs whose server has ended."""
        ...

    def close(self) -> None:
        """Close the store; no method is called afterwards."""
        ...


class MemoryStore:
    """A `JobStore` in memory."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._batches: dict[str, list[str]] = {}
        self._queued: dict[str, tuple[int, int]] = {}
        self._receipts: dict[str, Receipt] = {}
        self._deliveries: dict[str, dict[DeliveryKind, Delivery]] = {}
        self._finished = 0
        self._next_order = 0
        self._lock = threading.Lock()

    def add(self, jobs: Sequence[Job], receipt: Receipt | None = None) -> tuple[Job, ...]:
        with self._lock:
            known = [job.id for job in jobs if job.id in self._jobs]
            if known:
                raise ValueError(f"The job {known[0]} exists already.")
            if receipt is not None:
                if receipt.key in self._receipts:
                    raise KeyTaken(f"The key {receipt.key} was used before.")
                self._receipts[receipt.key] = receipt
            late = max(0, self._next_order - min((job.order for job in jobs), default=0))
            kept = tuple(replace(job, order=job.order + late) for job in jobs)
            for job in kept:
                self._jobs[job.id] = job
                self._await_end(job)
                self._batches.setdefault(job.batch_id, []).append(job.id)
                self._count(job)
                self._next_order = job.order + 1
            return kept

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def swap(self, old: Job, new: Job, *more: tuple[Job, Job]) -> bool:
        changes = ((old, new), *more)
        with self._lock:
            kept = [self._jobs.get(old.id) for old, _ in changes]
            if any(
                one is None or one.updates != old.updates for one, (old, _) in zip(kept, changes, strict=True)
            ):
                return False
            for old, new in changes:
                self._finished -= old.finished
                self._queued.pop(old.id, None)
                self._jobs[new.id] = new
                if old.finished and not new.finished:
                    self._await_end(new)
                self._count(new)
            return True

    def batch(self, batch_id: str) -> tuple[Job, ...]:
        with self._lock:
            return tuple(self._jobs[job_id] for job_id in self._batches.get(batch_id, ()))

    def batches(self) -> dict[str, list[str]]:
        with self._lock:
            return {batch_id: list(ids) for batch_id, ids in self._batches.items()}

    def page(
        self, status: Status | None = None, after: int = -1, limit: int | None = None
    ) -> tuple[Job, ...]:
        with self._lock:
            jobs = self._jobs.values()
            chosen = (job for job in jobs if job.order > after and status in (None, job.status))
            return tuple(islice(chosen, limit))

    def orders(
        self, status: Status | None = None, after: int = -1, limit: int | None = None
    ) -> tuple[int, ...]:
        return tuple(job.order for job in self.page(status, after, limit))

    def counts(self) -> dict[Status, int]:
        with self._lock:
            return dict(Counter(job.status for job in self._jobs.values()))

    def queued(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(self._queued, key=self._queued.__getitem__))

    def remove(self, job: Job) -> bool:
        with self._lock:
            kept = self._jobs.get(job.id)
            if kept is None or kept.updates != job.updates:
                return False
            self._queued.pop(kept.id, None)
            self._forget(kept)
            return True

    def next_order(self) -> int:
        with self._lock:
            return self._next_order

    def prune(self, keep: int) -> None:
        with self._lock:
            excess = self._finished - keep
            if excess <= 0:
                return
            oldest = sorted(
                (job for job in self._jobs.values() if job.finished), key=lambda job: job.last_updated
            )
            for job in oldest[:excess]:
                self._forget(job)

    def receipt(self, key: str) -> Receipt | None:
        return self._receipts.get(key)

    def forget_receipts(self, before: float) -> None:
        with self._lock:
            self._receipts = {key: one for key, one in self._receipts.items() if one.at >= before}

    def deliveries(self, jobs: Iterable[Job]) -> dict[str, tuple[Delivery, ...]]:
        with self._lock:
            found = {job.id: tuple(self._deliveries.get(job.id, {}).values()) for job in jobs}
        return {job_id: some for job_id, some in found.items() if some}

    def due_deliveries(self, kind: DeliveryKind, now: float, limit: int) -> tuple[Delivery, ...]:
        with self._lock:
            due = [
                some[kind]
                for job_id, some in self._deliveries.items()
                if kind in some and some[kind].due(self._jobs[job_id], some.get("upload"), now)
            ]
            return tuple(sorted(due, key=lambda one: one.not_before)[:limit])

    def swap_delivery(self, old: Delivery, new: Delivery) -> bool:
        with self._lock:
            if self._deliveries.get(old.job_id, {}).get(old.kind) != old:
                return False
            self._deliveries[old.job_id][old.kind] = new
            return True

    def beat(self) -> None:
        """No other server shares this store."""

    def orphans(self) -> tuple[Job, ...]:
        return ()

    def close(self) -> None:
        """Memory needs no closing."""

    def _count(self, job: Job) -> None:
        self._finished += job.finished
        if job.queued:
            self._queued[job.id] = (job.rank, job.place)

    def _await_end(self, job: Job) -> None:
        if job.deliveries:
            since = -float(job.updates)
            self._deliveries[job.id] = {
                kind: Delivery(job.id, kind, not_before=since) for kind in job.deliveries
            }

    def _forget(self, job: Job) -> None:
        del self._jobs[job.id]
        self._deliveries.pop(job.id, None)
        self._finished -= job.finished
        ids = self._batches[job.batch_id]
        ids.remove(job.id)
        if not ids:
            del self._batches[job.batch_id]


class Superseded(Exception):
    """Another attempt at the job has begun, in this or another server."""


class Records:
    """Applies events to the jobs of a store and notifies listeners.

    Args:
        store: the job store.
        clock: returns Unix time in seconds.
    """

    def __init__(self, store: JobStore, clock: Callable[[], float]) -> None:
        self.store = store
        self.clock = clock
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._notified: dict[str, int] = {}

    def job(self, job_id: str) -> Job:
        """Return the job.

        Raises:
            UnknownId: no job or batch has this id.
        """
        job = self.store.get(job_id)
        if job is None:
            raise UnknownId("job", job_id)
        return job

    def change(self, job: Job, event: Event) -> Job | None:
        """Apply `event` to the record `job`; None if the stored record has changed meanwhile.

        Raises:
            IllegalTransition: the job's status and phase do not allow the event.
        """
        changed = self.change_together((job, event))
        return changed[0] if changed else None

    def change_together(self, *changes: tuple[Job, Event]) -> tuple[Job, ...] | None:
        """Apply an event to each record, all or none; None if a stored record has changed meanwhile.

        Raises:
            IllegalTransition: a job's status and phase do not allow its event; none is changed.
        """
        now = self.clock()
        changed = tuple(record.after(job, event, now) for job, event in changes)
        swaps = [(job, new) for (job, _), new in zip(changes, changed, strict=True)]
        if not self.store.swap(*swaps[0], *swaps[1:]):
            return None
        for new in changed:
            self._notify(new.id, new.updates)
        return changed

    def apply_to_attempt(self, job: Job, event: Event) -> Job:
        """Apply `event` to the running attempt `job`.

        Raises:
            Superseded: another attempt has begun, or the job has ended.
        """
        while True:
            kept = self.store.get(job.id)
            if kept is None or kept.attempt != job.attempt or kept.finished or kept.phase == "QUEUED":
                raise Superseded(job.id)
            changed = self.change(kept, event)
            if changed:
                return changed

    @contextmanager
    def listen(self, job_id: str, changed: Callable[[], None]) -> Iterator[None]:
        """Call `changed` (from any thread) after every update of the job and on every `notify_all`."""
        self._listeners.setdefault(job_id, []).append(changed)
        try:
            yield
        finally:
            listeners = self._listeners[job_id]
            listeners.remove(changed)
            if not listeners:
                self._listeners.pop(job_id, None)
                self._notified.pop(job_id, None)

    def notify_all(self) -> None:
        """Notify every listener."""
        for job_id in list(self._listeners):
            self._notify(job_id)

    def notify_changed(self) -> None:
        """Notify the listeners of jobs that another server has changed."""
        for job_id in list(self._listeners):
            job = self.store.get(job_id)
            if job is None or job.updates > self._notified.get(job_id, -1):
                self._notify(job_id, job.updates if job else 0)

    def _notify(self, job_id: str, updates: int | None = None) -> None:
        listeners = tuple(self._listeners.get(job_id, ()))
        if listeners and updates is not None:
            self._notified[job_id] = updates
        for changed in listeners:
            changed()
