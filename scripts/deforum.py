"""What a WebUI loads: adds our routes to its app. Everything else is in the packages beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from modules import paths, script_callbacks, shared

HERE = Path(__file__).resolve().parents[1]


def foreign_package() -> str | None:
    """Return the folder of another extension's package of our name, if that was loaded before, or None."""
    loaded = sys.modules.get("deforum_helpers")
    folder = Path(loaded.__file__).resolve().parents[1] if loaded and loaded.__file__ else HERE
    return None if folder == HERE else str(folder)


def mount(_demo, app) -> None:
    from deforum_api.in_webui import mount_in_webui

    mount_in_webui(app, shared.cmd_opts, Path(paths.data_path) / "outputs")


other = foreign_package()
if other:
    raise RuntimeError(f"Deforum is installed twice: disable the extension in {other}, then restart.")
script_callbacks.on_app_started(mount)
