"""The components of the tab that have events or change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deforum_helpers.ui.tool_tab import ToolComponents


@dataclass(frozen=True)
class TabComponents:
    """Gradio components by purpose.

    Args:
        fields: one per setting, in the order of `controls.NAMES`.
        resets: setting -> its reset button.
        tools: of the tab Output.
        tool_runs: panel of the tools' jobs.
        options: one per option, in the order of `host_options.option_rows`; empty in a WebUI.
    """

    fields: tuple[Any, ...]
    resets: Mapping[str, Any]
    options: tuple[Any, ...]
    tools: tuple[ToolComponents, ...]
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
    keys: Any
    keys_unit: Any
    report: Any
    sent: Any
    tick: Any
    act: Any
    fill: Any
    look: Any
    draw: Any
    ask_timeline: Any
    timeline_data: Any
    set_options: Any = None
    options_report: Any = None
