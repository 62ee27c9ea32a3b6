"""What only a store in a file has: other programs on it, restarts, and files that are not as they should be."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from deforum_api.queue import sqlite
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.owners import SILENCE_S, OtherServers, ServerIdentity, process_start
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import JOBS_PER_QUERY, JobCache, SqliteStore
from deforum_helpers.core.files import mounts
from deforum_helpers.core.files.mounts import Mount
from tests.refusals import refuses

NEW = Job("batch(1)-0", "batch(1)", 0, '{"W": 64}', "null", 1.0, 1.0)
CLAIMED = replace(NEW, phase="PREPARING", updates=1)
NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "jobs.sqlite3"


def with_job(path: Path) -> None:
    store = SqliteStore(path)
    store.add([NEW])
    store.close()


def test_jobs_survive_the_program(path: Path) -> None:
    with_job(path)
    store = SqliteStore(path)
    assert (store.page(), store.queued(), store.next_order()) == ((NEW,), (NEW.id,), 1)
    store.close()


def test_what_was_added_is_on_the_disk_when_add_returns(path: Path) -> None:
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from deforum_api.queue.record import Job\n"
        "from deforum_api.queue.sqlite import SqliteStore\n"
        f"SqliteStore(Path({str(path)!r})).add([Job('batch(1)-0', 'batch(1)', 0, '{{}}', 'null', 1.0, 1.0)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    store = SqliteStore(path)
    assert store.queued() == ("batch(1)-0",)
    store.close()


def test_one_of_many_gets_a_job(path: Path) -> None:
    stores = [SqliteStore(path) for _ in range(4)]
    stores[0].add([replace(NEW, id=f"batch(1)-{n}", order=n) for n in range(25)])
    waiting = stores[0].page()
    taken: list[str] = []

    def take_all(store: SqliteStore) -> None:
        claimed = ((job, replace(job, phase="PREPARING", updates=1)) for job in waiting)
        taken.extend(old.id for old, new in claimed if store.swap(old, new))

    threads = [threading.Thread(target=take_all, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(job.id for job in stores[0].page())
    for store in stores:
        store.close()


def test_programs_that_begin_at_once_share_a_new_file(path: Path) -> None:
    stores: list[SqliteStore] = []
    threads = [threading.Thread(target=lambda: stores.append(SqliteStore(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 8
    for store in stores:
        store.close()


def test_a_read_does_not_wait_for_a_change(path: Path) -> None:
    store = SqliteStore(path)
    store.add([NEW])
    with store._change() as change:
        change.execute("UPDATE jobs SET updates = 7")
        assert store.get(NEW.id) == NEW
    store.close()


def test_a_list_has_what_changed_since_the_last_one_and_forgets_what_does_not_fit(path: Path) -> None:
    store, other = SqliteStore(path), SqliteStore(path)
    store._recent = JobCache(budget=len(NEW.settings_json) * 3)
    jobs = store.add([replace(NEW, id=f"batch(1)-{n}", order=n) for n in range(JOBS_PER_QUERY + 3)])
    assert store.page() == jobs
    changed = replace(jobs[-1], phase="PREPARING", updates=1)
    other.swap(jobs[-1], changed)
    other.remove(jobs[0])
    assert store.page() == store.batch("batch(1)") == (*jobs[1:-1], changed)
    store.close()
    other.close()


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be removed there")
@pytest.mark.parametrize("what", ["folder", "file alone"])
def test_a_database_that_is_removed_under_the_program_is_written_again(path: Path, what: str) -> None:
    store, other = SqliteStore(path), SqliteStore(path)
    store.add([NEW])
    assert store.page() == other.page() == (NEW,)
    if what == "folder":
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    assert store.get(NEW.id) == NEW
    assert not path.exists(), "what only reads makes no files"
    later = replace(NEW, id="batch(2)-0", batch_id="batch(2)", order=1)
    store.add([later])
    last = replace(NEW, id="batch(3)-0", batch_id="batch(3)", order=2)
    other.add([last])
    assert store.page() == other.page() == (NEW, later, last)
    after_a_crash = SqliteStore(path)
    assert after_a_crash.page() == (NEW, later, last)
    assert not list(path.parent.glob(".*"))
    for each in (store, other, after_a_crash):
        each.close()


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be replaced there")
def test_a_copy_that_is_put_back_under_the_program_is_the_database_from_then_on(path: Path) -> None:
    with_job(path)
    copy = path.read_bytes()
    store = SqliteStore(path)
    store.add([replace(NEW, id="batch(2)-0", batch_id="batch(2)", order=1)])
    for old in path.parent.iterdir():
        old.unlink()
    path.write_bytes(copy)
    later = replace(NEW, id="batch(3)-0", batch_id="batch(3)", order=1)
    store.add([later])
    assert store.page() == (NEW, later)
    store.close()


@pytest.mark.skipif(os.name == "nt", reason="a file that is open cannot be removed there")
def test_a_database_that_cannot_be_written_again_is_told(path: Path) -> None:
    store = SqliteStore(path)
    store.add([NEW])
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    with pytest.raises(StoreUnavailable, match="was removed and cannot be written again"):
        store.swap(NEW, CLAIMED)
    path.parent.unlink()
    assert store.swap(NEW, CLAIMED)
    store.close()


def test_recent_jobs_are_those_kept_last() -> None:
    recent = JobCache(budget=len(NEW.settings_json + NEW.overrides_json) * 2)
    jobs = [replace(NEW, order=n) for n in range(3)]
    for job in jobs:
        recent.keep(job)
    recent.keep(replace(jobs[1], updates=1))
    assert [recent.get(n, 0) for n in range(3)] == [None, None, jobs[2]]
    assert recent.get(1, 1) == replace(jobs[1], updates=1)
    recent.keep(replace(NEW, order=9, settings_json="x" * 1000))
    assert recent.get(9, 0) is None


def ended_program() -> ServerIdentity:
    """A program of this machine that is over."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    me = replace(ServerIdentity.now(), id="ended", pid=done.pid, began=process_start(done.pid) or "0")
    done.wait()
    return me


def test_the_working_jobs_of_an_ended_program_are_orphans(path: Path) -> None:
    old, new = SqliteStore(path, ended_program()), SqliteStore(path)
    old.add([NEW])
    assert new.orphans() == ()
    assert old.swap(NEW, CLAIMED)
    assert new.orphans() == (CLAIMED,)
    assert new.swap(CLAIMED, replace(CLAIMED, phase="QUEUED", updates=2))
    assert new.orphans() == ()
    old.close()
    new.close()


def test_another_process_of_the_same_id_is_another_program(path: Path) -> None:
    me = ServerIdentity.now()
    old = SqliteStore(path, replace(me, id="old", began="1"))
    slow = SqliteStore(path, replace(me, id="slow"))
    new = SqliteStore(path)
    other = replace(NEW, id="batch(1)-1", order=1)
    old.add([NEW, other])
    old.swap(NEW, CLAIMED)
    slow.swap(other, replace(other, phase="PREPARING", updates=1))
    assert new.orphans() == (CLAIMED,), "the slow one lives, however long it is silent"
    for store in (old, slow, new):
        store.close()


def test_a_cancel_from_elsewhere_leaves_the_job_to_its_program(path: Path) -> None:
    old, new = SqliteStore(path, ended_program()), SqliteStore(path)
    old.add([NEW])
    old.swap(NEW, CLAIMED)
    asked = replace(CLAIMED, cancel_requested=True, updates=2)
    assert new.swap(CLAIMED, asked)
    assert new.orphans() == (asked,)
    old.close()
    new.close()


class Elsewhere:
    """A program of which only the heartbeat can be seen, and one that looks on."""

    def __init__(self, machine: str = "another machine", pid: int = 1, began: str = "1") -> None:
        self.beats = 5
        self.seconds = 0.0
        self._about = (machine, pid, began)
        self._owners = OtherServers(ServerIdentity.now(), clock=lambda: self.seconds)

    def read(self, query: str, owner: str) -> list[tuple[str, int, str, int]]:
        return [(*self._about, self.beats)]

    def seems_dead_after(self, seconds: float, looks: int = 1) -> bool:
        for _ in range(looks):
            self.seconds += seconds / looks
            dead = self._owners.is_dead(self.read, "far")
        return dead


def test_elsewhere_only_silence_tells() -> None:
    far = Elsewhere()
    assert not far.seems_dead_after(0)
    assert not far.seems_dead_after(SILENCE_S, looks=64)
    far.beats = 1  # any other count: a clock set back does not matter
    assert not far.seems_dead_after(1)
    assert not far.seems_dead_after(SILENCE_S, looks=64)
    assert far.seems_dead_after(1)


def test_a_program_that_slept_gives_the_others_time_to_wake_up() -> None:
    far = Elsewhere()
    assert not far.seems_dead_after(0)
    assert not far.seems_dead_after(100 * SILENCE_S)
    far.beats += 1
    assert not far.seems_dead_after(1)


def test_a_process_that_cannot_be_seen_just_now_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = ServerIdentity.now()
    if not me.machine:
        pytest.skip("processes tell nothing on this system")
    here = Elsewhere(me.machine, os.getppid())

    def too_many_open(path: Path) -> str:
        raise OSError(24, "Too many open files", str(path))

    assert here.seems_dead_after(0), "its process began at another time"
    monkeypatch.setattr(Path, "read_text", too_many_open)
    assert not here.seems_dead_after(0)
    assert here.seems_dead_after(2 * SILENCE_S, looks=128)


def test_a_program_that_began_anew_in_its_own_process_takes_its_jobs_back() -> None:
    me = ServerIdentity.now()
    before = Elsewhere(me.machine, me.pid, me.began)
    assert not before.seems_dead_after(0)
    assert before.seems_dead_after(2 * SILENCE_S, looks=128)
    before.beats += 1
    assert not before.seems_dead_after(1), "two that are in one process both live"


def test_an_older_database_is_brought_to_this_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_job(path)
    later = (
        *sqlite.MIGRATIONS,
        "ALTER TABLE jobs ADD COLUMN colour TEXT DEFAULT 'red'; DROP TABLE receipts",
    )
    monkeypatch.setattr(sqlite, "MIGRATIONS", later)
    store = SqliteStore(path)
    assert store.page() == (NEW,)
    assert store._read("SELECT colour FROM jobs") == [("red",)]
    store.close()


def test_a_database_on_a_network_file_system_is_refused_and_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Mount(str(path.parent.resolve()), "nfs4")
    monkeypatch.setattr(mounts, "system_mounts", lambda: (Mount("/", "ext4"), far))
    monkeypatch.setattr(mounts.sys, "platform", "linux")
    with refuses(StoreUnavailable, "database_on_network", "nfs4", far.point):
        SqliteStore(path)
    assert not path.parent.exists()
    SqliteStore(path.parent.with_name("here") / path.name).close()


def test_waiting_jobs_of_a_database_without_priorities_keep_their_order(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by the scripts that version 2 had, and filled as it did."""
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "MIGRATIONS", sqlite.MIGRATIONS[:2])
        for connection in sqlite.open_database(path):
            connection.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, turn in enumerate((None, 2, 1, -1)):
            about = {**asdict(NEW), "id": f"batch(1)-{number}", "turn": turn, "updates": 3}
            old = {
                name: about[name] for name in about.keys() - {"settings_json", "overrides_json", "priority"}
            }
            place = number if turn is None else turn
            connection.execute(
                "INSERT INTO jobs (number, id, batch_id, kind, updates, status, place, last_updated, record) "
                "VALUES (?, ?, 'batch(1)', 'animation', 3, 'ACCEPTED', ?, 1.0, ?)",
                (number, old["id"], place, json.dumps(old)),
            )
            connection.execute("INSERT INTO submitted VALUES (?, '{}', 'null')", (number,))
    store = SqliteStore(path)
    assert store.queued() == ("batch(1)-3", "batch(1)-0", "batch(1)-2", "batch(1)-1")
    assert {job.priority for job in store.page()} == {0}
    store.add([replace(NEW, id="batch(2)-0", batch_id="batch(2)", order=4, priority=1)])
    assert store.queued()[:2] == ("batch(1)-3", "batch(2)-0")
    store.close()


def test_a_record_without_what_later_versions_added_is_read(path: Path) -> None:
    store = SqliteStore(path)
    store.add([replace(NEW, work=3.5)])
    assert store.page()[0].work == 3.5
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE jobs SET record = json_remove(record, '$.work')")
    connection.close()
    store = SqliteStore(path)
    assert store.page() == (NEW,)
    store.close()


def test_a_migration_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_job(path)
    good = sqlite.MIGRATIONS
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*good, "DROP TABLE receipts; SELECT nonsense"))
    with pytest.raises(StoreUnavailable):
        SqliteStore(path)
    monkeypatch.setattr(sqlite, "MIGRATIONS", good)
    store = SqliteStore(path)
    assert (store.page(), store.receipt("key")) == ((NEW,), None)
    store.close()


def refused(path: Path, *words: str) -> None:
    """Opening is refused with these words, and not a byte of the file changes."""
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable) as caught:
        SqliteStore(path)
    assert all(word in caught.value.message for word in (*words, str(path))), caught.value.message
    assert path.read_bytes() == before


def test_a_damaged_database_is_refused_and_left_as_it_is(path: Path) -> None:
    with_job(path)
    whole = path.read_bytes()
    path.write_bytes(b"no database at all" * 400)
    refused(path, "damaged", "move it away")
    torn = bytearray(whole)
    torn[4096 * 2 : 4096 * 7] = bytes([77]) * 4096 * 5
    path.write_bytes(torn)
    refused(path, "damaged", "move it away")


def test_a_database_of_a_newer_program_is_refused(path: Path) -> None:
    with_job(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    refused(path, "newer version", "update this program")


def test_a_foreign_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    refused(path, "another program", "move it away")


def test_a_locked_database_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    with_job(path)
    store = SqliteStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another program") as caught:
        store.add([replace(NEW, id="batch(2)-0", batch_id="batch(2)", order=1)])
    assert (caught.value.code, caught.value.headers) == (503, {"Retry-After": "30"})
    assert store.get(NEW.id) == NEW, "what is there is still told"
    other.execute("ROLLBACK")
    other.close()
    store.add([replace(NEW, id="batch(2)-0", batch_id="batch(2)", order=1)])
    store.close()


@pytest.fixture
def somebody() -> Iterator[Path]:
    """A folder, and the rights of a plain user instead of root's, who may write everywhere."""
    if os.name == "nt":
        pytest.skip("rights are told in another way there")
    folder = Path(tempfile.mkdtemp(prefix="deforum-rights-"))
    folder.chmod(0o755)
    yield folder
    if os.geteuid() != os.getuid():
        os.seteuid(os.getuid())
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_database_is_told(somebody: Path) -> None:
    path = somebody / "jobs.sqlite3"
    with_job(path)
    before = path.read_bytes()
    path.chmod(0o444)
    somebody.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_full_disk_is_told_and_keeps_what_was_there(path: Path) -> None:
    store = SqliteStore(path)
    store.add([NEW])
    pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
    store._writer.execute(f"PRAGMA max_page_count = {pages}")
    big = replace(NEW, id="batch(2)-0", batch_id="batch(2)", order=1, settings_json='"' + "x" * 200_000 + '"')
    with pytest.raises(StoreUnavailable, match="disk is full"):
        store.add([big])
    assert store.page() == (NEW,)
    store._writer.execute("PRAGMA max_page_count = 1000000")
    store.add([big])
    assert store.page() == (NEW, big)
    store.close()
