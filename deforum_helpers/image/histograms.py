"""Matching of histograms: which level becomes which, so that the values are spread as in a reference.

A level v stands for all values that round to it. It becomes the reference's level with the same cumulated share of
pixels, between levels by straight lines; levels that do not occur are moved as their neighbours are, so that a
picture matched to itself stays as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS = 256
FINE = 16


def shifts(counts: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return by how many levels each value moves: (C, 256 · 16) float32, at every sixteenth of a level.

    Pixels spread evenly over the levels 10 and 20 that are to be spread over 30 and 50 move by 20 and 30 levels.

    Args:
        counts: (C, 256) pixels per channel and level of the picture, none of the channels empty.
        wanted: (C, 256) the same of the reference.
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
