"""The files of a run, sent from a worker that does not see the output folder to the server, and back to resume it.

A path travels as its parts below the output folder. Files arrive in the order in which a run writes them, frames
before the resume state that counts them, so that the server's copy can be continued at any moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deforum_helpers.core.files.atomic import disk_errors, part_path, settle, write_whole
from deforum_helpers.core.files.no_links import make_folder, remove_file
from deforum_helpers.output.paths import (
    LOCK_ENDING,
    MANIFEST_ENDING,
    RESUME_STATE_ENDING,
    SETTINGS_ENDING,
    Run,
)

# A piece of a file: {"file": path, "size": bytes of the whole file, "at": bytes before it}, and its content. A removed
# file is {"removed": path}.
Piece = tuple[dict[str, Any], bytes]

PIECE_BYTES = 4 * 2**20
_FRAME = re.compile(r"[0-9]{14}_(?:depth_)?[0-9]{9}\.png")


def relative(path: Path, root: Path) -> str:
    """Return a path below the output folder `root` as it travels."""
    return path.resolve().relative_to(root.resolve()).as_posix()


def below(root: Path, name: str) -> Path:
    """Return the path that `relative` has made text; raises `ValueError` if it leads out of `root`."""
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or any("\\" in part or ":" in part for part in parts)
    ):
        raise ValueError(f"{name!r} does not lie in the output folder")
    return root.joinpath(*parts)


class SentFiles:
    """Finds what has changed among the files of a run since the last look.

    Args:
        root: output folder of this process.
        run: the run.
        known: its present files count as sent.
    """

    def __init__(self, root: Path, run: Run, *, known: bool = False) -> None:
        self._root = root
        self._run = run
        self._seen: dict[Path, tuple[int, int]] = {}
        if known:
            self._seen = {path: found for path in self._files(deep=True) if (found := _version(path))}

    def changes(self, *, deep: bool) -> Iterator[Piece]:
        """Yield the new and changed files in pieces, then the names of removed ones.

        Args:
            deep: look into the folders of the run as well, which only post-production writes.
        """
        # The resume state is read before the frames are listed: all frames that it counts are on the disk by then.
        states = [path for path in (self._run.resume_state_path,) if self._has_changed(path)]
        state_pieces = [piece for path in states for piece in self._pieces(path)]
        files = sorted(self._files(deep=deep), key=lambda path: _order(path.name))
        for path in files:
            if path in self._seen and _FRAME.fullmatch(path.name):
                continue  # a frame is written once
            if not path.name.endswith((RESUME_STATE_ENDING, MANIFEST_ENDING)) and self._has_changed(path):
                yield from self._pieces(path)
        yield from state_pieces
        if self._has_changed(self._run.manifest_path):
            yield from self._pieces(self._run.manifest_path)
        if deep:
            for path in self._seen.keys() - set(files):
                if not path.exists():
                    del self._seen[path]
                    yield {"removed": relative(path, self._root)}, b""

    def _has_changed(self, path: Path) -> bool:
        found = _version(path)
        if found is None or self._seen.get(path) == found:
            return False
        self._seen[path] = found
        return True

    def _files(self, *, deep: bool) -> list[Path]:
        return [path for path in run_files(self._run, deep=deep) if path.is_file()]

    def _pieces(self, path: Path) -> Iterator[Piece]:
        yield from pieces(self._root, path)


def run_files(run: Run, *, deep: bool = True) -> Iterator[Path]:
    """Yield the finished files of a run, its internal ones included; with `deep` those in folders as well."""
    with suppress(OSError):
        for path in run.outdir.rglob("*") if deep else run.outdir.iterdir():
            inside = str(path.relative_to(run.outdir))
            if run.timestring in inside and not path.name.endswith((".part", LOCK_ENDING)):
                yield path


def pieces(root: Path, path: Path) -> Iterator[Piece]:
    """Yield a file in pieces; nothing if it has been removed meanwhile."""
    name = relative(path.parent, root) + f"/{path.name}"
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = path.stat().st_size
        at = 0
        while True:
            content = file.read(PIECE_BYTES)
            if at and not content:
                return
            yield {"file": name, "size": size, "at": at}, content
            at += len(content)
            if at >= size:
                return


class ReceivedFiles:
    """Writes pieces below the output folder `root`; each file gets its name when it is whole."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path: Path | None = None
        self._part: Path | None = None
        self._open: IO[bytes] | None = None

    def write(self, head: dict[str, Any], content: bytes) -> None:
        """Write a piece; those of one file come one after another.

        Raises:
            ValueError: its path leads out of the output folder.
            DiskFull, RenderError: it cannot be written.
        """
        if "removed" in head:
            remove_file(below(self._root, head["removed"]))
            return
        path = below(self._root, head["file"])
        if not head["at"]:
            self.close()
            with disk_errors(path.parent.name):
                make_folder(path.parent)
            if len(content) == head["size"]:
                write_whole(path, content)
                return
            self._path, self._part = path, part_path(path)
            with disk_errors(path.name):
                self._open = self._part.open("wb")
        if self._open is None or self._part is None or path != self._path:
            raise ValueError(f"a piece of {head['file']!r} comes without its beginning")
        with disk_errors(path.name):
            self._open.write(content)
        if head["at"] + len(content) >= head["size"]:
            self._open.close()
            settle(self._part, path)
            self._open = None

    def close(self) -> None:
        """Drop a file that did not become whole."""
        if self._open is not None and self._part is not None:
            self._open.close()
            remove_file(self._part)
            self._open = None


def resume_pieces(root: Path, run: Run) -> Iterable[Piece]:
    """Yield all files of a run, for a worker that continues it."""
    for path in sorted(run_files(run), key=lambda path: _order(path.name)):
        if path.is_file():
            yield from pieces(root, path)


def _order(name: str) -> tuple[int, str]:
    """Sort key: settings, then frames and what is made from them, then the resume state, then the manifest."""
    if name.endswith(MANIFEST_ENDING):
        return 3, name
    if name.endswith(RESUME_STATE_ENDING):
        return 2, name
    return int(not name.endswith(SETTINGS_ENDING)), name


def _version(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
