"""The tab as a page of its own, at `/` of our server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from deforum_helpers.ui import compat
from deforum_helpers.ui.service import JobService
from deforum_helpers.ui.tab import make_tab

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "style.css"
# A WebUI loads each as a script of its own, too, in the order of their names, though any will do.
SCRIPTS = tuple(sorted((ROOT / "javascript").glob("*.js")))
MAX_UPLOAD = "512mb"
# gradio keeps wide margins, which three controls in a line have better use for.
WIDE = "\n.gradio-container > .main.fillable.app { max-width: 1800px; }\n"


def mount(app: Any, service: JobService, module: str = "") -> None:
    """Serve the tab at `/` of the FastAPI app `app`, behind every route that it has already.

    Args:
        app: our own app.
        service: what the tab asks for everything.
        module: JavaScript module that the page runs as well.
    """
    made = make_tab(service)
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
        allowed_paths=[str(service.facts.output_root)],
        show_error=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=compat.own_theme(),
        css=STYLE.read_text(encoding="utf-8") + WIDE,
        head=head,
    )
