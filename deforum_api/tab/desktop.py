"""The standalone tab's options file, and folders shown on the desktop."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deforum_api.tab import messages
from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import make_folder, read_file
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.settings.host_options import Options, override

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20


class OptionsFile:
    """Options that were chosen in the tab, as JSON.

    Args:
        path: of the file, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, options: Options) -> dict[str, Any]:
        """Return the overrides of `options` that the file holds; a file that cannot be used is left alone."""
        try:
            found = json.loads(read_file(self._path, MAX_BYTES))
            override(options, found)
        except (OSError, ValueError, AttributeError, SettingsError) as error:
            if not (isinstance(error, UnusableFile) and error.absent):
                log.warning("%s is not used: %s", self._path, error)
            return {}
        return dict(found)

    def write(self, overrides: Mapping[str, Any]) -> None:
        """Keep the overrides.

        Raises:
            DiskFull, RenderError: the file cannot be written.
        """
        with disk_errors(self._path.name):
            make_folder(self._path.parent)
        write_whole(self._path, json.dumps(dict(overrides), indent=4).encode())


def has_desktop() -> bool:
    """Tell whether this machine has a desktop that can show folders."""
    return _file_browser() is not None


def _file_browser() -> str | None:
    """Return the program that shows folders, or None."""
    if sys.platform == "win32":
        return "explorer"
    if sys.platform == "darwin":
        return shutil.which("open")
    return (
        shutil.which("xdg-open") if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else None
    )


def show_folder(folder: Path) -> None:
    """Show `folder` in the desktop's file browser.

    Raises:
        DeforumError: this machine has none.
    """
    program = _file_browser()
    if program is None:
        raise DeforumError(messages.NO_DESKTOP(folder=folder))
    nothing = subprocess.DEVNULL
    shown = subprocess.Popen(
        [program, str(folder)], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    threading.Thread(target=shown.wait, name="deforum-folder", daemon=True).start()
