"""The section "Deforum" of the host's settings page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from deforum_helpers.options import PREVIEWS, X264_PRESETS, Options
from deforum_helpers.settings.tables import SUBTITLE_PARAMS

SECTION = ("deforum", "Deforum")
# Programs and files of this machine are nothing for the host's open options route, nor for a job.
HOST_ONLY = ("deforum_ffmpeg_location", "deforum_persistent_settings_path")
OPTION_NAMES = tuple(each.name for each in fields(Options) if each.name.startswith("deforum_"))


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
        info.restrict_api = name in HOST_ONLY
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
        "deforum_simple_subtitles": ("Subtitles without the numbers of frame and seed", gr.Checkbox, {}),
        "deforum_own_line_for_prompt_srt": (
            "The prompt on a line of its own in the subtitles",
            gr.Checkbox,
            {},
        ),
        "deforum_subtitles_per_second": (
            "Subtitles per second at most; 0 = one for each frame",
            gr.Slider,
            {"minimum": 0, "maximum": 60, "step": 1},
        ),
        "deforum_always_write_keyframe_subtitle": ("A subtitle at each key frame even so", gr.Checkbox, {}),
        **_rows_of_jobs(gr),
    }


def _rows_of_jobs(gr: Any) -> Mapping[str, tuple[str, Any, Mapping[str, Any]]]:
    return {
        "deforum_keep_3d_models_in_vram": (
            "Keep the depth model loaded between films (needs memory, saves seconds)",
            gr.Checkbox,
            {},
        ),
        "deforum_enable_persistent_settings": (
            "Keep the settings of the newest film, and begin with them at the next start",
            gr.Checkbox,
            {},
        ),
        "deforum_persistent_settings_path": (
            "File that keeps them; a path that is not absolute begins in the WebUI's data folder",
            gr.Textbox,
            {},
        ),
        "deforum_debug_mode_enabled": ("Write each step of a job into the log", gr.Checkbox, {}),
        "deforum_preview": (
            "Make a film of the frames so far while rendering goes on",
            gr.Dropdown,
            {"choices": list(PREVIEWS)},
        ),
        "deforum_preview_interval_frames": (
            "Frames between two such films",
            gr.Slider,
            {"minimum": 10, "maximum": 500, "step": 1},
        ),
    }
