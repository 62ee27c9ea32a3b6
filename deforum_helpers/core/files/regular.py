"""Safe access to files that users name: devices, pipes and kernel files do no harm.

Paths come from settings, uploads, model folders and frames of runs. Each is checked before it is opened, because
opening some devices has side effects, and again afterwards, because the path may have changed. Only regular files on a
disk are accepted. No call blocks for ever, neither on a pipe without a writer nor on a network drive that does not
respond.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeVar

from deforum_helpers.core.deadlines import within
from deforum_helpers.core.files import messages

Answer = TypeVar("Answer")

LOOK_S = 10.0
READ_S = 120.0

_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Blanks, and the invisible marks that come with text copied from dialogs and web pages: Windows puts U+202A before the
# paths of its Properties dialog.
_UNSEEN = (
    " \t\r\n\v\f\u00a0\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_QUOTES = ("''", "\u201c\u201d", "\u2018\u2019")
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
# Errors that say nothing about the file; the same access may succeed a moment later.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT})


def pasted_path(text: str) -> str:
    """Return the path in a text, without the blanks, invisible marks and quotes that copying puts around it.

    Worked example: "'/home/me/a lake.png' " is "/home/me/a lake.png".
    """
    path = text.strip(_UNSEEN).strip('"').strip(_UNSEEN)
    return path[1:-1] if path[:1] + path[1:][-1:] in _QUOTES else path


class UnusableFile(OSError):
    """A path does not lead to a readable regular file.

    Args:
        reason: a clause that continues the path: "is a device".
        number: error number of the system, if it caused the error.
    """

    def __init__(self, reason: str, number: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.errno = number

    def __str__(self) -> str:
        return self.reason

    @property
    def absent(self) -> bool:
        """Whether the path does not exist."""
        return self.errno in _ABSENT

    @property
    def passing(self) -> bool:
        """Whether the same path may be readable later."""
        return self.errno in _PASSING


def open_regular(path: str | Path, most_bytes: int | None = None) -> BinaryIO:
    """Open a file for reading.

    Args:
        path: path from a user; links are followed.
        most_bytes: largest size accepted, None = any.

    Raises:
        UnusableFile: it is not a regular file, is too large, or cannot be opened.
    """
    return in_time(LOOK_S, lambda: _opened(path, most_bytes))


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """Return the content of a file of at most `most_bytes`; raises as `open_regular`."""
    return in_time(READ_S, lambda: _content(path, most_bytes))


def head_of(path: str | Path, count: int) -> bytes:
    """Return the first bytes of a file, at most `count`; raises as `open_regular`."""
    return in_time(LOOK_S, lambda: _head(path, count))


def check_regular(path: str | Path, most_bytes: int | None = None) -> os.stat_result:
    """Check a file that a library or another program will open, and return its status.

    Raises:
        UnusableFile: as `open_regular`.
    """

    def look() -> os.stat_result:
        with _opened(path, most_bytes):
            return os.stat(path)

    return in_time(LOOK_S, look)


def is_regular(path: str | Path) -> bool:
    """Tell whether `path` is a regular file, without opening it."""
    try:
        in_time(LOOK_S, lambda: check_kind(os.stat(path)))
    except UnusableFile:
        return False
    return True


def check_folder(folder: Path) -> None:
    """Check that a folder that a library will read contains only folders and regular files.

    Raises:
        UnusableFile: an entry is neither, or cannot be checked; the message names it.
    """

    def look() -> None:
        for path in folder.rglob("*"):
            about = path.stat()
            if not stat.S_ISDIR(about.st_mode):
                with _named(path.relative_to(folder)):
                    check_kind(about)

    in_time(LOOK_S, look)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except UnusableFile as error:
        raise UnusableFile(messages.UNUSABLE_CONTENT(name=path.name, reason=error), error.errno) from None


def _opened(path: str | Path, most_bytes: int | None) -> BinaryIO:
    _check(os.stat(path), most_bytes)
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor), most_bytes)
        if not os.fstat(descriptor).st_size:  # kernel files without an end report a size of 0
            return io.BytesIO()
        return os.fdopen(os.dup(descriptor), "rb")
    finally:
        os.close(descriptor)


def _content(path: str | Path, most_bytes: int) -> bytes:
    with _opened(path, most_bytes) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        content = file.read(size + 1)  # read() allocates the size that it is asked for
    if len(content) > most_bytes:  # the file has grown
        raise _too_large(most_bytes)
    return content


def _head(path: str | Path, count: int) -> bytes:
    with _opened(path, None) as file:
        return file.read(count)


def check_kind(about: os.stat_result) -> None:
    """Check that a status belongs to a regular file on a disk.

    Raises:
        UnusableFile: it does not.
    """
    for is_kind, kind in _KINDS:
        if is_kind(about.st_mode):
            raise UnusableFile(messages.WRONG_KIND(kind=kind))
    if not stat.S_ISREG(about.st_mode):
        raise UnusableFile(messages.NOT_REGULAR())
    if about.st_dev in _kernel_devices():
        raise UnusableFile(messages.KERNEL_FILE())


def _check(about: os.stat_result, most_bytes: int | None) -> None:
    check_kind(about)
    if most_bytes is not None and about.st_size > most_bytes:
        raise _too_large(most_bytes)


@lru_cache(maxsize=1)
def _kernel_devices() -> frozenset[int]:
    """Return the device numbers of the kernel's virtual file systems."""
    numbers = {_device(folder) for folder in ("/proc", "/sys")}
    return frozenset(number for number in numbers if number is not None and number != _device("/"))


def _device(folder: str) -> int | None:
    try:
        return os.stat(folder).st_dev if os.name == "posix" else None
    except OSError:
        return None


def _too_large(most_bytes: int) -> UnusableFile:
    unit, name = (2**20, "MiB") if most_bytes % 2**20 == 0 else (10**6, "MB")
    size = f"{most_bytes / unit:g} {name}" if most_bytes >= unit else f"{most_bytes:,} bytes"
    return UnusableFile(messages.TOO_LARGE(limit=size), errno.EFBIG)


def in_time(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return the result of `call`, which accesses a file.

    Raises:
        UnusableFile: the call took longer than `seconds`, or the system refused it.
    """
    try:
        return within(seconds, call)
    except UnusableFile:
        raise
    except TimeoutError:
        raise UnusableFile(messages.DRIVE_SILENT(), errno.ETIMEDOUT) from None
    except ValueError:  # a zero byte or a lone surrogate
        raise UnusableFile(messages.NOT_A_PATH(), errno.EINVAL) from None
    except OSError as error:
        if error.errno in _ABSENT:
            raise UnusableFile(messages.ABSENT(), error.errno) from None
        raise UnusableFile(messages.UNREADABLE(reason=error.strerror or error), error.errno) from None
