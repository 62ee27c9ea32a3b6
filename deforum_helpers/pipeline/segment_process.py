"""A worker in a process of its own: the program, and the worker that starts it and reads its answers.

The parent writes first the work order, then tasks and requests to stop; back come steps, signs of life, and how each
task ended.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from deforum_helpers.core import messages as core_messages
from deforum_helpers.core.child_programs import (
    ChildProgram,
    Message,
    ParentChannel,
    WorkerLost,
    WorkerUnusable,
    error_of,
)
from deforum_helpers.core.errors import Cancelled, DeforumError, RenderError
from deforum_helpers.core.progress import StopRequest
from deforum_helpers.core.spread import OpenPieceWorkers, piece_processes
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.models.weights.checkpoints import NO_PARTS, ModelParts
from deforum_helpers.output.step_files import StepFiles, decode_step, encode_step
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.segments import (
    EngineWorker,
    SegmentTask,
    decode_task,
    encode_task,
)
from deforum_helpers.pipeline.work_orders import MoreWorkers, WorkOrder, open_worker

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
# After a cancel, engines stop between two sampling steps; a process that takes longer is killed.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a worker process, as the arguments of `make_engine`."""

    name: str
    checkpoint: str | None = None
    allow_download: bool = False
    device: str | None = None
    parts: ModelParts = NO_PARTS

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> EngineChoice:
        """Return the choice that was sent as plain values."""
        return cls(**{**values, "parts": ModelParts.of(values["parts"])})

    offload: str = AUTO


def process_workers(engine: EngineChoice, count: int) -> MoreWorkers:
    """Return a function that opens worker processes for a run, as `run_job` takes it.

    Where there are several GPUs, they are given to the processes in turn; the first one is left to this process.

    Args:
        engine: engine of each process.
        count: number of processes, >= 1.
    """

    @contextmanager
    def opened(
        order: WorkOrder, device: torch.device, beat: Callable[[], None]
    ) -> Iterator[list[ProcessWorker]]:
        with ExitStack() as stack:
            workers = []
            for number in range(1, count + 1):
                workers.append(ProcessWorker(order, _on_gpu(engine, number), device, beat))
                stack.callback(workers[-1].close)
                with suppress(WorkerLost):  # its thread finds out as well
                    workers[-1].start()
            yield workers

    return opened


def image_processes(count: int) -> OpenPieceWorkers:
    """Return a function that opens `count` processes for the images of tools and post-production."""
    return piece_processes(count, torch.cuda.device_count)


def _on_gpu(engine: EngineChoice, number: int) -> EngineChoice:
    gpus = torch.cuda.device_count()
    return replace(engine, device=f"cuda:{number % gpus}") if gpus > 1 else engine


class ProcessWorker:
    """A worker in a process of its own, which is started again after it has died; see `SegmentWorker`."""

    def __init__(
        self, order: WorkOrder, engine: EngineChoice, device: torch.device, beat: Callable[[], None]
    ) -> None:
        self._first_message = {"order": asdict(order), "engine": asdict(engine)}
        self._device = device
        self._beat = beat
        self._stop_request: StopRequest = "none"
        self._program: ChildProgram | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return None if self._program is None else self._program.pid

    def start(self) -> ChildProgram:
        """Start the process unless it runs; raises `WorkerLost` if the system does not allow it."""
        if self._program is not None and self._program.alive:
            return self._program
        self.close()
        try:
            self._program = ChildProgram(__name__)
        except OSError as error:
            raise WorkerLost(str(error)) from error
        self._program.write(self._first_message)
        return self._program

    def render(self, task: SegmentTask) -> Iterator[StepFiles]:
        """Yield the steps of a task; see `SegmentWorker`."""
        program = self.start()
        head, parts = encode_task(task)
        program.write({"task": head}, parts)
        while True:
            head, parts = self._answer(program)
            if "step" in head:
                yield decode_step(parts[0], self._device)
            elif "error" in head:
                raise error_of(head["error"])
            elif "unusable" in head:
                raise WorkerUnusable(head["unusable"])
            elif "end" in head:
                return

    def stop(self, request: StopRequest) -> None:
        """Stop; see `SegmentWorker`."""
        self._stop_request = request
        if self._program is not None:
            self._program.write({"stop": request})

    def close(self) -> None:
        """End the process."""
        if self._program is not None:
            self._program.close()

    def _answer(self, program: ChildProgram) -> Message:
        """Return the next answer other than a sign of life."""
        cancelled_at: float | None = None
        while True:
            try:
                answer = program.answer(LOOK_EVERY_S)
            except queue.Empty:
                if self._stop_request == "cancel":
                    cancelled_at = cancelled_at or time.monotonic()
                    if time.monotonic() > cancelled_at + PATIENCE_S:
                        program.kill()
                continue
            if answer is None:
                if self._stop_request == "cancel":
                    raise Cancelled(messages.SEGMENT_WORKER_ENDED())
                raise WorkerLost(core_messages.CHILD_ENDED(code=program.code))
            self._beat()
            if "beat" not in answer[0]:
                return answer


def main() -> None:
    """Render tasks until the parent ends."""
    parent = ParentChannel()
    first = parent.read()
    if first is None:
        return
    order = WorkOrder(**first[0]["order"])
    choice = EngineChoice.of(first[0]["engine"])
    tasks: queue.SimpleQueue[Message] = queue.SimpleQueue()
    stopping = _Stopping()

    def received(message: Message) -> None:
        if "task" in message[0]:
            tasks.put(message)
        else:
            stopping.ask(message[0]["stop"])

    parent.listen(received)
    try:
        facts = own_facts(choice.name, choice.checkpoint, Path(order.outdir), parts=choice.parts)
        engine = make_engine(
            choice.name,
            checkpoint=choice.checkpoint,
            allow_download=choice.allow_download,
            device=choice.device,
            offload=choice.offload,
            parts=choice.parts,
        )
        worker = open_worker(order, facts, engine, parent.note_life)
    except (DeforumError, WorkerUnusable) as error:
        parent.write({"unusable": str(error)})
        return
    stopping.opened(worker)
    while True:
        _render(worker, *tasks.get(), engine.device, parent)


def _render(
    worker: EngineWorker,
    head: Mapping[str, Any],
    parts: Sequence[bytes],
    device: torch.device,
    parent: ParentChannel,
) -> None:
    try:
        for step in worker.render(decode_task(head["task"], parts, device)):
            parent.write({"step": step.resume_state.state.steps_done}, [encode_step(step)])
    except DeforumError as error:
        parent.write_error(error)
    except Exception as error:
        logger.exception("A segment failed unexpectedly")
        parent.write_error(RenderError(messages.SEGMENT_FAILED(kind=type(error).__name__)))
    else:
        parent.write({"end": True})


class _Stopping:
    """The newest request to stop, which may come before there is a worker."""

    def __init__(self) -> None:
        self._request: StopRequest = "none"
        self._worker: EngineWorker | None = None
        self._lock = threading.Lock()

    def opened(self, worker: EngineWorker) -> None:
        with self._lock:
            self._worker = worker
            if self._request != "none":
                worker.stop(self._request)

    def ask(self, request: StopRequest) -> None:
        with self._lock:
            self._request = request
            if self._worker is not None:
                self._worker.stop(request)
            elif request == "cancel":
                os._exit(0)  # it may be loading a model
