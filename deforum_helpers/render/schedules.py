"""The evaluated schedules of a run, one value per frame, and the inputs of planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from deforum_helpers.settings.acting import acting
from deforum_helpers.settings.host_options import Options


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


Values = Mapping[str, NDArray[np.float64]]
Texts = Mapping[str, tuple[str, ...]]
NAMES = tuple(name for name, info in FIELDS.items() if info.kind in ("schedule", "string schedule"))


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
    def _numbers(self) -> tuple[dict[str, float], tuple[tuple[str, NDArray[np.float64]], ...]]:
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
    values: dict[str, NDArray[np.float64]] = {}
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
