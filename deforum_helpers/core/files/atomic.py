"""Atomic writes, and the mapping of the operating system's errors to the project's errors."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deforum_helpers.core.errors import DiskFull, RenderError, exhausted_resource, no_resources
from deforum_helpers.core.files import messages
from deforum_helpers.core.files.no_links import Folder, remove_file

# Reserved for the files written when a job stops: the end of its video, the job database, the log.
SPARE_BYTES = 64 * 2**20

# Characters of a file's name in its temporary name: at four bytes each they fit into 255 bytes.
_NAME_IN_PART = 60
# Ten seconds in total.
TRIES_WHILE_HELD = 100
PAUSE_WHILE_HELD_S = 0.1
# Windows: access denied, sharing violation, lock violation.
_HELD = frozenset({5, 32, 33})
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def is_full(error: OSError) -> bool:
    """Tell whether an error means that the disk is full or the user's quota is used up."""
    return error.errno in _FULL


@contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Convert an `OSError` raised inside, while `name` is written, into an error of the project.

    Raises:
        DiskFull: the disk is full, or the user's quota is used up.
        NoResources: no file descriptors or memory are left.
        RenderError: any other error of the operating system.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise DiskFull(messages.DISK_FULL(name=name)) from error
        if resource := exhausted_resource(error):
            raise no_resources(messages.WRITE_FAILED(name=name), resource) from error
        reason = error.strerror or type(error).__name__
        raise RenderError(messages.NOT_WRITTEN(name=name, reason=reason)) from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; without an error, the file there is renamed to `path` at the end.

    For programs that write by path. No part of the path may be a link, which is checked before and after. The temporary
    file is hidden and ends in `.part`, so that no pattern of finished files matches it; an error removes it.

    Raises:
        DiskFull, RenderError: as in `disk_errors`.
    """
    part = part_path(path)
    try:
        yield part
        settle(part, path)
    except BaseException:
        remove_file(part)
        raise


def part_path(path: Path) -> Path:
    """Return a temporary path for writing `path`, a different one at every call.

    Two processes may write the same file, when one takes over the job of another that only seemed dead. With names of
    their own, neither publishes or removes the unfinished file of the other.

    Raises:
        RenderError: a part of the path is a link, or the folder does not exist.
    """
    with disk_errors(path.name), Folder(path.parent):
        return path.with_name(_part_name(path.name))


def _part_name(name: str) -> str:
    return f".{name[:_NAME_IN_PART]}.{secrets.token_hex(3)}.part"


def settle(part: Path, path: Path) -> None:
    """Rename the finished file `part` to `path` in the same folder, after its content has been synced to the disk.

    Raises:
        DiskFull, RenderError: as in `disk_errors`.
    """
    with disk_errors(path.name), Folder(path.parent) as folder:
        with folder.reopen(part.name) as file:
            os.fsync(file.fileno())
        _rename(folder, part.name, path.name)


def _rename(folder: Folder, part: str, name: str) -> None:
    """Rename a file; retries while Windows refuses because a virus scanner or the like has one of them open."""
    for _ in range(TRIES_WHILE_HELD):
        try:
            folder.rename(part, name)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _HELD:
                raise
        time.sleep(PAUSE_WHILE_HELD_S)
    folder.rename(part, name)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees either the old file or the whole new one.

    The content is synced to the disk before the file gets its name, so a power failure leaves no partial file either. A
    link at `path` is replaced by the file; a link among the folders is an error.

    Raises:
        DiskFull, RenderError: as in `disk_errors`.
    """
    part = _part_name(path.name)
    with disk_errors(path.name), Folder(path.parent) as folder:
        try:
            with folder.create(part) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _rename(folder, part, path.name)
        except BaseException:
            with suppress(OSError):
                folder.remove(part)
            raise


def sync_folder(path: Path) -> None:
    """Sync the file names of the folder `path` to the disk, so that they survive a power failure."""
    if os.name == "nt":
        return  # Windows cannot open a folder as a file, and needs no sync for names
    with suppress(OSError), Folder(path) as folder:  # some network drives refuse it
        folder.sync()


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check that the disk of `folder` has `needed_bytes` and a reserve free.

    Raises:
        DiskFull: it has less.
        RenderError: the folder does not exist.
    """
    with disk_errors(folder.name):
        free = shutil.disk_usage(folder).free
    if free < needed_bytes + SPARE_BYTES:
        raise DiskFull(messages.DISK_NEARLY_FULL(free=f"{free / 1e6:.0f}"))
