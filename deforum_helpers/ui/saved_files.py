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
from deforum_helpers.ui.formatting import escape
from deforum_helpers.ui.loading import saved_text

OPTIONS_FILE = "deforum_options.json"
MAX_BYTES = 16 << 20
_NAME = re.compile(r"\w[\w .()-]{0,120}\.(txt|json)", re.ASCII)
# What the server keeps there itself, and what a WebUI may keep there.
_OWN = re.compile(r"(deforum_(options|jobs|persistent)|config|ui-config|cache).*", re.IGNORECASE)


class SavedFiles:
    """The settings files of the tab: plain names in the output folder, no links, no file of the server's own.

    Args:
        root: the output folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> dict[str, Any]:
        """Return the settings in a file.

        Raises:
            SettingsError: another kind of name, no such file, a link, or no settings.
        """
        path = self._path(name)
        try:
            content = read_file(path, MAX_BYTES + 1)
        except FileNotFoundError:
            raise _problem(name, "is not there; save settings under this name first") from None
        except OSError as error:
            raise _problem(name, f"cannot be read: {error.strerror}") from None
        if len(content) > MAX_BYTES:
            raise _problem(name, "is larger than 16 MiB, too large for settings")
        try:
            return parse_settings_text(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise _problem(name, "is not text in UTF-8; save it as UTF-8") from None

    def write(self, name: str, settings: Mapping[str, Any]) -> Path:
        """Write settings and return the file; a file that is there already must hold settings.

        Raises:
            SettingsError: another kind of name, or a file of another kind has it.
            DiskFull, RenderError: it cannot be written.
        """
        path = self._path(name)
        if os.path.lexists(path) and not set(self.read(name)) & set(FIELDS):
            raise _problem(name, "is there already and holds no settings; choose another name")
        with disk_errors(path.name):
            make_folder(path.parent)
        write_whole(path, saved_text(settings).encode("utf-8", "replace"))
        return path

    def _path(self, name: str) -> Path:
        name = name.strip()
        if not _NAME.fullmatch(name):
            message = (
                f"Settings File is {name[:60]!r}, but must be a plain file name that ends with .txt or .json; "
                "it lies in the output folder."
            )
            raise SettingsError([Problem(message)])
        if _OWN.fullmatch(name):
            raise _problem(name, "is a name that the server keeps for files of its own; choose another one")
        return self._root.resolve() / name


def download_html(what: str, name: str, content: bytes) -> str:
    """Return a link that has the file in itself: settings are no files that the server hands out by their paths."""
    encoded = base64.b64encode(content).decode("ascii")
    return (
        f'<a class="deforum-link" href="data:application/json;base64,{encoded}" download="{escape(name)}">'
        f"{escape(what)}</a>"
    )


def run_content(path: Path) -> bytes | None:
    """Return the settings file of a run, or None where it is gone, reached by a link, or too large."""
    try:
        content = read_file(path, MAX_BYTES + 1)
    except OSError:
        return None
    return content if len(content) <= MAX_BYTES else None


def run_settings(path: Path) -> dict[str, Any]:
    """Return the settings in such a file.

    Raises:
        SettingsError: there are none.
    """
    try:
        return parse_settings_text((run_content(path) or b"").decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _problem(path.name, "is not text in UTF-8") from None


def _problem(name: str, what: str) -> SettingsError:
    return SettingsError([Problem(f"The file {name[:60]!r} {what}.")])
