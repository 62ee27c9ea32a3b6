"""Which component calls which answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from deforum_helpers.settings import FIELDS
from deforum_helpers.ui import compat
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, models_of_host
from deforum_helpers.ui.parts import Parts
from deforum_helpers.ui.tool_tab import connect_tools

# Text is checked when typing pauses, everything else at once.
TYPED = frozenset({"schedule", "string schedule", "text", "path", "prompts", "json"})


def connect(parts: Parts, answers: Answers) -> None:
    """Let the components of the tab do what they are for."""
    _watch(parts, answers)
    _runs(parts, answers)
    _settings(parts, answers)
    _choices(parts, answers)
    connect_tools(parts.tools, parts.fields, parts.tool_runs, answers.tools)
    for name, button in parts.resets.items():
        field = parts.fields[NAMES.index(name)]
        compat.on(button.click, None, outputs=[field], script=f"() => {button.value.split()[-1]!r}")


def _watch(parts: Parts, answers: Answers) -> None:
    """Check as values change.

    The page's script keeps the values that it is told, waits for the right moment and presses `look`, which sends them
    as one text: gradio needs longer to gather two hundred inputs than the check takes.
    """
    for name, field in zip(NAMES, parts.fields, strict=True):
        typed = "true" if FIELDS[name].kind in TYPED else "false"
        script = f"(value) => {{ window.deforumTab?.changed({name!r}, value, {typed}); }}"
        compat.on(field.change, None, [field], script=script)
    looked = "() => { window.deforumTab?.checked(); }"
    values = "() => window.deforumTab.values()"
    compat.on(parts.look.click, answers.look, [parts.sent], [parts.verdict], script=values, after=looked)
    compat.on(parts.check.click, answers.check, parts.fields, [parts.verdict], after=looked)
    compat.on(
        parts.draw.click,
        answers.draw,
        [parts.plot_names, parts.sent],
        [parts.plots],
        script="(names) => [names, window.deforumTab.values()]",
        after="() => { window.deforumTab?.drawn(); }",
    )
    compat.on(parts.plot_names.change, None, script="() => { window.deforumTab?.draw(); }")


def _runs(parts: Parts, answers: Answers) -> None:
    # What the message said of an earlier press goes with each new one.
    def generate(batch: bool, files: list[Path], *values: Any) -> tuple[str, str]:
        return answers.generate(batch, files, values), ""

    def tick(state: str) -> tuple[Any, ...]:
        return tuple(gr.update() if part is None else part for part in answers.tick(state))

    def preview(batch: bool, files: list[Path], *values: Any) -> tuple[str, str]:
        return answers.generate(batch, files, values, preview=True), ""

    inputs = [parts.batch, parts.batch_files, *parts.fields]
    started = "() => { window.deforumTab?.started(); }"
    for button, answer in ((parts.generate, generate), (parts.preview, preview)):
        compat.on(button.click, answer, inputs, [parts.verdict, parts.message], after=started)
    compat.on(
        parts.tick.click,
        tick,
        [parts.sent],
        [parts.run, parts.jobs, parts.tool_runs],
        script="() => window.deforumTab.state()",
        after="() => { window.deforumTab?.ticked(); }",
    )
    scripts = (
        (parts.act, "command()", "commanded()"),
        (parts.pause, "shown('toggle')", "acted()"),
        (parts.cancel, "shown('cancel')", "acted()"),
    )
    for button, sent, after in scripts:
        compat.on(
            button.click,
            answers.act,
            [parts.sent],
            [parts.message],
            script=f"() => window.deforumTab.{sent}",
            after=f"() => {{ window.deforumTab?.{after}; }}",
        )


def _settings(parts: Parts, answers: Answers) -> None:
    def filling(trigger: Any, answer: Any, inputs: Sequence[Any], script: str | None = None) -> None:
        """Let an event fill all controls; the page's script learns of those that no one sees, too."""
        synced = "(...values) => { window.deforumTab?.synced(values); }"
        outputs = [*parts.fields, parts.report]
        compat.on(trigger, answer, inputs, outputs, script=script, after=synced, after_inputs=parts.fields)

    def fill(command: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.fill(command, values))

    def drop(files: list[Path], *values: Any) -> tuple[Any, ...]:
        return _flat(answers.load(files, values))

    def load(name: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.load_named(name, values))

    def load_video(name: str, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.load_named(name, values, video_only=True))

    def resume(timestring: Any, *values: Any) -> tuple[Any, ...]:
        return _flat(answers.fill(json.dumps({"act": "run", "name": timestring}), values))

    filling(
        parts.fill.click,
        fill,
        [parts.sent, *parts.fields],
        "(sent, ...values) => [window.deforumTab.filling(values), ...values]",
    )
    filling(parts.drop.change, drop, [parts.drop, *parts.fields])
    filling(parts.load.click, load, [parts.file_name, *parts.fields])
    filling(parts.load_video.click, load_video, [parts.file_name, *parts.fields])
    filling(parts.reset.click, lambda *values: _flat(answers.reset(values)), parts.fields)
    filling(parts.runs_use.click, resume, [parts.runs, *parts.fields])
    compat.on(
        parts.save.click, _with_values(answers.save, 1), [parts.file_name, *parts.fields], [parts.report]
    )
    if parts.options:

        def set_options(*values: Any) -> str:
            return answers.set_options(values)

        compat.on(parts.set_options.click, set_options, parts.options, [parts.options_report])


def _choices(parts: Parts, answers: Answers) -> None:
    """Look again at what can be chosen."""
    models = models_of_host()
    boxes = [parts.fields[NAMES.index(name)] for name in models]

    def refresh() -> list[Any]:
        found = answers.choices(models)
        return [compat.choices([(one, one) for one in found[name]]) for name in models]

    compat.on(parts.models_refresh.click, refresh, [], boxes)
    compat.on(
        parts.runs_refresh.click,
        lambda: compat.choices(answers.runs()),
        [],
        [parts.runs],
    )


def _flat(answer: tuple[tuple[Any, ...], str]) -> tuple[Any, ...]:
    values, report = answer
    return (*values, report)


def _with_values(answer: Callable[..., Any], leading: int) -> Callable[..., Any]:
    """Return `answer` with everything after the first `leading` arguments as one tuple."""

    def called(*arguments: Any) -> Any:
        return answer(*arguments[:leading], arguments[leading:])

    return called
