"""What lies in the output folder may be a stranger's: no link there is followed, by whatever reads or writes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from deforum_helpers.core.errors import RenderError
from deforum_helpers.core.files import no_links
from deforum_helpers.core.files.atomic import appearing, settle, write_whole
from deforum_helpers.core.files.no_links import (
    Folder,
    is_file,
    is_folder,
    make_folder,
    open_file,
    read_file,
    remove_file,
    resolved,
)
from deforum_helpers.output.frames import is_complete_png, read_frame

SECRET = b"secret"


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "file.txt").write_bytes(SECRET)
    return folder


@pytest.fixture(params=["by handle", "by look"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways, as the system that runs the tests has only one of them."""
    if request.param == "by look":
        monkeypatch.setattr(no_links, "_RELATIVE", False)
    return str(request.param)


def test_plain_files_are_written_read_renamed_and_removed(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    make_folder(path.parent)
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert (read_file(path), read_file(path, 1), is_file(path), is_folder(path)) == (
        b"two",
        b"t",
        True,
        False,
    )
    with Folder(tmp_path / "a") as above, Folder(path.parent) as folder:
        above.take(folder, "file.txt", "moved.txt")
        assert above.has("moved.txt")
        assert not folder.has("file.txt")
    with appearing(tmp_path / "a" / "clip.mp4") as part:
        part.write_bytes(b"video")
    assert sorted(os.listdir(tmp_path / "a")) == ["b", "clip.mp4", "moved.txt"]
    remove_file(tmp_path / "a" / "moved.txt")
    remove_file(tmp_path / "a" / "moved.txt")
    assert not is_file(tmp_path / "a" / "moved.txt")


ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "read": read_file,
    "open": open_file,
    "write": lambda path: write_whole(path, b"written"),
    "settle": lambda path: settle(path.with_name("x.part"), path),
    "make": lambda path: make_folder(path.parent / "made"),
    "frame": read_frame,
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("deep", ["", "inner"])
def test_a_folder_that_is_a_link_is_not_entered(
    tmp_path: Path, elsewhere: Path, way: str, attempt: str, deep: str
) -> None:
    (elsewhere / "inner").mkdir()
    (elsewhere / "inner" / "file.txt").write_bytes(SECRET)
    (tmp_path / "link").symlink_to(elsewhere, target_is_directory=True)
    path = tmp_path / "link" / deep / "file.txt"
    with pytest.raises((OSError, RenderError), match="link"):
        ATTEMPTS[attempt](path)
    remove_file(path)
    assert not is_file(path)
    assert not is_folder(path.parent)
    assert not is_complete_png(path)
    assert (elsewhere / "file.txt").read_bytes() == SECRET
    assert sorted(os.listdir(elsewhere)) == ["file.txt", "inner"]


def test_a_file_that_is_a_link_is_not_read_and_gives_way_to_what_is_written(
    tmp_path: Path, elsewhere: Path, way: str
) -> None:
    path = tmp_path / "file.txt"
    path.symlink_to(elsewhere / "file.txt")
    with pytest.raises(OSError, match=r"link|regular"):
        read_file(path)
    assert not is_file(path)
    write_whole(path, b"written")
    assert (path.is_symlink(), path.read_bytes()) == (False, b"written")
    assert (elsewhere / "file.txt").read_bytes() == SECRET


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a named pipe"):
        read_file(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a"])
def test_only_plain_names_are_names_in_a_folder(tmp_path: Path, name: str) -> None:
    with Folder(tmp_path) as folder, pytest.raises(OSError, match=r"not the name|regular|directory|Errno"):
        folder.create(name)


def test_a_path_below_the_root_begins_at_what_the_root_really_is(tmp_path: Path, elsewhere: Path) -> None:
    root = tmp_path / "outputs"
    root.symlink_to(elsewhere, target_is_directory=True)
    assert read_file(resolved(root, root / "file.txt")) == SECRET
    assert resolved(root, elsewhere / "file.txt") == elsewhere.resolve() / "file.txt"
    for outside in (tmp_path / "file.txt", root / ".." / "file.txt", Path("/etc/hostname")):
        with pytest.raises(OSError, match="outside"):
            resolved(root, outside)
