"""Settings files that the tab saves into the output folder and loads from there."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.settings import FIELDS, parse_settings_text
from deforum_helpers.ui import messages
from deforum_helpers.ui.formatting import escape
from deforum_helpers.ui.loading import saved_text

OPTIONS_FILE = "deforum_options.json"
MAX_BYTES = 16 << 20
_NAME = re.compile(r"\w[\w .()-]{0,120}\.(txt|json)", re.ASCII)
# Names of files that the server, or a WebUI, keeps in the same folder.
_OWN = re.compile(r"(deforum_(options|jobs|persistent)|config|ui-config|cache).*", re.IGNORECASE)


class SavedFiles:
    """The settings files of the tab: plain names in the output folder, without links and files of the server.

    Args:
        root: the output folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> dict[str, Any]:
        """Return the settings in a file.

        Raises:
            SettingsError: the name is not allowed, or the file is missing, a link, or without settings.
        """
        path = self._path(name)
        try:
            content = read_file(path, MAX_BYTES + 1)
        except FileNotFoundError:
            raise _refused(messages.FILE_MISSING(name=name[:60])) from None
        except OSError as error:
            raise _refused(messages.FILE_UNREADABLE(name=name[:60], reason=error.strerror)) from None
        if len(content) > MAX_BYTES:
            raise _refused(messages.FILE_TOO_LARGE(name=name[:60]))
        try:
            return parse_settings_text(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise _refused(messages.FILE_NOT_UTF8(name=name[:60])) from None

    def write(self, name: str, settings: Mapping[str, Any]) -> Path:
        """Write settings to a file and return its path; an existing file must contain settings.

        Raises:
            SettingsError: the name is not allowed, or the existing file is of another kind.
            DiskFull, RenderError: the file cannot be written.
        """
        path = self._path(name)
        if os.path.lexists(path) and not set(self.read(name)) & set(FIELDS):
            raise _refused(messages.FILE_IS_FOREIGN(name=name[:60]))
        with disk_errors(path.name):
            make_folder(path.parent)
        write_whole(path, saved_text(settings).encode("utf-8", "replace"))
        return path

    def _path(self, name: str) -> Path:
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise _refused(messages.FILE_NAME(name=name[:60]))
        if _OWN.fullmatch(name):
            raise _refused(messages.FILE_NAME_RESERVED(name=name[:60]))
        return self._root.resolve() / name


def download_html(label: str, name: str, content: bytes) -> str:
    """Return a link with the file as a data URL, since the server does not serve settings files by path."""
    encoded = base64.b64encode(content).decode("ascii")
    return (
        f'<a class="deforum-link" href="data:application/json;base64,{encoded}" download="{escape(name)}">'
        f"{escape(label)}</a>"
    )


def run_content(path: Path) -> bytes | None:
    """Return the settings file of a run, or None if it is missing, a link, or too large."""
    try:
        content = read_file(path, MAX_BYTES + 1)
    except OSError:
        return None
    return content if len(content) <= MAX_BYTES else None


def run_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a run.

    Raises:
        SettingsError: the file has none.
    """
    try:
        return parse_settings_text((run_content(path) or b"").decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _refused(messages.FILE_NOT_UTF8(name=path.name[:60])) from None


def _refused(message: str) -> SettingsError:
    return SettingsError([Problem(message)])
