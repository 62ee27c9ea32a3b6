"""What is no ordinary file is refused in words, at once, before it is read; ordinary ones are read within bounds."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deforum_helpers.core.deadlines import within
from deforum_helpers.core.files import regular
from deforum_helpers.core.files.regular import (
    UnusableFile,
    check_folder,
    check_regular,
    head_of,
    is_regular,
    open_regular,
    pasted_path,
    read_regular,
)
from tests.odd_files import WORDS, odd_files

# How long a test waits for what never comes if the code is broken.
NEVER_S = 30.0
WAYS: dict[str, Callable[[Path], object]] = {
    "open": open_regular,
    "read": lambda path: read_regular(path, 1000),
    "head": lambda path: head_of(path, 10),
    "check": check_regular,
}

posix = pytest.mark.skipif(os.name == "nt", reason="there are no such paths")


def why(call: Callable[[], object]) -> UnusableFile:
    with pytest.raises(UnusableFile) as caught:
        within(NEVER_S, call)
    return caught.value


@posix
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_file_is_refused_in_words(way: str, tmp_path: Path) -> None:
    for name, path in odd_files(tmp_path).items():
        said = why(lambda path=path: WAYS[way](path))  # type: ignore[misc]
        assert WORDS[name] in str(said), name
        assert not said.absent
        assert not said.passing
        assert not is_regular(path)


@posix
def test_a_path_that_changes_between_the_look_and_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = odd_files(tmp_path / "odd")
    ordinary = tmp_path / "file"
    ordinary.write_bytes(b"x")
    about = os.stat(ordinary)
    for name in ("device", "named pipe", "socket"):
        with monkeypatch.context() as patch:
            patch.setattr(regular.os, "stat", lambda *_, **__: about)
            said = str(why(lambda name=name: read_regular(odd[name], 10)))  # type: ignore[misc]
        assert WORDS[name] in said or (name == "socket" and "cannot be read" in said)


@posix
def test_a_file_that_says_it_holds_nothing_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel says so of its files, which may hold a reader up for ever, wherever they are mounted."""
    monkeypatch.setattr(regular, "_kernel_devices", frozenset)
    assert read_regular("/proc/self/status" if os.path.exists("/proc") else tmp_path / "empty", 10) == b""


def test_an_ordinary_file_is_read_within_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_regular(str(path), 10) == b"0123456789"
    assert head_of(path, 4) == b"0123"
    assert head_of(path, 40) == b"0123456789"
    assert check_regular(path).st_size == 10
    assert is_regular(path)
    with open_regular(path) as file:
        assert (file.read(2), file.seek(8), file.read()) == (b"01", 8, b"89")
    assert "larger than 9 bytes" in str(why(lambda: read_regular(path, 9)))
    path.write_bytes(b"")
    assert read_regular(path, 10) == b""
    link = tmp_path / "link"
    if os.name != "nt":
        path.write_bytes(b"x")
        link.symlink_to(path)
        assert read_regular(link, 10) == b"x"


@pytest.mark.parametrize("path", ["", "a\0b", "a\ud800", "x" * 5000])
def test_what_is_no_path(path: str) -> None:
    assert str(why(lambda: read_regular(path, 10)))


def test_what_is_not_there(tmp_path: Path) -> None:
    said = why(lambda: read_regular(tmp_path / "none", 10))
    assert said.absent
    assert "does not exist" in str(said)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_passes_is_told_apart(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")

    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(regular.os, "open", fails)
    said = why(lambda: read_regular(path, 10))
    assert said.passing
    assert said.errno == number


def test_a_drive_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(regular, "LOOK_S", 0.1)
    monkeypatch.setattr(regular.os, "stat", lambda path: over.wait(NEVER_S))
    try:
        said = why(lambda: head_of(tmp_path, 10))
        assert said.passing
        assert "does not answer" in str(said)
    finally:
        over.set()


@posix
def test_folders_of_models_hold_ordinary_files_only(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").touch()
    check_folder(tmp_path)
    os.mkfifo(tmp_path / "unet" / "weights")
    assert "'weights', which is a named pipe" in str(why(lambda: check_folder(tmp_path)))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a b.png", "/a b.png"),
        (" /a.png\r\n", "/a.png"),
        ('"C:\\a.png"', "C:\\a.png"),
        ("'/home/me/a lake.png' ", "/home/me/a lake.png"),
        ("\u201c/a.png\u201d", "/a.png"),
        ("\u202aC:\\a.png", "C:\\a.png"),
        ("\u200b/a.png\u200e", "/a.png"),
        ("/it's/o'clock'", "/it's/o'clock'"),
        ("'", "'"),
        ("''", ""),
        ("", ""),
        ("\u05d0\u200f.png", "\u05d0\u200f.png"),
    ],
)
def test_a_pasted_path(text: str, path: str) -> None:
    assert pasted_path(text) == path
