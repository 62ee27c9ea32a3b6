"""The events of the tab: which component calls which function."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from deforum_helpers.settings import FIELDS
from deforum_helpers.ui import compat
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, refreshable_names
from deforum_helpers.ui.parts import TabComponents
from deforum_helpers.ui.tool_tab import connect_tools

# Kinds of settings that are checked when typing pauses; all others are checked at once.
TYPED = frozenset({"schedule", "string schedule", "text", "path", "prompts", "json"})


def connect(components: TabComponents, answers: Answers) -> None:
    """Connect the components of the tab to their functions."""
    _watch(components, answers)
    _runs(components, answers)
    _settings(components, answers)
    _choices(components, answers)
    connect_tools(components.tools, components.fields, components.tool_runs, answers.tools)
    for name, button in components.resets.items():
        field = components.fields[NAMES.index(name)]
        compat.on(button.click, None, outputs=[field], script=f"() => {button.value.split()[-1]!r}")


def _watch(components: TabComponents, answers: Answers) -> None:
    """Connect the check of changed values.

    The page's script collects the changed values, waits for a pause and clicks `look`, which sends them as one text:
    gradio takes longer to collect two hundred inputs than the check takes.
    """
    for name, field in zip(NAMES, components.fields, strict=True):
        typed = "true" if FIELDS[name].kind in TYPED else "false"
        script = f"(value) => {{ window.deforumTab?.changed({name!r}, value, {typed}); }}"
        compat.on(field.change, None, [field], script=script)
    looked = "() => { window.deforumTab?.checked(); }"
    values = "() => window.deforumTab.values()"
    compat.on(
        components.look.click,
        answers.check_changes,
        [components.sent],
        [components.verdict],
        script=values,
        after=looked,
    )
    compat.on(components.check.click, answers.check, components.fields, [components.verdict], after=looked)
    compat.on(
        components.draw.click,
        answers.plot_changes,
        [components.plot_names, components.sent],
        [components.plots],
        script="(names) => [names, window.deforumTab.values()]",
        after="() => { window.deforumTab?.drawn(); }",
    )
    compat.on(components.plot_names.change, None, script="() => { window.deforumTab?.draw(); }")
    compat.on(
        components.ask_timeline.click,
        answers.timeline,
        [components.sent],
        [components.timeline_data],
        script="() => window.deforumTab.timeline.request()",
        after="(text) => { window.deforumTab?.timeline?.answered(text); }",
        after_inputs=[components.timeline_data],
    )


def _runs(components: TabComponents, answers: Answers) -> None:
    # Each also empties the message of the previous action.
    def generate(batch: bool, files: list[Path], *values: Any) -> tuple[str, str]:
        return answers.generate(batch, files, values), ""

    def tick(state: str) -> tuple[Any, ...]:
        return tuple(gr.update() if part is None else part for part in answers.tick(state))

    def preview(batch: bool, files: list[Path], *values: Any) -> tuple[str, str]:
        return answers.generate(batch, files, values, preview=True), ""

    inputs = [components.batch, components.batch_files, *components.fields]
    started = "() => { window.deforumTab?.started(); }"
    for button, answer in ((components.generate, generate), (components.preview, preview)):
        compat.on(button.click, answer, inputs, [components.verdict, components.message], after=started)
    compat.on(
        components.tick.click,
        tick,
        [components.sent],
        [components.run, components.jobs, components.tool_runs],
        script="() => window.deforumTab.state()",
        after="() => { window.deforumTab?.ticked(); }",
    )
    scripts = (
        (components.act, "command()", "commanded()"),
        (components.pause, "shown('toggle')", "acted()"),
        (components.cancel, "shown('cancel')", "acted()"),
    )
    for button, sent, after in scripts:
        compat.on(
            button.click,
            answers.act,
            [components.sent],
            [components.message],
            script=f"() => window.deforumTab.{sent}",
            after=f"() => {{ window.deforumTab?.{after}; }}",
        )


def _settings(components: TabComponents, answers: Answers) -> None:
    def filling(trigger: Any, answer: Any, inputs: Sequence[Any], script: str | None = None) -> None:
        """Connect an event that sets all controls; afterwards the page's script gets their values, also hidden ones."""
        synced = "(...values) => { window.deforumTab?.synced(values); }"
        outputs = [*components.fields, components.report]
        compat.on(
            trigger, answer, inputs, outputs, script=script, after=synced, after_inputs=components.fields
        )

    def fill(command: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.fill(command, values))

    def drop(files: list[Path], *values: Any) -> tuple[Any, ...]:
        return _flat(answers.load(files, values))

    def load(name: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.load_named(name, values))

    def load_video(name: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.load_named(name, values, video_only=True))

    def convert_keys(unit: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.convert_keys(unit, values))

    def resume(timestring: Any, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.fill(json.dumps({"act": "run", "name": timestring}), values))

    filling(
        components.fill.click,
        fill,
        [components.sent, *components.fields],
        "(sent, ...values) => [window.deforumTab.filling(values), ...values]",
    )
    filling(components.drop.change, drop, [components.drop, *components.fields])
    filling(components.load.click, load, [components.file_name, *components.fields])
    filling(components.load_video.click, load_video, [components.file_name, *components.fields])
    filling(components.reset.click, lambda *values: _flat(answers.reset(values)), components.fields)
    filling(components.keys.click, convert_keys, [components.keys_unit, *components.fields])
    filling(components.runs_use.click, resume, [components.runs, *components.fields])
    compat.on(
        components.save.click,
        _with_values(answers.save, 1),
        [components.file_name, *components.fields],
        [components.report],
    )
    if components.options:

        def set_options(*values: Any) -> str:
            return answers.set_options(values)

        compat.on(components.set_options.click, set_options, components.options, [components.options_report])


def _choices(components: TabComponents, answers: Answers) -> None:
    """Connect the buttons that refresh choices."""
    models = refreshable_names()
    boxes = [components.fields[NAMES.index(name)] for name in models]

    def refresh() -> list[Any]:
        found = answers.choices(models)
        return [compat.choices([(one, one) for one in found[name]]) for name in models]

    compat.on(components.models_refresh.click, refresh, [], boxes)
    compat.on(
        components.runs_refresh.click,
        lambda: compat.choices(answers.runs()),
        [],
        [components.runs],
    )


def _flat(answer: tuple[tuple[Any, ...], str]) -> tuple[Any, ...]:
    values, report = answer
    return (*values, report)


def _with_values(answer: Callable[..., Any], leading: int) -> Callable[..., Any]:
    """Return `answer` as a function that passes all but the first `leading` arguments as one tuple."""

    def called(*arguments: Any) -> Any:
        return answer(*arguments[:leading], arguments[leading:])

    return called
