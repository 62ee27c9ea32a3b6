"""Files that appear whole: whoever else writes them, and whatever happens to the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.core.errors import RenderError
from deforum_helpers.core.files import atomic
from deforum_helpers.core.files.atomic import appearing, sync_folder, write_whole


def test_two_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    with appearing(path) as slow, slow.open("wb") as file:
        file.write(b"wh")
        with appearing(path) as quick:
            quick.write_bytes(b"whole of the other")
        assert path.read_bytes() == b"whole of the other"
        file.write(b"ole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_one_that_fails_takes_nothing_from_the_other(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    with appearing(path) as other:
        other.write_bytes(b"whole")
        with suppress(KeyError), appearing(path) as failing:
            failing.write_bytes(b"half")
            raise KeyError
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append(f"{os.fstat(descriptor).st_size} bytes"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names, **at: (steps.append("named"), replace(*names, **at)))
    write_whole(tmp_path / "frame.png", b"frame")
    assert steps == ["5 bytes", "named"]


def test_the_longest_name_has_room_for_its_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".mp4")
    write_whole(path, b"video")
    assert path.read_bytes() == b"video"


def test_a_folder_that_cannot_be_synced_is_left_to_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refused(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refused)
    sync_folder(tmp_path)
    assert len(asked) == (os.name != "nt")


def held(code: int) -> PermissionError:
    """What Windows says of a file that another program has open."""
    error = PermissionError(13, "The process cannot access the file")
    error.winerror = code  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("code", [5, 32])
def test_a_virus_scanner_that_looks_at_a_file_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    replace, refused = os.replace, [held(code)] * 3

    def held_thrice(part: str, name: str, **at: Any) -> None:
        if refused:
            raise refused.pop()
        replace(part, name, **at)

    monkeypatch.setattr(os, "replace", held_thrice)
    monkeypatch.setattr(atomic, "PAUSE_WHILE_HELD_S", 0.0)
    write_whole(tmp_path / "frame.png", b"frame")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"frame"]


@pytest.mark.parametrize(
    "error", [held(32), PermissionError(13, "Permission denied")], ids=["held", "denied"]
)
def test_a_file_that_is_never_let_go_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: PermissionError
) -> None:
    tried: list[str] = []

    def refused(part: str, name: str, **_: Any) -> None:
        tried.append(name)
        raise error

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr(atomic, "PAUSE_WHILE_HELD_S", 0.0)
    with pytest.raises(RenderError, match=r"frame\.png could not be written"):
        write_whole(tmp_path / "frame.png", b"frame")
    assert len(tried) == (atomic.TRIES_WHILE_HELD + 1 if getattr(error, "winerror", None) else 1)
    assert not list(tmp_path.iterdir())
