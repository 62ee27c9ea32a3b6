"""Beats of a sound, from its onsets.

The tempo is found for each moment from the autocorrelation of the onsets around it. librosa places the beats by dynamic
programming; each is then moved to the onset that it belongs to, because its steps are coarser than an onset's time.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.optional import require

Floats: TypeAlias = npt.NDArray[np.float64]

INSTALL_LINE = "pip install librosa"
SLOWEST_BPM, FASTEST_BPM = 40.0, 220.0
FEWEST_BEATS = 4
# A pulse twice or three times as fast that is nearly as strong is the beat: nothing sets the slower one apart.
_NEARLY = 0.9
# Below this strength there is no pulse; noise has 0.1, clicks have 1. Single windows of noise have more by chance.
_LEAST_PULSE, _LEAST_WINDOWS = 0.25, 5
_WINDOW_S, _STEP_S = 8.0, 1.0
_LONGEST_MOVE_S = 0.06
_TEMPI = np.geomspace(SLOWEST_BPM, FASTEST_BPM, 240)


def track_beats(onsets: npt.NDArray[np.floating], rate_hz: float) -> Floats:
    """Return the times of the beats in seconds, ascending; empty if there is no regular pulse.

    Args:
        onsets: strength of the onset at each step, (n,), 0 = none.
        rate_hz: steps per second.

    Raises:
        MissingFeature: librosa is not installed.
    """
    beat = require("librosa.beat", "Finding beats", INSTALL_LINE)
    strength = _sharpened(np.asarray(onsets, np.float64), rate_hz)
    if not strength.any():
        return np.empty(0)
    bpm = _local_tempo(strength, rate_hz)
    if bpm is None:
        return np.empty(0)
    _, steps = beat.beat_track(
        onset_envelope=strength, sr=rate_hz, hop_length=1, bpm=bpm, tightness=100, trim=False
    )
    return _on_onsets(np.asarray(steps, np.int64), strength, rate_hz)


def _sharpened(onsets: Floats, rate_hz: float) -> Floats:
    """Return the onsets above the mean around them, scaled so that the strongest are about 1."""
    width = int(rate_hz) | 1
    around = np.convolve(onsets, np.full(width, 1 / width), "same")
    sharp = np.maximum(onsets - around, 0.0)
    peaks = sharp[sharp > 0]
    return np.minimum(sharp / np.quantile(peaks, 0.98), 1.5) if peaks.size else sharp


def _local_tempo(strength: Floats, rate_hz: float) -> Floats | None:
    """Return the tempo at each step in beats per minute, or None if no part has a pulse."""
    window, step = int(_WINDOW_S * rate_hz), int(_STEP_S * rate_hz)
    padded = np.pad(strength, (window // 2, window // 2 + step))
    starts = np.arange(0, max(1, len(strength)), step)
    scores = np.stack([_pulse(padded[start : start + window], rate_hz) for start in starts])
    strongest = np.sort(scores.max(axis=1))
    if strongest[-min(_LEAST_WINDOWS, len(strongest))] < _LEAST_PULSE:
        return None
    places = _steadiest(scores)
    return np.asarray(_TEMPI[np.repeat(places, step)[: len(strength)]], np.float64)


def _pulse(part: Floats, rate_hz: float) -> Floats:
    """Return how strong a pulse of each of `_TEMPI` is in a part of the onsets, about 0..1."""
    size = 1 << (2 * len(part) - 1).bit_length()
    blurred = np.convolve(part, np.hanning(int(0.05 * rate_hz) | 1), "same")
    blurred -= blurred.mean()
    spectrum = np.fft.rfft(blurred, size)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: len(part)]
    if correlation[0] <= 0:
        return np.zeros(len(_TEMPI))
    overlap = np.linspace(1.0, 0.0, len(part), endpoint=False)
    correlation = correlation / correlation[0] / np.maximum(overlap, 0.25)
    lags = 60.0 * rate_hz / _TEMPI
    grid = np.arange(len(part))
    once, twice, thrice = (np.interp(number * lags, grid, correlation) for number in (1, 2, 3))
    return np.asarray((2 * once + twice + 0.5 * thrice) / 3.5, np.float64)


def _steadiest(scores: Floats) -> npt.NDArray[np.int64]:
    """Return the index of the tempo in each row so that strong pulses are followed and jumps are few (Viterbi)."""
    octaves = np.log2(_TEMPI)
    gain = scores * np.exp(-0.5 * np.log2(_TEMPI / 120.0) ** 2)  # most music is near 120 beats per minute
    for times in (2, 3):
        faster = [np.interp(times * _TEMPI, _TEMPI, row, right=0.0) for row in scores]
        gain = np.where(np.stack(faster) >= _NEARLY * scores, 0.5 * gain, gain)
    cost = np.minimum(20.0 * np.abs(octaves[:, None] - octaves[None, :]), 1.0)
    total = gain[0]
    links = []
    for row in gain[1:]:
        ways = total[None, :] - cost
        link = ways.argmax(axis=1)
        links.append(link)
        total = ways[np.arange(len(link)), link] + row
    place = int(total.argmax())
    path = [place]
    for link in reversed(links):
        place = int(link[place])
        path.append(place)
    return np.array(path[::-1], np.int64)


def _on_onsets(steps: npt.NDArray[np.int64], strength: Floats, rate_hz: float) -> Floats:
    """Return the times of beats, each moved to the strongest onset near it, or set between the others."""
    if len(steps) < FEWEST_BEATS:
        return np.empty(0)
    spacing = float(np.median(np.diff(steps)))
    reach = max(1, int(min(_LONGEST_MOVE_S * rate_hz, spacing / 5)))
    padded = np.pad(strength, reach + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)[1:-1][steps]
    offsets = np.arange(-reach, reach + 1)
    near = windows * (1 - 0.5 * np.abs(offsets) / reach)
    peak = near.argmax(axis=1)
    found = near[np.arange(len(steps)), peak] >= 0.1
    if found.sum() < FEWEST_BEATS:
        return np.empty(0)
    places = steps + offsets[peak]
    left, mid, right = (padded[places + reach + 1 + side] for side in (-1, 0, 1))
    bend = np.where(left + right - 2 * mid < 0, left + right - 2 * mid, -np.inf)
    exact = places + np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    numbers = np.arange(len(steps))
    first, last = np.flatnonzero(found)[[0, -1]]
    times = np.interp(numbers, numbers[found], exact[found])[first : last + 1] / rate_hz
    return np.asarray(times[np.diff(times, prepend=-1.0) > 0.02], np.float64)
