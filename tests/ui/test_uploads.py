"""Files that were dropped: an id that only an upload gives, and no other way to any file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.ui.uploads import MAX_FILES, Uploads, host_uploads
from tests.refusals import refuses


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    (tmp_path / "dropped").mkdir()
    return Uploads(tmp_path / "dropped", tmp_path / "out")


def test_a_file_is_found_by_its_id(uploads: Uploads) -> None:
    first, second = (uploads.add("a lake.txt", [b"one ", b"two"]) for _ in range(2))
    assert first != second
    assert uploads.path(first).read_bytes() == b"one two"
    assert uploads.paths(f"{first}\n{second}\n") == [uploads.path(first), uploads.path(second)]
    assert uploads.id_of(uploads.path(first)) == first
    assert uploads.paths("") == uploads.paths(None) == []
    assert uploads.only_path("") is None


@pytest.mark.parametrize(
    "name", ["../../a.txt", "/etc/a.txt", "..", ".", "", ".a", "a\\b.txt", "x" * 500, "\ud800.txt", "a\nb"]
)
def test_a_name_is_one_plain_name(uploads: Uploads, tmp_path: Path, name: str) -> None:
    folder, _, file_name = uploads.add(name, [b"x"]).partition("/")
    assert os.listdir(tmp_path / "dropped" / folder) == [file_name]
    assert not file_name.startswith(".")


def test_no_other_text_is_an_id(uploads: Uploads, tmp_path: Path) -> None:
    known = uploads.add("a.txt", [b"x"])
    folder = known.partition("/")[0]
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (tmp_path / "dropped" / folder / "link.txt").symlink_to(secret)
    (tmp_path / "dropped" / ("b" * 32)).symlink_to(tmp_path, target_is_directory=True)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "dropped" / folder / "pipe.txt")
    wrong = [
        f"{folder}/link.txt",
        f"{folder}/pipe.txt",
        f"{'b' * 32}/secret.txt",
        f"{folder}/..",
        folder,
        f"{folder}/",
    ]
    wrong += [
        str(secret),
        f"{folder}/../../secret.txt",
        f" {known}",
        f"/{known}",
        known.upper(),
        "a.txt",
        f"{known}\0",
    ]
    for text in wrong:
        with refuses(DeforumError, "tab_upload_unknown"):
            uploads.paths(text)
        with pytest.raises(SettingsError) as caught:
            uploads.of_setting("init_image_box", text)
        assert caught.value.problems[0].setting == "init_image_box"
    for value in ({"path": str(secret)}, [known], 1, True):
        with refuses(DeforumError, "tab_upload_ids_expected"):
            uploads.paths(value)
    with refuses(DeforumError, "tab_too_many_uploads"):
        uploads.paths("\n".join([known] * (MAX_FILES + 1)))
    with refuses(DeforumError, "tab_one_upload_expected"):
        uploads.only_path(f"{known}\n{known}")
    assert [uploads.id_of(path) for path in (secret, None, "", "/etc/hostname")] == [""] * 4


def test_a_webui_keeps_them_where_its_gradio_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / ("c" * 40)).mkdir()
    (tmp_path / ("c" * 40) / "a.png").write_bytes(b"x")
    assert host_uploads(tmp_path).path(f"{'c' * 40}/a.png").read_bytes() == b"x"
