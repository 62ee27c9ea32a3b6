"""Host options that a job depends on: programs, encoder, subtitles, checkpoint choices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.settings import messages
from deforum_helpers.settings.tables import SUBTITLE_PARAMS

X264_PRESETS = (
    "veryslow",
    "slower",
    "slow",
    "medium",
    "fast",
    "faster",
    "veryfast",
    "superfast",
    "ultrafast",
)

VIDEO_ENCODERS = ("x264", "nvenc")

MAX_PROBLEMS = 20
PREVIEWS = ("Off", "On", "On, concurrent (don't pause generation)")


def option(default: Any, label: str = "", **bounds: Any) -> Any:
    """Declare an option.

    Args:
        default: the value if none was chosen.
        label: text beside it on the options page; empty = the option is set elsewhere.
        bounds: `low` and `high`, or `choices`, or `fixed` (only the host's own value); `program` with `fixed`: the
            path of a program, which a job may name but which is never run; `since="here"` for one that classic
            Deforum did not have: at its default it is no part of a run's digest.
    """
    return field(default=default, metadata={"label": label, **bounds})


@dataclass(frozen=True)
class Options:
    """The options that a job may override, by the names that WebUI hosts give them; the labels describe them.

    Args:
        outdir_samples: a folder inside the output root, empty = the output root's `img2img-images`.
        sd_model_checkpoint: checkpoint, empty = the host's.
        sd_vae: VAE, "Automatic" = the checkpoint's own.
        img2img_fix_steps: accepted but unused; classic always rendered with it off.
    """

    deforum_ffmpeg_location: str = option(
        "",
        "Path of ffmpeg; empty = the one installed with Deforum, else the system's",
        fixed=True,
        program=True,
    )
    deforum_ffmpeg_crf: int = option(
        17, "Quality of the video (CRF): 0 = lossless, 17 = very good, 51 = worst", low=0, high=51
    )
    deforum_ffmpeg_preset: str = option(
        "slow", "Speed of the video encoder; slower makes smaller files", choices=X264_PRESETS
    )
    deforum_ffmpeg_encoder: str = option(
        "x264",
        "Video encoder: x264 = on the processor, nvenc = on an NVIDIA GPU, or x264 where that does not work",
        choices=VIDEO_ENCODERS,
        since="here",
    )
    deforum_save_gen_info_as_srt: bool = option(
        False, "Save the parameters of each frame as subtitles (.srt)"
    )
    deforum_embed_srt: bool = option(False, "Also embed the subtitles in the video")
    deforum_save_gen_info_as_srt_params: tuple[str, ...] = option(
        ("Noise Sch",),
        "Parameters in the subtitles",
        choices=tuple(param.label for param in SUBTITLE_PARAMS),
    )
    deforum_simple_subtitles: bool = option(False, "Omit frame number and seed from the subtitles")
    deforum_own_line_for_prompt_srt: bool = option(False, "Put the prompt on its own line in the subtitles")
    deforum_subtitles_per_second: int = option(
        0, "Maximum subtitles per second; 0 = one per frame", low=0, high=60
    )
    deforum_always_write_keyframe_subtitle: bool = option(True, "Always write a subtitle at a key frame")
    deforum_keep_3d_models_in_vram: bool = option(
        False, "Keep the depth model loaded between runs (uses memory, saves seconds)"
    )
    deforum_enable_persistent_settings: bool = option(
        False, "Save the settings of the latest run and load them at the next start"
    )
    deforum_persistent_settings_path: str = option(
        "models/Deforum/deforum_persistent_settings.txt",
        "File for these settings; relative paths start in the WebUI's data folder",
        fixed=True,
    )
    deforum_debug_mode_enabled: bool = option(False, "Log each step of a job")
    deforum_preview: str = option(
        "Off", "Make a preview video of the frames so far during rendering", choices=PREVIEWS
    )
    deforum_preview_interval_frames: int = option(100, "Frames between two preview videos", low=10, high=500)
    outdir_samples: str = option("")
    CLIP_stop_at_last_layers: int = option(1, "CLIP skip", low=1, high=12)
    sd_model_checkpoint: str = option("")
    sd_vae: str = option("Automatic")
    eta_ancestral: float = option(
        1.0, "Eta of ancestral samplers: share of new noise per step", low=0.0, high=1.0
    )
    eta_ddim: float = option(0.0, "Eta of DDIM: share of new noise per step", low=0.0, high=1.0)
    initial_noise_multiplier: float = option(1.0, "Noise multiplier of the init image", low=0.0, high=1.5)
    img2img_fix_steps: bool = option(False)


def override(options: Options, overrides: dict[str, Any]) -> Options:
    """Return `options` with the values of `overrides`, except the programs that they name.

    Raises:
        SettingsError: options that a job may not set, and invalid values; all of them.
    """
    declared = {declaration.name: declaration for declaration in fields(Options)}
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in overrides.items():
        if len(problems) >= MAX_PROBLEMS:
            break
        if name not in declared:
            allowed = f"one of {', '.join(declared)}"
            message = messages.OPTION_NOT_OVERRIDABLE(name=name, allowed=allowed)
            problems.append(_problem(message, name, value, allowed))
            continue
        current = getattr(options, name)
        metadata = declared[name].metadata
        if metadata.get("program"):
            continue
        allowed = _allowed(metadata, current)
        accepted, ok = _accept(value, current, metadata)
        if ok:
            values[name] = accepted
        else:
            message = messages.INVALID_OPTION_VALUE(name=name, found=repr(value)[:80], allowed=allowed)
            problems.append(_problem(message, name, value, allowed))
    if problems:
        raise SettingsError(problems)
    return replace(options, **values)


def override_warnings(options: Options, overrides: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each override that is left out: programs other than the host's own."""
    return [
        messages.PROGRAM_NOT_CHOSEN(name=entry.name)
        for entry in fields(Options)
        if entry.metadata.get("program")
        and overrides.get(entry.name, "") not in ("", None, getattr(options, entry.name))
    ]


def _problem(message: str, name: str, value: Any, allowed: str) -> Problem:
    return Problem(message, setting=f"options_overrides.{name}", found=repr(value)[:80], allowed=allowed)


def _allowed(metadata: Any, current: Any) -> str:
    if metadata.get("fixed"):
        return f"the configured {current!r}"
    if "choices" in metadata:
        return ", ".join(metadata["choices"])
    if "low" in metadata:
        return f"{metadata['low']} to {metadata['high']}"
    return {bool: "true or false", str: "a text of up to 1,000 characters"}[type(current)]


def _accept(value: Any, current: Any, metadata: Any) -> tuple[Any, bool]:
    """Return the value converted to the option's type, and whether it is allowed.

    Numbers and switches may be text: a fork declared the number of subtitles per second as "10".
    """
    if metadata.get("fixed"):
        return value, value == current
    if isinstance(value, str) and not isinstance(current, (str, tuple)):
        value = _from_text(value)
    if isinstance(current, tuple):
        return _accept_labels(value, metadata["choices"])
    if isinstance(current, bool):
        return value, isinstance(value, bool)
    if isinstance(current, str):
        ok = isinstance(value, str) and len(value) <= 1000 and value in metadata.get("choices", (value,))
        return value, ok
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not metadata["low"] <= value <= metadata["high"]:
        return value, False
    return type(current)(value), isinstance(current, float) or value == int(value)


def _from_text(text: str) -> Any:
    """Return the number, true or false that a text says; other texts stay as they are."""
    if (truth := {"true": True, "false": False}.get(text.strip().casefold())) is not None:
        return truth
    return float(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,9}(\.[0-9]{0,9})?\s*", text, re.ASCII) else text


def _accept_labels(value: Any, choices: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Published clients send `{}` for "no labels", and the invalid label of classic's own default."""
    if value in ({}, None):
        return (), True
    if not isinstance(value, (list, tuple)):
        return (), False
    labels = tuple("Noise Sch" if label == "Noise Schedule" else label for label in value)
    return labels, all(isinstance(label, str) and label in choices for label in labels)
