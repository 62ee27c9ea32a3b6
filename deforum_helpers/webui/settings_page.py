"""The section "Deforum" of the host's settings page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deforum_helpers.options import X264_PRESETS, Options
from deforum_helpers.settings.tables import SUBTITLE_PARAMS

SECTION = ("deforum", "Deforum")


def add_options() -> None:
    """Add our options to the host's; their names are those that people's config files have had for years."""
    from modules import shared

    for name, (label, component, arguments) in _rows().items():
        default = getattr(Options(), name)
        info = shared.OptionInfo(
            list(default) if isinstance(default, tuple) else default,
            label,
            component,
            dict(arguments),
            section=SECTION,
        )
        # What is run on this machine is nothing for the host's open options route.
        info.restrict_api = name == "deforum_ffmpeg_location"
        shared.opts.add_option(name, info)


def _rows() -> Mapping[str, tuple[str, Any, Mapping[str, Any]]]:
    """Return option -> (label, gradio component, its arguments)."""
    import gradio as gr

    labels = [param.label for param in SUBTITLE_PARAMS]
    return {
        "deforum_ffmpeg_location": (
            "Path of ffmpeg; empty = the one that came with Deforum, else the system's",
            gr.Textbox,
            {},
        ),
        "deforum_ffmpeg_crf": (
            "Quality of the video (CRF): 0 = lossless, 17 = very good, 51 = worst",
            gr.Slider,
            {"minimum": 0, "maximum": 51, "step": 1},
        ),
        "deforum_ffmpeg_preset": (
            "Speed of the video encoder; slower makes smaller files",
            gr.Dropdown,
            {"choices": list(X264_PRESETS)},
        ),
        "deforum_save_gen_info_as_srt": (
            "Save the parameters of each frame as subtitles (.srt)",
            gr.Checkbox,
            {},
        ),
        "deforum_embed_srt": ("Put the subtitles into the video as well", gr.Checkbox, {}),
        "deforum_save_gen_info_as_srt_params": (
            "Parameters in the subtitles",
            gr.CheckboxGroup,
            {"choices": labels},
        ),
    }
