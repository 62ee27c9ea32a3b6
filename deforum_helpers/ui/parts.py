"""The components of the tab that something happens to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.ui.tool_tab import ToolPart


@dataclass(frozen=True)
class Parts:
    """Gradio components by what they are for.

    Args:
        fields: one per setting, in the order of `controls.NAMES`.
        resets: setting -> the button that sets it back.
        tools: of the tab Output.
        tool_runs: where what they do is shown.
        options: one per option, in the order of `options.option_rows`; empty where the host has them.
    """

    fields: tuple[Any, ...]
    resets: Mapping[str, Any]
    options: tuple[Any, ...]
    tools: tuple[ToolPart, ...]
    tool_runs: Any
    batch: Any
    batch_files: Any
    models_refresh: Any
    runs: Any
    runs_refresh: Any
    runs_use: Any
    run: Any
    generate: Any
    preview: Any
    pause: Any
    cancel: Any
    check: Any
    message: Any
    verdict: Any
    plot_names: Any
    plots: Any
    jobs: Any
    drop: Any
    file_name: Any
    save: Any
    load: Any
    load_video: Any
    reset: Any
    report: Any
    sent: Any
    tick: Any
    act: Any
    fill: Any
    look: Any
    draw: Any
    set_options: Any = None
    options_report: Any = None
