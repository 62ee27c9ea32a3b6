"""The buttons of the tab: label, place, and the function that each calls.

`ui/tab.py` makes the buttons of a place where the place is, `ui/events.py` connects them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from deforum_helpers.ui import compat
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import refreshable_names

# "hidden" buttons are clicked by the page's script only.
Place = Literal["run", "resume", "files", "keys", "controlnet", "models", "options", "hidden"]


@dataclass(frozen=True)
class Call:
    """A call of the program by the page.

    The names of inputs and outputs are those of `TabComponents.named`, or of settings. "fields" stands for the controls
    of all settings and "options" for those of the host's options: one tuple of values.

    Args:
        answer: gets the answers and the value of each input; returns the value of the output, or a tuple with one for
            each output. None leaves an output unchanged. Without an answer only the script runs.
        inputs, outputs: names of components.
        script: JavaScript function that runs first and returns the inputs.
        after: JavaScript function that runs when the outputs are set.
        after_inputs: names of the components whose values `after` gets.
    """

    answer: Callable[..., Any] | None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    script: str | None = None
    after: str | None = None
    after_inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Button:
    """A button. Its element in the page is `deforum_NAME`; `primary`: it is highlighted."""

    name: str
    label: str
    place: Place
    call: Call
    primary: bool = False


def _page(call: str) -> str:
    """Return the JavaScript function that calls a function of the page's script, if it has been loaded."""
    return f"() => {{ window.deforumTab?.{call}; }}"


def filling(
    answer: Callable[..., tuple[tuple[Any, ...], str]], *inputs: str, script: str | None = None
) -> Call:
    """Return a call that sets all controls; afterwards the page's script gets their values, also hidden ones.

    Args:
        answer: returns the new values and the report.
        inputs: its inputs before the values of the controls.
        script: see `Call`.
    """
    return Call(
        answer,
        (*inputs, "fields"),
        ("fields", "report"),
        script,
        after="(...values) => { window.deforumTab?.synced(values); }",
        after_inputs=("fields",),
    )


def _starting(*, preview: bool) -> Call:
    # It also empties the message of the previous action.
    return Call(
        lambda answers, *inputs: (answers.generate(*inputs, preview=preview), ""),
        ("batch", "batch_files", "fields"),
        ("verdict", "message"),
        after=_page("started()"),
    )


def _acting(command: str, after: str) -> Call:
    return Call(
        Answers.act, ("sent",), ("message",), f"() => window.deforumTab.{command}", after=_page(after)
    )


def _refreshed(answers: Answers) -> tuple[Any, ...]:
    names = refreshable_names()
    found = answers.choices(names)
    return tuple(compat.choices([(one, one) for one in found[name]]) for name in names)


def _resumed(answers: Answers, timestring: Any, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], str]:
    return answers.fill(json.dumps({"act": "run", "name": timestring}), values)


# In the order of each place.
BUTTONS = (
    Button("generate", "Generate", "run", _starting(preview=False), primary=True),
    Button("pause", "Pause/Resume", "run", _acting("shown('toggle')", "acted()")),
    Button("cancel", "Cancel", "run", _acting("shown('cancel')", "acted()")),
    Button(
        "check",
        "Check",
        "run",
        # As "look", so that of two answers the later one cannot be replaced by the earlier one.
        Call(None, ("fields",), script="(...values) => { window.deforumTab?.check(values); }"),
    ),
    Button("preview", "Motion preview", "run", _starting(preview=True)),
    Button(
        "runs_refresh",
        "Refresh",
        "resume",
        Call(lambda answers: compat.choices(answers.runs()), outputs=("runs",)),
    ),
    Button("run_use", "Resume this run", "resume", filling(_resumed, "runs")),
    Button("save", "Save Settings", "files", Call(Answers.save, ("file_name", "fields"), ("report",))),
    Button("load", "Load All Settings", "files", filling(Answers.load_named, "file_name")),
    Button(
        "load_video",
        "Load Video Settings",
        "files",
        filling(lambda answers, name, values: answers.load_named(name, values, video_only=True), "file_name"),
    ),
    Button("reset", "Reset", "files", filling(Answers.reset)),
    Button("keys", "Convert keys", "keys", filling(Answers.convert_keys, "keys_unit")),
    Button(
        "models_refresh",
        "Refresh models",
        "controlnet",
        Call(_refreshed, outputs=tuple(refreshable_names())),
    ),
    Button("models_list", "List models", "models", Call(Answers.list_models, outputs=("models",))),
    Button(
        "set_options",
        "Apply options",
        "options",
        Call(Answers.set_options, ("options",), ("options_report",)),
    ),
    Button(
        "tick",
        "tick",
        "hidden",
        Call(
            Answers.tick,
            ("sent",),
            ("run", "jobs", "tool_runs"),
            "() => window.deforumTab.state()",
            after=_page("ticked()"),
        ),
    ),
    Button("act", "act", "hidden", _acting("command()", "commanded()")),
    Button(
        "fill",
        "fill",
        "hidden",
        filling(
            Answers.fill,
            "sent",
            script="(sent, ...values) => [window.deforumTab.filling(values), ...values]",
        ),
    ),
    # The page's script collects the changed values, waits for a pause and clicks, which sends them as one text: gradio
    # takes longer to collect two hundred inputs than the check takes.
    Button(
        "look",
        "look",
        "hidden",
        Call(
            Answers.check_changes,
            ("sent",),
            ("verdict",),
            "() => window.deforumTab.looking()",
            after="(verdict) => { window.deforumTab?.checked(verdict); }",
            after_inputs=("verdict",),
        ),
    ),
    Button(
        "draw",
        "draw",
        "hidden",
        Call(
            Answers.plot_changes,
            ("plot_names", "sent"),
            ("plots",),
            "(names) => [names, window.deforumTab.drawing()]",
            after="(plots) => { window.deforumTab?.drawn(plots); }",
            after_inputs=("plots",),
        ),
    ),
    Button(
        "ask_timeline",
        "timeline",
        "hidden",
        Call(
            lambda answers, asked: (
                answers.timeline(asked),
                None,
            ),  # the message shows why a value is refused
            ("sent",),
            ("timeline_data", "message"),
            "() => window.deforumTab.timeline.request()",
            after="(text) => { window.deforumTab?.timeline?.answered(text); }",
            after_inputs=("timeline_data",),
        ),
    ),
    Button(
        "camera_file",
        "camera",
        "hidden",
        Call(
            lambda answers, asked: (answers.camera_file(asked), None),
            ("sent",),
            ("camera_data", "message"),
            "() => window.deforumTab.camera.request()",
            after="(text) => { window.deforumTab?.camera?.answered(text); }",
            after_inputs=("camera_data",),
        ),
    ),
)
