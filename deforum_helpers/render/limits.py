"""Limits of schedules: values that no frame can be rendered with, and values that are clamped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.matrix_2d import SMALLEST_FV_DEG
from deforum_helpers.core.errors import Problem
from deforum_helpers.render import messages
from deforum_helpers.render.schedules import Schedules
from deforum_helpers.settings import FIELDS

# A sine that peaks at 1 may exceed it by a rounding error.
ROUNDING = 1e-9

Series = NDArray[np.float64]


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
