"""The tab that people work in: made from the settings, for every host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deforum_helpers.ui.service import JobService


def make_tab(service: JobService) -> Any:
    """Return the tab as gradio Blocks; `service` is what it asks for everything.

    Raises:
        ImportError: gradio is not installed.
    """
    from deforum_helpers.ui.tab import make_tab as make

    return make(service)


def mount(app: Any, service: JobService, module: str = "") -> None:
    """Serve the tab as the page at `/` of the FastAPI app `app`.

    Args:
        app: a FastAPI app without a route at `/`.
        service: what the tab asks for everything.
        module: text of a JavaScript module that the page runs as well.

    Raises:
        ImportError: gradio is not installed.
    """
    from deforum_helpers.ui.page import mount as mount_page

    mount_page(app, service, module)
