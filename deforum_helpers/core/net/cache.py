"""Files that were fetched, kept for the next check of the same settings as long as their servers allow it."""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from deforum_helpers.core.files.scratch import FETCHED, ScratchFolder

MOST_BYTES = 256_000_000
MOST_FILES = 64
# Of a server that does not say how long its file holds: a tab checks at every change of a setting.
UNTOLD_FRESH_S = 60.0
LONGEST_FRESH_S = 3600.0

RECORDS = "kept.db"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS kept (address TEXT, kind TEXT, file TEXT, size INTEGER, url TEXT, conditions TEXT, "
    "fresh_until REAL, used INTEGER, PRIMARY KEY (address, kind))"
)
_COLUMNS = "file, size, url, conditions, fresh_until"
_NEWEST = "(SELECT coalesce(max(used), 0) + 1 FROM kept)"
_OF_KEY = "WHERE address = ? AND kind = ?"

# Address and kind: what came as a picture never answers for a manifest.
Key = tuple[str, str]


@dataclass(frozen=True)
class Kept:
    """A file that was fetched.

    Args:
        path: where it lies.
        size: bytes.
        url: where it came from at last, after any redirects.
        conditions: headers that ask its server whether it has changed; empty where it told nothing to ask by.
        fresh_until: until then, by the cache's clock, nobody is asked.
    """

    path: Path
    size: int
    url: str
    conditions: Mapping[str, str]
    fresh_until: float


class FetchCache:
    """Fetched files by address and kind, the ones that were not asked for longest going first.

    For any thread, and for all programs that are given the same folder: what a check has fetched, the job finds there.

    Args:
        most_bytes: what all of them take together.
        most_files: how many there are.
        clock: seconds that never go back, the same for every program of a machine.
        folder: where they lie; by default a new folder of temporary files, made when it is needed.
    """

    def __init__(
        self,
        most_bytes: int = MOST_BYTES,
        most_files: int = MOST_FILES,
        clock: Callable[[], float] = time.monotonic,
        folder: Path | None = None,
    ) -> None:
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._clock = clock
        self._lock = threading.Lock()
        self._folder = folder
        self._scratch: ScratchFolder | None = None

    @property
    def folder(self) -> Path:
        """Where the files lie, for another program's cache."""
        with self._lock:
            if self._folder is None:
                self._scratch = ScratchFolder(FETCHED)
                self._folder = self._scratch.path
            return self._folder

    def find(self, key: Key) -> Kept | None:
        """Return what is kept, which may have changed at its server; see `is_fresh`."""
        if self._folder is None:
            return None
        with suppress(sqlite3.Error, OSError), self._records() as records:
            row = records.execute(f"SELECT {_COLUMNS} FROM kept {_OF_KEY}", key).fetchone()
            if row is not None:
                records.execute(f"UPDATE kept SET used = {_NEWEST} {_OF_KEY}", key)
                name, size, url, conditions, fresh_until = row
                return Kept(self.folder / name, size, url, json.loads(conditions), fresh_until)
        return None

    def is_fresh(self, kept: Kept) -> bool:
        """Whether a kept file may be used without asking its server."""
        return self._clock() < kept.fresh_until

    def renew(self, key: Key, kept: Kept, headers: Message) -> None:
        """Note that the server of a kept file said that it has not changed."""
        fresh_s = _fresh_s(headers)
        if fresh_s is None:
            return
        with suppress(sqlite3.Error, OSError), self._records() as records:
            change = f"UPDATE kept SET fresh_until = ? {_OF_KEY} AND file = ?"
            records.execute(change, (self._clock() + fresh_s, *key, kept.path.name))

    def keep(self, key: Key, file: Path, url: str, headers: Message) -> None:
        """Keep a copy of a fetched file, unless its server forbids it; where there is no room for it, nothing is kept.

        Args:
            key: what it was asked for by.
            file: the fetched file; it stays.
            url: where it came from at last.
            headers: of the answer, without regard to case.
        """
        fresh_s, size = _fresh_s(headers), file.stat().st_size
        conditions = _conditions(headers)
        if fresh_s is None or size > self._most_bytes or not (fresh_s or conditions):
            return
        # A disk for temporary files that is full is no error: the file itself is there.
        with suppress(sqlite3.Error, OSError):
            path = self.folder / str(secrets.randbits(62))
            shutil.copyfile(file, path)
            row = (path.name, size, url, json.dumps(conditions), self._clock() + fresh_s)
            with self._records() as records:
                gone = records.execute(f"SELECT file FROM kept {_OF_KEY}", key).fetchall()
                records.execute(
                    f"REPLACE INTO kept (address, kind, {_COLUMNS}, used) "
                    f"VALUES (?, ?, ?, ?, ?, ?, ?, {_NEWEST})",
                    (*key, *row),
                )
                gone += self._without_room(records)
            for (name,) in gone:
                (self.folder / name).unlink(missing_ok=True)

    def _without_room(self, records: sqlite3.Connection) -> list[tuple[str]]:
        """Forget the files for which there is no room, and return their names."""
        gone: list[tuple[str]] = []
        left = self._most_bytes
        newest_first = records.execute("SELECT file, size FROM kept ORDER BY used DESC").fetchall()
        for number, (name, size) in enumerate(newest_first):
            left -= size
            if number >= self._most_files or left < 0:
                gone.append((name,))
        records.executemany("DELETE FROM kept WHERE file = ?", gone)
        return gone

    @contextmanager
    def _records(self) -> Iterator[sqlite3.Connection]:
        """Give the list of the files, for one change that is made as a whole."""
        with closing(sqlite3.connect(self.folder / RECORDS, timeout=5)) as records, records:
            records.execute("PRAGMA synchronous = OFF")  # nothing of it outlives the program
            records.execute(_TABLE)
            yield records


def _fresh_s(headers: Message) -> float | None:
    """Return for how many seconds an answer may be used without asking again; None if it must not be kept."""
    said = [part.strip().casefold() for part in (headers.get("Cache-Control") or "").split(",")]
    if "no-store" in said or (headers.get("Vary") or "").strip() == "*":
        return None
    if any(part.partition("=")[0] == "no-cache" for part in said):
        return 0.0
    ages = [part.removeprefix("max-age=").strip('"') for part in said if part.startswith("max-age=")]
    if not ages:
        return UNTOLD_FRESH_S
    age = (headers.get("Age") or "0").strip()
    return min(max(_seconds(ages[0]) - _seconds(age), 0.0), LONGEST_FRESH_S)


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0.0


def _conditions(headers: Message) -> dict[str, str]:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    asked = {"If-None-Match": etag, "If-Modified-Since": modified}
    return {
        name: value for name, value in asked.items() if value and len(value) < 1000 and value.isprintable()
    }
