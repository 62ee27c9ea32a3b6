"""Locks on files: the system holds them for a program and lets go when that ends, however it ends."""

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

# Windows lets nobody read what is locked: far behind what the holder writes of itself.
_LOCKED_BYTE = 1 << 30
_MOST_WRITTEN = 4096
_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_THIS_PROGRAM = secrets.token_hex(8)


@dataclass(frozen=True)
class Holder:
    """The program that holds a lock, as it wrote itself down; all empty where it has not yet.

    Args:
        program: drawn at its start.
        host: name of its machine.
        pid: its process id.
    """

    program: str = ""
    host: str = ""
    pid: int = 0

    @property
    def is_this_program(self) -> bool:
        return (self.program, self.pid) == (_THIS_PROGRAM, os.getpid())  # a fork has drawn the same

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs on another machine, or in a container of its own."""
        return self.host not in ("", socket.gethostname())


class Locked(Exception):
    """Somebody holds the lock: `holder`."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(f"locked by process {holder.pid} of {holder.host}")
        self.holder = holder


class FileLock:
    """A lock that is held until `release`, or until the program ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock and remove its file."""
        if sys.platform == "win32":  # nobody removes there what is open
            os.close(self._descriptor)
            with suppress(OSError):
                self._path.unlink()
            return
        with suppress(OSError):
            if _is(self._path, self._descriptor):
                self._path.unlink()
        os.close(self._descriptor)


def take(path: Path, *, make: bool = True) -> FileLock | None:
    """Lock the file `path`; None where its file system knows no locks.

    Args:
        path: a file for the lock alone; one that a program left which ended is as good as none.
        make: make the file where there is none.

    Raises:
        Locked: somebody holds it, in this program or another one.
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
                logger.debug("There are no locks in %s: %s", path.parent, error)
                path.unlink(missing_ok=True)
                return None
            if _is(path, descriptor):  # else its holder has removed it since it was opened
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
    about = json.dumps({"program": _THIS_PROGRAM, "host": socket.gethostname(), "pid": os.getpid()})
    with suppress(OSError):  # a full disk: the lock holds without
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, about.encode())


def _read(descriptor: int) -> Holder:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        about = json.loads(os.read(descriptor, _MOST_WRITTEN))
        return Holder(str(about["program"]), str(about["host"]), int(about["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()
