"""The job database as a file: opened, checked, brought to this program's version; its troubles in plain words."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from deforum_api.descriptors import out_of_descriptors
from deforum_api.errors import StoreUnavailable

# "DFRM": tells our file from any other SQLite database.
APPLICATION_ID = 0x4446524D
BUSY_TIMEOUT_S = 5.0
BUSY_PAUSE_S = 0.05

# One script per version; a database has seen the first `user_version` of them. Never edited, only added to.
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
)


def opened(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return a connection that writes the database at `path` and one that reads it; a new file gets its tables.

    Raises:
        StoreUnavailable: it cannot be opened, is damaged, of a newer program, or no job database. It is left as it is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(
            f"The output folder {path.parent} cannot be made ({error.strerror})."
        ) from None
    writer = _connected(path)
    try:
        with plain_errors(path):
            _check(writer, path)
            _write_ahead(writer)
            writer.execute("PRAGMA foreign_keys = ON")
            _migrate(writer)
        return writer, _connected(path)
    except BaseException:
        writer.close()
        raise


def write_back(connection: sqlite3.Connection, path: Path) -> None:
    """Write all that `connection` holds to `path` again, from where its file was removed while it was open.

    Raises:
        StoreUnavailable: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(3)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for ending in ("-wal", "-shm"):  # of the file that was removed; they do not fit to another
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        with plain_errors(path), closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
        if not path.exists():  # another program may have been first
            os.replace(part, path)
    except OSError as error:
        raise StoreUnavailable(
            f"The job database {path} was removed and cannot be written again ({error.strerror})."
        ) from None
    finally:
        with suppress(OSError):
            part.unlink()


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says inside into one sentence and a way out.

    Raises:
        StoreUnavailable: it said something.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(_sentence(path, str(error))) from error


def _connected(path: Path) -> sqlite3.Connection:
    with plain_errors(path):
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    # All at one moment: another program may be making the tables just now.
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("COMMIT")
    if tables and application != APPLICATION_ID:
        raise StoreUnavailable(f"{path} is a database of another program; move it away, then start again.")
    if version > len(MIGRATIONS):
        raise StoreUnavailable(
            f"The job database {path} was written by a newer version of this program (its version is {version}, "
            f"{len(MIGRATIONS)} is known here); update this program, or move the file away to begin with no jobs."
        )
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        raise StoreUnavailable(_damaged(path, " ".join(health.split())))


def _write_ahead(connection: sqlite3.Connection, tries: int = int(BUSY_TIMEOUT_S / BUSY_PAUSE_S)) -> None:
    """Let readers and the writer not wait for each other."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # SQLite itself does not wait here for another program that begins at the same moment.
        if "locked" not in str(error) or not tries:
            raise
        time.sleep(BUSY_PAUSE_S)
        _write_ahead(connection, tries - 1)


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this program's version, one program at a time."""
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


def _sentence(path: Path, said: str) -> str:
    if "locked" in said or "busy" in said:
        return f"The job database {path} is locked by another program; close that program, then try again."
    if out_of_descriptors():
        return (
            f"The job database {path} cannot be opened: too many files and connections are open; try again."
        )
    if "readonly" in said or "unable to open" in said or "authorization" in said:
        return (
            f"The job database {path} cannot be written ({said}); allow this user to write the file and its "
            "folder, or choose another output folder."
        )
    if "full" in said:
        return f"The disk is full: the job database {path} could not be written; free some space."
    if "not a database" in said or "malformed" in said or "corrupt" in said:
        return _damaged(path, said)
    return f"The job database {path} does not work ({said})."


def _damaged(path: Path, reason: str) -> str:
    return (
        f"The job database {path} is damaged ({reason[:200]}); it was left as it is. Put a copy of it back, or move it "
        "away together with its -wal and -shm files to begin with no jobs; films and frames do not depend on it."
    )
