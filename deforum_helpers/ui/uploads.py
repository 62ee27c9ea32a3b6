"""Files that were dropped into the tab, and the copies of them that jobs keep across restarts.

A page names a file by an id that only an upload returns, never by a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from deforum_helpers.core.errors import DeforumError, Problem, SettingsError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import Folder, is_file, is_folder, make_folder, open_file, read_file
from deforum_helpers.ui import messages
from deforum_helpers.ui.formatting import message_of

SETTINGS_EXTENSIONS = (".txt", ".json", ".png", ".mp4")
VIDEO_EXTENSIONS = (
    *(".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".vob", ".ts"),
    *(".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".3gp", ".mxf", ".dv"),
    *(".h264", ".hevc", ".mjpeg", ".ivf", ".y4m", ".nut", ".gif", ".apng", ".webp", ".avif"),
)
IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Box:
    """One box.

    Args:
        extensions: of the accepted files.
        multiple: whether it accepts several files.
    """

    extensions: tuple[str, ...]
    multiple: bool = False


# Element id of the text box that holds the ids of the files -> its box.
BOXES: dict[str, Box] = {
    "deforum_drop": Box(SETTINGS_EXTENSIONS),
    "deforum_batch_files": Box(SETTINGS_EXTENSIONS, multiple=True),
    "deforum_field_init_image_box": Box(IMAGE_EXTENSIONS),
    "deforum_tool_film": Box(VIDEO_EXTENSIONS),
    "deforum_tool_pictures": Box(IMAGE_EXTENSIONS, multiple=True),
    "deforum_tool_upscale_film": Box(VIDEO_EXTENSIONS),
    "deforum_tool_depth_film": Box(VIDEO_EXTENSIONS),
}


def boxes_for_script() -> dict[str, dict[str, object]]:
    """Return `BOXES` as JSON values."""
    return {name: asdict(box) for name, box in BOXES.items()}


MAX_FILES = 1000  # of one box
LONGEST_NAME = 100
TOKEN_BYTES = 16
MAX_IMAGE_BYTES = 256 << 20
KEPT_FOLDER = "init-images"
_ID = re.compile(r"[0-9a-f]{32,64}/[^/\\\x00-\x1f\x7f]{1,255}")
_ODD = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')


class Uploads:
    """Dropped files, each in a folder of its own with a random name.

    An id is "folder/name" on every host; gradio stores uploads in the same form.

    Args:
        folder: contains those folders; its contents may be lost at a restart.
        output_root: output folder, where copies of images that jobs need are kept.
    """

    def __init__(self, folder: Path, output_root: Path) -> None:
        self._folder = folder.resolve()
        self._kept = output_root.resolve() / KEPT_FOLDER

    def add(self, name: str, chunks: Iterable[bytes]) -> str:
        """Store a file and return its id.

        Raises:
            OSError: the file cannot be written; no part of it is left.
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
        """Return the path of a file.

        Raises:
            DeforumError: no upload has this id, or the file no longer exists.
        """
        if _ID.fullmatch(upload_id) and not upload_id.partition("/")[2].startswith("."):
            path = self._folder / upload_id
            if is_file(path):
                return path
        raise DeforumError(messages.UPLOAD_UNKNOWN(name=upload_id[-60:]))

    def paths(self, ids: object) -> list[Path]:
        """Return the paths of the files in a box.

        Args:
            ids: value of the box: one id a line, or None.

        Raises:
            DeforumError: as `path`, or the value is not text, or has too many ids.
        """
        if ids is None:
            return []
        if not isinstance(ids, str):
            raise DeforumError(messages.UPLOAD_IDS_EXPECTED())
        lines = [line for line in ids.split("\n") if line]
        if len(lines) > MAX_FILES:
            raise DeforumError(messages.TOO_MANY_UPLOADS(count=len(lines), most=MAX_FILES))
        return [self.path(line) for line in lines]

    def only_path(self, ids: object) -> str | None:
        """Return the path of the only file in a box, or None if it is empty.

        Raises:
            DeforumError: as `paths`, or the box has several files.
        """
        found = self.paths(ids)
        if len(found) > 1:
            raise DeforumError(messages.ONE_UPLOAD_EXPECTED(count=len(found)))
        return str(found[0]) if found else None

    def of_setting(self, name: str, ids: object) -> str | None:
        """Return the path of the only file in the box of a setting, or None if it is empty.

        Raises:
            SettingsError: as `only_path`; the problem names the setting.
        """
        try:
            return self.only_path(ids)
        except DeforumError as error:
            raise SettingsError([Problem(message_of(error), name)]) from None

    def keep(self, path: str) -> str:
        """Copy a dropped image to the output folder, where it survives a restart, and return the path of the copy.

        Raises:
            DeforumError: the image cannot be read or written.
        """
        try:
            content = read_file(Path(path), MAX_IMAGE_BYTES)
        except OSError:
            raise DeforumError(messages.UPLOAD_GONE(name=Path(path).name[-60:])) from None
        ending = Path(path).suffix.lower()
        name = hashlib.sha256(content).hexdigest()[:32] + (ending if ending in IMAGE_EXTENSIONS else "")
        target = self._kept / name
        if not is_file(target):
            with disk_errors(KEPT_FOLDER):
                make_folder(self._kept)
            write_whole(target, content)
        return str(target)

    def id_of(self, path: object) -> str:
        """Return the id of a dropped file, or a new id for an image that a job kept; else an empty text."""
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
        """Return the free disk space for dropped files, in bytes."""
        return shutil.disk_usage(self._folder).free


def host_uploads(output_root: Path) -> Uploads:
    """Return the files dropped into the pages of a WebUI, which gradio stores in its temporary folder."""
    folder = os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio")
    return Uploads(Path(folder), output_root)


# Hidden, so that no route serves its content.
TOOL_INPUTS_FOLDER = ".tool-inputs"
# A copy may be younger than the record of its job, which is just being submitted.
YOUNG_S = 3600.0


def keep_input(output_root: Path, path: Path) -> Path:
    """Copy a dropped file, the input of a tool, into a folder of its own and return the path of the copy.

    Raises:
        DeforumError: the file no longer exists.
        DiskFull, RenderError: the copy cannot be written.
    """
    try:
        source = open_file(path)
    except OSError:
        raise DeforumError(messages.TOOL_INPUT_GONE(name=path.name[-60:])) from None
    copy = output_root.resolve() / TOOL_INPUTS_FOLDER / secrets.token_hex(TOKEN_BYTES) / path.name
    try:
        with (
            source,
            disk_errors(TOOL_INPUTS_FOLDER),
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
    kept = output_root.resolve() / TOOL_INPUTS_FOLDER
    if not is_folder(kept):
        return
    for folder in kept.iterdir():
        if folder.name not in needed and time.time() - folder.lstat().st_mtime > YOUNG_S:
            shutil.rmtree(folder, ignore_errors=True)
