"""The tab as a standalone page, at `/` of Deforum's own server."""

from __future__ import annotations

from typing import Any

import gradio as gr

from deforum_helpers.core.bundled import bundled
from deforum_helpers.ui import compat
from deforum_helpers.ui.service import Event, JobService
from deforum_helpers.ui.tab import make_tab
from deforum_helpers.ui.uploads import Uploads

STYLE = bundled("style.css")
# A WebUI loads these files by itself, in the order of their names; they work in any order.
SCRIPTS = tuple(sorted(bundled("javascript").glob("*.js")))
# gradio's wide margins would leave too little room for three controls in a line.
WIDE = "\n.gradio-container > .main.fillable.app { max-width: 1800px; }\n"


def mount(app: Any, service: JobService, uploads: Uploads, module: str = "") -> dict[int, Event]:
    """Serve the tab at `/` of the FastAPI app `app`, after the routes that it already has.

    gradio serves the page only; the functions of its events are returned by number, for a route of this project to
    call.

    Args:
        app: the server's app.
        service: the jobs and the host.
        uploads: the files dropped into the tab.
        module: text of a further JavaScript module for the page.
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
    return {number: one.fn for number, one in made.fns.items() if isinstance(one.fn, compat.EventHandler)}
