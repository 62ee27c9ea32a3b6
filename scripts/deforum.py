"""Registers Deforum's callbacks in a WebUI, which loads this file; the code is in the packages beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from modules import extensions, script_callbacks, shared

HERE = Path(__file__).resolve().parents[1]
PACKAGES = ("deforum_helpers", "deforum_api")


def other_extension() -> tuple[str, bool] | None:
    """Return the folder of another extension with a package of the same name, and whether it is loaded already."""
    for loaded in filter(None, map(sys.modules.get, PACKAGES)):
        # In older versions of Deforum the package is a folder without an __init__ file.
        files = [*getattr(loaded, "__path__", ())] or [loaded.__file__]
        folder = Path(files[0] or HERE / PACKAGES[0]).resolve().parent
        if folder != HERE:
            return str(folder), True
    # Some hosts keep an extension's folder on the path only while they load it.
    for folder in [*(Path(each.path) for each in extensions.active()), *map(Path, sys.path)]:
        for place in (folder, folder / "scripts"):
            if (place / PACKAGES[0]).is_dir() and place.resolve() != HERE:
                return str(place), False
    return None


def register() -> None:
    """Import the packages while this folder comes first on the path, and register the callbacks."""
    from deforum_api.hosts import in_webui
    from deforum_helpers.webui import pages

    script_callbacks.on_ui_settings(pages.add_options)
    script_callbacks.on_before_ui(lambda: in_webui.before_ui(shared.cmd_opts))
    script_callbacks.on_ui_tabs(in_webui.tabs)
    script_callbacks.on_app_started(lambda _demo, app: in_webui.app_started(app, shared.cmd_opts))
    if hasattr(script_callbacks, "on_before_reload"):
        script_callbacks.on_before_reload(pages.reload_began)


other = other_extension()
if other:
    folder, is_loaded = other
    loser = "this copy is not loaded" if is_loaded else "the other copy may fail to load"
    sys.stderr.write(
        f"Deforum is installed twice; {loser}. Disable the extension in {folder}, then restart.\n"
    )
if not (other and other[1]):
    register()
