"""Easing curves: the share of the way that a value has gone, by the share of the time that has passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


def _hold(u: Floats) -> Floats:
    return np.zeros_like(u)


def _ease_in_out(u: Floats) -> Floats:
    return np.where(u < 0.5, 2 * u**2, 1 - 2 * (1 - u) ** 2)


def _bounce(u: Floats) -> Floats:
    """Parabolas that touch 1 at u = 4/11, 8/11, 10/11 and 1, as the heights of a ball that comes to rest."""
    middle = np.select([u < 4 / 11, u < 8 / 11, u < 10 / 11], [0.0, 6 / 11, 9 / 11], 21 / 22)
    lowest = np.select([u < 4 / 11, u < 8 / 11, u < 10 / 11], [0.0, 0.75, 0.9375], 0.984375)
    return (11 / 4) ** 2 * (u - middle) ** 2 + lowest


def _elastic(u: Floats) -> Floats:
    """A damped oscillation around 1 with a period of 0.3."""
    return 1 + 2 ** (-10 * u) * np.sin((u - 0.075) * (2 * np.pi / 0.3))


# Share of the way by the share u of the time, 0 < u < 1.
CURVES: Mapping[str, Callable[[Floats], Floats]] = {
    "linear": lambda u: u,
    "hold": _hold,
    "ease_in": lambda u: u**2,
    "ease_out": lambda u: 1 - (1 - u) ** 2,
    "ease_in_out": _ease_in_out,
    "bounce": _bounce,
    "elastic": _elastic,
}


def bezier(u: Floats, x1: float, y1: float, x2: float, y2: float) -> Floats:
    """Return y at x = `u` of the cubic Bézier curve (0, 0), (x1, y1), (x2, y2), (1, 1), as in CSS.

    Worked example: `bezier(0.42, 0, 0.58, 1)` is 0.5 at 0.5.

    Args:
        u: (N,) x, 0..1.
        x1, x2: 0..1, so that each x has one y.
    """
    low, high = np.zeros_like(u), np.ones_like(u)
    s = u.copy()
    for _ in range(60):  # Newton's method, with bisection where it would leave the bracket
        error = _bernstein(s, x1, x2) - u
        if np.max(np.abs(error), initial=0.0) < 1e-15:
            break
        low, high = np.where(error < 0, s, low), np.where(error > 0, s, high)
        slope = 3 * ((1 - s) ** 2 * x1 + 2 * (1 - s) * s * (x2 - x1) + s**2 * (1 - x2))
        following = s - error / np.where(slope > 1e-9, slope, np.inf)
        inside = (following > low) & (following < high) & (slope > 1e-9)
        s = np.where(inside, following, (low + high) / 2)
    return _bernstein(s, y1, y2)


def _bernstein(s: Floats, first: float, second: float) -> Floats:
    return 3 * (1 - s) ** 2 * s * first + 3 * (1 - s) * s**2 * second + s**3
