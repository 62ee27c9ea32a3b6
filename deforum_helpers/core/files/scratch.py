"""Folders for what is temporary; those that a program left which was killed go at the next start."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path

from deforum_helpers.core.files.locks import FileLock, Locked, take

FILM = "deforum-film-"
FETCHED = "deforum-fetched-"
DROPPED = "deforum-dropped-"
CHECKS = "deforum-checks-"
# Held by the program whose folder it is; no clock tells that from an abandoned one.
LOCK_NAME = "in-use"


class ScratchFolder:
    """A new folder in the system's folder of temporary files, at `path` until `remove`, or until nobody needs it.

    Args:
        prefix: of its name, one of those here.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, prefix: str) -> None:
        self.path, lock = _made(prefix)
        self._end = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Remove the folder and all in it, once."""
        self._end()


def remove_abandoned() -> None:
    """Remove the folders of programs that have ended; those of living ones, and of other users, stay."""
    for prefix in (FILM, FETCHED, DROPPED, CHECKS):
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            if not _ours(folder):
                continue
            with suppress(OSError, Locked):
                lock = take(folder / LOCK_NAME, make=False)
                if lock is not None:
                    _remove(folder, lock)


def _made(prefix: str) -> tuple[Path, FileLock | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()  # the system may name it through a link
        try:
            return folder, take(folder / LOCK_NAME)
        except (FileNotFoundError, Locked):
            continue  # a start elsewhere took it for an abandoned one, in the moment before it was locked
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
