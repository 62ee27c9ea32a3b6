"""Programs that this one starts to share its work: both ends of the pipes between them.

A message is a line of JSON, followed by parts of bytes whose sizes it names. A child ends with its parent, in whatever
it does.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from deforum_helpers.core import errors
from deforum_helpers.core.errors import DeforumError, RenderError
from deforum_helpers.core.library_environment import let_waiting_threads_sleep
from deforum_helpers.core.messages import Text

ROOT = Path(__file__).resolve().parents[2]
BEAT_EVERY_S = 1.0
CLOSING_S = 2.0
_OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # of Windows

Message = tuple[dict[str, Any], list[bytes]]


class WorkerLost(Exception):
    """A worker has died, or is out of reach; what it did goes on elsewhere."""


class WorkerUnusable(WorkerLost):
    """A worker cannot take part, or no longer; the others go on without it."""


class ChildProgram:
    """A child as its parent sees it.

    Args:
        module: module of this project whose function `main` is the program.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, module: str) -> None:
        # The parent's sys.path is passed on, as a WebUI adds its package folders at start.
        start = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
        paths = [str(ROOT), *(path for path in sys.path if path)]
        environment = dict(os.environ)
        let_waiting_threads_sleep(environment)
        self._program = subprocess.Popen(
            [sys.executable, "-c", start, json.dumps(paths)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=os.name != "nt",  # Ctrl+C is for the parent
            creationflags=_OWN_GROUP,
        )
        self._writing = threading.Lock()
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="deforum-answers", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._program.pid

    @property
    def alive(self) -> bool:
        return self._program.poll() is None

    @property
    def code(self) -> int:
        """Exit code; waits for the end."""
        return self._program.wait()

    def write(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        """Send a message; that the child has ended is seen at its answers."""
        assert self._program.stdin
        with self._writing, suppress(OSError, ValueError):
            write_message(self._program.stdin, head, parts)

    def answer(self, longest_s: float) -> Message | None:
        """Return the next answer, None after the end of the child.

        Raises:
            queue.Empty: no answer arrived within `longest_s` seconds.
        """
        return self._answers.get(timeout=longest_s)

    def kill(self) -> None:
        self._program.kill()

    def close(self) -> None:
        """End the child."""
        assert self._program.stdin
        with suppress(OSError), self._writing:
            self._program.stdin.close()
        try:
            self._program.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()

    def _listen(self) -> None:
        assert self._program.stdout
        with self._program.stdout as stream, suppress(ValueError, OSError):
            while (message := read_message(stream)) is not None:
                self._answers.put(message)
        self._answers.put(None)


class ParentChannel:
    """The parent as a child sees it; takes over the standard output, so that what libraries print is no answer."""

    def __init__(self) -> None:
        self._answers: IO[bytes] = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._signs = 0

    def read(self) -> Message | None:
        """Return the next message, None at the end of the parent; before `listen` only."""
        return read_message(sys.stdin.buffer)

    def listen(self, received: Callable[[Message], None]) -> None:
        """Call `received` with every further message on a thread, report signs of life, and end with the parent."""

        def receive() -> None:
            while (message := self.read()) is not None:
                received(message)
            os._exit(0)

        threading.Thread(target=receive, daemon=True).start()
        threading.Thread(target=self._beat_on, daemon=True).start()

    def write(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        try:
            with self._lock:
                write_message(self._answers, head, parts)
        except OSError:
            os._exit(0)  # the parent has ended

    def write_error(self, error: DeforumError) -> None:
        self.write({"error": error_head(error)})

    def note_life(self) -> None:
        self._signs += 1

    def _beat_on(self) -> None:
        """Report once a second whether there were signs of life."""
        reported = 0
        while True:
            time.sleep(BEAT_EVERY_S)
            if self._signs != reported:
                reported = self._signs
                self.write({"beat": reported})


def error_head(error: DeforumError) -> dict[str, str]:
    """Return an error as plain values, from which `error_of` makes it again."""
    return {"kind": type(error).__name__, "message": str(error), "code": error.message_code}


def error_of(head: Mapping[str, str]) -> DeforumError:
    """Return the error in the values from `error_head`."""
    kind = getattr(errors, head["kind"], RenderError)
    if not (isinstance(kind, type) and issubclass(kind, (RenderError, errors.Stopped))):
        kind = RenderError
    return kind(Text(head["message"], head["code"]))


def write_message(stream: IO[bytes], head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write a message: what fits into JSON, then the parts as they are."""
    line = json.dumps({**head, "sizes": [len(part) for part in parts]}).encode()
    stream.write(b"".join((line, b"\n", *parts)))
    stream.flush()


def read_message(stream: IO[bytes]) -> Message | None:
    """Return the next message, or None at the end of the stream."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    parts = [stream.read(size) for size in head["sizes"]]
    return (head, parts) if [len(part) for part in parts] == head["sizes"] else None
