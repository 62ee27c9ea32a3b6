"""The tab as a page of its own, at `/` of our server."""

from __future__ import annotations

from typing import Any

import gradio as gr

from deforum_helpers.core.bundled import bundled
from deforum_helpers.ui import compat
from deforum_helpers.ui.service import Event, JobService
from deforum_helpers.ui.tab import make_tab
from deforum_helpers.ui.uploads import Uploads

STYLE = bundled("style.css")
# A WebUI loads each as a script of its own, too, in the order of their names, though any will do.
SCRIPTS = tuple(sorted(bundled("javascript").glob("*.js")))
# gradio keeps wide margins, which three controls in a line have better use for.
WIDE = "\n.gradio-container > .main.fillable.app { max-width: 1800px; }\n"


def mount(app: Any, service: JobService, uploads: Uploads, module: str = "") -> dict[int, Event]:
    """Serve the tab at `/` of the FastAPI app `app`, behind every route that it has already.

    gradio only makes the page: what its events call is returned, for a route of our own to call.

    Args:
        app: our own app.
        service: what the tab asks for everything.
        uploads: what is dropped into it.
        module: JavaScript module that the page runs as well.
    """
    made = make_tab(service, uploads)
    scripts = "".join(f"<script>{script.read_text(encoding='utf-8')}</script>" for script in SCRIPTS)
    head = f'<meta id="deforum_own_page" name="deforum" content="own page">{scripts}'
    if module:
        head += f'<script type="module">{module}</script>'
    gr.mount_gradio_app(
        app,
        made,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=compat.own_theme(),
        css=STYLE.read_text(encoding="utf-8") + WIDE,
        head=head,
    )
    return {number: one.fn for number, one in made.fns.items() if isinstance(one.fn, compat.Answering)}
