"""Temporary folders; those that a killed process left behind are removed at the next start."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from deforum_helpers.core.files.locks import FileLock, Locked, take

VIDEO = "deforum-film-"
FETCHED = "deforum-fetched-"
DROPPED = "deforum-dropped-"
CHECKS = "deforum-checks-"
WORKER = "deforum-worker-"
# Locked by the process that owns the folder; the age of a folder would not tell whether it is in use.
LOCK_NAME = "in-use"


class ScratchFolder:
    """A new temporary folder at `path`, removed by `remove` or with this object.

    Args:
        prefix: prefix of its name, one of the constants above.

    Raises:
        OSError: the folder cannot be created.
    """

    def __init__(self, prefix: str) -> None:
        self.path, lock = _made(prefix)
        self._end = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove the folder and its content; a second call does nothing."""
        self._end()


def remove_abandoned() -> None:
    """Remove the folders of processes that have ended, except those of other users."""
    for prefix in (VIDEO, FETCHED, DROPPED, CHECKS, WORKER):
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            if not _ours(folder):
                continue
            with suppress(OSError, Locked):
                lock = take(folder / LOCK_NAME, make=False)
                if lock is not None:
                    _remove(folder, lock)


def _made(prefix: str) -> tuple[Path, FileLock | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()  # its path may contain a link of the system
        try:
            return folder, take(folder / LOCK_NAME)
        except (FileNotFoundError, Locked):
            continue  # a process that started just now removed it as abandoned, before it was locked
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _remove(folder: Path, lock: FileLock | None) -> None:
    if lock is not None:
        lock.release()
    shutil.rmtree(folder, ignore_errors=True)


def _ours(folder: Path) -> bool:
    try:
        about = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and not folder.is_symlink() and about.st_uid == getattr(os, "getuid", lambda: 0)()
