"""The components of the tab that have events or change, and the function that each calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from deforum_helpers.settings import FIELDS
from deforum_helpers.ui import compat
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.buttons import BUTTONS, Call, filling
from deforum_helpers.ui.tool_tab import ToolComponents, connect_tools


@dataclass(frozen=True)
class TabComponents:
    """Gradio components by purpose.

    Args:
        fields: setting -> its control, in the order of `controls.NAMES`.
        resets: setting -> its reset button.
        options: one per option, in the order of `controls.option_rows`; empty in a WebUI.
        tools: of the tab Output.
        named: the buttons, by the names in `buttons.BUTTONS`, and the components that they read and set.
    """

    fields: Mapping[str, Any]
    resets: Mapping[str, Any]
    options: tuple[Any, ...]
    tools: tuple[ToolComponents, ...]
    named: Mapping[str, Any]

    def of(self, name: str) -> tuple[Any, ...]:
        """Return the components that a `buttons.Call` means by `name`."""
        if name == "fields":
            return tuple(self.fields.values())
        if name == "options":
            return self.options
        return (self.named[name] if name in self.named else self.fields[name],)


# Kinds of settings that are checked when typing pauses; all others are checked at once.
TYPED = frozenset({"schedule", "string schedule", "text", "path", "prompts", "json"})
# Names in a `Call` for which the function gets and returns one tuple.
_TUPLES = ("fields", "options")


def connect(components: TabComponents, answers: Answers) -> None:
    """Connect the components of the tab to their functions."""
    for name, field in components.fields.items():
        typed = "true" if FIELDS[name].kind in TYPED else "false"
        script = f"(value) => {{ window.deforumTab?.changed({name!r}, value, {typed}); }}"
        compat.on(field.change, None, [field], script=script)
    compat.on(components.named["plot_names"].change, None, script="() => { window.deforumTab?.draw(); }")
    for button in BUTTONS:
        if button.name in components.named:
            _connect(components.named[button.name].click, button.call, components, answers)
    _connect(components.named["drop"].change, filling(Answers.load, "drop"), components, answers)
    for name, reset in components.resets.items():
        field = components.fields[name]
        compat.on(reset.click, None, outputs=[field], script=f"() => {reset.value.split()[-1]!r}")
    fields = tuple(components.fields.values())
    connect_tools(components.tools, fields, components.named["tool_runs"], answers.tools)


def _connect(trigger: Callable[..., Any], call: Call, components: TabComponents, answers: Answers) -> None:
    inputs = [(name in _TUPLES, components.of(name)) for name in call.inputs]
    outputs = [(name in _TUPLES, components.of(name)) for name in call.outputs]
    compat.on(
        trigger,
        partial(_answer, call.answer, answers, [(one, len(held)) for one, held in inputs], outputs)
        if call.answer
        else None,
        [component for _, held in inputs for component in held],
        [component for _, held in outputs for component in held],
        script=call.script,
        after=call.after,
        after_inputs=[one for name in call.after_inputs for one in components.of(name)],
    )


def _answer(
    answer: Callable[..., Any],
    answers: Answers,
    inputs: Sequence[tuple[bool, int]],
    outputs: Sequence[tuple[bool, Any]],
    *values: Any,
) -> tuple[Any, ...]:
    """Call a function with the values of its inputs, and return one value per output component."""
    taken, ahead = [], iter(values)
    for is_tuple, count in inputs:
        held = tuple(next(ahead) for _ in range(count))
        taken.append(held if is_tuple else held[0])
    result = answer(answers, *taken)
    results = result if len(outputs) > 1 else (result,)
    flat: list[Any] = []
    for (is_tuple, _), one in zip(outputs, results, strict=True):
        flat += one if is_tuple else [gr.update() if one is None else one]
    return tuple(flat)
