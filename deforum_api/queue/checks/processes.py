"""Turns at what only a few may have at once: in the order of asking, and only while they are wanted."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deforum_api.queue import messages
from deforum_api.queue.checks.check_process import Message, asked, read_message, understood, write_message
from deforum_api.queue.checks.request import Findings, Question, examined
from deforum_api.queue.errors import ApiError, Busy, QueueClosed, TooLarge, TooManyFrames, error_from_envelope
from deforum_api.queue.submission import SCHEDULES
from deforum_helpers.core.files.scratch import CHECKS, ScratchFolder

if TYPE_CHECKING:
    from deforum_api.queue.worker import Check
    from deforum_helpers.pipeline.host_facts import HostFacts

LONGEST_WAIT_S = 60.0
LOOK_EVERY_S = 0.25


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Line:
    """Those who wait for their turn, in the order in which they came.

    Args:
        turns: how many have it at once.
        most_waiting: how many wait at once.
        closed: is set when nobody gets it any more.
    """

    def __init__(self, turns: int, most_waiting: int, closed: threading.Event) -> None:
        self._turns = turns
        self._most_waiting = most_waiting
        self._closed = closed
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self, gone: threading.Event, *, waited: bool = False) -> Iterator[None]:
        """Wait for a turn, and have it meanwhile; who has `waited` in another line already is not turned away here.

        Raises:
            Busy: too many wait, or for too long.
            QueueClosed, Abandoned: it is not wanted any more.
        """
        mine, until = threading.Event(), time.monotonic() + LONGEST_WAIT_S
        with self._lock:
            if len(self._waiting) >= self._most_waiting and not waited:
                raise Busy
            self._waiting.append(mine)
        try:
            while True:
                check_wanted(gone, self._closed)
                if self._begun(mine):
                    break
                if time.monotonic() > until and not waited:
                    raise Busy
                mine.wait(LOOK_EVERY_S)
                mine.clear()
        except BaseException:
            with self._lock:
                self._waiting.remove(mine)
                self._tell_first()
            raise
        try:
            yield
        finally:
            with self._lock:
                self._turns += 1
                self._tell_first()

    def _begun(self, mine: threading.Event) -> bool:
        with self._lock:
            if self._turns < 1 or self._waiting[0] is not mine:
                return False
            self._turns -= 1
            self._waiting.popleft()
            self._tell_first()
            return True

    def _tell_first(self) -> None:
        """Wake the one whose turn may have come, and nobody else."""
        if self._waiting:
            self._waiting[0].set()


def check_wanted(gone: threading.Event, closed: threading.Event) -> None:
    """Raise `QueueClosed` or `Abandoned` if an answer is not wanted any more."""
    if closed.is_set():
        raise QueueClosed
    if gone.is_set():
        raise Abandoned


log = logging.getLogger(__name__)

PROCESSES = 2
MOST_WAITING = 24
LONGEST_CHECK_S = 240.0
# More than this is large.
SMALL_BYTES = 256 * 1024
SMALL_CELLS = 20_000 * SCHEDULES
_OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows
_BELOW_NORMAL: int = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
ROOT = Path(__file__).resolve().parents[3]
# The paths are those of the program that asks: a WebUI's packages lie where its start has put them.
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from deforum_api.queue.checks.check_process import main; main()"
)


class Checks(Protocol):
    """Checks what is submitted."""

    def examine(self, question: Question, gone: threading.Event | None = None) -> Findings:
        """Return what a request means; `gone` is set when nobody waits for it any more.

        Raises:
            ApiError: what is wrong with it; `Busy`, too many others wait; `TooLarge`, it takes too long.
            Abandoned: nobody waits.
        """
        ...

    def start(self) -> None:
        """Get ready, without waiting for it."""
        ...

    def close(self) -> None:
        """End all checks, and begin no more."""
        ...


class ChecksHere:
    """Checks on the thread that asks."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def examine(self, question: Question, gone: threading.Event | None = None) -> Findings:
        return examined(question, self._check)

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


class CheckProcesses:
    """Checks in programs of their own, in the order of the questions. What takes long leaves one of them to the others.

    Args:
        facts: finds what checks must know of the host.
        processes: how many check at once, 2 or more.
        most_waiting: how many questions wait at once.
        longest_check_s: after so many seconds a check is ended.
    """

    def __init__(
        self,
        facts: Callable[[], HostFacts],
        *,
        processes: int = PROCESSES,
        most_waiting: int = MOST_WAITING,
        longest_check_s: float = LONGEST_CHECK_S,
    ) -> None:
        self._facts = facts
        self._longest_check_s = longest_check_s
        self._closed = threading.Event()
        self._line = Line(processes, most_waiting, self._closed)
        self._line_of_large = Line(processes - 1, most_waiting, self._closed)
        self._changing = threading.Lock()
        self._idle: list[CheckProcess] = []

    def start(self) -> None:
        with suppress(ApiError):  # the next request reports the error
            self._give_back(self._taken())

    def examine(self, question: Question, gone: threading.Event | None = None) -> Findings:
        gone = gone or threading.Event()
        if len(question.body) <= SMALL_BYTES:
            with suppress(TooManyFrames):
                return self._examined(replace(question, most_cells=SMALL_CELLS), gone)
        with self._line_of_large.turn(gone):
            return self._examined(question, gone, waited=True)

    def close(self) -> None:
        self._closed.set()
        with self._changing:
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()

    def _examined(self, question: Question, gone: threading.Event, *, waited: bool = False) -> Findings:
        with self._line.turn(gone, waited=waited):
            process = self._taken()
            try:
                message = asked(question, self._facts())
                return process.examine(message, gone, self._closed, self._longest_check_s)
            finally:
                self._give_back(process)

    def _taken(self) -> CheckProcess:
        """Return an idle process, or a new one."""
        with self._changing:
            while self._idle:
                if (process := self._idle.pop()).alive:
                    return process
        try:
            return CheckProcess()
        except OSError as error:
            log.error("No checking program can be started: %s", error)
            message = messages.CHECKS_UNAVAILABLE(reason=error.strerror)
            raise ApiError(message, code=503, headers={"Retry-After": "5"}) from None

    def _give_back(self, process: CheckProcess) -> None:
        with self._changing:
            if not self._closed.is_set():
                self._idle.append(process)
                return
        process.kill()


class CheckProcess:
    """One program that checks, for one thread at a time.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self) -> None:
        self._killed = False
        self._scratch = ScratchFolder(CHECKS)
        here = str(self._scratch.path)
        paths = [str(ROOT), *(path for path in sys.path if path)]
        try:
            self._program = subprocess.Popen(
                [sys.executable, "-c", START, json.dumps(paths)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "TMPDIR": here, "TEMP": here, "TMP": here},
                start_new_session=os.name != "nt",
                # Ctrl+C is for the program that asks; what it starts while it ends stays out of its way.
                creationflags=_OWN_GROUP | _BELOW_NORMAL,
            )
        except BaseException:
            self._scratch.remove()
            raise
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="deforum-check", daemon=True).start()

    @property
    def alive(self) -> bool:
        return not self._killed and self._program.poll() is None

    def examine(
        self, message: Message, gone: threading.Event, closed: threading.Event, longest_s: float
    ) -> Findings:
        """Ask and wait; the program is killed when the answer is not wanted any more, or takes too long.

        Raises:
            ApiError, Abandoned: as `Checks.examine`.
        """
        until = time.monotonic() + longest_s
        try:
            self._ask(message)
            answer = self._answered(until, gone, closed)
        except BaseException:
            self.kill()
            raise
        head, _ = answer
        if "error" in head:
            raise error_from_envelope(**head["error"])
        return understood(answer)

    def kill(self) -> None:
        """End the program, and whatever it has started."""
        self._killed = True
        if os.name == "nt":
            self._program.kill()
        else:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._program.pid, signal.SIGKILL)

    def _ask(self, message: Message) -> None:
        assert self._program.stdin
        with suppress(BrokenPipeError):  # that it has ended is seen at its output
            write_message(self._program.stdin, *message)

    def _answered(self, until: float, gone: threading.Event, closed: threading.Event) -> Message:
        while True:
            try:
                answer = self._answers.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                check_wanted(gone, closed)
                if time.monotonic() > until:
                    raise TooLarge(messages.CHECK_TOO_SLOW()) from None
                continue
            if answer is None:
                code = self._program.wait()
                log.error("A checking program ended with %s in the middle of a check.", code)
                if code == -getattr(signal, "SIGKILL", 9):
                    raise TooLarge(messages.CHECK_TOO_LARGE())
                raise ApiError(messages.CHECK_ENDED(), code=500)
            return answer

    def _listen(self) -> None:
        """Pass on its answers until it ends, and tidy up behind it."""
        assert self._program.stdin
        assert self._program.stdout
        with self._program.stdout as stream, suppress(ValueError):
            while (message := read_message(stream)) is not None:
                self._answers.put(message)
        with suppress(OSError):
            self._program.stdin.close()
        self.kill()
        self._program.wait()
        self._answers.put(None)
        self._scratch.remove()
