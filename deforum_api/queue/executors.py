"""Where jobs are rendered: the `Executor` Protocol, the state of its workers, and the worker of this process."""

from __future__ import annotations

import json
import platform
import re
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from deforum_api.queue.errors import UnknownId
from deforum_helpers.settings import FIELDS

if TYPE_CHECKING:
    from deforum_api.queue.events import Event
    from deforum_api.queue.record import Job
    from deforum_helpers.core.progress import CancelToken, Progress

WorkerState = Literal["idle", "busy", "draining", "drained", "lost"]
Report = Callable[["Progress"], None]
# Renders a job in this process and returns the event that ends the attempt; raises nothing.
RenderHere = Callable[["Job", "CancelToken", Report], "Event"]

LOCAL_WORKER = "local"
_LORA = re.compile(r"<lora:[^<>]*>")


@dataclass(frozen=True)
class WorkerInfo:
    """One worker, which renders one job at a time.

    Args:
        id: name of the worker, unique among those of its server and the same after a restart.
        node: name of its machine.
        device: "cpu", "cuda:0", ...; "" before it is known.
        memory_total, memory_used: bytes of its device; on a CPU, of the machine and of the worker's process; 0 = not
            known.
        model: checkpoint or engine of its newest job; "" before its first one.
        job: id of the job that it renders, or None.
        state: "idle"; "busy": it renders `job`; "draining": it finishes `job` and takes no other; "drained": it takes
            no job until it is undrained; "lost": it has ended, and another takes its place if one can.
        since: Unix seconds of the last change of `state`.
    """

    id: str
    node: str
    device: str
    memory_total: int = 0
    memory_used: int = 0
    model: str = ""
    job: str | None = None
    state: WorkerState = "idle"
    since: float = 0.0


class Executor(Protocol):
    """Places jobs on workers and renders them. Any method may be called from any thread.

    The queue owns the jobs: it asks a free worker for the job that it should take, records the claim, and records
    the event that `attempt` returns. An executor keeps nothing that a restart would miss.
    """

    def start(self, here: RenderHere, changed: Callable[[], None]) -> None:
        """Make the workers.

        Args:
            here: renders a job in this process.
            changed: called, on any thread, when a worker has joined or may take a job again.
        """
        ...

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return all workers, in the order in which they joined."""
        ...

    def lacks(self) -> tuple[str, ...]:
        """Return, as sentences, why workers are missing or refused; empty if nothing is wrong."""
        ...

    def choose(self, worker_id: str, waiting: Iterable[Job]) -> Job | None:
        """Return the first waiting job that no other free worker suits better; None if this worker takes none now."""
        ...

    def take(self, worker_id: str, job: Job) -> None:
        """Note that the worker's next attempt is at `job`; it is busy until `free`."""
        ...

    def attempt(self, worker_id: str, job: Job, cancel: CancelToken, report: Report) -> Event:
        """Render `job` on the worker and return the event that ends this attempt; raises no `Exception`."""
        ...

    def free(self, worker_id: str) -> None:
        """Note that the attempt's end is on record, so that the worker can take another job."""
        ...

    def abandon(self, worker_id: str) -> None:
        """End a worker whose cancelled job does not respond, if it can be ended."""
        ...

    def drain(self, worker_id: str) -> WorkerInfo:
        """Let the worker finish its job and take no other one.

        Raises:
            UnknownId: there is no such worker.
        """
        ...

    def undrain(self, worker_id: str) -> WorkerInfo:
        """Let a drained worker take jobs again.

        Raises:
            UnknownId: there is no such worker.
        """
        ...

    def close(self, timeout: float) -> None:
        """End the workers, which have no job any more, within `timeout` seconds."""
        ...


class WorkerTable:
    """The workers of an executor and their states.

    Args:
        model: checkpoint of jobs that name none, or the engine.
        clock: Unix time in seconds.
    """

    def __init__(self, model: str = "", clock: Callable[[], float] = time.time) -> None:
        self._model = model
        self._clock = clock
        self._lock = threading.Lock()
        self._workers: dict[str, WorkerInfo] = {}
        self._out_of_service: set[str] = set()  # also while they are lost

    def all(self) -> tuple[WorkerInfo, ...]:
        """Return all workers, in the order in which they joined."""
        with self._lock:
            return tuple(self._workers.values())

    def get(self, worker_id: str) -> WorkerInfo:
        """Return a worker.

        Raises:
            UnknownId: there is no such worker.
        """
        with self._lock:
            return self._known(worker_id)

    def join(self, worker: WorkerInfo) -> None:
        """Add an idle worker, or let it replace a lost one of the same id; a drained place stays drained."""
        with self._lock:
            state: WorkerState = "drained" if worker.id in self._out_of_service else "idle"
            self._workers[worker.id] = replace(worker, state=state, since=self._clock())

    def lose(self, worker_id: str) -> None:
        """Note that a worker has ended; one that has a job keeps it until `free`."""
        with self._lock:
            self._set(worker_id, "lost", model="", memory_used=0)

    def measure(self, worker_id: str, total: int, used: int) -> None:
        """Note the bytes of a worker's memory."""
        with self._lock:
            worker = self._known(worker_id)
            self._workers[worker_id] = replace(worker, memory_total=total, memory_used=used)

    def choose(self, worker_id: str, waiting: Iterable[Job]) -> Job | None:
        """Give each waiting job in turn to the free worker that suits it best; return the one for this worker.

        Best is a worker whose checkpoint is the job's, then one that has loaded none, then one on the node with the
        fewest busy workers, then the one that has been idle for the longest time.
        """
        with self._lock:
            idle = {worker.id: worker for worker in self._workers.values() if worker.state == "idle"}
            if worker_id not in idle:
                return None
            for job in waiting:
                model = self._model_of(job)
                best = min(idle.values(), key=lambda worker: self._fitness(worker, model))
                if best.id == worker_id:
                    return job
                del idle[best.id]
        return None

    def take(self, worker_id: str, job: Job) -> None:
        """Note that the worker renders `job`."""
        with self._lock:
            self._set(worker_id, "busy", job=job.id, model=self._model_of(job))

    def free(self, worker_id: str) -> None:
        """Note that the worker renders no job."""
        with self._lock:
            worker = self._known(worker_id)
            after: dict[WorkerState, WorkerState] = {"busy": "idle", "draining": "drained"}
            self._set(worker_id, after.get(worker.state, worker.state), job=None)

    def drain(self, worker_id: str) -> WorkerInfo:
        """Let the worker take no other job."""
        with self._lock:
            after: dict[WorkerState, WorkerState] = {"idle": "drained", "busy": "draining"}
            state = self._known(worker_id).state
            self._out_of_service.add(worker_id)
            return self._set(worker_id, after.get(state, state))

    def undrain(self, worker_id: str) -> WorkerInfo:
        """Let the worker take jobs again."""
        with self._lock:
            after: dict[WorkerState, WorkerState] = {"drained": "idle", "draining": "busy"}
            state = self._known(worker_id).state
            self._out_of_service.discard(worker_id)
            return self._set(worker_id, after.get(state, state))

    def _known(self, worker_id: str) -> WorkerInfo:
        if worker_id not in self._workers:
            raise UnknownId("worker", worker_id)
        return self._workers[worker_id]

    def _set(self, worker_id: str, state: WorkerState, **more: object) -> WorkerInfo:
        before = self._known(worker_id)
        since = before.since if before.state == state else self._clock()
        changed = replace(before, state=state, since=since, **more)  # type: ignore[arg-type]
        self._workers[worker_id] = changed
        return changed

    def _model_of(self, job: Job) -> str:
        return model_of(job, self._model)

    def _fitness(self, worker: WorkerInfo, model: str) -> tuple[int, int, float]:
        """Sort key of a free worker for a job with this checkpoint, the best one first."""
        loaded = 0 if worker.model == model else 2 if worker.model else 1
        busy = sum(other.job is not None for other in self._workers.values() if other.node == worker.node)
        return loaded, busy, worker.since


def model_of(job: Job, own: str) -> str:
    """Return the checkpoint of a job; `own` is that of jobs that name none."""
    overrides = json.loads(job.overrides_json) or {}
    return str(overrides.get("sd_model_checkpoint") or own)


def batch_key(job: Job, own: str) -> Hashable | None:
    """Return what jobs share whose images can be evaluated as one batch: model, VAE, LoRAs and size.

    None for a tool, which runs alone. `own` is as in `model_of`.
    """
    if job.is_tool:
        return None
    settings, overrides = json.loads(job.settings_json), json.loads(job.overrides_json) or {}
    size = tuple(str(settings.get(side, FIELDS[side].default)) for side in ("W", "H"))
    loras = frozenset(_LORA.findall(job.settings_json))
    return model_of(job, own), str(overrides.get("sd_vae")), loras, size


class LocalExecutor:
    """The one worker of this process, or several threads of it for jobs in lockstep.

    Args:
        device: returns the device that it renders on; "" while that is not known.
        model: its checkpoint, or its engine.
        memory: returns total and used bytes of a device.
        in_lockstep: how many jobs run at the same time, on workers "local", "local-2", ... They share the model and the
            size of their images; a job that does not fit waits until they have ended, and those behind it wait too.
    """

    def __init__(
        self,
        device: Callable[[], str] = lambda: "cpu",
        model: str = "",
        memory: Callable[[str], tuple[int, int]] = lambda device: (0, 0),
        in_lockstep: int = 1,
    ) -> None:
        self._device, self._memory = device, memory
        self._table = WorkerTable(model)
        for number in range(1, in_lockstep + 1):
            name = LOCAL_WORKER if number == 1 else f"{LOCAL_WORKER}-{number}"
            self._table.join(WorkerInfo(name, platform.node(), ""))
        self._model = model
        self._in_lockstep = in_lockstep > 1
        self._lock = threading.Lock()
        self._running: dict[str, Hashable] = {}  # worker -> batch key of its job
        self._asked: tuple[str, Hashable] = (
            "",
            None,
        )  # the newest job and its batch key, as settings may be long

    def start(self, here: RenderHere, changed: Callable[[], None]) -> None:
        self._here = here
        self._changed = changed

    def workers(self) -> tuple[WorkerInfo, ...]:
        return self._with_device(self._table.all())

    def _with_device(self, workers: Iterable[WorkerInfo]) -> tuple[WorkerInfo, ...]:
        device = self._device()
        total, used = self._memory(device)
        return tuple(
            replace(worker, device=device, memory_total=total, memory_used=used) for worker in workers
        )

    def lacks(self) -> tuple[str, ...]:
        return ()

    def choose(self, worker_id: str, waiting: Iterable[Job]) -> Job | None:
        job = next(iter(waiting), None)
        if job is None or self._table.get(worker_id).state != "idle":
            return None
        with self._lock:
            running = set(self._running.values())
            joins = not running or (running == {self._batch_key(job)} and None not in running)
        return job if joins else None

    def take(self, worker_id: str, job: Job) -> None:
        if self._in_lockstep:
            with self._lock:
                self._running[worker_id] = self._batch_key(job)
        self._table.take(worker_id, job)

    def attempt(self, worker_id: str, job: Job, cancel: CancelToken, report: Report) -> Event:
        return self._here(job, cancel, report)

    def free(self, worker_id: str) -> None:
        with self._lock:
            self._running.pop(worker_id, None)
        self._table.free(worker_id)

    def _batch_key(self, job: Job) -> Hashable | None:
        if self._asked[0] != job.id:
            self._asked = job.id, batch_key(job, self._model)
        return self._asked[1]

    def abandon(self, worker_id: str) -> None:
        """A thread cannot be ended."""

    def drain(self, worker_id: str) -> WorkerInfo:
        return self._with_device([self._table.drain(worker_id)])[0]

    def undrain(self, worker_id: str) -> WorkerInfo:
        worker = self._table.undrain(worker_id)
        self._changed()
        return self._with_device([worker])[0]

    def close(self, timeout: float) -> None:
        """The worker ends with its thread."""
