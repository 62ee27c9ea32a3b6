"""The evaluated schedules of a run, one value per frame, their limits, and the inputs of planning."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.matrix_2d import SMALLEST_FV_DEG
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.render import messages
from deforum_helpers.render.guides import GuideImages
from deforum_helpers.render.masks import MaskPlan
from deforum_helpers.schedule import (
    NumericSeries,
    PromptSeries,
    StringSeries,
    Timeline,
    numeric_series,
    string_series,
)
from deforum_helpers.schedule.parseq import Manifest
from deforum_helpers.settings import FIELDS, Settings, defaults, flat_settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import acting, is_reversed


@dataclass(frozen=True)
class PlanInputs:
    """The inputs of planning.

    Args:
        settings: checked settings, seed resolved.
        options: host options with the job's overrides applied.
        schedules, prompts, masks: one value per frame.
        guides: guide images, or None.
    """

    settings: Settings
    options: Options
    schedules: Schedules
    prompts: PromptSeries
    masks: MaskPlan
    guides: GuideImages | None


Series = NDArray[np.float64]
Values = Mapping[str, Series]
Texts = Mapping[str, tuple[str, ...]]
NAMES = tuple(name for name, info in FIELDS.items() if info.kind in ("schedule", "string schedule"))

# A sine that peaks at 1 may exceed it by a rounding error.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Schedules:
    """One value per frame for every schedule.

    Args:
        values: setting name -> (frames,) float64, read-only.
        texts: setting name -> one text per frame.
        used: names of the schedules that have an effect.
        warnings: sentences for the user.
    """

    values: Values
    texts: Texts
    used: frozenset[str]
    warnings: tuple[str, ...]

    def at(self, frame: int) -> dict[str, float | str]:
        """Return the value of every schedule at `frame`."""
        return {**self.numbers_at(frame), **{name: texts[frame] for name, texts in self.texts.items()}}

    def numbers_at(self, frame: int) -> dict[str, float]:
        """Return the value of every numeric schedule at `frame`."""
        constant, changing = self._numbers
        numbers = constant.copy()
        for name, values in changing:
            numbers[name] = float(values[frame])
        return numbers

    @cached_property
    def _numbers(self) -> tuple[dict[str, float], tuple[tuple[str, Series], ...]]:
        """The numeric schedules that have the same value at every frame, and the few that change."""
        constant = {name: float(values[0]) for name, values in self.values.items()}
        changing = tuple(
            (name, values)
            for name, values in self.values.items()
            # Compared as bits: 0.0 and -0.0 have different reprs, which the plan's digest hashes.
            if (values.view(np.int64) != values[:1].view(np.int64)).any()
        )
        return constant, changing


def compile_schedules(settings: Settings, timeline: Timeline, manifest: Manifest | None = None) -> Schedules:
    """Evaluate every schedule of `settings` over `timeline`; a Parseq manifest replaces those it contains.

    Raises:
        SettingsError: all problems of all schedules that have an effect. A faulty schedule without effect is replaced
            by its default, with a warning.
    """
    values: dict[str, Series] = {}
    texts: dict[str, tuple[str, ...]] = {}
    warnings: list[str] = []
    problems: list[Problem] = []
    flat = flat_settings(settings)
    used = _used(flat, manifest)
    for name in NAMES:
        try:
            field = manifest.field_of(name) if manifest is not None else None
            if manifest is None or field is None:
                compiled = _compiled(name, flat[name], timeline, name in used)
                warnings.extend(compiled.warnings)
                column = compiled.values
            elif FIELDS[name].kind == "schedule":
                column = manifest.numbers(field, timeline.frames)
            else:
                column = manifest.texts(field, timeline.frames)
        except SettingsError as error:
            problems.extend(error.problems)
            continue
        if isinstance(column, tuple):
            texts[name] = column
        else:
            values[name] = column
    if problems:
        raise SettingsError(problems)
    return Schedules(values, texts, used, tuple(warnings))


def _used(flat: Mapping[str, Any], manifest: Manifest | None) -> frozenset[str]:
    """Return the names of the schedules that have an effect.

    The text of a schedule that a manifest replaces is ignored. As these schedules are known here, the others are judged
    as without a manifest.
    """
    driven = [name for name in NAMES if manifest is not None and manifest.field_of(name) is not None]
    return acting(NAMES, {**flat, **dict.fromkeys(driven, "driven"), "parseq_manifest": ""})


def _compiled(name: str, text: str, timeline: Timeline, used: bool) -> NumericSeries | StringSeries:
    """Return a schedule's series; a schedule without effect never raises, and has at most the warning about that."""
    build = numeric_series if FIELDS[name].kind == "schedule" else string_series
    try:
        series = build(text, timeline, name)
    except SettingsError as error:
        if used:
            raise
        warning = messages.UNUSED_SCHEDULE(problem=error.problems[0].message)
        return replace(build(defaults()[name], timeline, name), warnings=(warning,))
    return series if used else replace(series, warnings=())


@dataclass(frozen=True)
class Limit:
    """A limit that a schedule must keep at every frame, besides the bounds in its declaration."""

    holds: Callable[[Series], NDArray[np.bool_]]
    allowed: str


def _between(low: float, high: float) -> Limit:
    return Limit(lambda values: (values >= low) & (values <= high), f"{low:g} to {high:g}")


def _has_perspective(fv_deg: Series) -> NDArray[np.bool_]:
    half = np.radians(fv_deg) / 2
    return np.minimum(np.abs(np.sin(half)), np.abs(np.cos(half))) >= np.radians(SMALLEST_FV_DEG)


LIMITS = {
    "zoom": Limit(lambda v: (v == 0) | (np.abs(v) >= 1e-3) & (np.abs(v) <= 1e3), "0.001 to 1000, or 0"),
    "fov_schedule": Limit(lambda v: (np.abs(v) >= 1) & (np.abs(v) <= 179), "1 to 179 degrees, or -179 to -1"),
    "perspective_flip_fv": Limit(_has_perspective, "an angle that is not a multiple of 180 degrees"),
    **{
        name: _between(info.minimum, info.maximum)
        for name, info in FIELDS.items()
        if info.kind == "schedule"
        and not info.clamped
        and info.minimum is not None
        and info.maximum is not None
    },
}


def frame_problems(schedules: Schedules) -> list[Problem]:
    """Return one problem per schedule that breaks its limit, naming the first such frame."""
    problems = []
    for name, limit in LIMITS.items():
        if name not in schedules.used:
            continue
        values = schedules.values[name]
        bad = np.flatnonzero(~limit.holds(values))
        if bad.size == 0:
            continue
        frame = int(bad[0])
        found = f"{values[frame]:g}"
        problems.append(
            Problem(
                messages.VALUE_OUT_OF_RANGE(setting=name, found=found, frame=frame, allowed=limit.allowed),
                setting=name,
                frame=frame,
                found=found,
                allowed=limit.allowed,
            )
        )
    return problems


def frame_warnings(schedules: Schedules) -> tuple[str, ...]:
    """Return warnings about clamped values and about a zoom of 0."""
    return (*_clamp_warnings(schedules), *_zoom_warnings(schedules))


def _clamp_warnings(schedules: Schedules) -> Iterator[str]:
    for name, info in FIELDS.items():
        if not info.clamped or name not in schedules.used or name not in schedules.values:
            continue
        low, high, values = info.minimum or 0, info.maximum or 0, schedules.values[name]
        outside = np.flatnonzero((values < low - ROUNDING) | (values > high + ROUNDING))
        if outside.size:
            frame = int(outside[0])
            yield messages.VALUES_CLAMPED(
                setting=name,
                found=f"{values[frame]:g}",
                frame=frame,
                low=f"{low:g}",
                high=f"{high:g}",
                count=outside.size,
                frames=values.size,
            )


def _zoom_warnings(schedules: Schedules) -> tuple[str, ...]:
    if "zoom" not in schedules.used or schedules.values["zoom"].all():
        return ()
    frame = int(np.argmin(np.abs(schedules.values["zoom"])))
    return (messages.ZOOM_IS_ZERO(frame=frame),)


def in_render_order(inputs: PlanInputs) -> PlanInputs:
    """Return the inputs with all series in rendering order: for a reversed run, from the last frame to the first.

    Rendered backwards, a zoom in reveals nothing and is shown as a zoom out. `Plan.video_index` maps the frames of the
    plan to those of the video.
    """
    if not is_reversed(inputs.settings):
        return inputs
    return replace(
        inputs,
        schedules=_reversed_schedules(inputs.schedules),
        prompts=_reversed_prompts(inputs.prompts),
        masks=MaskPlan(inputs.masks.repainted[::-1], inputs.masks.noised[::-1]),
    )


def _reversed_schedules(schedules: Schedules) -> Schedules:
    return replace(
        schedules,
        values={name: values[::-1] for name, values in schedules.values.items()},
        texts={name: texts[::-1] for name, texts in schedules.texts.items()},
    )


def _reversed_prompts(prompts: PromptSeries) -> PromptSeries:
    frames = len(prompts.positive)
    ends = prompts.key_frames[1:] if prompts.key_frames[:1] == (0,) else prompts.key_frames
    return replace(
        prompts,
        texts=prompts.texts[::-1],
        positive=prompts.positive[::-1],
        negative=prompts.negative[::-1],
        own=prompts.own[::-1],
        key_frames=(0, *(frames - end for end in reversed(ends))),
    )
