"""Access to folders and files without following links, because files in the output folder may be untrusted.

Each folder of a path is opened relative to its parent, so that none can be replaced by a link between the check and
the opening. On Windows, which cannot open a file relative to a folder, each folder is checked instead.

The user's own links above the output folder (say, to another disk) are resolved once, before any access; see
`resolved`.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from deforum_helpers.core.files import messages
from deforum_helpers.core.files.regular import LOOK_S, READ_S, check_kind, in_time

_RELATIVE = os.open in os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# O_PATH: passing through a folder requires no permission to list it.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
# O_NONBLOCK: opening a pipe without a writer would block.
_READ = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
_LINK_TAGS = frozenset({0xA000000C, 0xA0000003})  # Windows: a symbolic link, a junction


class Folder:
    """A folder in which files are opened, renamed and removed by name; a context manager.

    Args:
        path: absolute path; no part of it may be a link.
        make: create missing folders.

    Raises:
        OSError: a part is a link (ELOOP), is missing, is not a folder, or may not be entered.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        self._handle: int | None = None
        if _RELATIVE:
            self._handle = _open_folder(path, make)
        else:
            _check_folders(path, make)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def read(self, name: str) -> IO[bytes]:
        """Open a regular file for reading.

        Raises:
            OSError: it is missing, unreadable, or a link, a pipe, a device or a folder.
        """
        about = os.stat(self._location(name), dir_fd=self._handle, follow_symlinks=False)
        if not stat.S_ISLNK(about.st_mode):  # opening it reports a link
            check_kind(about)  # before opening, which has side effects on some devices
        return _regular(self._opened(name, _READ), self.path / name, "rb")

    def create(self, name: str) -> IO[bytes]:
        """Create a new file and open it for writing and reading."""
        return os.fdopen(self._opened(name, _CREATE), "w+b")

    def reopen(self, name: str) -> IO[bytes]:
        """Open an existing regular file for changes."""
        return _regular(self._opened(name, _READ | os.O_RDWR), self.path / name, "r+b")

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file; replaces a file or link with the new name."""
        os.replace(
            self._location(name), self._location(new_name), src_dir_fd=self._handle, dst_dir_fd=self._handle
        )

    def take(self, other: Folder, name: str, new_name: str) -> None:
        """Move a file here from another folder on the same disk."""
        os.replace(
            other._location(name), self._location(new_name), src_dir_fd=other._handle, dst_dir_fd=self._handle
        )

    def remove(self, name: str) -> None:
        """Remove a file or a link."""
        os.unlink(self._location(name), dir_fd=self._handle)

    def has(self, name: str) -> bool:
        """Tell whether a regular file of that name exists."""
        with suppress(OSError):
            about = os.stat(self._location(name), dir_fd=self._handle, follow_symlinks=False)
            return stat.S_ISREG(about.st_mode)
        return False

    def sync(self) -> None:
        """Sync the names of the files to the disk."""
        handle = os.open(self._location("."), os.O_RDONLY, dir_fd=self._handle)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _opened(self, name: str, flags: int) -> int:
        try:
            return os.open(self._location(name), flags, 0o666, dir_fd=self._handle)
        except OSError as error:
            raise _clearer(error, name, self._handle) from None

    def _location(self, name: str) -> str:
        if name != os.path.basename(name) or name == ".." or not name:
            raise OSError(errno.EINVAL, messages.NOT_A_NAME(), name)
        return name if self._handle is not None else str(self.path / name)


def make_folder(path: Path) -> None:
    """Create `path` and its missing parents."""
    Folder(path, make=True).__exit__()


def open_file(path: Path) -> IO[bytes]:
    """Open the regular file `path` for reading; no part of the path may be a link.

    Raises:
        UnusableFile: a part is a link, is missing or may not be entered, or the file is not a regular one.
    """
    return in_time(LOOK_S, lambda: _opened_below(path))


def read_file(path: Path, most_bytes: int = -1) -> bytes:
    """Return the content of such a file, or its first `most_bytes` bytes; raises as `open_file`."""

    def content() -> bytes:
        with _opened_below(path) as file:
            return file.read(most_bytes)

    return in_time(READ_S, content)


def is_file(path: Path) -> bool:
    """Tell whether `path` is a regular file and no part of it is a link."""
    with suppress(OSError, ValueError), Folder(path.parent) as folder:
        return folder.has(path.name)
    return False


def is_folder(path: Path) -> bool:
    """Tell whether `path` is a folder and no part of it is a link."""
    try:
        Folder(path).__exit__()
    except (OSError, ValueError):
        return False
    return True


def remove_file(path: Path) -> None:
    """Remove a file; does nothing if it is missing or its path contains a link."""
    with suppress(OSError), Folder(path.parent) as folder:
        folder.remove(path.name)


def _opened_below(path: Path) -> IO[bytes]:
    with Folder(path.parent) as folder:
        return folder.read(path.name)


def resolved(root: Path, path: Path) -> Path:
    """Return `path` with its `root` resolved: links above the root are allowed, links below it are not.

    Raises:
        OSError: `path` is not below `root`.
    """
    whole = Path(os.path.abspath(path))
    for base in (Path(os.path.abspath(root)), root.resolve()):
        if whole.is_relative_to(base):
            return root.resolve() / whole.relative_to(base)
    raise OSError(errno.EACCES, messages.OUTSIDE_OUTPUT(), str(path))


def _open_folder(path: Path, make: bool) -> int:
    if not path.is_absolute() or ".." in path.parts:
        raise OSError(errno.EINVAL, messages.NOT_ABSOLUTE(), str(path))
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
        raise _clearer(error, name, handle) from None
    with suppress(FileExistsError):  # another thread was faster
        os.mkdir(name, dir_fd=handle)
    return os.open(name, _PASS, dir_fd=handle)


def _clearer(error: OSError, name: str, handle: int | None) -> OSError:
    """Return an error that names the link, if a link caused `error`; its error number depends on the system."""
    if handle is None or error.errno not in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR):
        return error
    try:
        about = os.stat(name, dir_fd=handle, follow_symlinks=False)
    except OSError:
        return error
    return _link(name) if stat.S_ISLNK(about.st_mode) else error


def _link(name: str) -> OSError:
    return OSError(errno.ELOOP, messages.IS_A_LINK(name=name[:60]), name)


def _check_folders(path: Path, make: bool) -> None:
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
        followed = not _NO_LINK and path.is_symlink()  # Windows has no O_NOFOLLOW
        if followed:
            raise _link(path.name)
        check_kind(os.fstat(descriptor))
        return os.fdopen(descriptor, mode)
    except BaseException:
        os.close(descriptor)
        raise
