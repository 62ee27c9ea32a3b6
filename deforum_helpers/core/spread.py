"""Work in pieces that do not depend on each other, spread over several workers.

A piece is a function of this project, by name, with arguments that fit into JSON. It writes its results as files, each
whole or not at all, so a piece whose worker died is simply done again.
"""

from __future__ import annotations

import contextvars
import importlib
import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from deforum_helpers.core import messages
from deforum_helpers.core.child_programs import (
    ChildProgram,
    Message,
    ParentChannel,
    WorkerLost,
    WorkerUnusable,
    error_of,
)
from deforum_helpers.core.errors import Cancelled, DeforumError, ProgramKilled, RenderError
from deforum_helpers.core.progress import CancelToken

logger = logging.getLogger(__name__)

MOST_LOSSES = 3
LOOK_EVERY_S = 0.1

Done = Callable[[int], None]
Kept = TypeVar("Kept")

_kept: tuple[Any, Any] | None = None


def kept(key: Any, make: Callable[[], Kept]) -> Kept:
    """Return what `make` made for this key, in this or an earlier piece; only that of the newest key is kept."""
    global _kept
    found = _kept
    if found is None or found[0] != key:
        found = _kept = None  # its memory is free before `make` needs some
        found = _kept = (key, make())
    made: Kept = found[1]
    return made


def release_kept() -> None:
    """Let go of what the last piece kept, such as a model."""
    global _kept
    _kept = None


@dataclass(frozen=True)
class Piece:
    """A piece of work.

    Args:
        function: "module:name" of a function (arguments, done); it calls `done` with its number of finished files.
        arguments: its arguments, which fit into JSON.
        size: number of its files.
    """

    function: str
    arguments: Mapping[str, Any]
    size: int


class PieceWorker(Protocol):
    """Does pieces of work, for one thread at a time."""

    def work(self, piece: Piece, done: Done) -> None:
        """Do a piece.

        Raises:
            WorkerLost: the worker has died.
            WorkerUnusable: the worker does no more pieces.
            RenderError: the piece failed.
        """
        ...

    def stop(self) -> None:
        """End the work in progress at once; called from another thread."""
        ...


OpenPieceWorkers = Callable[[], AbstractContextManager[Sequence[PieceWorker]]]


def spread(
    pieces: Sequence[Piece],
    workers: Sequence[PieceWorker],
    cancel: CancelToken,
    report: Callable[[float], None],
) -> None:
    """Do all pieces.

    Args:
        pieces: the pieces; earlier ones begin first.
        workers: the workers.
        cancel: checked several times a second.
        report: called on the calling thread with the share that is done, 0..1.

    Raises:
        Cancelled, Parked: the job was stopped.
        RenderError: a piece failed, or three workers died at it.
    """
    board = _Board(pieces, len(workers))
    threads = [
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(board.work, worker),
            name="deforum-piece",
            daemon=True,
        )
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    total, told = max(1, sum(piece.size for piece in pieces)), -1
    try:
        while not board.ended.wait(LOOK_EVERY_S):
            if cancel.stop_request != "none":
                cancel.check()
            if board.files_done != told:
                told = board.files_done
                cancel.beat()
                report(told / total)
        board.check()
        report(1.0)
    finally:
        board.close()
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join()


class _Board:
    """The pieces that wait, and the files that are finished; shared by the threads of all workers."""

    def __init__(self, pieces: Sequence[Piece], workers: int) -> None:
        self.ended = threading.Event()
        self._waiting = deque(range(len(pieces)))
        self._pieces = pieces
        self._left = len(pieces)
        self._workers = workers
        self._files: Counter[int] = Counter()
        self._losses: Counter[int] = Counter()
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        if not pieces:
            self.ended.set()

    @property
    def files_done(self) -> int:
        with self._changed:
            return sum(self._files.values())

    def check(self) -> None:
        """Raise the error that ended the work, if any."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        with self._changed:
            self.ended.set()
            self._changed.notify_all()

    def work(self, worker: PieceWorker) -> None:
        """Let a worker do pieces until none is left; the function of its thread."""
        while (number := self._next()) is not None and self._attempt(number, worker):
            pass

    def _attempt(self, number: int, worker: PieceWorker) -> bool:
        """Return whether the worker takes part further."""
        try:
            worker.work(self._pieces[number], partial(self._done, number))
        except WorkerUnusable as error:
            logger.warning("A worker makes no more images: %s", error)
            self._leave(number)
            return False
        except WorkerLost as error:
            logger.warning("A worker was lost: %s", error)
            self._lose(number)
        except BaseException as error:
            self._fail(error)
        else:
            self._finish(number)
        return True

    def _next(self) -> int | None:
        with self._changed:
            while not self._waiting and not self.ended.is_set():
                self._changed.wait()  # a piece may come back
            return None if self.ended.is_set() else self._waiting.popleft()

    def _done(self, number: int, count: int) -> None:
        with self._changed:
            self._files[number] = max(count, self._files[number])

    def _finish(self, number: int) -> None:
        self._done(number, self._pieces[number].size)
        with self._changed:
            self._left -= 1
        if not self._left:
            self.close()

    def _lose(self, number: int) -> None:
        with self._changed:
            self._losses[number] += 1
            self._waiting.appendleft(number)
            self._changed.notify_all()
        if self._losses[number] >= MOST_LOSSES:
            self._fail(ProgramKilled(messages.PIECE_WORKERS_LOST(times=MOST_LOSSES)))

    def _leave(self, number: int) -> None:
        with self._changed:
            self._workers -= 1
            self._waiting.appendleft(number)
            self._changed.notify_all()
        if not self._workers:
            self._fail(ProgramKilled(messages.PIECE_WORKERS_GONE()))

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if not self.ended.is_set():
                self._error = error
        self.close()


def piece_processes(count: int, gpus: Callable[[], int] = lambda: 0) -> OpenPieceWorkers:
    """Return a function that opens worker processes.

    Args:
        count: number of processes.
        gpus: returns the number of GPUs; several are given to the processes in turn, for pieces on "cuda".
    """

    @contextmanager
    def opened() -> Iterator[list[PieceProcess]]:
        found = gpus()
        with ExitStack() as stack:
            workers = [PieceProcess(number % found if found > 1 else None) for number in range(count)]
            for worker in workers:
                stack.callback(worker.stop)
            yield workers

    return opened


def do_piece(piece: Piece, done: Done) -> None:
    """Do a piece in this process."""
    module, _, name = piece.function.partition(":")
    getattr(importlib.import_module(module), name)(piece.arguments, done)


class OwnPieceWorker:
    """This process as a worker; see `PieceWorker`."""

    def __init__(self) -> None:
        self._stopped = False

    def work(self, piece: Piece, done: Done) -> None:
        """Do a piece; raises `Cancelled` at its next file after `stop`."""

        def unless_stopped(count: int) -> None:
            if self._stopped:
                raise Cancelled
            done(count)

        do_piece(piece, unless_stopped)

    def stop(self) -> None:
        """Stop; see `PieceWorker`."""
        self._stopped = True


class PieceProcess:
    """A worker in a process of its own, which is started again after it has died; see `PieceWorker`.

    Args:
        gpu: number of its GPU, None = that of the piece.
    """

    def __init__(self, gpu: int | None = None) -> None:
        self._gpu = gpu
        self._program: ChildProgram | None = None
        self._stopped = False
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return None if self._program is None else self._program.pid

    def work(self, piece: Piece, done: Done) -> None:
        """Do a piece; see `PieceWorker`."""
        program, arguments = self._started(), dict(piece.arguments)
        if self._gpu is not None and arguments.get("device") == "cuda":
            arguments["device"] = f"cuda:{self._gpu}"
        program.write({"function": piece.function, "arguments": arguments})
        while True:
            try:
                answer = program.answer(LOOK_EVERY_S)
            except queue.Empty:
                continue
            if answer is None:
                raise WorkerLost(messages.CHILD_ENDED(code=program.code))
            head, _ = answer
            if "done" in head:
                done(head["done"])
            elif "error" in head:
                raise error_of(head["error"])
            elif "end" in head:
                return

    def stop(self) -> None:
        """End the process; see `PieceWorker`."""
        with self._starting:
            self._stopped = True
            if self._program is not None:
                self._program.kill()
                self._program.close()

    def _started(self) -> ChildProgram:
        with self._starting:
            if self._stopped:
                raise WorkerLost(messages.CHILD_ENDED(code=0))
            if self._program is None or not self._program.alive:
                if self._program is not None:
                    self._program.close()
                try:
                    self._program = ChildProgram(__name__)
                except OSError as error:
                    raise WorkerLost(str(error)) from error
            return self._program


def main() -> None:
    """Do pieces until the parent ends."""
    parent = ParentChannel()
    pieces: queue.SimpleQueue[Message] = queue.SimpleQueue()
    parent.listen(pieces.put)
    while True:
        head, _ = pieces.get()
        piece = Piece(head["function"], head["arguments"], size=0)
        try:
            do_piece(piece, lambda count: parent.write({"done": count}))
        except DeforumError as error:
            parent.write_error(error)
        except Exception as error:
            logger.exception("A piece of work failed unexpectedly")
            parent.write_error(RenderError(messages.PIECE_FAILED(kind=type(error).__name__)))
        else:
            parent.write({"end": True})
