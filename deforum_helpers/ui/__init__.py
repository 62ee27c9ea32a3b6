"""The tab of Deforum: the same gradio page for every host, built from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deforum_helpers.ui.service import Event, JobService
    from deforum_helpers.ui.uploads import Uploads


def make_tab(service: JobService) -> Any:
    """Return the tab as gradio Blocks for a WebUI's page.

    Args:
        service: the jobs and the host.

    Raises:
        ImportError: gradio is not installed.
    """
    from deforum_helpers.ui.tab import make_tab as make
    from deforum_helpers.ui.uploads import host_uploads

    return make(service, host_uploads(service.facts.output_root))


def mount(app: Any, service: JobService, uploads: Uploads, module: str = "") -> dict[int, Event]:
    """Serve the tab at `/` of the FastAPI app `app`; return the functions of its events by their numbers.

    Args:
        app: a FastAPI app without a route at `/`.
        service: the jobs and the host.
        uploads: the files dropped into the tab.
        module: text of a further JavaScript module for the page.

    Raises:
        ImportError: gradio is not installed.
    """
    from deforum_helpers.ui.tab import mount as mount_page

    return mount_page(app, service, uploads, module)
