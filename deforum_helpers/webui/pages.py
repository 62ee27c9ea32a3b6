"""The host's pages: Deforum's settings, a tab with an error message, the creation of the app, reloads of the UI."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.settings.host_options import Options

logger = logging.getLogger(__name__)

SECTION = ("deforum", "Deforum")
OPTIONS = tuple(each for each in fields(Options) if each.name.startswith("deforum_"))
# Paths on this machine: neither the host's open options route nor a job may set them.
HOST_ONLY = tuple(each.name for each in OPTIONS if "fixed" in each.metadata)


def add_options() -> None:
    """Add Deforum's options to the host's; their names are those of existing config files."""
    from modules import shared

    for each in OPTIONS:
        component, arguments = _component(each)
        info = shared.OptionInfo(
            list(each.default) if isinstance(each.default, tuple) else each.default,
            each.metadata["label"],
            component,
            arguments,
            section=SECTION,
        )
        info.restrict_api = each.name in HOST_ONLY
        shared.opts.add_option(each.name, info)


def _component(option: Field[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the gradio component of an option and its arguments."""
    import gradio as gr

    bounds: Mapping[str, Any] = option.metadata
    if isinstance(option.default, bool):
        return gr.Checkbox, {}
    if "low" in bounds:
        return gr.Slider, {"minimum": bounds["low"], "maximum": bounds["high"], "step": 1}
    if "choices" in bounds:
        several = isinstance(option.default, tuple)
        return gr.CheckboxGroup if several else gr.Dropdown, {"choices": list(bounds["choices"])}
    return gr.Textbox, {}


def message_tab(why: str) -> Any:
    """Return a tab (gradio Blocks) that shows only the message `why`."""
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.Textbox(value=why, label="Deforum could not start", interactive=False, lines=4)
    return blocks


_end: Callable[[], None] | None = None


def on_app_created(made: Callable[[Any], None]) -> None:
    """Call `made` with each app that gradio creates, before its port opens, until `stop_watching` is called.

    The host's own callback comes a second to many seconds after the port opens, and until then Deforum's routes would
    be unknown.
    """
    global _end
    stop_watching()
    if "gradio" not in sys.modules:  # this host has no pages
        return
    from gradio.routes import App

    plain = App.create_app
    watching = True

    def create_app(*arguments: Any, **named: Any) -> Any:
        app = plain(*arguments, **named)
        try:
            if watching:
                made(app)
        except Exception:  # the host's pages must work even if Deforum fails
            logger.exception("The routes are added once the host has started.")
        return app

    def end() -> None:
        nonlocal watching
        watching = False
        if App.create_app is create_app:  # otherwise another extension has wrapped it
            App.create_app = staticmethod(plain)

    App.create_app = staticmethod(create_app)
    _end = end


def stop_watching() -> None:
    """Restore gradio's own function."""
    global _end
    if _end is not None:
        _end()
    _end = None


GRACE_S = 1.5
MAX_RELOAD_S = 180.0
POLL_S = 0.05

_no_reload = threading.Event()
_no_reload.set()


def reload_began() -> None:
    """Note that the host begins to reload its scripts."""
    _no_reload.clear()


def reload_ended() -> None:
    """Note that the host has a new app."""
    _no_reload.set()


def reloading() -> bool:
    """Return whether the host is reloading.

    Its callback comes late: it closes its server first and waits for open connections, so the server is asked, too.
    """
    from modules import shared

    server = getattr(getattr(shared, "demo", None), "server", None)
    return not _no_reload.is_set() or bool(getattr(server, "should_exit", False))


def reload_begins_within(seconds: float) -> bool:
    """Return whether a reload begins within `seconds`; before that, it interrupts generation."""
    from modules import shared

    if getattr(shared, "demo", None) is None:  # without pages the host cannot reload
        return False
    deadline = time.monotonic() + seconds
    while not reloading():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def wait_for_reload(cancel: CancelToken) -> bool:
    """Wait until the host has reloaded; return whether it was reloading.

    Raises:
        Cancelled, Parked: the job was cancelled or parked.
    """
    if not reloading():
        return False
    logger.info("The WebUI reloads its pages; the job continues afterwards.")
    deadline = time.monotonic() + MAX_RELOAD_S
    while reloading() and time.monotonic() < deadline:
        cancel.check()
        time.sleep(POLL_S)
    return True
