"""Files that a user names, opened so that the path of a device, a pipe or a kernel's file does no harm.

Settings, uploads, folders of models and frames of a run all come from elsewhere: what stands at their paths is looked
at before it is opened, since opening some devices does something, and again afterwards, since the path may lead
elsewhere by then. Whatever is no ordinary file of a disk is refused. Nothing here waits for ever: not for the writer of
a pipe, and not for a network drive that does not answer.
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
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
# The file may be there and whole, and the same look may find it a moment later.
_PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT})


class UnusableFile(OSError):
    """A path that names no file to be read.

    Args:
        why: what is there, as the rest of a sentence: "is a device".
        number: the system's, if it refused.
    """

    def __init__(self, why: str, number: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.errno = number

    def __str__(self) -> str:
        return self.why

    @property
    def absent(self) -> bool:
        """Whether nothing is there."""
        return self.errno in _ABSENT

    @property
    def passing(self) -> bool:
        """Whether the same path may do later."""
        return self.errno in _PASSING


def open_regular(path: str | Path, most_bytes: int | None = None) -> BinaryIO:
    """Open a file for reading.

    Args:
        path: as a user gave it; links are followed.
        most_bytes: size up to which a file is taken, None = any.

    Raises:
        UnusableFile: it is no ordinary file, too large, or cannot be opened; in words.
    """
    return in_time(LOOK_S, lambda: _opened(path, most_bytes))


def read_regular(path: str | Path, most_bytes: int) -> bytes:
    """Return the content of a file of at most `most_bytes`; raises as `open_regular`."""
    return in_time(READ_S, lambda: _content(path, most_bytes))


def head_of(path: str | Path, count: int) -> bytes:
    """Return the first bytes of a file, at most `count`; raises as `open_regular`."""
    return in_time(LOOK_S, lambda: _head(path, count))


def check_regular(path: str | Path, most_bytes: int | None = None) -> os.stat_result:
    """Return what the system knows of a file that something else will open: another program, a library.

    Raises:
        UnusableFile: as `open_regular`.
    """

    def look() -> os.stat_result:
        with _opened(path, most_bytes):
            return os.stat(path)

    return in_time(LOOK_S, look)


def is_regular(path: str | Path) -> bool:
    """Tell whether `path` is an ordinary file; whether it can be opened is not tried."""
    try:
        in_time(LOOK_S, lambda: check_kind(os.stat(path)))
    except UnusableFile:
        return False
    return True


def check_folder(folder: Path) -> None:
    """See that a folder that a library will read holds folders and ordinary files only.

    Raises:
        UnusableFile: something in it is neither, or cannot be looked at; its name stands in the words.
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
        raise UnusableFile(f"holds {path.name!r}, which {error}", error.errno) from None


def _opened(path: str | Path, most_bytes: int | None) -> BinaryIO:
    _check(os.stat(path), most_bytes)
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor), most_bytes)
        if not os.fstat(descriptor).st_size:  # kernels say so of files without an end
            return io.BytesIO()
        return os.fdopen(os.dup(descriptor), "rb")
    finally:
        os.close(descriptor)


def _content(path: str | Path, most_bytes: int) -> bytes:
    with _opened(path, most_bytes) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        content = file.read(size + 1)  # room is made for what is asked for
    if len(content) > most_bytes:  # it grows
        raise _too_large(most_bytes)
    return content


def _head(path: str | Path, count: int) -> bytes:
    with _opened(path, None) as file:
        return file.read(count)


def check_kind(about: os.stat_result) -> None:
    """See that what the system says of a path is said of an ordinary file.

    Raises:
        UnusableFile: it is not; in words.
    """
    for is_kind, kind in _KINDS:
        if is_kind(about.st_mode):
            raise UnusableFile(f"is {kind}, not a file")
    if not stat.S_ISREG(about.st_mode):
        raise UnusableFile("is not a file")
    if about.st_dev in _kernel_devices():
        raise UnusableFile("is made up by the system, not a file of a disk")


def _check(about: os.stat_result, most_bytes: int | None) -> None:
    check_kind(about)
    if most_bytes is not None and about.st_size > most_bytes:
        raise _too_large(most_bytes)


@lru_cache(maxsize=1)
def _kernel_devices() -> frozenset[int]:
    """Return the numbers of the file systems that hold no files: what a kernel tells and is told."""
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
    return UnusableFile(f"is larger than {size}", errno.EFBIG)


def in_time(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return what a look at a file answers.

    Raises:
        UnusableFile: the look took longer than `seconds`, or the system refused it; in words.
    """
    try:
        return within(seconds, call)
    except UnusableFile:
        raise
    except TimeoutError:
        raise UnusableFile("is on a drive that does not answer", errno.ETIMEDOUT) from None
    except ValueError:  # a zero byte, or half a surrogate
        raise UnusableFile("is no path", errno.EINVAL) from None
    except OSError as error:
        if error.errno in _ABSENT:
            raise UnusableFile("is not there", error.errno) from None
        raise UnusableFile(f"cannot be read ({error.strerror or error})", error.errno) from None
