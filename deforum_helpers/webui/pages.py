"""The tab that a host gets where there can be none: it says why, and what to do."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from deforum_helpers.core.progress import CancelToken

logger = logging.getLogger(__name__)


def tab_that_says(why: str) -> Any:
    """Return a tab, gradio's Blocks, with nothing in it but the sentences `why`."""
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.Textbox(value=why, label="Deforum cannot work", interactive=False, lines=4)
    return blocks


_end: Callable[[], None] | None = None


def watch_for_app(made: Callable[[Any], None]) -> None:
    """Call `made` with each app that gradio makes for pages, before its port opens and until `end_watch`.

    Hosts have no callback for that. Theirs comes after a second for small hosts and after many for large ones, and
    until then each of our routes would be unknown.
    """
    global _end
    end_watch()
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
        except Exception:  # the pages of the host do not depend on us
            logger.exception("The routes are added once the host has started.")
        return app

    def end() -> None:
        nonlocal watching
        watching = False
        if App.create_app is create_app:  # else another extension has put its own before it
            App.create_app = staticmethod(plain)

    App.create_app = staticmethod(create_app)
    _end = end


def end_watch() -> None:
    """Leave gradio as it was."""
    global _end
    if _end is not None:
        _end()
    _end = None


GRACE_S = 1.5
LONGEST_S = 180.0
LOOK_EVERY_S = 0.05

_over = threading.Event()
_over.set()


def began() -> None:
    """The host is about to load its scripts again."""
    _over.clear()


def ended() -> None:
    """The host has a new app."""
    _over.set()


def underway() -> bool:
    """Tell whether the host is between two apps.

    It says so itself only late: first it closes its server, and waits until its pages have let go.
    """
    from modules import shared

    server = getattr(getattr(shared, "demo", None), "server", None)
    return not _over.is_set() or bool(getattr(server, "should_exit", False))


def seen_within(seconds: float) -> bool:
    """Tell whether a reload begins in the next `seconds`; it interrupts all drawing first."""
    from modules import shared

    if getattr(shared, "demo", None) is None:  # without pages there is nothing to load again
        return False
    deadline = time.monotonic() + seconds
    while not underway():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def wait_until_over(cancel: CancelToken) -> bool:
    """Return when the host is not between two apps; tell whether it was.

    Raises:
        Cancelled, Parked: the token said so.
    """
    if not underway():
        return False
    logger.info("The WebUI reloads its pages; the job goes on afterwards.")
    deadline = time.monotonic() + LONGEST_S
    while underway() and time.monotonic() < deadline:
        cancel.check()
        time.sleep(LOOK_EVERY_S)
    return True
