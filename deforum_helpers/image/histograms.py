"""Histogram matching: maps levels so that an image's distribution of values becomes that of a reference.

A level v stands for all values that round to it. It maps to the reference's level with the same cumulative share of
pixels, linearly interpolated between levels. Levels that do not occur are shifted like their neighbors, so an image
matched to itself does not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

LEVELS = 256
FINE = 16


def shifts(counts: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the shift of each value in levels: (C, 256 · 16) float32, at every sixteenth of a level.

    Pixels at the levels 10 and 20 in equal numbers, matched to 30 and 50, shift by 20 and 30 levels.

    Args:
        counts: (C, 256) pixels per channel and level of the image; no channel is empty.
        wanted: (C, 256) the same for the reference.
    """
    return np.stack([_channel_shifts(*pair) for pair in zip(counts, wanted, strict=True)])


def _channel_shifts(
    counts: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    levels, wanted_levels = np.flatnonzero(counts), np.flatnonzero(wanted)
    share = np.cumsum(counts)[levels] / counts.sum()
    wanted_share = np.cumsum(wanted)[wanted_levels] / wanted.sum()
    moved = np.interp(share, wanted_share, wanted_levels) - levels
    return np.interp(np.arange(LEVELS * FINE) / FINE, levels, moved).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Distribution:
    """The distribution of the values of three channels.

    Args:
        occurs: (3, 256) bool, which levels occur.
        share: (3, 256) float64, cumulative share of the pixels up to each level.
        before: (3, 256) int64, the last level before each one that occurs, -1 = none.
    """

    occurs: torch.Tensor
    share: torch.Tensor
    before: torch.Tensor


def distribution(counts: torch.Tensor) -> Distribution:
    """Return the distribution for (3, 256) counts of pixels per level."""
    share = counts.to(torch.float64).cumsum(1)
    return Distribution(counts > 0, share / share[:, -1:], _last_before(counts > 0))


def device_shifts(source: Distribution, reference: Distribution) -> torch.Tensor:
    """Return the shift of each value in levels: (3, 256 · 16) float32, at every sixteenth of a level.

    Args:
        source: distribution of the image.
        reference: distribution of the reference.
    """
    level = torch.arange(LEVELS, dtype=torch.float64, device=source.share.device)
    right = torch.searchsorted(reference.share, source.share).clamp(max=LEVELS - 1)
    left = reference.before.gather(1, right)
    left = torch.where(left < 0, right, left)
    high, low = reference.share.gather(1, right), reference.share.gather(1, left)
    part = torch.where(left < right, (source.share - low) / (high - low), 0.0)
    moved = (left + (right - left) * part - level) * source.occurs
    return _every_sixteenth(_between_occurring(moved, source))


def _between_occurring(moved: torch.Tensor, source: Distribution) -> torch.Tensor:
    """Return the shifts with levels that do not occur interpolated from their neighbors."""
    level = torch.arange(LEVELS, device=moved.device).expand_as(source.before)
    last = LEVELS - 1
    after = last - _last_before(source.occurs.flip(1)).flip(1)
    before = torch.where(source.before < 0, after.clamp(max=last), source.before)
    after = torch.where(after > last, before, after)
    part = torch.where(after > before, (level - before) / (after - before).clamp(min=1), 0.0)
    filled = torch.lerp(moved.gather(1, before), moved.gather(1, after), part.to(moved.dtype))
    return torch.where(source.occurs, moved, filled)


def _every_sixteenth(moved: torch.Tensor) -> torch.Tensor:
    following = torch.cat([moved[:, 1:], moved[:, -1:]], 1)
    part = torch.arange(FINE, device=moved.device) / FINE
    return (moved[..., None] + (following - moved)[..., None] * part).reshape(3, -1).to(torch.float32)


def _last_before(occurs: torch.Tensor) -> torch.Tensor:
    """Return the last level before each one that occurs, -1 = none: (3, 256) int64."""
    level = torch.arange(LEVELS, device=occurs.device)
    last = torch.where(occurs, level, -1).cummax(1).values
    return torch.cat([torch.full_like(last[:, :1], -1), last[:, :-1]], 1)
