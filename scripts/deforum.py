"""What a WebUI loads: tells its callbacks where to find us. Everything else is in the packages beside this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from modules import extensions, script_callbacks, shared

HERE = Path(__file__).resolve().parents[1]
PACKAGES = ("deforum_helpers", "deforum_api")


def other_extension() -> tuple[str, bool] | None:
    """Return the folder of another extension with a package of our name, and whether that is loaded already."""
    for loaded in filter(None, map(sys.modules.get, PACKAGES)):
        # The package of older Deforums is a folder without a file of its own.
        files = [*getattr(loaded, "__path__", ())] or [loaded.__file__]
        folder = Path(files[0] or HERE / PACKAGES[0]).resolve().parent
        if folder != HERE:
            return str(folder), True
    # Some hosts have an extension's folder on the path only while they load it.
    for folder in [*(Path(each.path) for each in extensions.active()), *map(Path, sys.path)]:
        for place in (folder, folder / "scripts"):
            if (place / PACKAGES[0]).is_dir() and place.resolve() != HERE:
                return str(place), False
    return None


def register() -> None:
    """Import our packages while our folder comes first, and hand the host its callbacks."""
    from deforum_api.hosts import in_webui
    from deforum_helpers.webui import pages, settings_page

    script_callbacks.on_ui_settings(settings_page.add_options)
    script_callbacks.on_before_ui(lambda: in_webui.before_ui(shared.cmd_opts))
    script_callbacks.on_ui_tabs(in_webui.tabs)
    script_callbacks.on_app_started(lambda _demo, app: in_webui.app_started(app, shared.cmd_opts))
    if hasattr(script_callbacks, "on_before_reload"):
        script_callbacks.on_before_reload(pages.reload_began)


other = other_extension()
if other:
    folder, is_loaded = other
    loser = "this Deforum is left out" if is_loaded else "the other one may fail to load"
    sys.stderr.write(
        f"Deforum is installed twice, {loser}: disable the extension in {folder}, then restart.\n"
    )
if not (other and other[1]):
    register()
