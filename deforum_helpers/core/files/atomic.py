"""Files that appear whole or not at all, and the operating system's errors in plain words."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deforum_helpers.core.errors import DiskFull, RenderError, lacking, no_resources
from deforum_helpers.core.files.no_links import Folder, remove_file

# Left for what has to be written when a job stops: its film's end, the job database, the log.
SPARE_BYTES = 64 * 2**20

# Of a file's name, in its temporary one: with four bytes a character it still fits into 255.
_NAME_IN_PART = 60
# Ten seconds in all.
TRIES_WHILE_HELD = 100
PAUSE_WHILE_HELD_S = 0.1
# Windows: access denied, sharing violation, lock violation.
_HELD = frozenset({5, 32, 33})
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def is_full(error: OSError) -> bool:
    """Tell whether the operating system had no space left, or the user's quota is used up."""
    return error.errno in _FULL


@contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Turn an `OSError` met while writing `name` into one of our errors.

    Raises:
        DiskFull: no space, or the user's quota is used up.
        NoResources: no descriptor or memory is left.
        RenderError: any other refusal of the operating system.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise DiskFull(
                f"The disk is full: {name} could not be written; free some space and resume."
            ) from error
        if lack := lacking(error):
            raise no_resources(f"{name} could not be written", lack) from error
        reason = error.strerror or type(error).__name__
        raise RenderError(
            f"{name} could not be written ({reason}); check the output folder's rights."
        ) from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` when the context ends well.

    For programs that write by path: that no part of the path is a link is seen before and after. The temporary file is
    hidden and ends in `.part`, so that no pattern of finished files meets it; it is removed when the context ends with
    an error.

    Raises:
        DiskFull, RenderError: as `disk_errors`.
    """
    part = part_path(path)
    try:
        yield part
        settle(part, path)
    except BaseException:
        remove_file(part)
        raise


def part_path(path: Path) -> Path:
    """Return a temporary path under which `path` may be written, another one at every call.

    Two programs may be writing the same file, where one took over the job of another that only seemed dead: neither
    then gives its name to the other's half, or removes it.

    Raises:
        RenderError: a part of the path is a link, or its folder is gone.
    """
    with disk_errors(path.name), Folder(path.parent):
        return path.with_name(_part_name(path.name))


def _part_name(name: str) -> str:
    return f".{name[:_NAME_IN_PART]}.{secrets.token_hex(3)}.part"


def settle(part: Path, path: Path) -> None:
    """Give the finished file `part` the name `path` in its folder; its content is on the disk itself before.

    Raises:
        DiskFull, RenderError: as `disk_errors`.
    """
    with disk_errors(path.name), Folder(path.parent) as folder:
        with folder.reopen(part.name) as file:
            os.fsync(file.fileno())
        _rename(folder, part.name, path.name)


def _rename(folder: Folder, part: str, name: str) -> None:
    """Rename a file; Windows refuses that while a virus scanner or the like looks at one of them, and is waited for."""
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
    """Write `content` to `path` so that a reader sees the old file or the new one, never a half.

    It is on the disk itself before it has its name, so that neither a power failure leaves a half. A link that has the
    name gives way to the file; one on the way to it is not followed.

    Raises:
        DiskFull, RenderError: as `disk_errors`.
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


def keep_names(path: Path) -> None:
    """Let the names in the folder `path` outlive a power failure as the contents do, where the file system can."""
    if os.name == "nt":
        return  # a folder is no file there, and its names are safe without
    with suppress(OSError), Folder(path) as folder:  # network drives refuse what is theirs to see to
        folder.keep_names()


def require_space(folder: Path, needed_bytes: int) -> None:
    """See that the disk of `folder` has room for so much more, and something left.

    Raises:
        DiskFull: it has not.
        RenderError: the folder is gone.
    """
    with disk_errors(folder.name):
        free = shutil.disk_usage(folder).free
    if free < needed_bytes + SPARE_BYTES:
        raise DiskFull(
            f"The output folder's disk has only {free / 1e6:.0f} MB left, too little to go on; the frames so far "
            "are kept: free some space and resume."
        )
