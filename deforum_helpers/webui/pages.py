"""The app of the host's pages, from the moment that gradio makes it: its port opens before the host tells of it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

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
