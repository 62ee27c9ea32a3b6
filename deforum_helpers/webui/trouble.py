"""The tab that a host gets where there can be none: it says why, and what to do."""

from __future__ import annotations

from typing import Any


def tab_that_says(why: str) -> Any:
    """Return a tab, gradio's Blocks, with nothing in it but the sentences `why`."""
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.Textbox(value=why, label="Deforum cannot work", interactive=False, lines=4)
    return blocks
