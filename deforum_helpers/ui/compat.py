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

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.ui.controls import Control, number, scalar, switch, text, texts
from deforum_helpers.ui.formatting import escape
from deforum_helpers.ui.host_options import OptionRow
from deforum_helpers.ui.uploads import Uploads

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


def files(label: str, elem_id: str, uploads: Uploads) -> Any:
    """Return a place to drop files into, whose event gets their paths.

    It is a line of text with the ids of what was dropped: gradio's own boxes would take any path that a page sends.
    The page's script makes the box of it, as `boxes` says.
    """
    made = gr.Textbox(value="", label=label, elem_id=elem_id, elem_classes=["deforum-files"], lines=2)
    return _special(made, reads=uploads.paths)


def _special(made: Any, **how: Callable[[Any], Any]) -> Any:
    """Return a component with how its values are read and written; gradio sees to neither."""
    made.deforum_values = how
    return _left_alone(made)


def _left_alone(made: Any) -> Any:
    made.preprocess = _as_it_is
    made.do_not_save_to_config = True  # a WebUI would keep the start values in a file of its own
    return made


def field(control: Control, value: Any, choices: Sequence[str], uploads: Uploads) -> Any:
    """Return the component of a control.

    Args:
        control: what to make.
        value: what it holds at the start.
        choices: of a choice, or suggestions for a line, as the host has them.
        uploads: what was dropped into the tab.
    """
    if control.look == "picture":
        made = files(control.label, f"deforum_field_{control.name}", uploads)
        return _special(made, reads=uploads.only_path, writes=uploads.id_of)
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
    else:
        made = gr.Textbox(value=value, lines=control.lines, max_lines=max(control.lines, 12), **common)
    # gradio would refuse a value outside its bounds in words of its own, for the whole tab at once.
    return _special(made, reads=scalar)


def _as_it_is(value: Any) -> Any:
    return value


class Answering:
    """What gradio calls for an event: sees that the values are of the kinds that the components hold, then asks.

    A value of another kind, an object above all, is a client's own work; it gets a sentence in the first piece of page
    that the event fills, and the answer is not asked.

    Args:
        answer: gets the values, and returns one for each output.
        inputs, outputs: components.
    """

    def __init__(self, answer: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.inputs = len(inputs)
        self.outputs = len(outputs)
        self._answer = answer
        self._labels = [one.label or one.elem_id for one in inputs]
        self._reads = [_ways(one).get("reads") or _kind_of(one) for one in inputs]
        self._writes = [_ways(one).get("writes") for one in outputs]
        self._told = [isinstance(one, gr.HTML) for one in outputs]
        self.__name__ = getattr(answer, "__name__", "answer")  # gradio asks for it

    def __call__(self, *values: Any) -> Any:
        try:
            read = [self._read(*one) for one in zip(self._labels, self._reads, values, strict=True)]
            answer = self._answer(*read)
        except DeforumError as error:
            return self._refusal(str(error))
        said = list(answer) if isinstance(answer, (tuple, list)) else [answer]
        written = [write(one) if write else one for write, one in zip(self._writes, said, strict=True)]
        return written[0] if self.outputs == 1 else written

    def _read(self, label: str, read: Callable[[Any], Any], value: Any) -> Any:
        try:
            return read(value)
        except DeforumError as error:
            raise DeforumError(f"{label}: {error}") from None

    def _refusal(self, sentence: str) -> Any:
        told = self._told.index(True) if True in self._told else -1
        said = f'<div class="deforum-verdict bad" role="alert">{escape(sentence)}</div>'
        answers = [said if place == told else gr.update() for place in range(self.outputs)]
        return answers[0] if self.outputs == 1 else answers


def _ways(component: Any) -> dict[str, Callable[[Any], Any]]:
    ways: dict[str, Callable[[Any], Any]] = getattr(component, "deforum_values", {})
    return ways


def _kind_of(component: Any) -> Callable[[Any], Any]:
    if isinstance(component, gr.Textbox):
        return text
    if isinstance(component, gr.Checkbox):
        return switch
    several = isinstance(component, gr.CheckboxGroup) or getattr(component, "multiselect", False)
    return texts if several else scalar


def named(choices: Sequence[tuple[str, str]]) -> list[Any]:
    """Return choices (label, value) as gradio takes them; gradio 3 shows values alone."""
    return list(choices) if MAJOR >= 4 else [value for _, value in choices]


def choices(offered: Sequence[tuple[str, str]]) -> Any:
    """Return what gives a list other choices; where there are none, it keeps those that it has."""
    return gr.update(choices=named(offered)) if offered else gr.update()


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
        return _special(made, reads=number)
    return (
        _special(made, reads=text)
        if row.choices and not isinstance(row.default, tuple)
        else _left_alone(made)
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
    asked = Answering(answer, inputs, outputs) if answer else None
    event = trigger(asked, list(inputs), list(outputs), **_event(script))
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


def upload_url() -> str:
    """Return the address to which the page's script sends what is dropped, relative to the page."""
    return "gradio_api/upload" if MAJOR >= 5 else "upload"


def file_url(path: Path) -> str:
    """Return the address of a file that gradio may send, relative to the page."""
    prefix = "gradio_api/file=" if MAJOR >= 5 else "file="
    return prefix + quote(path.as_posix())
