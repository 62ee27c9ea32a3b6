"""Changes to the records of a store, notification of listeners, and a cache of records."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deforum_api.queue import record
from deforum_api.queue.errors import UnknownId
from deforum_api.queue.events import Event
from deforum_api.queue.record import Job
from deforum_api.queue.store import JobStore

# Characters of submitted settings; a job of the longest body has 8 million.
BUDGET_CHARACTERS = 50_000_000


class JobCache:
    """A cache of the most recently read jobs, limited by the length of their settings. Not thread-safe."""

    def __init__(self, budget: int = BUDGET_CHARACTERS) -> None:
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._budget = budget

    def get(self, number: int, updates: int) -> Job | None:
        """Return job `number` if it is cached with this number of updates, else None."""
        job = self._jobs.get(number)
        return job if job and job.updates == updates else None

    def keep(self, job: Job) -> None:
        """Add `job`, and evict the oldest jobs beyond the budget."""
        before = self._jobs.pop(job.order, None)
        self._jobs[job.order] = job
        self._budget += _size(before) - _size(job)
        while self._budget < 0:
            _, oldest = self._jobs.popitem(last=False)
            self._budget += _size(oldest)


def _size(job: Job | None) -> int:
    return len(job.settings_json) + len(job.overrides_json) if job else 0


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
