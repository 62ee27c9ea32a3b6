"""Files that were dropped into the tab: the page knows them by ids that only an upload gives, never by paths."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from deforum_helpers.core.errors import DeforumError, Problem, SettingsError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import Folder, is_file, make_folder, read_file
from deforum_helpers.ui.boxes import PICTURES

MAX_FILES = 1000  # of one box
LONGEST_NAME = 100
TOKEN_BYTES = 16
MAX_IMAGE_BYTES = 256 << 20
KEPT_FOLDER = "init-images"
_ID = re.compile(r"[0-9a-f]{32,64}/[^/\\\x00-\x1f\x7f]{1,255}")
_ODD = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


class Uploads:
    """The files that were dropped, each in a folder of its own with a name that nobody can guess.

    An id is "folder/name", and the same on every host: a WebUI's gradio keeps what is dropped in the same form.

    Args:
        folder: that has those folders; what is in it may be gone after a restart.
        output_root: where images are kept that jobs need.
    """

    def __init__(self, folder: Path, output_root: Path) -> None:
        self._folder = folder.resolve()
        self._kept = output_root.resolve() / KEPT_FOLDER

    def add(self, name: str, chunks: Iterable[bytes]) -> str:
        """Keep a file and return its id.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        token = secrets.token_hex(TOKEN_BYTES)
        stem, ending = os.path.splitext(_ODD.sub("_", name).lstrip(". "))
        name = f"{stem[:LONGEST_NAME] or 'file'}{ending[:20]}".rstrip(". ")
        with Folder(self._folder / token, make=True) as folder:
            try:
                with folder.create(name) as file:
                    file.writelines(chunks)
            except BaseException:
                folder.remove(name)
                raise
        return f"{token}/{name}"

    def path(self, upload_id: str) -> Path:
        """Return where a file lies.

        Raises:
            DeforumError: no upload has this id, or it is gone.
        """
        if _ID.fullmatch(upload_id) and not upload_id.partition("/")[2].startswith("."):
            path = self._folder / upload_id
            if is_file(path):
                return path
        raise DeforumError(f"{upload_id[-60:]!r} is no file that was dropped here; drop it again.")

    def paths(self, ids: object) -> list[Path]:
        """Return where the files of a box lie.

        Args:
            ids: what the box holds: an id a line, or nothing.

        Raises:
            DeforumError: as `path`, or the box holds no text, or too many.
        """
        if ids is None:
            return []
        if not isinstance(ids, str):
            raise DeforumError("A box for files holds no ids of files; drop them again.")
        lines = [line for line in ids.split("\n") if line]
        if len(lines) > MAX_FILES:
            raise DeforumError(f"{len(lines):,} files are too many at once; {MAX_FILES:,} are allowed.")
        return [self.path(line) for line in lines]

    def only_path(self, ids: object) -> str | None:
        """Return the path of the one file of a box, or None where there is none.

        Raises:
            DeforumError: as `paths`, or the box holds several.
        """
        found = self.paths(ids)
        if len(found) > 1:
            raise DeforumError(f"Only one file has room in this box; found {len(found)}.")
        return str(found[0]) if found else None

    def of_setting(self, name: str, ids: object) -> str | None:
        """Return the same for the box of a setting.

        Raises:
            SettingsError: as `only_path`; it names the setting.
        """
        try:
            return self.only_path(ids)
        except DeforumError as error:
            raise SettingsError([Problem(str(error), name)]) from None

    def keep(self, path: str) -> str:
        """Copy an image that was dropped to where it outlives a restart, and return its path there.

        Raises:
            DeforumError: it cannot be read or written.
        """
        try:
            content = read_file(Path(path), MAX_IMAGE_BYTES)
        except OSError:
            raise DeforumError(f"{Path(path).name[-60:]!r} is gone; drop it again.") from None
        ending = Path(path).suffix.lower()
        name = hashlib.sha256(content).hexdigest()[:32] + (ending if ending in PICTURES else "")
        target = self._kept / name
        if not is_file(target):
            with disk_errors(KEPT_FOLDER):
                make_folder(self._kept)
            write_whole(target, content)
        return str(target)

    def id_of(self, path: object) -> str:
        """Return the id of a file that was dropped, or of a copy of an image that a job kept; else nothing."""
        place = Path(str(path or ""))
        try:
            found = place.relative_to(self._folder).as_posix()
            self.path(found)
        except ValueError:
            return self._copied(place) if place.parent == self._kept else ""
        except DeforumError:
            return ""
        return found

    def _copied(self, kept: Path) -> str:
        try:
            return self.add(kept.name, [read_file(kept, MAX_IMAGE_BYTES)])
        except OSError:
            return ""

    def free_bytes(self) -> int:
        """Return the free space where dropped files are kept."""
        return shutil.disk_usage(self._folder).free


def host_uploads(output_root: Path) -> Uploads:
    """Return what is dropped into the pages of a WebUI, which keeps it where gradio keeps it."""
    folder = os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio")
    return Uploads(Path(folder), output_root)
