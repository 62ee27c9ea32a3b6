"""Files that were fetched, kept for the next check of the same settings as long as their servers allow it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from itertools import count
from pathlib import Path

from deforum_helpers.scratch import FETCHED, ScratchFolder

MOST_BYTES = 256_000_000
MOST_FILES = 64
# Of a server that does not say how long its file holds: a tab checks at every change of a setting.
UNTOLD_FRESH_S = 60.0
LONGEST_FRESH_S = 3600.0

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
    """Fetched files by address and kind, the ones that were not asked for longest going first; for any thread.

    Args:
        most_bytes: what all of them take together.
        most_files: how many there are.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        most_bytes: int = MOST_BYTES,
        most_files: int = MOST_FILES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Key, Kept] = {}
        self._numbers = count()
        self._folder: ScratchFolder | None = None

    def find(self, key: Key) -> Kept | None:
        """Return what is kept, which may have changed at its server; see `is_fresh`."""
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = kept  # the newest stand last
            return kept

    def is_fresh(self, kept: Kept) -> bool:
        """Whether a kept file may be used without asking its server."""
        return self._clock() < kept.fresh_until

    def renew(self, key: Key, kept: Kept, headers: Message) -> None:
        """Note that the server of a kept file said that it has not changed."""
        fresh_s = _fresh_s(headers)
        with self._lock:
            if self._kept.get(key) is kept and fresh_s is not None:
                self._kept[key] = replace(kept, fresh_until=self._clock() + fresh_s)

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
        try:
            path = self._new_path()
            shutil.copyfile(file, path)
        except OSError:  # the disk for temporary files is full: the file itself is there
            return
        with self._lock:
            self._drop(key)
            self._kept[key] = Kept(path, size, url, conditions, self._clock() + fresh_s)
            while len(self._kept) > self._most_files or self._bytes() > self._most_bytes:
                self._drop(next(iter(self._kept)))

    def _new_path(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = ScratchFolder(FETCHED)
            return self._folder.path / str(next(self._numbers))

    def _bytes(self) -> int:
        return sum(kept.size for kept in self._kept.values())

    def _drop(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.path.unlink(missing_ok=True)


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
