"""Copies of uploaded files, kept for queued jobs of tools across restarts.

The folder is hidden, so that no route serves its content.
"""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.no_links import Folder, is_folder, open_file
from deforum_helpers.tools import messages

FOLDER = ".tool-inputs"
TOKEN_BYTES = 16
# A copy may be younger than the record of its job, which is just being submitted.
YOUNG_S = 3600.0


def keep_input(output_root: Path, path: Path) -> Path:
    """Copy a file into a folder of its own and return the path of the copy.

    Raises:
        DeforumError: the file no longer exists.
        DiskFull, RenderError: the copy cannot be written.
    """
    try:
        source = open_file(path)
    except OSError:
        raise DeforumError(messages.INPUT_GONE(name=path.name[-60:])) from None
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
    """Remove copies whose jobs succeeded or are no longer recorded.

    Args:
        output_root: the output folder.
        needed: arguments of all other jobs; copies that they do not name are removed after an hour.
    """
    kept = output_root.resolve() / FOLDER
    if not is_folder(kept):
        return
    for folder in kept.iterdir():
        if folder.name not in needed and time.time() - folder.lstat().st_mtime > YOUNG_S:
            shutil.rmtree(folder, ignore_errors=True)
