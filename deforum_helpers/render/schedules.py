"""All schedules of a settings file, compiled and evaluated over all frames at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.render.guides import is_guided
from deforum_helpers.render.modes import is_hybrid, is_interpolated, is_moved
from deforum_helpers.schedule import NumericSeries, StringSeries, Timeline, numeric_series, string_series
from deforum_helpers.schedule.parseq import Manifest
from deforum_helpers.settings import FIELDS, Settings, defaults, flat_settings

Values = Mapping[str, NDArray[np.float64]]
Texts = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Schedules:
    """One value per frame for every schedule.

    Args:
        values: setting name -> (frames,) float64, read-only.
        texts: setting name -> one text per frame.
        warnings: what a person should know, as plain sentences.
    """

    values: Values
    texts: Texts
    warnings: tuple[str, ...]

    def at(self, frame: int) -> dict[str, float | str]:
        """Return the value of every schedule at `frame`."""
        numbers = {name: float(values[frame]) for name, values in self.values.items()}
        return {**numbers, **{name: texts[frame] for name, texts in self.texts.items()}}


def _flat(settings: Settings) -> bool:
    return settings.animation_mode == "2D"


def _depth_view(settings: Settings) -> bool:
    return settings.animation_mode == "3D"


def _flips(settings: Settings) -> bool:
    return settings.enable_perspective_flip and is_moved(settings)


def _switch(name: str) -> Callable[[Settings], bool]:
    return lambda settings: bool(getattr(settings, name))


# Who reads a schedule: one that nobody reads cannot fail a job. A schedule without a row is always read.
READ_WHEN: dict[str, Callable[[Settings], bool]] = {
    **dict.fromkeys(
        (
            *("translation_x", "translation_y", "noise_schedule", "contrast_schedule"),
            *("kernel_schedule", "sigma_schedule", "amount_schedule", "threshold_schedule"),
        ),
        is_moved,
    ),
    **dict.fromkeys(("angle", "zoom", "transform_center_x", "transform_center_y"), _flat),
    **dict.fromkeys(("translation_z", "rotation_3d_x", "rotation_3d_y", "rotation_3d_z"), _depth_view),
    **dict.fromkeys(("aspect_ratio_schedule", "fov_schedule"), _depth_view),
    **dict.fromkeys(("near_schedule", "far_schedule"), lambda settings: False),
    **dict.fromkeys((f"perspective_flip_{axis}" for axis in ("theta", "phi", "gamma", "fv")), _flips),
    "seed_schedule": lambda settings: settings.seed_behavior == "schedule" or is_guided(settings),
    **dict.fromkeys(
        ("subseed_schedule", "subseed_strength_schedule"),
        lambda settings: settings.enable_subseed_scheduling or is_interpolated(settings),
    ),
    "steps_schedule": _switch("enable_steps_scheduling"),
    "sampler_schedule": _switch("enable_sampler_scheduling"),
    "scheduler_schedule": _switch("enable_scheduler_scheduling"),
    "checkpoint_schedule": _switch("enable_checkpoint_scheduling"),
    "clipskip_schedule": _switch("enable_clipskip_scheduling"),
    "noise_multiplier_schedule": _switch("enable_noise_multiplier_scheduling"),
    "ddim_eta_schedule": _switch("enable_ddim_eta_scheduling"),
    "ancestral_eta_schedule": _switch("enable_ancestral_eta_scheduling"),
    "keyframe_strength_schedule": lambda settings: settings.keyframe_distribution != "Off",
    "mask_schedule": lambda settings: settings.use_mask or settings.use_mask_video,
    "noise_mask_schedule": _switch("use_noise_mask"),
    "cadence_flow_factor_schedule": lambda settings: settings.optical_flow_cadence != "None",
    "redo_flow_factor_schedule": lambda settings: settings.optical_flow_redo_generation != "None",
    **dict.fromkeys(
        (
            "image_strength_schedule",
            "image_keyframe_strength_schedule",
            "blendFactorMax",
            "blendFactorSlope",
            "tweening_frames_schedule",
            "color_correction_factor",
        ),
        is_guided,
    ),
}


def is_read(name: str, settings: Settings) -> bool:
    """Tell whether the schedule `name` has any effect on a film of these settings."""
    if name in READ_WHEN:
        return READ_WHEN[name](settings)
    if name.startswith("hybrid_"):
        return is_hybrid(settings)
    if name.startswith("cn_"):
        return settings.controlnet[int(name.split("_")[1]) - 1].enabled
    for feature in ("freeu", "kohya_hrfix"):
        if name.startswith(feature):
            return bool(getattr(settings, f"{feature}_enabled"))
    return True


def compile_schedules(settings: Settings, timeline: Timeline, manifest: Manifest | None = None) -> Schedules:
    """Evaluate every schedule of `settings` over `timeline`; those that a Parseq manifest drives are taken from it.

    Raises:
        SettingsError: all problems of all schedules that are read. One that nobody reads is replaced by its
            default, with a warning.
    """
    texts = flat_settings(settings)
    fallback = defaults()
    values: dict[str, NDArray[np.float64]] = {}
    strings: dict[str, tuple[str, ...]] = {}
    warnings: list[str] = []
    problems: list[Problem] = []
    for name, info in FIELDS.items():
        if info.kind not in ("schedule", "string schedule"):
            continue
        field = manifest.field_of(name) if manifest is not None else None
        if manifest is not None and field is not None:
            try:
                if info.kind == "schedule":
                    values[name] = manifest.numbers(field, timeline.frames)
                else:
                    strings[name] = manifest.texts(field, timeline.frames)
            except SettingsError as error:
                problems.extend(error.problems)
            continue
        compiled: NumericSeries | StringSeries
        build = numeric_series if info.kind == "schedule" else string_series
        try:
            compiled = build(texts[name], timeline, name)
        except SettingsError as error:
            if is_read(name, settings):
                problems.extend(error.problems)
                continue
            warnings.append(f"{error.problems[0].message} The schedule is not used here, so it is left out.")
            compiled = build(fallback[name], timeline, name)
        if is_read(name, settings):
            warnings.extend(compiled.warnings)
        if isinstance(compiled, StringSeries):
            strings[name] = compiled.values
        else:
            values[name] = compiled.values
    if problems:
        raise SettingsError(problems)
    return Schedules(values, strings, tuple(warnings))
