"""Schedulers: from a name to falling noise levels, as plain numbers.

A model knows a table of noise levels, one per training step, rising. A scheduler picks some of them, falling,
and ends at 0. Levels are sigma of x + sigma * noise for noise- and v-predicting models, and the share of
noise in (1 - sigma) * x + sigma * noise for flow models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from deforum_helpers.core.registry import choose

Spacing = Literal["leading", "trailing", "linspace"]

# Published levels for 10 steps (Sabour et al., "Align Your Steps", arXiv 2404.14507; GITS: Chen et al., arXiv
# 2405.11326), for Stable Diffusion 1.x and for XL.
_ALIGN_YOUR_STEPS = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}
_GITS = {
    "sd1": (14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029),
    "sdxl": (14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029),
}


@dataclass(frozen=True)
class NoiseTable:
    """The noise levels that a model was trained with.

    Args:
        sigmas: one level per training step, rising, float64.
        flow: whether levels are shares of noise (flow matching).
        kind: whose published step tables fit: "sd1" or "sdxl".
        spacing: how DDIM and PLMS spread their steps over the training steps: from 0 upwards, from the last one
            downwards, or from end to end.
        offset: what "leading" adds to each training step.
        ends_at_zero: whether DDIM and PLMS end without noise; otherwise they end at the lowest level.
    """

    sigmas: np.ndarray
    flow: bool = False
    kind: str = "sd1"
    spacing: Spacing = "leading"
    offset: int = 1
    ends_at_zero: bool = False

    def sigma(self, timesteps: np.ndarray) -> np.ndarray:
        """Return the levels at `timesteps` (fractions allowed), interpolated in the logarithm."""
        return np.exp(np.interp(timesteps, np.arange(len(self.sigmas)), np.log(self.sigmas)))

    def timestep(self, sigmas: np.ndarray) -> np.ndarray:
        """Return the (fractional) training steps of levels `sigmas`, the inverse of `sigma`."""
        return np.interp(np.log(sigmas), np.log(self.sigmas), np.arange(len(self.sigmas)))


def noise_levels(table: NoiseTable, scheduler: str, steps: int) -> np.ndarray:
    """Return `steps` falling noise levels and a final 0, float64 (steps + 1,).

    Args:
        table: the model's levels.
        scheduler: a label of `names.SCHEDULERS`, not "Automatic".
        steps: >= 1.

    Raises:
        UnknownName: no such scheduler.
    """
    return np.append(choose(_SCHEDULES, scheduler, "scheduler")(table, steps), 0.0)


def training_levels(table: NoiseTable, steps: int) -> np.ndarray:
    """Return the levels of `steps` training steps, falling, and where DDIM and PLMS end: float64 (steps + 1,).

    Args:
        table: the model's levels and how its steps are spaced.
        steps: >= 1, at most the number of training steps.
    """
    count = len(table.sigmas)
    times: np.ndarray
    if table.spacing == "trailing" or steps == 1:  # a single step from the lowest level would leave all noise
        times = (np.arange(steps, 0, -1) * count / steps).round() - 1
    elif table.spacing == "linspace":
        times = np.linspace(0, count - 1, steps)[::-1]
    else:
        times = np.arange(steps)[::-1] * (count // steps) + table.offset
    levels = table.sigmas[times.round().astype(int).clip(0, count - 1)]
    return np.append(levels, 0.0 if table.ends_at_zero else table.sigmas[0])


def at_training_steps(table: NoiseTable, levels: np.ndarray) -> np.ndarray:
    """Round falling levels, the last of them 0, to those of training steps, none twice.

    The first training step is left out: there, a consistency model returns its input.
    """
    steps = table.timestep(levels[:-1]).round().astype(int).clip(min=1).tolist()
    for i in range(len(steps) - 2, -1, -1):
        steps[i] = max(steps[i], steps[i + 1] + 1)
    for i, step in enumerate(steps):
        steps[i] = min(step, steps[i - 1] - 1 if i else len(table.sigmas) - 1)
    return np.append(table.sigmas[steps], 0.0)


def below_pure_noise(levels: np.ndarray) -> np.ndarray:
    """Return levels of a flow model with those above 0.999 spread evenly from there down to the next one.

    Levels that begin below 1 stay as they are.
    """
    if levels[0] < 1:
        return levels
    crowded = int((levels > 0.999).sum())
    spread = np.linspace(0.999, levels[crowded], crowded, endpoint=False)
    return np.concatenate([spread, levels[crowded:]])


def _ramp(steps: int) -> np.ndarray:
    return np.linspace(0, 1, steps)


def _uniform(table: NoiseTable, steps: int) -> np.ndarray:
    return table.sigma((len(table.sigmas) - 1) * (1 - _ramp(steps)))


def _sgm_uniform(table: NoiseTable, steps: int) -> np.ndarray:
    return table.sigma(np.linspace(len(table.sigmas) - 1, 0, steps + 1)[:-1])


def _karras(table: NoiseTable, steps: int) -> np.ndarray:
    """Karras et al. 2022, eq. 5, rho = 7."""
    low, high = table.sigmas[0] ** (1 / 7), table.sigmas[-1] ** (1 / 7)
    return (high + _ramp(steps) * (low - high)) ** 7


def _exponential(table: NoiseTable, steps: int) -> np.ndarray:
    low, high = np.log(table.sigmas[0]), np.log(table.sigmas[-1])
    return np.exp(high + _ramp(steps) * (low - high))


def _kl_optimal(table: NoiseTable, steps: int) -> np.ndarray:
    """Sabour et al. 2024, eq. 7: evenly spaced arc tangents."""
    low, high = np.arctan(table.sigmas[0]), np.arctan(table.sigmas[-1])
    return np.tan(high + _ramp(steps) * (low - high))


def _simple(table: NoiseTable, steps: int) -> np.ndarray:
    stride = len(table.sigmas) / steps
    return table.sigmas[[-1 - int(i * stride) for i in range(steps)]]


def _ddim(table: NoiseTable, steps: int) -> np.ndarray:
    stride = max(len(table.sigmas) // steps, 1)
    return table.sigmas[np.minimum(np.arange(steps) * stride + 1, len(table.sigmas) - 1)[::-1]]


def _turbo(table: NoiseTable, steps: int) -> np.ndarray:
    times = np.arange(steps, 0, -1) * len(table.sigmas) / steps - 1
    return table.sigmas[np.clip(times.round().astype(int), 0, None)]


def _beta(table: NoiseTable, steps: int) -> np.ndarray:
    """Training steps at the quantiles of Beta(0.6, 0.6) (Lee et al., arXiv 2407.12173)."""
    share = 1 - np.arange(steps) / steps
    return table.sigma(_beta_quantile(share) * (len(table.sigmas) - 1))


def _beta_quantile(share: np.ndarray) -> np.ndarray:
    """Quantiles of Beta(0.6, 0.6): x = sin(a)^2 makes its density (sin a cos a)^0.2, which has no poles."""
    angle, cumulated = _beta_cumulated()
    return np.sin(np.interp(share, cumulated, angle)) ** 2


@lru_cache(maxsize=1)
def _beta_cumulated() -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(0, np.pi / 2, 20001)
    density = np.abs(np.sin(angle) * np.cos(angle)) ** 0.2
    cumulated = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return angle, cumulated / cumulated[-1]


def _published(levels: Mapping[str, tuple[float, ...]]) -> Callable[[NoiseTable, int], np.ndarray]:
    """A published table, stretched in the logarithm to the model's range, interpolated to the steps."""

    def schedule(table: NoiseTable, steps: int) -> np.ndarray:
        logs = np.log(levels[table.kind])
        share = (logs - logs[-1]) / (logs[0] - logs[-1])
        low, high = np.log(table.sigmas[0]), np.log(table.sigmas[-1])
        return np.exp(np.interp(_ramp(steps), _ramp(len(logs)), low + share * (high - low)))

    return schedule


_SCHEDULES: Mapping[str, Callable[[NoiseTable, int], np.ndarray]] = {
    "Uniform": _uniform,
    "Karras": _karras,
    "Exponential": _exponential,
    "Polyexponential": _exponential,  # its rho is 1 on every host, which is the exponential one
    "SGM Uniform": _sgm_uniform,
    "KL Optimal": _kl_optimal,
    "Align Your Steps": _published(_ALIGN_YOUR_STEPS),
    "Simple": _simple,
    "Normal": _uniform,
    "DDIM": _ddim,
    "Beta": _beta,
    "Turbo": _turbo,
    "Align Your Steps GITS": _published(_GITS),
    "Align Your Steps 11": _published(_ALIGN_YOUR_STEPS),
    "Align Your Steps 32": _published(_ALIGN_YOUR_STEPS),  # 32 points on the line of the 11
}
