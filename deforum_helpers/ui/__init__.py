"""The tab that people work in: made from the settings, for every host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deforum_helpers.ui.service import Event, JobService
    from deforum_helpers.ui.uploads import Uploads


def make_tab(service: JobService) -> Any:
    """Return the tab as gradio Blocks for a WebUI's page; `service` is what it asks for everything.

    Raises:
        ImportError: gradio is not installed.
    """
    from deforum_helpers.ui.tab import make_tab as make
    from deforum_helpers.ui.uploads import host_uploads

    return make(service, host_uploads(service.facts.output_root))


def mount(app: Any, service: JobService, uploads: Uploads, module: str = "") -> dict[int, Event]:
    """Serve the tab as the page at `/` of the FastAPI app `app`; return what its events call, by their numbers.

    Args:
        app: a FastAPI app without a route at `/`.
        service: what the tab asks for everything.
        uploads: what is dropped into it.
        module: text of a JavaScript module that the page runs as well.

    Raises:
        ImportError: gradio is not installed.
    """
    from deforum_helpers.ui.page import mount as mount_page

    return mount_page(app, service, uploads, module)
