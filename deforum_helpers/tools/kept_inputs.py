"""Copies of files that were dropped into a page, which outlive a restart as the jobs of their tools do.

The folder is hidden, so that no route serves what is in it.
"""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.no_links import Folder, is_folder, open_file

FOLDER = ".tool-inputs"
TOKEN_BYTES = 16
# A copy whose job is just being submitted is needed by no record yet.
YOUNG_S = 3600.0


def keep_input(output_root: Path, path: Path) -> Path:
    """Return the path of a copy of a file; the copy has its name, in a folder of its own.

    Raises:
        DeforumError: the file is gone.
        DiskFull, RenderError: the copy cannot be written.
    """
    try:
        source = open_file(path)
    except OSError:
        raise DeforumError(f"{path.name[-60:]!r} is gone; drop it again.") from None
    copy = output_root.resolve() / FOLDER / secrets.token_hex(TOKEN_BYTES) / path.name
    try:
        with (
            source,
            disk_errors(FOLDER),
            Folder(copy.parent, make=True) as folder,
            folder.create(copy.name) as target,
        ):
            shutil.copyfileobj(source, target)
    except BaseException:
        remove_input(copy)
        raise
    return copy


def remove_input(copy: Path) -> None:
    """Remove a copy and its folder."""
    shutil.rmtree(copy.parent, ignore_errors=True)


def remove_unneeded(output_root: Path, needed: str) -> None:
    """Remove copies whose jobs have succeeded or were forgotten.

    Args:
        output_root: that has the folder.
        needed: the arguments of all other jobs; a copy that they do not name is removed after an hour.
    """
    kept = output_root.resolve() / FOLDER
    if not is_folder(kept):
        return
    for folder in kept.iterdir():
        if folder.name not in needed and time.time() - folder.lstat().st_mtime > YOUNG_S:
            shutil.rmtree(folder, ignore_errors=True)
