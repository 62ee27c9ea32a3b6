"""Options of a host that a job depends on beside its settings: programs, encoder, subtitles, model choices."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from deforum_helpers.errors import Problem, SettingsError
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


PREVIEWS = ("Off", "On", "On, concurrent (don't pause generation)")


def option(default: Any, **bounds: Any) -> Any:
    """Declare an option: its default, and `low` and `high`, or `choices`, or `fixed` (only the host's own value)."""
    return field(default=default, metadata=bounds)


@dataclass(frozen=True)
class Options:
    """The options that a job may override, by the names that WebUI hosts give them.

    Args:
        deforum_ffmpeg_location: path of ffmpeg; empty = the one of imageio-ffmpeg, else the one on the PATH.
        deforum_ffmpeg_crf: quality of the video, 0 (lossless) .. 51.
        deforum_ffmpeg_preset: x264 preset.
        deforum_save_gen_info_as_srt: write subtitles with the parameters of each frame.
        deforum_embed_srt: put them into the video as well.
        deforum_save_gen_info_as_srt_params: which parameters, by their labels.
        deforum_simple_subtitles: leave the numbers of frame and seed out of the subtitles.
        deforum_own_line_for_prompt_srt: give the prompt a line of its own.
        deforum_subtitles_per_second: most entries in a second, 1..60; 0 = one for each frame.
        deforum_always_write_keyframe_subtitle: begin an entry at each key frame even so.
        deforum_keep_3d_models_in_vram: keep the depth model loaded between jobs.
        deforum_enable_persistent_settings: keep the settings of the newest film, for the next start of the tab.
        deforum_persistent_settings_path: the file that keeps them.
        deforum_debug_mode_enabled: write each step of a job into the log.
        deforum_preview: make a film of the frames so far while rendering goes on.
        deforum_preview_interval_frames: after how many frames anew, 10..500.
        outdir_samples: a folder inside the output root, empty = the output root's `img2img-images`.
        CLIP_stop_at_last_layers: clip skip, 1..12.
        sd_model_checkpoint: checkpoint, empty = the host's.
        sd_vae: VAE, "Automatic" = the checkpoint's own.
        eta_ancestral, eta_ddim: noise share of ancestral samplers and of DDIM, 0..1.
        initial_noise_multiplier: scale of the init image's noise, 0..1.5.
        img2img_fix_steps: accepted as classic did, which always rendered with it switched off.
    """

    deforum_ffmpeg_location: str = option("", fixed=True)
    deforum_ffmpeg_crf: int = option(17, low=0, high=51)
    deforum_ffmpeg_preset: str = option("slow", choices=X264_PRESETS)
    deforum_save_gen_info_as_srt: bool = option(False)
    deforum_embed_srt: bool = option(False)
    deforum_save_gen_info_as_srt_params: tuple[str, ...] = option(
        ("Noise Sch",), choices=tuple(param.label for param in SUBTITLE_PARAMS)
    )
    deforum_simple_subtitles: bool = option(False)
    deforum_own_line_for_prompt_srt: bool = option(False)
    deforum_subtitles_per_second: int = option(0, low=0, high=60)
    deforum_always_write_keyframe_subtitle: bool = option(True)
    deforum_keep_3d_models_in_vram: bool = option(False)
    deforum_enable_persistent_settings: bool = option(False)
    deforum_persistent_settings_path: str = option(
        "models/Deforum/deforum_persistent_settings.txt", fixed=True
    )
    deforum_debug_mode_enabled: bool = option(False)
    deforum_preview: str = option("Off", choices=PREVIEWS)
    deforum_preview_interval_frames: int = option(100, low=10, high=500)
    outdir_samples: str = option("")
    CLIP_stop_at_last_layers: int = option(1, low=1, high=12)
    sd_model_checkpoint: str = option("")
    sd_vae: str = option("Automatic")
    eta_ancestral: float = option(1.0, low=0.0, high=1.0)
    eta_ddim: float = option(0.0, low=0.0, high=1.0)
    initial_noise_multiplier: float = option(1.0, low=0.0, high=1.5)
    img2img_fix_steps: bool = option(False)


def override(options: Options, overrides: dict[str, Any]) -> Options:
    """Return `options` with the values of `overrides`.

    Raises:
        SettingsError: an option that a job may not set, or a value that it cannot have; all of them are named.
    """
    declared = {declaration.name: declaration for declaration in fields(Options)}
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in overrides.items():
        if name not in declared:
            problems.append(
                _problem(name, value, f"one of {', '.join(declared)}", "cannot be overridden by a job")
            )
            continue
        current = getattr(options, name)
        metadata = declared[name].metadata
        allowed = _allowed(metadata, current)
        accepted, ok = _accept(value, current, metadata)
        if ok:
            values[name] = accepted
        else:
            problems.append(_problem(name, value, allowed, "has a value that it cannot have"))
    if problems:
        raise SettingsError(problems)
    return replace(options, **values)


def _problem(name: str, value: Any, allowed: str, what: str) -> Problem:
    found = repr(value)[:80]
    message = f"The option {name!r} {what}: found {found}, allowed: {allowed}."
    return Problem(message, setting=f"options_overrides.{name}", found=found, allowed=allowed)


def _allowed(metadata: Any, current: Any) -> str:
    if metadata.get("fixed"):
        return f"the configured {current!r}"
    if "choices" in metadata:
        return ", ".join(metadata["choices"])
    if "low" in metadata:
        return f"{metadata['low']} to {metadata['high']}"
    return {bool: "true or false", str: "a text of up to 1,000 characters"}[type(current)]


def _accept(value: Any, current: Any, metadata: Any) -> tuple[Any, bool]:
    """Return the value as the option's type, and whether it may be had."""
    if metadata.get("fixed"):
        return value, value == current
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


def _accept_labels(value: Any, choices: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Published clients send `{}` for "no labels", and the invalid label of classic's own default."""
    if value in ({}, None):
        return (), True
    if not isinstance(value, (list, tuple)):
        return (), False
    labels = tuple("Noise Sch" if label == "Noise Schedule" else label for label in value)
    return labels, all(isinstance(label, str) and label in choices for label in labels)
