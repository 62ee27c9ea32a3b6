"""Folders and files that are reached without following a link: what lies in the output folder may be a stranger's.

Each folder on the way is opened relative to the one before it, so that none can be exchanged for a link between the
look and the opening. Where the system cannot open relative to a folder (Windows), each is looked at instead.

A path that begins with links of the user's own (an output folder on another disk) is resolved once, by its owner,
before anything below it is reached; see `resolved`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from deforum_helpers.core.files.regular import LOOK_S, READ_S, check_kind, in_time

_RELATIVE = os.open in os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# To pass through a folder one need not be allowed to list it.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
# A pipe without a writer would keep the opener waiting.
_READ = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
_LINK_TAGS = frozenset({0xA000000C, 0xA0000003})  # Windows: a symbolic link, a junction


class Folder:
    """A folder in which files are opened, renamed and removed by their names; a context manager.

    Args:
        path: absolute; no part of it may be a link.
        make: make the folders that are missing.

    Raises:
        OSError: a part is a link (ELOOP), missing, no folder, or not to be entered.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        self._handle: int | None = None
        if _RELATIVE:
            self._handle = _reached(path, make)
        else:
            _look_at(path, make)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def read(self, name: str) -> IO[bytes]:
        """Open a regular file to be read.

        Raises:
            OSError: it is a link, a pipe, a device or a folder, missing, or not to be read.
        """
        about = os.stat(self._spot(name), dir_fd=self._handle, follow_symlinks=False)
        if not stat.S_ISLNK(about.st_mode):  # which is told by the opening
            check_kind(about)  # opening some devices does something
        return _regular(self._opened(name, _READ), self.path / name, "rb")

    def create(self, name: str) -> IO[bytes]:
        """Make a file that is not there yet, and open it to be written and read."""
        return os.fdopen(self._opened(name, _CREATE), "w+b")

    def reopen(self, name: str) -> IO[bytes]:
        """Open a regular file that another program has written, to be changed."""
        return _regular(self._opened(name, _READ | os.O_RDWR), self.path / name, "r+b")

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file; one that has the new name, a link included, gives way."""
        os.replace(self._spot(name), self._spot(new_name), src_dir_fd=self._handle, dst_dir_fd=self._handle)

    def take(self, other: Folder, name: str, new_name: str) -> None:
        """Move a file here from another folder of the same disk."""
        os.replace(other._spot(name), self._spot(new_name), src_dir_fd=other._handle, dst_dir_fd=self._handle)

    def remove(self, name: str) -> None:
        """Remove a file, or a link itself."""
        os.unlink(self._spot(name), dir_fd=self._handle)

    def has(self, name: str) -> bool:
        """Tell whether there is a regular file of that name."""
        with suppress(OSError):
            about = os.stat(self._spot(name), dir_fd=self._handle, follow_symlinks=False)
            return stat.S_ISREG(about.st_mode)
        return False

    def keep_names(self) -> None:
        """Let the names of files outlive a power failure, where the file system knows how."""
        handle = os.open(self._spot("."), os.O_RDONLY, dir_fd=self._handle)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _opened(self, name: str, flags: int) -> int:
        try:
            return os.open(self._spot(name), flags, 0o666, dir_fd=self._handle)
        except OSError as error:
            raise _told(error, name, self._handle) from None

    def _spot(self, name: str) -> str:
        if name != os.path.basename(name) or name == ".." or not name:
            raise OSError(errno.EINVAL, "not the name of a file", name)
        return name if self._handle is not None else str(self.path / name)


def make_folder(path: Path) -> None:
    """Make `path` and the folders on the way to it, where they are missing."""
    Folder(path, make=True).__exit__()


def open_file(path: Path) -> IO[bytes]:
    """Open the regular file `path` to be read; no part of the path may be a link.

    Raises:
        UnusableFile: a part is a link, missing or not to be entered, or it is no regular file; in words.
    """
    return in_time(LOOK_S, lambda: _opened_below(path))


def read_file(path: Path, most_bytes: int = -1) -> bytes:
    """Return the content of such a file, or its beginning."""

    def content() -> bytes:
        with _opened_below(path) as file:
            return file.read(most_bytes)

    return in_time(READ_S, content)


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file at `path`, reached without a link."""
    with suppress(OSError, ValueError), Folder(path.parent) as folder:
        return folder.has(path.name)
    return False


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder at `path`, reached without a link."""
    try:
        Folder(path).__exit__()
    except (OSError, ValueError):
        return False
    return True


def remove_file(path: Path) -> None:
    """Remove a file; one that is gone already, or reached only by a link, is no matter."""
    with suppress(OSError), Folder(path.parent) as folder:
        folder.remove(path.name)


def _opened_below(path: Path) -> IO[bytes]:
    with Folder(path.parent) as folder:
        return folder.read(path.name)


def resolved(root: Path, path: Path) -> Path:
    """Return `path` as the way from the resolved `root`: what is above it may have links, what is below may not.

    Raises:
        OSError: `path` does not lie below `root`.
    """
    whole = Path(os.path.abspath(path))
    for base in (Path(os.path.abspath(root)), root.resolve()):
        if whole.is_relative_to(base):
            return root.resolve() / whole.relative_to(base)
    raise OSError(errno.EACCES, "it lies outside of the output folder", str(path))


def _reached(path: Path, make: bool) -> int:
    if not path.is_absolute() or ".." in path.parts:
        raise OSError(errno.EINVAL, "not an absolute path", str(path))
    handle = os.open(path.anchor, _PASS)
    for name in path.parts[1:]:
        outer = handle
        try:
            handle = _inner(outer, name, make)
        finally:
            os.close(outer)
    return handle


def _inner(handle: int, name: str, make: bool) -> int:
    try:
        return os.open(name, _PASS, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            raise
    except OSError as error:
        raise _told(error, name, handle) from None
    with suppress(FileExistsError):  # another thread was faster
        os.mkdir(name, dir_fd=handle)
    return os.open(name, _PASS, dir_fd=handle)


def _told(error: OSError, name: str, handle: int | None) -> OSError:
    """Return the error in words that say what is wrong; for a link each system has its own."""
    if handle is None or error.errno not in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR):
        return error
    try:
        about = os.stat(name, dir_fd=handle, follow_symlinks=False)
    except OSError:
        return error
    return _link(name) if stat.S_ISLNK(about.st_mode) else error


def _link(name: str) -> OSError:
    return OSError(errno.ELOOP, f"{name[:60]!r} is a link", name)


def _look_at(path: Path, make: bool) -> None:
    for folder in (*reversed(path.parents), path):
        if make and not folder.exists():
            folder.mkdir(exist_ok=True)
        about = folder.lstat()
        if stat.S_ISLNK(about.st_mode) or getattr(about, "st_reparse_tag", 0) in _LINK_TAGS:
            raise _link(folder.name)
        if not stat.S_ISDIR(about.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def _regular(descriptor: int, path: Path, mode: str) -> IO[bytes]:
    try:
        followed = not _NO_LINK and path.is_symlink()  # Windows has no such flag
        if followed:
            raise _link(path.name)
        check_kind(os.fstat(descriptor))
        return os.fdopen(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
