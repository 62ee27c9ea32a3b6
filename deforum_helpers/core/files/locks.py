"""File locks, which the operating system releases when the process ends, even when it is killed."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import socket
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

logger = logging.getLogger(__name__)

# Windows also forbids reading a locked byte, so it lies far beyond the record of the holder.
_LOCKED_BYTE = 1 << 30
_RECORD_BYTES = 4096
_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_THIS_PROCESS = secrets.token_hex(8)


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, from its record in the file; empty values until the record is written.

    Args:
        program: random id of the process.
        host: name of its machine.
        pid: process id.
    """

    program: str = ""
    host: str = ""
    pid: int = 0

    @property
    def is_this_program(self) -> bool:
        return (self.program, self.pid) == (_THIS_PROCESS, os.getpid())  # a fork inherits the random id

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs on another machine or in another container."""
        return self.host not in ("", socket.gethostname())


class Locked(Exception):
    """Another holder has the lock: `holder`."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"locked by process {holder.pid} of {holder.host}")
        self.holder = holder


class FileLock:
    """A lock that is held until `release` or the end of the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock and remove its file."""
        if sys.platform == "win32":  # Windows does not remove an open file
            os.close(self._descriptor)
            with suppress(OSError):
                self._path.unlink()
            return
        with suppress(OSError):
            if _is(self._path, self._descriptor):
                self._path.unlink()
        os.close(self._descriptor)


def take(path: Path, *, make: bool = True) -> FileLock | None:
    """Lock the file `path`; returns None on a file system without locks.

    Args:
        path: a file that serves only as the lock; a file left behind by a process that ended does not matter.
        make: create the file if it is missing.

    Raises:
        Locked: this process or another one holds the lock.
        OSError: the file cannot be opened.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | (os.O_CREAT if make else 0)
    while True:
        with ExitStack() as stack:
            descriptor = os.open(path, flags, 0o666)
            stack.callback(os.close, descriptor)
            try:
                _lock(descriptor)
            except OSError as error:
                if error.errno in _HELD:
                    raise Locked(_read(descriptor)) from None
                logger.debug("The file system of %s has no locks: %s", path.parent, error)
                path.unlink(missing_ok=True)
                return None
            if _is(
                path, descriptor
            ):  # otherwise the previous holder has removed the file since it was opened
                _write(descriptor)
                stack.pop_all()
                return FileLock(path, descriptor)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int) -> None:
    about = json.dumps({"program": _THIS_PROCESS, "host": socket.gethostname(), "pid": os.getpid()})
    with suppress(OSError):  # on a full disk the lock works without a record
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, about.encode())


def _read(descriptor: int) -> Holder:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        about = json.loads(os.read(descriptor, _RECORD_BYTES))
        return Holder(str(about["program"]), str(about["host"]), int(about["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()
