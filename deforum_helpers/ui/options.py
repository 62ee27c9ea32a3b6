"""The standalone host's options: what a WebUI has on its settings page, as a drawer of the tab."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from deforum_helpers.errors import MissingFeature
from deforum_helpers.options import Options
from deforum_helpers.output.ffmpeg import find_ffmpeg

LABELS: Mapping[str, str] = {
    "deforum_ffmpeg_crf": "Quality of the video (CRF): 0 = lossless, 17 = very good, 51 = worst",
    "deforum_ffmpeg_preset": "Speed of the video encoder; slower makes smaller files",
    "deforum_save_gen_info_as_srt": "Save the parameters of each frame as subtitles (.srt)",
    "deforum_embed_srt": "Put the subtitles into the video as well",
    "deforum_save_gen_info_as_srt_params": "Parameters in the subtitles",
    "deforum_simple_subtitles": "Subtitles without the numbers of frame and seed",
    "deforum_own_line_for_prompt_srt": "The prompt on a line of its own in the subtitles",
    "deforum_subtitles_per_second": "Subtitles per second at most; 0 = one for each frame",
    "deforum_always_write_keyframe_subtitle": "A subtitle at each key frame even so",
    "deforum_keep_3d_models_in_vram": "Keep the depth model loaded between films",
    "deforum_enable_persistent_settings": "Begin with the settings of the newest film at the next start",
    "deforum_debug_mode_enabled": "Write each step of a job into the log",
    "deforum_preview": "Make a film of the frames so far while rendering goes on",
    "deforum_preview_interval_frames": "Frames between two such films",
    "CLIP_stop_at_last_layers": "CLIP skip",
    "eta_ancestral": "Eta of ancestral samplers: share of fresh noise per step",
    "eta_ddim": "Eta of DDIM: share of fresh noise per step",
    "initial_noise_multiplier": "Noise multiplier of the init image",
}


@dataclass(frozen=True)
class OptionRow:
    """One option in the drawer.

    Args:
        name: its name on every host.
        label: what it is called there.
        default: its value where nothing else was chosen.
        low, high: bounds of a number, else None.
        choices: allowed names, else empty.
    """

    name: str
    label: str
    default: Any
    low: float | None
    high: float | None
    choices: tuple[str, ...]


def option_rows() -> tuple[OptionRow, ...]:
    """Return the options that the drawer has, in the order of their declaration."""
    return tuple(
        OptionRow(
            declared.name,
            LABELS[declared.name],
            declared.default,
            declared.metadata.get("low"),
            declared.metadata.get("high"),
            declared.metadata.get("choices", ()),
        )
        for declared in fields(Options)
        if declared.name in LABELS
    )


def chosen(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return what the drawer holds, in the order of `option_rows`, as overrides of the options."""
    return {row.name: number(value) for row, value in zip(option_rows(), values, strict=True)}


def number(value: Any) -> Any:
    """Return a slider's value as a whole number where it is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fixed_facts(options: Options, output_root: Path) -> tuple[str, ...]:
    """Return as sentences what the drawer only shows: programs and files of this machine are nothing for a page."""
    try:
        ffmpeg = f"Films are made by {find_ffmpeg(options.deforum_ffmpeg_location)}."
    except MissingFeature as error:
        ffmpeg = str(error)
    kept = output_root / Path(options.deforum_persistent_settings_path).expanduser()
    return ffmpeg, f"The settings to begin with are kept in {kept}."
