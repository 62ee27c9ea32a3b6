"""One run rendered by several workers: its independent segments at the same time, its files by one writer.

The workers are behind a Protocol; one of them is always the engine of this process. Each gets a few steps at a time,
the earliest ones first. Steps that are finished before their turn wait in `StepsAhead`, so that frames, resume state
and video are written in the same order, and with the same bytes, as by one worker. A worker that dies costs the step
that it was at; a run that dies goes on with all finished steps, those ahead included.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.child_programs import WorkerLost, WorkerUnusable
from deforum_helpers.core.errors import ProgramKilled, Stopped
from deforum_helpers.core.progress import CancelToken, StopRequest
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.output.frames import encode_png
from deforum_helpers.output.step_files import (
    StepFiles,
    StepsAhead,
    decode_step,
    encode_step,
    image_in,
    step_files,
)
from deforum_helpers.output.writer import FRAMES_WAITING
from deforum_helpers.pipeline import messages
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.loop import render, starting_state
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.segments import Segment
from deforum_helpers.render.state import State
from deforum_helpers.settings.modes import remembers

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# Short tasks keep the workers equally busy and few steps ahead of their turn.
LONGEST_TASK = 8
TASKS_PER_WORKER = 4
# A step during which so many workers die is not tried again.
MOST_LOSSES = 3
LOOK_EVERY_S = 0.1
# Steps that the writer may hold in its queue: those before them are on the disk, so nothing is rendered twice.
STEPS_UNWRITTEN = FRAMES_WAITING + 2


@dataclass(frozen=True)
class SegmentTask:
    """Steps for one worker.

    Args:
        start, stop: the steps start .. stop - 1, positions in `Plan.key_frames`.
        begun: the step before `start`, where the task continues a segment; None where it begins one.
        first: (H, W, 3) uint8 frame 0, where the segment needs it; else None.
    """

    start: int
    stop: int
    begun: StepFiles | None = None
    first: NDArray[np.uint8] | None = None


def encode_task(task: SegmentTask) -> tuple[dict[str, Any], list[bytes]]:
    """Return a task as a message of `core/child_programs.py`."""
    head = {"start": task.start, "stop": task.stop, "begun": task.begun is not None}
    parts = [] if task.begun is None else [encode_step(task.begun)]
    return head, parts if task.first is None else [*parts, encode_png(task.first)]


def decode_task(head: Mapping[str, Any], parts: Sequence[bytes], device: torch.device) -> SegmentTask:
    """Return the task in a message, with its state on a device.

    Raises:
        CheckpointError: the message is damaged.
    """
    begun = decode_step(parts[0], device) if head["begun"] else None
    rest = parts[1:] if head["begun"] else parts
    first = image_in(np.frombuffer(rest[0], np.uint8)) if rest else None
    return SegmentTask(int(head["start"]), int(head["stop"]), begun, first)


class SegmentWorker(Protocol):
    """Renders steps of one run, for one thread at a time."""

    def render(self, task: SegmentTask) -> Iterator[StepFiles]:
        """Yield the steps of a task, in order.

        Raises:
            Cancelled, Parked: it was asked to stop.
            WorkerLost, WorkerUnusable: see there.
            RenderError: the next step failed, as it would have on any worker.
        """
        ...

    def stop(self, request: StopRequest) -> None:
        """Cancel or park the task in progress, and all later ones; called from another thread."""
        ...


class EngineWorker:
    """A worker with an engine of this process.

    Args:
        context: context of the run.
        given: the state that the run began with.
        made_by: name of engine and model, for the resume state.
        resumed: the state that this attempt continues from, or None.
        beat: called at each sign of life.
    """

    def __init__(
        self,
        context: RenderContext,
        given: State,
        made_by: str,
        resumed: State | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._cancel = _OwnToken(beat)
        self._context = replace(context, cancel=self._cancel)
        self._given = given
        self._made_by = made_by
        self._resumed = resumed

    def render(self, task: SegmentTask) -> Iterator[StepFiles]:
        """Yield the steps of a task; see `SegmentWorker`."""
        self._cancel.check()
        for outcome in render(self._context, self._state(task), task.stop):
            yield step_files(outcome, self._context.plan, self._made_by)

    def stop(self, request: StopRequest) -> None:
        """Stop; see `SegmentWorker`."""
        if request == "park":
            self._cancel.park()
        else:
            self._cancel.cancel()

    def _state(self, task: SegmentTask) -> State:
        device = self._context.engine.device
        first = None if task.first is None else from_bytes(task.first, device)
        if self._resumed is not None and task.start == self._resumed.steps_done:
            return self._resumed
        if task.begun is not None:
            return replace(task.begun.state(device), first=first)
        segments = self._context.plan.independent_segments
        segment = segments[bisect_right([segment.start for segment in segments], task.start) - 1]
        if segment.start != task.start:
            raise AssertionError("the task begins in the middle of a segment")
        return starting_state(segment, self._context, replace(self._given, first=first))


class _OwnToken(CancelToken):
    """A token whose signs of life are those of the job."""

    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__()
        self._pass_on = beat

    def beat(self) -> None:
        super().beat()
        self._pass_on()


def rendered_steps(
    plan: Plan,
    workers: Sequence[SegmentWorker],
    begin: int,
    ahead: StepsAhead,
    cancel: CancelToken,
    *,
    first: NDArray[np.uint8] | None,
    waiting: Callable[[int], None],
) -> Iterator[StepFiles]:
    """Yield the steps of a run in order, rendered by several workers.

    Args:
        plan: plan of the run.
        workers: the first one continues the segment that `begin` lies in.
        begin: number of steps that are done.
        ahead: keeps the steps that are finished before their turn.
        cancel: stops all workers. Steps that are finished by then are yielded before the error.
        first: (H, W, 3) uint8 frame 0, if it is finished.
        waiting: called with the number of steps that are finished before their turn, whenever it changes.

    Raises:
        Cancelled, Parked: the job was stopped.
        RenderError: a step failed; all steps before it have been yielded.
    """
    board = _Board(plan, begin, ahead, len(workers), first)
    threads = [
        threading.Thread(
            # Log lines of the thread carry the caller's context, such as the job's id.
            target=contextvars.copy_context().run,
            args=(board.work, worker, number == 0),
            name=f"deforum-segments-{number}",
            daemon=True,
        )
        for number, worker in enumerate(workers)
    ]
    crew = _Crew(board, workers, threads)
    try:
        for thread in threads:
            thread.start()
        for number in range(begin, len(plan.key_frames)):
            yield crew.next_step(number, cancel, waiting)
            ahead.remove(number - STEPS_UNWRITTEN)
    finally:
        crew.stop("cancel", lambda: "cancel")


class _Crew:
    """The workers, the threads that they are driven by, and the board that they share."""

    def __init__(
        self, board: _Board, workers: Sequence[SegmentWorker], threads: Sequence[threading.Thread]
    ) -> None:
        self._board = board
        self._workers = workers
        self._threads = threads
        self._waiting = 0

    def next_step(self, number: int, cancel: CancelToken, waiting: Callable[[int], None]) -> StepFiles:
        """Wait for a step; a stopped job gets it only if it is finished when all workers have stopped."""
        while True:
            request = cancel.stop_request
            if request != "none":
                self.stop(request, lambda: cancel.stop_request)
            step = self._board.step(number, LOOK_EVERY_S)
            if step is not None:
                return step
            if request != "none":
                cancel.check()
            if self._board.count_ahead != self._waiting:
                self._waiting = self._board.count_ahead
                waiting(self._waiting)

    def stop(self, request: StopRequest, newest: Callable[[], StopRequest]) -> None:
        """Ask all workers to stop and wait until they have; a cancel that follows a park is passed on."""
        self._board.close()
        asked: StopRequest = "none"
        while True:
            if request != asked:
                asked = request
                for worker in self._workers:
                    worker.stop(request)
            alive = [thread for thread in self._threads if thread.is_alive()]
            if not alive:
                return
            alive[0].join(LOOK_EVERY_S)
            request = "cancel" if newest() == "cancel" else request


class _Board:
    """The tasks that wait, and the steps that are finished; shared by the threads of all workers."""

    def __init__(
        self, plan: Plan, begin: int, ahead: StepsAhead, workers: int, first: NDArray[np.uint8] | None
    ) -> None:
        self._plan = plan
        self._segments = {segment.start: segment for segment in plan.independent_segments}
        self._starts = sorted(self._segments)
        self._ahead = ahead
        self._first = first
        self._begin = self._next = begin
        self._ready: dict[int, StepFiles] = {}
        self._errors: dict[int, BaseException] = {}
        self._losses: Counter[int] = Counter()
        self._closed = False
        self._threads = workers
        self._active = 0
        self._changed = threading.Condition()
        self._found = self._finished_earlier()
        self._tasks = self._open_tasks(workers)
        # Only the first worker has the state that an earlier attempt left in the middle of a segment.
        self._reserved = begin not in self._segments and bool(self._tasks) and self._tasks[0].start == begin

    @property
    def count_ahead(self) -> int:
        return len(self._found)

    def close(self) -> None:
        """Give out no more tasks."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def step(self, number: int, longest_s: float) -> StepFiles | None:
        """Return step `number`, or None if it is not finished after `longest_s`; raises the error of that step."""
        with self._changed:
            self._next = number
            if number not in self._found and number not in self._errors and not self._closed:
                self._changed.wait(longest_s)
            if number in self._found:
                self._found.discard(number)
                step = self._ready.pop(number, None) or self._ahead.get(number)
                if step is None:  # its file was removed or damaged meanwhile
                    self._add(self._continued(number, number + 1, None))
                return step
            if number in self._errors:
                raise self._errors[number]
            if not self._threads and not self._closed:
                raise ProgramKilled(messages.SEGMENT_WORKERS_LOST(frame=self._frame(number)))
            return None

    def work(self, worker: SegmentWorker, has_state: bool) -> None:
        """Let a worker render tasks until there are no more; the function of its thread."""
        losses = 0
        try:
            while losses < MOST_LOSSES and (task := self._next_task(has_state)) is not None:
                done, last = task.start, task.begun
                try:
                    for step in worker.render(task):
                        self._put(done, step)
                        done, last, losses = done + 1, step, 0
                    if done < task.stop:
                        raise WorkerLost(messages.SEGMENT_WORKER_ENDED())
                except WorkerUnusable as error:
                    logger.warning("A worker cannot render this run: %s", error)
                    self._give_back(task, done, last)
                    return
                except WorkerLost as error:
                    losses += 1
                    logger.warning("A worker was lost at frame %d: %s", self._frame(done), error)
                    self._lose(task, done, last)
                except Stopped:
                    return
                except BaseException as error:
                    self._fail(done, error)
                finally:
                    with self._changed:
                        self._active -= 1
                        self._changed.notify_all()
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    def _next_task(self, has_state: bool) -> SegmentTask | None:
        """Take the earliest task that can begin; None when there will be no more."""
        with self._changed:
            while not self._closed:
                tasks = [task for task in self._tasks if not self._errors or task.start < min(self._errors)]
                if not tasks and not self._active:
                    return None
                for task in tasks:
                    reserved = self._reserved and task.start == self._begin
                    needs_first = self._segment_of(task.start).needs_first
                    if (reserved and not has_state) or (needs_first and self._first is None):
                        continue
                    self._tasks.remove(task)
                    self._active += 1
                    return replace(task, first=self._first) if needs_first else task
                self._changed.wait(LOOK_EVERY_S)
            return None

    def _put(self, number: int, step: StepFiles) -> None:
        with self._changed:
            if number == 0:
                self._first = step.frames[0][1].array()
            if number < self._next or number in self._found:
                return  # a segment that began again
            in_turn = number == self._next
            if in_turn:
                self._ready[number] = step
        if not in_turn:
            self._ahead.put(number, step)
        with self._changed:
            self._found.add(number)
            self._changed.notify_all()

    def _fail(self, number: int, error: BaseException) -> None:
        with self._changed:
            self._errors.setdefault(number, error)
            self._changed.notify_all()

    def _lose(self, task: SegmentTask, done: int, last: StepFiles | None) -> None:
        self._losses[done] += 1
        if self._losses[done] < MOST_LOSSES:
            self._give_back(task, done, last)
        else:
            message = messages.SEGMENT_WORKER_LOST(frame=self._frame(done), times=MOST_LOSSES)
            self._fail(done, ProgramKilled(message))

    def _give_back(self, task: SegmentTask, done: int, last: StepFiles | None) -> None:
        with self._changed:
            self._add(self._continued(done, task.stop, last))

    def _add(self, task: SegmentTask) -> None:
        self._tasks.append(task)
        self._tasks.sort(key=lambda task: task.start)
        self._changed.notify_all()

    def _continued(self, done: int, stop: int, last: StepFiles | None) -> SegmentTask:
        """Return the task of the steps done .. stop - 1; `last` is the step before, None where it is unknown."""
        start = self._segment_of(done).start
        if start == done:
            return SegmentTask(done, stop)
        if last is None or remembers(self._plan.settings):  # the memory follows from the whole segment
            return SegmentTask(start, stop)
        return SegmentTask(done, stop, begun=last)

    def _finished_earlier(self) -> set[int]:
        """Return the steps that an earlier attempt finished before their turn; removes those of no use."""
        found = set()
        for number in self._ahead.numbers():
            if number >= self._begin and self._ahead.get(number) is not None:
                found.add(number)
            else:
                self._ahead.remove(number)
        return found

    def _open_tasks(self, workers: int) -> list[SegmentTask]:
        steps = len(self._plan.key_frames) - self._begin - len(self._found)
        longest = max(1, min(LONGEST_TASK, steps // (workers * TASKS_PER_WORKER)))
        tasks: list[SegmentTask] = []
        for segment in self._plan.independent_segments:
            task = self._rest_of(segment)
            if task is None:
                continue
            short = bool(tasks) and task.stop - tasks[-1].start <= longest
            if short and tasks[-1].stop == task.start == segment.start:
                tasks[-1] = replace(tasks[-1], stop=task.stop)
            else:
                tasks.append(task)
        return tasks

    def _rest_of(self, segment: Segment) -> SegmentTask | None:
        """Return the unfinished steps of a segment, or None."""
        begin = done = max(segment.start, self._begin)
        while done < segment.stop and done in self._found:
            done += 1
        if done >= segment.stop:
            return None
        if done == begin or (remembers(self._plan.settings) and begin > segment.start):
            return SegmentTask(begin, segment.stop)
        return self._continued(done, segment.stop, self._ahead.get(done - 1))

    def _segment_of(self, step: int) -> Segment:
        return self._segments[self._starts[bisect_right(self._starts, step) - 1]]

    def _frame(self, step: int) -> int:
        return self._plan.key_frames.indices[min(step, len(self._plan.key_frames) - 1)]
