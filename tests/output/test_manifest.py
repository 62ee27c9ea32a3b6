from __future__ import annotations

from pathlib import Path

import pytest

from deforum_helpers.core.errors import CheckpointError, RenderError
from deforum_helpers.output.manifest import Manifest, OutputFile, output_file, read_manifest, write_manifest


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "ä.mp4").write_bytes(b"12345")
    entry = output_file("video", tmp_path / "ä.mp4", 12)
    assert entry == OutputFile("video", "ä.mp4", 5, 12)
    manifest = Manifest("20240309070501", "abc", (entry,))
    write_manifest(tmp_path / "m.json", manifest)
    assert read_manifest(tmp_path / "m.json") == manifest


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"files": [{}]}', '{"files": [], "timestring": "", "digest": "", "version": 99}', "{"],
)
def test_a_broken_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"m\.json"):
        read_manifest(tmp_path / "m.json")


def test_a_file_that_is_not_there_is_not_listed(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"a\.mp4"):
        output_file("video", tmp_path / "a.mp4")
