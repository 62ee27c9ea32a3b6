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
from deforum_helpers.ui.controls import Control, OptionRow, number, scalar, switch, text, texts
from deforum_helpers.ui.formatting import message_of, refusal_html
from deforum_helpers.ui.uploads import Uploads

MAJOR = int(gr.__version__.split(".")[0])
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def blocks(title: str) -> Any:
    """Return empty Blocks without analytics."""
    return gr.Blocks(title=title, analytics_enabled=False)


def own_theme() -> Any:
    """Return the theme of the standalone page; system fonts, so that no font is fetched."""
    theme = gr.themes.Default(primary_hue="indigo", font=list(FONTS), font_mono=list(MONO_FONTS))
    return theme.set(
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700"
    )


def tabs(elem_id: str | None = None) -> Any:
    """Return tabs that wrap onto further lines."""
    if "overflow_behavior" in inspect.signature(gr.Tabs.__init__).parameters:
        return gr.Tabs(elem_id=elem_id, overflow_behavior="wrap")
    return gr.Tabs(elem_id=elem_id)


def tab(title: str) -> Any:
    """Return a tab whose components exist before it is opened."""
    return gr.Tab(title, render_children=True) if MAJOR >= 6 else gr.Tab(title)


def html(value: str, elem_id: str) -> Any:
    """Return an HTML component."""
    if MAJOR >= 6:
        return gr.HTML(value, elem_id=elem_id, apply_default_css=False, padding=False)
    return gr.HTML(value, elem_id=elem_id)


def files(label: str, elem_id: str, uploads: Uploads) -> Any:
    """Return a box for dropped files; its event function gets their paths.

    The component is a text box with the ids of the files, because gradio's file components accept any path that a page
    sends. The page's script turns it into a box according to `boxes.BOXES`.
    """
    made = gr.Textbox(value="", label=label, elem_id=elem_id, elem_classes=["deforum-files"], lines=2)
    return _converted(made, reads=uploads.paths)


def _converted(made: Any, **converters: Callable[[Any], Any]) -> Any:
    """Attach the functions that `EventHandler` reads and writes the component's values with, in place of gradio's."""
    made.deforum_values = converters
    return _unprocessed(made)


def _unprocessed(made: Any) -> Any:
    made.preprocess = _unchanged
    made.do_not_save_to_config = True  # a WebUI would save the initial values in its ui-config.json
    return made


def field(control: Control, value: Any, choices: Sequence[str], uploads: Uploads) -> Any:
    """Return the component of a control.

    Args:
        control: its description.
        value: its initial value.
        choices: of the host, for a choice; suggestions for a line of text.
        uploads: the files dropped into the tab.
    """
    if control.widget == "picture":
        made = files(control.label, f"deforum_field_{control.name}", uploads)
        return _converted(made, reads=uploads.only_path, writes=uploads.id_of)
    common = {
        "label": control.label,
        "info": control.info if MAJOR >= 5 else control.info.replace("`", ""),
        "elem_id": f"deforum_field_{control.name}",
    }
    if control.widget == "checkbox":
        made = gr.Checkbox(value=value, **common)
    elif control.widget == "choice":
        free = control.takes_files
        made = gr.Dropdown(choices=list(choices), value=value, allow_custom_value=free, **common)
    elif control.widget == "line" and choices:
        made = gr.Dropdown(choices=list(choices), value=value, allow_custom_value=True, **common)
    elif control.widget == "slider":
        made = gr.Slider(control.minimum, control.maximum, value=value, step=control.step, **common)
    elif control.widget == "number":
        made = gr.Number(value=value, **common)
    else:
        made = gr.Textbox(value=value, lines=control.lines, max_lines=max(control.lines, 12), **common)
    # Read as is: gradio would fail the whole event for one value outside its bounds.
    return _converted(made, reads=scalar)


def _unchanged(value: Any) -> Any:
    return value


class EventHandler:
    """The function that gradio calls for an event: checks the kinds of the values, then calls `answer` with them.

    The page sends values of the right kind only; an object or another kind comes from a crafted request. It is refused
    with a message in the first HTML output, and `answer` is not called.

    An input that is also an output and keeps its value is not set again: a user may have changed it meanwhile. gradio 4
    makes a new component for every output that is left alone, without our functions, so there all values are set.

    Args:
        answer: takes a value for each input and returns one for each output.
        inputs, outputs: gradio components.
    """

    def __init__(self, answer: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.inputs = len(inputs)
        self.outputs = len(outputs)
        self._answer = answer
        self._labels = [one.label or one.elem_id for one in inputs]
        self._reads = [_converters(one).get("reads") or _reader(one) for one in inputs]
        self._writes = [_converters(one).get("writes") for one in outputs]
        self._is_html = [isinstance(one, gr.HTML) for one in outputs]
        places = {id(one): place for place, one in enumerate(inputs)}
        self._input_of = [places.get(id(one)) for one in outputs]
        self.__name__ = getattr(answer, "__name__", "answer")  # gradio reads it

    def __call__(self, *values: Any) -> Any:
        try:
            read = [self._read(*one) for one in zip(self._labels, self._reads, values, strict=True)]
            answer = self._answer(*read)
        except DeforumError as error:
            return self._refusal(message_of(error))
        results = list(answer) if isinstance(answer, (tuple, list)) else [answer]
        written = [write(one) if write else one for write, one in zip(self._writes, results, strict=True)]
        for output, place in enumerate(self._input_of):
            if MAJOR != 4 and place is not None and _is_same(written[output], values[place]):
                written[output] = gr.update()
        return written[0] if self.outputs == 1 else written

    def _read(self, label: str, read: Callable[[Any], Any], value: Any) -> Any:
        try:
            return read(value)
        except DeforumError as error:
            raise DeforumError(message_of(error).at(label)) from None

    def _refusal(self, message: str) -> Any:
        first = self._is_html.index(True) if True in self._is_html else -1
        results = [refusal_html(message) if place == first else gr.update() for place in range(self.outputs)]
        return results[0] if self.outputs == 1 else results


def _is_same(new: Any, old: Any) -> bool:
    """Return whether two values of a control look alike in the page; True and 1 do not."""
    return bool(new == old) and isinstance(new, bool) == isinstance(old, bool)


def _converters(component: Any) -> dict[str, Callable[[Any], Any]]:
    converters: dict[str, Callable[[Any], Any]] = getattr(component, "deforum_values", {})
    return converters


def _reader(component: Any) -> Callable[[Any], Any]:
    if isinstance(component, gr.Textbox):
        return text
    if isinstance(component, gr.Checkbox):
        return switch
    several = isinstance(component, gr.CheckboxGroup) or getattr(component, "multiselect", False)
    return texts if several else scalar


def named(choices: Sequence[tuple[str, str]]) -> list[Any]:
    """Return choices (label, value) in gradio's form; gradio 3 shows values only."""
    return list(choices) if MAJOR >= 4 else [value for _, value in choices]


def choices(offered: Sequence[tuple[str, str]]) -> Any:
    """Return an update that replaces the choices of a list; without any, the list keeps its choices."""
    return gr.update(choices=named(offered)) if offered else gr.update()


def option(row: OptionRow, value: Any, prefix: str = "deforum_option") -> Any:
    """Return the component of an option; the id of its element begins with `prefix`."""
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
        return _converted(made, reads=number)
    return (
        _converted(made, reads=text)
        if row.choices and not isinstance(row.default, tuple)
        else _unprocessed(made)
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
    """Connect an event to a function, outside gradio's queue.

    Args:
        trigger: `button.click`, `field.change`, ...
        answer: the function, or None to run only the script.
        inputs, outputs: components.
        script: JavaScript function that runs first and returns the inputs.
        after: JavaScript function that runs when the outputs are set.
        after_inputs: components whose values `after` gets.
    """
    handler = EventHandler(answer, inputs, outputs) if answer else None
    event = trigger(handler, list(inputs), list(outputs), **_event(script))
    if after:
        event.then(None, list(after_inputs), [], **_event(after))


def _event(script: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {"queue": False}
    if MAJOR >= 4:
        options |= {"show_progress": "hidden", "js": script}
    else:
        options |= {"show_progress": False, "_js": script}
    if MAJOR >= 6:
        return options | {"api_visibility": "private"}
    return options | {"api_name": False}


def upload_url() -> str:
    """Return the address that dropped files are sent to, relative to the page."""
    return "gradio_api/upload" if MAJOR >= 5 else "upload"


def file_url(path: Path) -> str:
    """Return the address of a file that gradio serves, relative to the page."""
    prefix = "gradio_api/file=" if MAJOR >= 5 else "file="
    return prefix + quote(path.as_posix())
