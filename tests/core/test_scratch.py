"""Folders for what is temporary: who removes them, and when."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.store import MemoryStore
from deforum_helpers.__main__ import main
from deforum_helpers.core.files import scratch
from deforum_helpers.core.files.scratch import FETCHED, LOCK_NAME, VIDEO, ScratchFolder, remove_abandoned
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.pipeline.host_facts import own_facts
from tests.holding import held_elsewhere


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(folder: Path, *, lock: bool = True) -> Path:
    """Return a folder as a program leaves it that is killed."""
    folder.mkdir()
    (folder / "stderr.txt").write_text("x264")
    if lock:
        (folder / LOCK_NAME).write_text('{"program": "0", "host": "", "pid": 1}')
    return folder


def test_a_folder_goes_with_whoever_needs_it(temporary: Path) -> None:
    remaining, dropped = ScratchFolder(VIDEO), ScratchFolder(FETCHED)
    (remaining.path / "a.txt").write_text("a")
    del dropped
    assert [path.name for path in temporary.iterdir()] == [remaining.path.name]
    remaining.remove()
    remaining.remove()
    assert not list(temporary.iterdir())


def test_what_killed_programs_left_is_removed_and_nothing_else(temporary: Path) -> None:
    living = ScratchFolder(VIDEO)
    gone = [left(temporary / f"{prefix}0000") for prefix in (VIDEO, FETCHED)]
    stays = [
        left(temporary / f"{VIDEO}unlocked", lock=False),
        left(temporary / "somebodys-run-0000"),
    ]
    (temporary / f"{VIDEO}file").write_text("a file")
    for path in stays:
        os.utime(path, (0, 0))
    remove_abandoned()
    assert not any(path.exists() for path in gone)
    assert all((path / "stderr.txt").exists() for path in stays)
    assert (living.path / LOCK_NAME).exists()
    assert (temporary / f"{VIDEO}file").exists()
    living.remove()


@pytest.mark.parametrize("program", ["server", "command line"])
def test_every_start_removes_them(temporary: Path, program: str) -> None:
    folder = left(temporary / f"{VIDEO}0000")
    if program == "server":
        facts = own_facts("null", None, temporary / "outputs")
        assert make_queue(facts, NullEngine, MemoryStore()).close(20)
    else:
        assert main(["run", str(temporary / "no such file.txt"), "--out", str(temporary)]) == 2
    assert not folder.exists()


def test_the_folder_of_a_living_program_stays_until_that_is_killed(temporary: Path) -> None:
    folder = left(temporary / f"{VIDEO}other", lock=False)
    with held_elsewhere(folder / LOCK_NAME) as program:
        os.utime(folder, (0, 0))
        remove_abandoned()
        assert (folder / "stderr.txt").exists()
        program.kill()
        program.wait()
    remove_abandoned()
    assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_leads_nowhere(temporary: Path) -> None:
    precious = left(temporary / "precious")
    (temporary / f"{VIDEO}link").symlink_to(precious, target_is_directory=True)
    remove_abandoned()
    assert (precious / "stderr.txt").exists()


def test_the_folder_of_another_user_stays(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left(temporary / f"{VIDEO}theirs")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1, raising=False)
    remove_abandoned()
    assert folder.exists()


def test_a_folder_that_was_taken_for_an_abandoned_one_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    take, folders = scratch.take, []

    def looked_at(path: Path) -> object:
        folders.append(path.parent)
        if len(folders) == 1:
            path.touch()
            remove_abandoned()
        return take(path)

    with monkeypatch.context() as patched:
        patched.setattr(
            scratch, "take", lambda path, make=True: looked_at(path) if make else take(path, make=make)
        )
        made = ScratchFolder(VIDEO)
    assert [path.exists() for path in folders] == [False, True]
    assert made.path == folders[1]
    made.remove()


def test_a_full_disk_leaves_no_folder(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "take", full)
    with pytest.raises(OSError, match="No space"):
        ScratchFolder(VIDEO)
    assert not list(temporary.iterdir())
