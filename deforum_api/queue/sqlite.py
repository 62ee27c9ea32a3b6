"""A job store in an SQLite file: opening, checking, migrating and repairing it, with its errors as messages."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from deforum_api.queue import messages
from deforum_api.queue.descriptors import out_of_descriptors
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.owners import OtherServers, ServerIdentity
from deforum_api.queue.record import WORKING, DeliveryKind, Job, Status
from deforum_api.queue.store import (
    LONGEST_PAUSE_S,
    UPLOAD_WAIT_S,
    Delivery,
    KeyTaken,
    Receipt,
    StaleRecord,
)
from deforum_helpers.core.files.mounts import network_mount

# "DFRM": tells our file from any other SQLite database.
APPLICATION_ID = 0x4446524D
BUSY_TIMEOUT_S = 5.0
BUSY_PAUSE_S = 0.05
# Of the cache: characters of submitted settings; a job of the longest body has 8 million.
BUDGET_CHARACTERS = 50_000_000

# One script per version; `user_version` of a database counts those applied. Append only, never edit.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        batch_id TEXT NOT NULL,
        updates INTEGER NOT NULL,
        status TEXT NOT NULL,
        place INTEGER,
        owner TEXT,
        last_updated REAL NOT NULL,
        record TEXT NOT NULL
    );
    CREATE TABLE submitted (
        number INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
        settings_json TEXT NOT NULL,
        overrides_json TEXT NOT NULL
    );
    CREATE TABLE servers (
        id TEXT PRIMARY KEY,
        machine TEXT NOT NULL,
        pid INTEGER NOT NULL,
        began TEXT NOT NULL,
        beats INTEGER NOT NULL
    );
    CREATE TABLE receipts (
        key TEXT PRIMARY KEY,
        digest TEXT NOT NULL,
        reply TEXT NOT NULL,
        at REAL NOT NULL
    );
    CREATE INDEX jobs_of_batch ON jobs (batch_id, number);
    CREATE INDEX jobs_of_status ON jobs (status, last_updated);
    CREATE INDEX waiting_jobs ON jobs (place, number) WHERE place IS NOT NULL;
    CREATE INDEX working_jobs ON jobs (owner) WHERE owner IS NOT NULL;
    """,
    # A program of version 1 would take the arguments of a tool for the settings of an animation.
    """
    ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'animation'
    """,
    # A program of version 2 would ignore priorities.
    """
    ALTER TABLE jobs ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET rank = -1000001 WHERE place < 0;
    DROP INDEX waiting_jobs;
    CREATE INDEX waiting_jobs ON jobs (rank, place, number) WHERE place IS NOT NULL
    """,
    """
    CREATE TABLE deliveries (
        number INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        tries INTEGER NOT NULL,
        not_before REAL NOT NULL,
        message TEXT,
        place TEXT,
        PRIMARY KEY (number, kind)
    );
    CREATE INDEX open_deliveries ON deliveries (kind, not_before)
        WHERE state IN ('WAITING', 'SENDING', 'RETRYING')
    """,
)


def open_database(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return a writing and a reading connection to the database at `path`; creates and migrates it if necessary.

    Raises:
        StoreUnavailable: it cannot be opened, is damaged, newer, or not a job database, or lies on a network file
            system, where write-ahead logging is not safe; it is left unchanged.
    """
    if (mount := network_mount(path.parent)) is not None:
        raise StoreUnavailable(messages.DATABASE_ON_NETWORK(path=path, type=mount.type, point=mount.point))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = messages.FOLDER_NOT_MADE(folder=path.parent, reason=error.strerror)
        raise StoreUnavailable(message) from None
    writer = _connect(path)
    try:
        with database_errors(path):
            _check(writer, path)
            _write_ahead(writer)
            writer.execute("PRAGMA foreign_keys = ON")
            _migrate(writer)
        return writer, _connect(path)
    except BaseException:
        writer.close()
        raise


def write_back(connection: sqlite3.Connection, path: Path) -> None:
    """Write the content of `connection` to `path` again after its file was removed while open.

    Raises:
        StoreUnavailable: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(3)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("-wal", "-shm"):  # of the file that was removed; they do not fit to another
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        with database_errors(path), closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        if not path.exists():  # another program may have been first
            os.replace(part, path)
    except OSError as error:
        message = messages.DATABASE_NOT_REWRITTEN(path=path, reason=error.strerror)
        raise StoreUnavailable(message) from None
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into messages that say what to do.

    Raises:
        StoreUnavailable: SQLite raised an error.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(_error_message(path, str(error))) from error


def _connect(path: Path) -> sqlite3.Connection:
    with database_errors(path):
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    # All at one moment: another program may be making the tables just now.
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("COMMIT")
    if tables and application != APPLICATION_ID:
        raise StoreUnavailable(messages.DATABASE_FOREIGN(path=path))
    if version > len(MIGRATIONS):
        raise StoreUnavailable(messages.DATABASE_NEWER(path=path, found=version, known=len(MIGRATIONS)))
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        raise StoreUnavailable(_damaged(path, " ".join(health.split())))


def _write_ahead(connection: sqlite3.Connection, tries: int = int(BUSY_TIMEOUT_S / BUSY_PAUSE_S)) -> None:
    """Switch to write-ahead logging, with which readers and the writer do not block each other."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # SQLite itself does not wait here for another program that begins at the same moment.
        if "locked" not in str(error) or not tries:
            raise
        time.sleep(BUSY_PAUSE_S)
        _write_ahead(connection, tries - 1)


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _error_message(path: Path, said: str) -> str:
    if "locked" in said or "busy" in said:
        return messages.DATABASE_LOCKED(path=path)
    if out_of_descriptors():
        return messages.DATABASE_NOT_OPENED(path=path)
    if "readonly" in said or "unable to open" in said or "authorization" in said:
        return messages.DATABASE_READ_ONLY(path=path, reason=said)
    if "full" in said:
        return messages.DATABASE_DISK_FULL(path=path)
    if "not a database" in said or "malformed" in said or "corrupt" in said:
        return _damaged(path, said)
    return messages.DATABASE_FAILED(path=path, reason=said)


def _damaged(path: Path, reason: str) -> str:
    return messages.DATABASE_DAMAGED(path=path, reason=reason[:200])


log = logging.getLogger(__name__)

FILE_NAME = "deforum_jobs.sqlite3"
JOBS_PER_QUERY = 500  # SQLite takes a thousand values or more with one question
_FIELDS = frozenset(field.name for field in fields(Job))
_IN_COLUMNS = frozenset({"settings_json", "overrides_json", "order", "kind"})
_SELECT_DELIVERIES = (
    "SELECT jobs.id, d.kind, d.state, d.tries, d.not_before, d.message, d.place "
    "FROM deliveries d JOIN jobs USING (number)"
)
_SELECT_JOBS = (
    "SELECT number, kind, record, settings_json, overrides_json FROM jobs JOIN submitted USING (number)"
)


class SqliteStore:
    """A `JobStore` in one file, which several servers may share.

    Reads have a connection of their own, so no response waits for a write. A change is durable when its method returns,
    except for mere progress of a running job, which a power failure may lose.

    Args:
        path: the database file; its folder is created. SQLite adds `-wal` and `-shm` files.
        me: the server that owns the running jobs of this store.

    Raises:
        StoreUnavailable: it cannot be opened, or is no job database of a version that this program knows.
    """

    def __init__(self, path: Path, me: ServerIdentity | None = None) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None
        self._me = me or ServerIdentity.now()
        self._writer, self._reader = open_database(path)
        self._file = self._file_identity()
        self._writing, self._reading = threading.Lock(), threading.Lock()
        self._owners = OtherServers(self._me)
        self._recent = JobCache()

    def add(self, jobs: Sequence[Job], receipt: Receipt | None = None) -> tuple[Job, ...]:
        with self._change() as change:
            known = [job.id for job in jobs if _one(change, "SELECT 1 FROM jobs WHERE id = ?", job.id)]
            if known:
                raise ValueError(f"The job {known[0]} exists already.")
            if receipt is not None:
                _keep_receipt(change, receipt)
            late = max(0, _next_order(change) - min((job.order for job in jobs), default=0))
            kept = tuple(replace(job, order=job.order + late) for job in jobs)
            for job in kept:
                change.execute(
                    "INSERT INTO jobs "
                    "(number, id, batch_id, kind, updates, status, rank, place, last_updated, record) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (job.order, job.id, job.batch_id, job.kind, *_columns(job)),
                )
                change.execute(
                    "INSERT INTO submitted VALUES (?, ?, ?)",
                    (job.order, job.settings_json, job.overrides_json),
                )
                for kind in job.deliveries:
                    change.execute(
                        "INSERT INTO deliveries VALUES (?, ?, 'WAITING', 0, 0.0, NULL, NULL)",
                        (job.order, kind),
                    )
        return kept

    def get(self, job_id: str) -> Job | None:
        return next(iter(self._jobs("WHERE id = ?", job_id)), None)

    def swap(self, old: Job, new: Job, *more: tuple[Job, Job]) -> bool:
        changes = ((old, new), *more)
        durable = not all(_is_progress_only(*one) for one in changes)
        with suppress(StaleRecord), self._change(durable=durable) as change:
            for one in changes:
                self._swap(change, *one)
            return True
        return False

    def _swap(self, change: sqlite3.Connection, old: Job, new: Job) -> None:
        owner = self._me.id if _working(new) else None
        if owner and not _working(old):
            self._me.enter(change)
        changed = change.execute(
            "UPDATE jobs SET updates = ?, status = ?, rank = ?, place = ?, last_updated = ?, record = ?, "
            "owner = CASE WHEN ? THEN owner ELSE ? END WHERE id = ? AND updates = ?",
            (*_columns(new), _working(old) and _working(new), owner, old.id, old.updates),
        )
        if changed.rowcount != 1:
            raise StaleRecord(old.id)
        if old.finished and not new.finished and new.deliveries:
            change.execute(
                "UPDATE deliveries SET state = 'WAITING', tries = 0, not_before = ?, message = NULL, place = NULL "
                "WHERE number = ?",
                (-float(new.updates), old.order),
            )

    def batch(self, batch_id: str) -> tuple[Job, ...]:
        return self._jobs("WHERE batch_id = ? ORDER BY number", batch_id)

    def batches(self) -> dict[str, list[str]]:
        batches: dict[str, list[str]] = {}
        for batch_id, job_id in self._read("SELECT batch_id, id FROM jobs ORDER BY number"):
            batches.setdefault(batch_id, []).append(job_id)
        return batches

    def page(
        self, status: Status | None = None, after: int = -1, limit: int | None = None
    ) -> tuple[Job, ...]:
        return self._jobs(*_page(status, after, limit))

    def orders(
        self, status: Status | None = None, after: int = -1, limit: int | None = None
    ) -> tuple[int, ...]:
        which, *values = _page(status, after, limit)
        return tuple(number for (number,) in self._read(f"SELECT number FROM jobs {which}", *values))

    def counts(self) -> dict[Status, int]:
        return dict(self._read("SELECT status, count(*) FROM jobs GROUP BY status"))

    def queued(self) -> tuple[str, ...]:
        rows = self._read("SELECT id FROM jobs WHERE place IS NOT NULL ORDER BY rank, place, number")
        return tuple(job_id for (job_id,) in rows)

    def remove(self, job: Job) -> bool:
        with self._change() as change:
            removed = change.execute("DELETE FROM jobs WHERE id = ? AND updates = ?", (job.id, job.updates))
            return removed.rowcount == 1

    def next_order(self) -> int:
        with self._reading, database_errors(self.path):
            return _next_order(self._reader)

    def prune(self, keep: int) -> None:
        finished = "SELECT number FROM jobs WHERE status != 'ACCEPTED'"
        if len(self._read(finished)) > keep:
            with self._change() as change:
                excess = len(change.execute(finished).fetchall()) - keep
                change.execute(
                    f"DELETE FROM jobs WHERE number IN ({finished} ORDER BY last_updated, number LIMIT ?)",
                    (max(0, excess),),
                )

    def receipt(self, key: str) -> Receipt | None:
        rows = self._read("SELECT key, digest, reply, at FROM receipts WHERE key = ?", key)
        return Receipt(*rows[0]) if rows else None

    def forget_receipts(self, before: float) -> None:
        with self._change(durable=False) as change:
            change.execute("DELETE FROM receipts WHERE at < ?", (before,))

    def deliveries(self, jobs: Iterable[Job]) -> dict[str, tuple[Delivery, ...]]:
        wanted = [job.order for job in jobs if job.deliveries]
        found: dict[str, tuple[Delivery, ...]] = {}
        for first in range(0, len(wanted), JOBS_PER_QUERY):
            some = wanted[first : first + JOBS_PER_QUERY]
            marks = ", ".join("?" * len(some))
            for row in self._read(f"{_SELECT_DELIVERIES} WHERE number IN ({marks}) ORDER BY d.rowid", *some):
                found[row[0]] = (*found.get(row[0], ()), Delivery(*row))
        return found

    def due_deliveries(self, kind: DeliveryKind, now: float, limit: int) -> tuple[Delivery, ...]:
        rows = self._read(
            f"{_SELECT_DELIVERIES} WHERE d.kind = ? AND d.state IN ('WAITING', 'SENDING', 'RETRYING') "
            "AND NOT (d.not_before > ? AND d.not_before <= ?) AND jobs.status != 'ACCEPTED' AND "
            "CASE WHEN jobs.status != 'SUCCEEDED' THEN d.kind = 'webhook' "
            "WHEN d.kind = 'upload' OR jobs.last_updated < ? THEN 1 ELSE NOT EXISTS "
            "(SELECT 1 FROM deliveries u WHERE u.number = d.number AND u.kind = 'upload' AND "
            "(u.state = 'WAITING' AND u.tries = 0 OR u.state = 'SENDING' AND u.tries = 1)) END "
            "ORDER BY d.not_before, number LIMIT ?",
            *(kind, now, now + LONGEST_PAUSE_S, now - UPLOAD_WAIT_S, limit),
        )
        return tuple(Delivery(*row) for row in rows)

    def swap_delivery(self, old: Delivery, new: Delivery) -> bool:
        with self._change(durable=new.state != "SENDING") as change:
            changed = change.execute(
                "UPDATE deliveries SET state = ?, tries = ?, not_before = ?, message = ?, place = ? "
                "WHERE number = (SELECT number FROM jobs WHERE id = ?) AND kind = ? AND state = ? AND tries = ? "
                "AND not_before = ?",
                (
                    *(new.state, new.tries, new.not_before, new.message, new.place),
                    *(old.job_id, old.kind, old.state, old.tries, old.not_before),
                ),
            )
            return changed.rowcount == 1

    def beat(self) -> None:
        with self._change(durable=False) as change:
            self._me.beat(change)

    def orphans(self) -> tuple[Job, ...]:
        claimed = self._read("SELECT DISTINCT owner FROM jobs WHERE owner IS NOT NULL")
        others = [owner for (owner,) in claimed if owner != self._me.id]
        if not others:
            return ()
        dead = [owner for owner in others if self._owners.is_dead(self._read, owner)]
        rows = (row for owner in dead for row in self._read(f"{_SELECT_JOBS} WHERE owner = ?", owner))
        return tuple(map(_job, rows))

    def close(self) -> None:
        with suppress(StoreUnavailable), self._change(durable=False) as change:
            self._owners.tidy(change)
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    @contextmanager
    def _change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Open a transaction; with `durable` its changes are on the disk afterwards."""
        if durable and self._file_identity() != self._file:
            self._reopen_file()
        with self._writing, database_errors(self.path):
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _file_identity(self) -> tuple[int, int] | None:
        """Return device and inode of the file at the path; None if it does not exist."""
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._file  # SQLite will say what is wrong with it
        return status.st_dev, status.st_ino

    def _reopen_file(self) -> None:
        """Reopen the file at the path after it was replaced, or write it again after it was removed.

        When a user empties the output folder or restores a copy, SQLite would continue in the unlinked file, which is
        lost at the next start.
        """
        with self._writing, self._reading, database_errors(self.path):
            if self._file_identity() is None:
                write_back(self._writer, self.path)
            writer, reader = open_database(self.path)
            self._writer.close()
            self._reader.close()
            self._writer, self._reader, self._recent = writer, reader, JobCache()
            self._file = self._file_identity()
        log.warning("The job database %s was removed or replaced while this program ran.", self.path)

    def _jobs(self, which: str, *values: Any) -> tuple[Job, ...]:
        """Return the jobs selected by the SQL clauses `which`; unchanged ones come from the cache."""
        with self._reading, database_errors(self.path), _snapshot(self._reader) as reader:
            chosen = reader.execute(f"SELECT number, updates FROM jobs {which}", values).fetchall()
            jobs = {number: self._recent.get(number, updates) for number, updates in chosen}
            changed = [number for number, job in jobs.items() if job is None]
            for first in range(0, len(changed), JOBS_PER_QUERY):
                some = changed[first : first + JOBS_PER_QUERY]
                marks = ", ".join("?" * len(some))
                for row in reader.execute(f"{_SELECT_JOBS} WHERE number IN ({marks})", some):
                    jobs[row[0]] = job = _job(row)
                    self._recent.keep(job)
        return tuple(job for job in jobs.values() if job)

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._reading, database_errors(self.path):
            return self._reader.execute(query, values).fetchall()


def _page(status: Status | None, after: int, limit: int | None) -> tuple[Any, ...]:
    """Return the SQL clauses that select a page, followed by their values."""
    only, values = ("AND status = ?", [status]) if status else ("", [])
    return (
        f"WHERE number > ? {only} ORDER BY number LIMIT ?",
        after,
        *values,
        -1 if limit is None else limit,
    )


@contextmanager
def _snapshot(reader: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Read in one transaction, isolated from concurrent changes."""
    reader.execute("BEGIN")
    try:
        yield reader
    finally:
        reader.execute("COMMIT")


def _columns(job: Job) -> tuple[int, str, int, int | None, float, str]:
    """Return the columns updates, status, rank, place, last_updated and record."""
    record = {name: value for name, value in asdict(job).items() if name not in _IN_COLUMNS}
    place = job.place if job.queued else None
    return job.updates, job.status, job.rank, place, job.last_updated, json.dumps(record)


def _job(row: tuple[int, str, str, str, str]) -> Job:
    number, kind, record, settings_json, overrides_json = row
    known = {name: value for name, value in json.loads(record).items() if name in _FIELDS}
    known["warnings"] = tuple(known["warnings"])
    known |= {"order": number, "kind": kind}
    return Job(settings_json=settings_json, overrides_json=overrides_json, **known)


def _working(job: Job) -> bool:
    return job.status == "ACCEPTED" and job.phase in WORKING


def _is_progress_only(old: Job, new: Job) -> bool:
    """Tell whether no change matters to a restart, which finds the position in the frames and the resume state."""
    return _durable_fields(old) == _durable_fields(new)


def _durable_fields(job: Job) -> tuple[Any, ...]:
    asked = (job.cancel_requested, job.held, job.turn, job.priority)
    return (job.status, job.phase, job.attempt, job.timestring, job.frame > 0, *asked)


def _next_order(connection: sqlite3.Connection) -> int:
    found = _one(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")
    return found[0] + 1 if found else 0


def _keep_receipt(change: sqlite3.Connection, receipt: Receipt) -> None:
    try:
        change.execute(
            "INSERT INTO receipts VALUES (?, ?, ?, ?)",
            (receipt.key, receipt.digest, receipt.reply, receipt.at),
        )
    except sqlite3.IntegrityError:
        raise KeyTaken(f"The key {receipt.key} was used before.") from None


def _one(connection: sqlite3.Connection, query: str, *values: Any) -> Any:
    return connection.execute(query, values).fetchone()


class JobCache:
    """A cache of the most recently read jobs, limited by the length of their settings. Not thread-safe."""

    def __init__(self, budget: int = BUDGET_CHARACTERS) -> None:
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._budget = budget

    def get(self, number: int, updates: int) -> Job | None:
        """Return job `number` if it is cached with this number of updates, else None."""
        job = self._jobs.get(number)
        return job if job and job.updates == updates else None

    def keep(self, job: Job) -> None:
        """Add `job`, and evict the oldest jobs beyond the budget."""
        before = self._jobs.pop(job.order, None)
        self._jobs[job.order] = job
        self._budget += _size(before) - _size(job)
        while self._budget < 0:
            _, oldest = self._jobs.popitem(last=False)
            self._budget += _size(oldest)


def _size(job: Job | None) -> int:
    return len(job.settings_json) + len(job.overrides_json) if job else 0
