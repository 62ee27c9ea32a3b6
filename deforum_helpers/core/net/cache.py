"""Cache of fetched files, for the next check of the same settings, as long as their servers allow."""

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
# For a response without Cache-Control: the tab checks the settings after every change.
DEFAULT_FRESH_S = 60.0
LONGEST_FRESH_S = 3600.0

RECORDS = "kept.db"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS kept (address TEXT, kind TEXT, file TEXT, size INTEGER, url TEXT, conditions TEXT, "
    "fresh_until REAL, used INTEGER, PRIMARY KEY (address, kind))"
)
_COLUMNS = "file, size, url, conditions, fresh_until"
_NEWEST = "(SELECT coalesce(max(used), 0) + 1 FROM kept)"
_OF_KEY = "WHERE address = ? AND kind = ?"

# Address and kind: a file fetched as an image is never used as a manifest.
Key = tuple[str, str]


@dataclass(frozen=True)
class CachedFile:
    """A file in the cache.

    Args:
        path: path of the file.
        size: size in bytes.
        url: final address, after any redirects.
        conditions: request headers that ask the server whether the file has changed; empty if it sent no ETag or date.
        fresh_until: time of the cache's clock until which the file is used without asking.
    """

    path: Path
    size: int
    url: str
    conditions: Mapping[str, str]
    fresh_until: float


class FetchCache:
    """Fetched files by address and kind; the least recently used are evicted first.

    Threads and processes with the same folder share it, so a job uses the files that its check has fetched.

    Args:
        most_bytes: largest total size.
        most_files: largest number of files.
        clock: monotonic seconds, the same for all processes of a machine.
        folder: folder of the files; by default a new temporary folder, created when needed.
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
        """The folder of the files, which another process's cache can share."""
        with self._lock:
            if self._folder is None:
                self._scratch = ScratchFolder(FETCHED)
                self._folder = self._scratch.path
            return self._folder

    def find(self, key: Key) -> CachedFile | None:
        """Return the cached file, which may be outdated (see `is_fresh`), or None."""
        if self._folder is None:
            return None
        with suppress(sqlite3.Error, OSError), self._records() as records:
            row = records.execute(f"SELECT {_COLUMNS} FROM kept {_OF_KEY}", key).fetchone()
            if row is not None:
                records.execute(f"UPDATE kept SET used = {_NEWEST} {_OF_KEY}", key)
                name, size, url, conditions, fresh_until = row
                return CachedFile(self.folder / name, size, url, json.loads(conditions), fresh_until)
        return None

    def is_fresh(self, cached: CachedFile) -> bool:
        """Tell whether a cached file may be used without asking its server."""
        return self._clock() < cached.fresh_until

    def renew(self, key: Key, cached: CachedFile, headers: Message) -> None:
        """Extend the validity of a cached file after its server has confirmed it as unchanged."""
        fresh_s = _fresh_s(headers)
        if fresh_s is None:
            return
        with suppress(sqlite3.Error, OSError), self._records() as records:
            change = f"UPDATE kept SET fresh_until = ? {_OF_KEY} AND file = ?"
            records.execute(change, (self._clock() + fresh_s, *key, cached.path.name))

    def keep(self, key: Key, file: Path, url: str, headers: Message) -> None:
        """Store a copy of a fetched file, unless its server forbids it or there is no room.

        Args:
            key: address and kind.
            file: the fetched file, which stays.
            url: final address, after any redirects.
            headers: headers of the response; lookups ignore case.
        """
        fresh_s, size = _fresh_s(headers), file.stat().st_size
        conditions = _conditions(headers)
        if fresh_s is None or size > self._most_bytes or not (fresh_s or conditions):
            return
        # A full disk for temporary files is not an error: the fetched file exists.
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
        """Delete the records of files beyond the limits, and return the names of the files."""
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
        """Yield the database for one transaction."""
        with closing(sqlite3.connect(self.folder / RECORDS, timeout=5)) as records, records:
            records.execute("PRAGMA synchronous = OFF")  # its content is temporary
            records.execute(_TABLE)
            yield records


def _fresh_s(headers: Message) -> float | None:
    """Return the seconds for which a response may be used without asking again; None if it must not be stored."""
    directives = [part.strip().casefold() for part in (headers.get("Cache-Control") or "").split(",")]
    if "no-store" in directives or (headers.get("Vary") or "").strip() == "*":
        return None
    if any(part.partition("=")[0] == "no-cache" for part in directives):
        return 0.0
    ages = [part.removeprefix("max-age=").strip('"') for part in directives if part.startswith("max-age=")]
    if not ages:
        return DEFAULT_FRESH_S
    age = (headers.get("Age") or "0").strip()
    return min(max(_seconds(ages[0]) - _seconds(age), 0.0), LONGEST_FRESH_S)


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0.0


def _conditions(headers: Message) -> dict[str, str]:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    candidates = {"If-None-Match": etag, "If-Modified-Since": modified}
    return {
        name: value
        for name, value in candidates.items()
        if value and len(value) < 1000 and value.isprintable()
    }
