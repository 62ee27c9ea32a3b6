"""Levels, onsets and beats of a sound.

Levels and onsets are measured while the sound is decoded, so that its length does not matter to the memory.

Two sequences of spectra are taken from the mono signal: long windows at `LEVEL_RATE_HZ` for levels, short ones at
`ONSET_RATE_HZ` for onsets, whose times must be exact.

Beats are found from the onsets. The tempo at each moment follows from the autocorrelation of the onsets around it.
librosa places the beats by dynamic programming; each is then moved to the onset that it belongs to, because its steps
are coarser than an onset's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from deforum_helpers.core.errors import VideoError
from deforum_helpers.core.optional import require
from deforum_helpers.media import messages
from deforum_helpers.media.containers import Check, decode_sound, open_media

Floats: TypeAlias = npt.NDArray[np.floating]
Series: TypeAlias = npt.NDArray[np.float64]

RATE_HZ = 22_050
LEVEL_HOP, LEVEL_WINDOW = 512, 2048
ONSET_HOP, ONSET_WINDOW = 128, 1024
LEVEL_RATE_HZ = RATE_HZ / LEVEL_HOP
ONSET_RATE_HZ = RATE_HZ / ONSET_HOP
# Edges of the bands that `band(lo, hi)` is composed of: a quarter of a semitone more than two semitones apart.
BAND_EDGES_HZ = np.geomspace(20.0, RATE_HZ / 2, 65)
RANGES_HZ = {"bass": (20.0, 250.0), "mid": (250.0, 4000.0), "treble": (4000.0, RATE_HZ / 2)}
DRUMS_HZ = {"kick": (20.0, 130.0), "snare": (1000.0, 6000.0)}
# Onsets are rises of the loudness, of which log(1 + LOUDNESS * amplitude) is a measure, over this many steps.
_LOUDNESS = 1000.0
_RISE = 3
# The window sees an onset this many steps before its center gets there; found with clicks.
_EARLY = 1
LONGEST_S = 4 * 3600.0
_BLOCK = RATE_HZ * 10  # samples that are transformed at a time

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


class SoundTooLong(VideoError):
    """A sound is longer than `LONGEST_S`."""


@dataclass(frozen=True)
class Measurements:
    """What is measured of a sound; amplitudes are those of the mono signal, where a full-scale square wave has 1.

    Args:
        duration_s: length in seconds.
        levels: "rms", "bass", "mid", "treble" -> (n,) float32, the RMS amplitude, at `LEVEL_RATE_HZ`; entry i is
            about the time (i + 0.5) / LEVEL_RATE_HZ.
        bands: (n, 64) float16, the RMS amplitude of each band between two of `BAND_EDGES_HZ`.
        onsets: "onset", "kick", "snare" -> (m,) float32, the rise of the loudness at `ONSET_RATE_HZ`; entry i is about
            the time i / ONSET_RATE_HZ.
    """

    duration_s: float
    levels: dict[str, Floats]
    bands: Floats
    onsets: dict[str, Floats]


def measure_sound(path: Path, check: Check) -> Measurements:
    """Decode and measure the first sound stream of a file.

    Args:
        path: local sound or video file.
        check: called at each packet, to raise an error that ends the work.

    Raises: as `open_media`, `decode_sound` and `measured`.
    """
    with open_media(path, check) as container:
        return measured(decode_sound(container, RATE_HZ, check))


def measured(blocks: Iterator[npt.NDArray[np.float32]]) -> Measurements:
    """Return the measurements of mono samples at `RATE_HZ`, given as blocks of any length.

    Raises:
        SoundTooLong: there are more than `LONGEST_S` of them.
    """
    gauge = _Levels()
    rises = _Onsets()
    samples = 0
    for block in _of_length(blocks, _BLOCK):
        samples += len(block)
        if samples > LONGEST_S * RATE_HZ:
            raise SoundTooLong(messages.SOUND_TOO_LONG(hours=LONGEST_S / 3600))
        gauge.add(block)
        rises.add(block)
    levels, bands = gauge.finished()
    return Measurements(samples / RATE_HZ, levels, bands, rises.finished())


def track_beats(onsets: npt.NDArray[np.floating], rate_hz: float) -> Series:
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


def _of_length(blocks: Iterator[npt.NDArray[np.float32]], length: int) -> Iterator[npt.NDArray[np.float32]]:
    """Join blocks to longer ones of at least `length` samples; the last one may be shorter."""
    pieces: list[npt.NDArray[np.float32]] = []
    for block in blocks:
        pieces.append(block)
        if sum(map(len, pieces)) >= length:
            yield np.concatenate(pieces)
            pieces = []
    if pieces:
        yield np.concatenate(pieces)


class _Frames:
    """Cuts a signal that arrives in blocks into overlapping windows.

    Args:
        size: samples of a window.
        hop: samples from one window to the next.
        before: samples of silence before the signal.
    """

    def __init__(self, size: int, hop: int, before: int) -> None:
        self._size, self._hop = size, hop
        self._rest = np.zeros(before, np.float32)

    def cut(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the windows, (n, size), that are complete with this block."""
        signal = np.concatenate([self._rest, block])
        count = max(0, (len(signal) - self._size) // self._hop + 1)
        self._rest = signal[count * self._hop :]
        if not count:
            return np.empty((0, self._size), np.float32)
        return np.lib.stride_tricks.sliding_window_view(signal, self._size)[:: self._hop][:count]


def _power(windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the power of each frequency, (n, size / 2 + 1); the sum of a row is the mean square of its window."""
    size = windows.shape[1]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    spectrum = np.fft.rfft(windows * hann)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    power[:, 1:-1] *= 2
    return np.asarray(power / (size * float((hann**2).sum())), np.float32)


def _share(size: int, low_hz: float, high_hz: float) -> npt.NDArray[np.float32]:
    """Return the part of each frequency of a window of `size` samples that lies in a range, (size / 2 + 1,)."""
    width = RATE_HZ / size
    low = (np.arange(size // 2 + 1) - 0.5) * width
    return np.clip((np.minimum(low + width, high_hz) - np.maximum(low, low_hz)) / width, 0, 1).astype(
        np.float32
    )


def _band_shares(size: int) -> npt.NDArray[np.float32]:
    return np.stack([_share(size, low, high) for low, high in pairwise(BAND_EDGES_HZ.tolist())], axis=1)


class _Levels:
    """Measures the amplitude in each range and band."""

    def __init__(self) -> None:
        self._frames = _Frames(LEVEL_WINDOW, LEVEL_HOP, (LEVEL_WINDOW - LEVEL_HOP) // 2)
        ranges = [_share(LEVEL_WINDOW, *limits) for limits in RANGES_HZ.values()]
        self._shares = np.concatenate([np.stack(ranges, axis=1), _band_shares(LEVEL_WINDOW)], axis=1)
        self._rows: list[npt.NDArray[np.float32]] = []

    def add(self, block: npt.NDArray[np.float32]) -> None:
        power = _power(self._frames.cut(block))
        total = np.sqrt(power.sum(axis=1, keepdims=True))
        self._rows.append(np.hstack([total, np.sqrt(power @ self._shares)]))

    def finished(self) -> tuple[dict[str, Floats], Floats]:
        self.add(np.zeros((LEVEL_WINDOW + LEVEL_HOP) // 2, np.float32))
        rows = np.concatenate(self._rows)
        names = ("rms", *RANGES_HZ)
        levels = {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(names)}
        return levels, rows[:, len(names) :].astype(np.float16)


class _Onsets:
    """Measures how fast the loudness rises, over all bands and in the ranges of drums."""

    def __init__(self) -> None:
        self._frames = _Frames(ONSET_WINDOW, ONSET_HOP, ONSET_WINDOW // 2)
        self._shares = _band_shares(ONSET_WINDOW)
        center = np.sqrt(BAND_EDGES_HZ[:-1] * BAND_EDGES_HZ[1:])
        weights = [np.ones(len(center))] + [
            ((center >= low) & (center < high)) * 1.0 for low, high in DRUMS_HZ.values()
        ]
        self._weights = np.stack([weight / weight.sum() for weight in weights], axis=1).astype(np.float32)
        self._before = np.zeros((_RISE, len(center)), np.float32)
        self._rows: list[npt.NDArray[np.float32]] = []

    def add(self, block: npt.NDArray[np.float32]) -> None:
        windows = self._frames.cut(block)
        loudness = np.log1p(_LOUDNESS * np.sqrt(_power(windows) @ self._shares))
        loudness = np.concatenate([self._before, loudness])
        self._before = loudness[-_RISE:]
        rises = np.maximum(loudness[_RISE:] - loudness[:-_RISE], 0.0)
        self._rows.append((rises @ self._weights).astype(np.float32))

    def finished(self) -> dict[str, Floats]:
        self.add(np.zeros(ONSET_WINDOW // 2, np.float32))
        rows = np.concatenate(self._rows)
        rows = np.concatenate([np.zeros((_EARLY, rows.shape[1]), np.float32), rows])[: len(rows)]
        names = ("onset", *DRUMS_HZ)
        return {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(names)}


def _sharpened(onsets: Series, rate_hz: float) -> Series:
    """Return the onsets above the mean around them, scaled so that the strongest are about 1."""
    width = int(rate_hz) | 1
    around = np.convolve(onsets, np.full(width, 1 / width), "same")
    sharp = np.maximum(onsets - around, 0.0)
    peaks = sharp[sharp > 0]
    return np.minimum(sharp / np.quantile(peaks, 0.98), 1.5) if peaks.size else sharp


def _local_tempo(strength: Series, rate_hz: float) -> Series | None:
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


def _pulse(part: Series, rate_hz: float) -> Series:
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


def _steadiest(scores: Series) -> npt.NDArray[np.int64]:
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


def _on_onsets(steps: npt.NDArray[np.int64], strength: Series, rate_hz: float) -> Series:
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
