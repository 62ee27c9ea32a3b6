"""The section "Deforum" of the host's settings page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any

from deforum_helpers.settings.host_options import Options

SECTION = ("deforum", "Deforum")
OPTIONS = tuple(each for each in fields(Options) if each.name.startswith("deforum_"))
# Paths on this machine: neither the host's open options route nor a job may set them.
HOST_ONLY = tuple(each.name for each in OPTIONS if "fixed" in each.metadata)


def add_options() -> None:
    """Add Deforum's options to the host's; their names are those of existing config files."""
    from modules import shared

    for each in OPTIONS:
        component, arguments = _component(each)
        info = shared.OptionInfo(
            list(each.default) if isinstance(each.default, tuple) else each.default,
            each.metadata["label"],
            component,
            arguments,
            section=SECTION,
        )
        info.restrict_api = each.name in HOST_ONLY
        shared.opts.add_option(each.name, info)


def _component(option: Field[Any]) -> tuple[Any, dict[str, Any]]:
    """Return the gradio component of an option and its arguments."""
    import gradio as gr

    bounds: Mapping[str, Any] = option.metadata
    if isinstance(option.default, bool):
        return gr.Checkbox, {}
    if "low" in bounds:
        return gr.Slider, {"minimum": bounds["low"], "maximum": bounds["high"], "step": 1}
    if "choices" in bounds:
        several = isinstance(option.default, tuple)
        return gr.CheckboxGroup if several else gr.Dropdown, {"choices": list(bounds["choices"])}
    return gr.Textbox, {}
