"""Files that appear whole: whoever else writes them, and whatever happens to the machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from deforum_helpers.output.disk import appearing, keep_names, write_whole


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
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("named"), replace(*paths)))
    write_whole(tmp_path / "frame.png", b"frame")
    assert steps == ["5 bytes", "named"]


def test_the_longest_name_has_room_for_its_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".mp4")
    write_whole(path, b"film")
    assert path.read_bytes() == b"film"


def test_a_folder_that_cannot_be_synced_is_left_to_its_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refused(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refused)
    keep_names(tmp_path)
    assert len(asked) == (os.name != "nt")
