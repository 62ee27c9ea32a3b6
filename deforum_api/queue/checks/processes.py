"""Checks of submitted settings in a small pool of processes, with a fair queue of requests in front of it."""

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
from deforum_api.queue.checks.check_process import decode_result, encode_request
from deforum_api.queue.checks.request import CheckRequest, CheckResult, run_check
from deforum_api.queue.errors import ApiError, Busy, QueueClosed, TooLarge, TooManyFrames, error_from_envelope
from deforum_api.queue.submission import SCHEDULES
from deforum_helpers.core.child_programs import Message, read_message, write_message
from deforum_helpers.core.files.scratch import CHECKS, ScratchFolder

if TYPE_CHECKING:
    from deforum_api.queue.worker import Check
    from deforum_helpers.pipeline.host_facts import HostFacts

LONGEST_WAIT_S = 60.0
LOOK_EVERY_S = 0.25


class ClientGone(Exception):
    """The client has disconnected, so the result is not needed."""


class FairSemaphore:
    """A semaphore with a bounded first-in, first-out queue.

    Args:
        slots: number of concurrent holders.
        most_waiting: number of waiting threads.
        closed: set when no more slots are given.
    """

    def __init__(self, slots: int, most_waiting: int, closed: threading.Event) -> None:
        self._slots = slots
        self._most_waiting = most_waiting
        self._closed = closed
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def slot(self, gone: threading.Event, *, admitted: bool = False) -> Iterator[None]:
        """Wait for a slot and hold it; with `admitted` (by another semaphore) the limits on waiting do not apply.

        Raises:
            Busy: too many threads wait, or this one has waited too long.
            QueueClosed, ClientGone: the slot is not needed any more.
        """
        mine, until = threading.Event(), time.monotonic() + LONGEST_WAIT_S
        with self._lock:
            if len(self._waiting) >= self._most_waiting and not admitted:
                raise Busy
            self._waiting.append(mine)
        try:
            while True:
                check_wanted(gone, self._closed)
                if self._acquired(mine):
                    break
                if time.monotonic() > until and not admitted:
                    raise Busy
                mine.wait(LOOK_EVERY_S)
                mine.clear()
        except BaseException:
            with self._lock:
                self._waiting.remove(mine)
                self._wake_first()
            raise
        try:
            yield
        finally:
            with self._lock:
                self._slots += 1
                self._wake_first()

    def _acquired(self, mine: threading.Event) -> bool:
        with self._lock:
            if self._slots < 1 or self._waiting[0] is not mine:
                return False
            self._slots -= 1
            self._waiting.popleft()
            self._wake_first()
            return True

    def _wake_first(self) -> None:
        """Wake the first waiting thread only."""
        if self._waiting:
            self._waiting[0].set()


def check_wanted(gone: threading.Event, closed: threading.Event) -> None:
    """Raise `QueueClosed` or `ClientGone` if the result is not needed any more."""
    if closed.is_set():
        raise QueueClosed
    if gone.is_set():
        raise ClientGone


log = logging.getLogger(__name__)

PROCESSES = 2
MOST_WAITING = 24
LONGEST_CHECK_S = 240.0
# Requests above either limit are large.
SMALL_BYTES = 256 * 1024
SMALL_CELLS = 20_000 * SCHEDULES
_OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows
_BELOW_NORMAL: int = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
ROOT = Path(__file__).resolve().parents[3]
# The parent's sys.path is passed on, as a WebUI adds its package folders at start. The modules that plan are imported
# here alone, ahead of the first request.
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "import deforum_helpers.pipeline.prepare, deforum_helpers.tools.prepare; "
    "from deforum_api.queue.checks.check_process import main; main()"
)


class Checker(Protocol):
    """Checks submitted requests."""

    def examine(self, request: CheckRequest, gone: threading.Event | None = None) -> CheckResult:
        """Return the result for a request; `gone` is set when its client disconnects.

        Raises:
            ApiError: the request is wrong; `Busy`: too many others wait; `TooLarge`: the check takes too long.
            ClientGone: `gone` was set.
        """
        ...

    def start(self) -> None:
        """Start a process ahead of the first request, without waiting for it."""
        ...

    def close(self) -> None:
        """End all checks and accept no more."""
        ...


class InlineChecker:
    """Checks on the calling thread."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def examine(self, request: CheckRequest, gone: threading.Event | None = None) -> CheckResult:
        return run_check(request, self._check)

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


class CheckerPool:
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
        self._slots_of_all = FairSemaphore(processes, most_waiting, self._closed)
        self._slots_of_large = FairSemaphore(processes - 1, most_waiting, self._closed)
        self._changing = threading.Lock()
        self._idle: list[CheckerProcess] = []

    def start(self) -> None:
        with suppress(ApiError):  # the next request reports the error
            self._give_back(self._take_process())

    def examine(self, request: CheckRequest, gone: threading.Event | None = None) -> CheckResult:
        gone = gone or threading.Event()
        if len(request.body) <= SMALL_BYTES:
            with suppress(TooManyFrames):
                return self._examined(replace(request, most_cells=SMALL_CELLS), gone)
        with self._slots_of_large.slot(gone):
            return self._examined(request, gone, admitted=True)

    def close(self) -> None:
        self._closed.set()
        with self._changing:
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()

    def _examined(
        self, request: CheckRequest, gone: threading.Event, *, admitted: bool = False
    ) -> CheckResult:
        with self._slots_of_all.slot(gone, admitted=admitted):
            process = self._take_process()
            try:
                message = encode_request(request, self._facts())
                return process.examine(message, gone, self._closed, self._longest_check_s)
            finally:
                self._give_back(process)

    def _take_process(self) -> CheckerProcess:
        """Return an idle process, or a new one."""
        with self._changing:
            while self._idle:
                if (process := self._idle.pop()).alive:
                    return process
        try:
            return CheckerProcess()
        except OSError as error:
            log.error("No checking process can be started: %s", error)
            message = messages.CHECKS_UNAVAILABLE(reason=error.strerror)
            raise ApiError(message, code=503, headers={"Retry-After": "5"}) from None

    def _give_back(self, process: CheckerProcess) -> None:
        with self._changing:
            if not self._closed.is_set():
                self._idle.append(process)
                return
        process.kill()


class CheckerProcess:
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
    ) -> CheckResult:
        """Ask and wait; the program is killed when the answer is not wanted any more, or takes too long.

        Raises:
            ApiError, ClientGone: as `Checks.examine`.
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
        return decode_result(answer)

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
        # That it has ended is seen at its output; `_listen` may have closed the pipe already, a ValueError.
        with suppress(BrokenPipeError, ValueError):
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
                log.error("A checking process ended with code %s during a check.", code)
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
