"""Locks that end with the program that holds them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deforum_helpers.core.files import locks
from deforum_helpers.core.files.locks import FileLock, Holder, Locked, take
from tests.holding import held_elsewhere


def taken(path: Path) -> FileLock:
    lock = take(path)
    assert lock is not None
    return lock


def holder_of(path: Path) -> Holder:
    with pytest.raises(Locked) as caught:
        take(path)
    return caught.value.holder


def test_a_lock_is_held_once_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    for _ in range(2):
        lock = taken(path)
        assert holder_of(path).is_this_program
        lock.release()
        assert not path.exists()


def test_the_holder_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held_elsewhere(path) as program:
        holder = holder_of(path)
        assert (holder.pid, holder.is_this_program, holder.is_elsewhere) == (program.pid, False, False)
    taken(path).release()
    with held_elsewhere(path, host="another machine"):
        assert holder_of(path).is_elsewhere


def test_a_lock_does_not_outlive_its_killed_holder(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held_elsewhere(path) as program:
        program.kill()
        program.wait()
    assert path.exists()
    lock = taken(path)
    assert holder_of(path).pid == os.getpid()
    lock.release()
    assert not path.exists()


def test_a_lock_that_its_holder_removed_in_that_moment_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock_file, times = tmp_path / "a.lock", locks._lock, []

    def late(descriptor: int) -> None:
        if not times:
            path.unlink()
        times.append(descriptor)
        lock_file(descriptor)

    monkeypatch.setattr(locks, "_lock", late)
    lock = taken(path)
    assert len(times) == 2
    assert holder_of(path).is_this_program
    lock.release()


def test_a_file_of_somebody_else_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = taken(path)
    path.unlink()
    other = taken(path)
    lock.release()
    assert path.exists()
    other.release()


def test_a_file_system_without_locks_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(locks, "_lock", refused)
    assert take(tmp_path / "a.lock") is None
    assert not list(tmp_path.iterdir())


def test_a_holder_that_has_not_written_itself_down_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held_elsewhere(path):
        for text in ("", "[]", '{"pid": "x"}', "\x00"):
            path.write_text(text)
            assert holder_of(path) == Holder()
            assert not holder_of(path).is_elsewhere


def test_no_file_is_made_where_none_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "a.lock", make=False)
