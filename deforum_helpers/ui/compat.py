"""The differences between the gradio versions of the hosts: 3.41 (A1111), 4.40 (Forge) and 6 (standalone)."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from deforum_helpers.ui.controls import Control
from deforum_helpers.ui.options import OptionRow

MAJOR = int(gr.__version__.split(".")[0])
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def blocks(title: str) -> Any:
    """Return empty Blocks that tell nobody that they run."""
    return gr.Blocks(title=title, analytics_enabled=False)


def own_theme() -> Any:
    """Return the theme of the standalone page: fonts of the system, so that none is fetched."""
    theme = gr.themes.Default(primary_hue="indigo", font=list(FONTS), font_mono=list(MONO_FONTS))
    return theme.set(
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700"
    )


def tabs(elem_id: str | None = None) -> Any:
    """Return tabs of which those without room in the line stand on the next one, in their order."""
    if "overflow_behavior" in inspect.signature(gr.Tabs.__init__).parameters:
        return gr.Tabs(elem_id=elem_id, overflow_behavior="wrap")
    return gr.Tabs(elem_id=elem_id)


def tab(title: str) -> Any:
    """Return a tab whose controls exist before it is opened."""
    return gr.Tab(title, render_children=True) if MAJOR >= 6 else gr.Tab(title)


def html(value: str, elem_id: str) -> Any:
    """Return a piece of page."""
    if MAJOR >= 6:
        return gr.HTML(value, elem_id=elem_id, apply_default_css=False, padding=False)
    return gr.HTML(value, elem_id=elem_id)


def files(label: str, elem_id: str, endings: Sequence[str], *, several: bool) -> Any:
    """Return a place to drop files into."""
    return gr.File(
        label=label,
        elem_id=elem_id,
        file_count="multiple" if several else "single",
        file_types=list(endings),
        type="filepath" if MAJOR >= 4 else "file",
        height=150,
    )


def paths(uploaded: Any) -> list[Path]:
    """Return the paths of what was dropped into `files`."""
    if not uploaded:
        return []
    several = uploaded if isinstance(uploaded, list) else [uploaded]
    return [Path(one if isinstance(one, str) else one.name) for one in several]


def field(control: Control, value: Any, choices: Sequence[str]) -> Any:
    """Return the component of a control.

    Args:
        control: what to make.
        value: what it holds at the start.
        choices: of a choice, or suggestions for a line, as the host has them.
    """
    common = {
        "label": control.label,
        "info": control.info if MAJOR >= 5 else control.info.replace("`", ""),
        "elem_id": f"deforum_field_{control.name}",
    }
    if control.look == "checkbox":
        made = gr.Checkbox(value=value, **common)
    elif control.look == "choice":
        made = gr.Dropdown(choices=list(choices), value=value, **common)
    elif control.look == "line" and choices:
        made = gr.Dropdown(choices=list(choices), value=value, allow_custom_value=True, **common)
    elif control.look == "slider":
        made = gr.Slider(control.minimum, control.maximum, value=value, step=control.step, **common)
    elif control.look == "number":
        made = gr.Number(value=value, **common)
    elif control.look == "picture":
        made = _picture(control, value)
    else:
        made = gr.Textbox(value=value, lines=control.lines, max_lines=max(control.lines, 12), **common)
    if control.look in ("choice", "slider", "number") or choices:
        # gradio would refuse a value outside its bounds in words of its own, for the whole tab at once.
        made.preprocess = _as_it_is
    made.do_not_save_to_config = True  # a WebUI would keep the start values in a file of its own
    return made


def _as_it_is(value: Any) -> Any:
    return value


def named(choices: Sequence[tuple[str, str]]) -> list[Any]:
    """Return choices (label, value) as gradio takes them; gradio 3 shows values alone."""
    return list(choices) if MAJOR >= 4 else [value for _, value in choices]


def option(row: OptionRow, value: Any, prefix: str = "deforum_option") -> Any:
    """Return the component of an option; `prefix` begins its element's id."""
    common = {"label": row.label, "elem_id": f"{prefix}_{row.name}"}
    if isinstance(row.default, bool):
        made = gr.Checkbox(value=value, **common)
    elif isinstance(row.default, tuple):
        made = gr.CheckboxGroup(choices=list(row.choices), value=list(value), **common)
    elif row.choices:
        made = gr.Dropdown(choices=list(row.choices), value=value, **common)
    else:
        step = 1 if isinstance(row.default, int) else 0.01
        made = gr.Slider(row.low, row.high, value=value, step=step, **common)
        made.preprocess = _as_it_is
    made.do_not_save_to_config = True
    return made


def _picture(control: Control, value: Any) -> Any:
    source = {"sources": ["upload", "clipboard"]} if MAJOR >= 4 else {"source": "upload"}
    return gr.Image(
        value=value, type="filepath", label=control.label, elem_id=f"deforum_field_{control.name}", **source
    )


def on(
    trigger: Callable[..., Any],
    answer: Callable[..., Any] | None,
    inputs: Sequence[Any] = (),
    outputs: Sequence[Any] = (),
    *,
    script: str | None = None,
    after: str | None = None,
    after_inputs: Sequence[Any] = (),
) -> None:
    """Let an event call a function, at once and without a place in gradio's queue.

    Args:
        trigger: `button.click`, `field.change`, ...
        answer: what is called, or None where only the script runs.
        inputs, outputs: components.
        script: a function in the page that runs before; what it returns are the inputs.
        after: a function in the page that runs when the answer is there.
        after_inputs: components whose values it gets.
    """
    event = trigger(answer, list(inputs), list(outputs), **_event(script))
    if after:
        event.then(None, list(after_inputs), [], **_event(after))


def _event(script: str | None) -> dict[str, Any]:
    how: dict[str, Any] = {"queue": False}
    if MAJOR >= 4:
        how |= {"show_progress": "hidden", "js": script}
    else:
        how |= {"show_progress": False, "_js": script}
    if MAJOR >= 6:
        return how | {"api_visibility": "private"}
    return how | {"api_name": False}


def file_url(path: Path) -> str:
    """Return the address of a file that gradio may send, relative to the page."""
    prefix = "gradio_api/file=" if MAJOR >= 5 else "file="
    return prefix + quote(path.as_posix())
