"""The sound of a run as expressions read it: its beats, levels and onsets over time.

Time 0 is the beginning of frame 0. The values come from `media/sound_analysis.py`, or, for beats without a sound, from
the settings `bpm` and `beat_offset`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from deforum_helpers.schedule import messages
from deforum_helpers.schedule.functions import FUNCTIONS, Function, Value

Floats: TypeAlias = npt.NDArray[np.float64]

_TEMPO_BEATS = 8  # intervals whose median is the tempo


@dataclass(frozen=True)
class Beats:
    """The beats of a sound; before the first and after the last one they go on at the tempo there.

    Bars begin at beats 0, `per_bar`, 2 * `per_bar`, ...

    Args:
        times_s: time of each beat in seconds, strictly ascending, at least two.
        per_bar: beats in a bar.
        first: number of the first beat in `times_s`; 0, or negative if beats come before the first bar.
    """

    times_s: Floats
    per_bar: int = 4
    first: int = 0

    def __post_init__(self) -> None:
        if len(self.times_s) < 2 or not (np.diff(self.times_s) > 0).all():
            raise ValueError(f"times_s has {len(self.times_s)} beats; expected two or more, ascending.")

    @classmethod
    def steady(cls, bpm: float, offset_s: float = 0.0, per_bar: int = 4) -> Beats:
        """Return beats of one tempo; beat 0 is at `offset_s`."""
        return cls(np.array([offset_s, offset_s + 60.0 / bpm]), per_bar)

    @property
    def is_steady(self) -> bool:
        """Whether these are beats of one given tempo."""
        return len(self.times_s) == 2

    @property
    def last(self) -> int:
        """Number of the last beat in `times_s`."""
        return self.first + len(self.times_s) - 1

    @property
    def bpm(self) -> float:
        """Tempo of the whole sound in beats per minute: the median over all beats."""
        return float(60.0 / np.median(np.diff(self.times_s)))

    def time_s(self, beat: npt.ArrayLike) -> Floats:
        """Return the time of beats in seconds; fractions lie between two beats.

        >>> Beats.steady(120, 0.25).time_s([0, 1, 2.5, -1]).tolist()
        [0.25, 0.75, 1.5, -0.25]
        """
        beat = np.asarray(beat, np.float64)
        before, after = self._ends_s
        inside = np.interp(beat, np.arange(self.first, self.last + 1), self.times_s)
        early, late = np.minimum(beat - self.first, 0.0), np.maximum(beat - self.last, 0.0)
        return np.asarray(inside + early * before + late * after, np.float64)

    def frame(self, beat: npt.ArrayLike, fps: float) -> npt.NDArray[np.int64]:
        """Return the frames that beats fall on: the nearest to their time, the later one of two equally near.

        >>> Beats.steady(100).frame([0, 1, 2, 3, 1000], 24).tolist()
        [0, 14, 29, 43, 14400]
        """
        return np.floor(self.time_s(beat) * fps + 0.5).astype(np.int64)

    def count(self, frame: npt.ArrayLike, fps: float) -> Floats:
        """Return the number of the newest beat at each frame, plus the part of it that has passed.

        The result is whole exactly at the frames that beats fall on.

        Args:
            frame: frame numbers, any shape; fractions are allowed.
            fps: frames per second.

        >>> Beats.steady(100).count([0, 7, 14, 29], 24).tolist()
        [0.0, 0.5, 1.0, 2.0]
        """
        frame = np.asarray(frame, np.float64)
        # A beat falls on a frame if it comes before the middle between that frame and the next one.
        beat = np.ceil(self._position((np.floor(frame) + 0.5) / fps)) - 1
        beat += self.frame(beat + 1, fps) <= frame  # both corrections are for rounding errors
        beat -= self.frame(beat, fps) > frame
        start, end = self.frame(beat, fps), self.frame(beat + 1, fps)
        passed = (frame - start) / np.maximum(end - start, 1)
        return np.asarray(beat + np.clip(passed, 0.0, np.nextafter(1.0, 0.0)), np.float64)

    def within(self, last_frame: float, fps: float, most: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the beats that fall on the frames from 0 to `last_frame`, the first `most`.

        >>> Beats.steady(120).within(20, 10, 100).tolist()
        [0, 1, 2, 3, 4]
        """
        first, last = np.ceil(self.count(0, fps)), np.floor(self.count(last_frame, fps))
        return np.arange(int(first), min(int(last) + 1, int(first) + most))

    def tempo(self, frame: npt.ArrayLike, fps: float) -> Floats:
        """Return the tempo at each frame in beats per minute: the median over the eight beats around it."""
        intervals = np.diff(self.times_s)
        beat = np.floor(self._position(np.asarray(frame, np.float64) / fps)) - self.first
        most = max(0, len(intervals) - _TEMPO_BEATS)
        begin = np.clip(beat - _TEMPO_BEATS // 2, 0, most).astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(intervals, min(_TEMPO_BEATS, len(intervals)))
        return np.asarray(60.0 / np.median(windows, axis=1)[begin], np.float64)

    def _position(self, time_s: Floats) -> Floats:
        before, after = self._ends_s
        inside = np.interp(time_s, self.times_s, np.arange(self.first, self.last + 1))
        early = np.minimum(time_s - self.times_s[0], 0.0) / before
        late = np.maximum(time_s - self.times_s[-1], 0.0) / after
        return np.asarray(inside + early + late, np.float64)

    @property
    def _ends_s(self) -> tuple[float, float]:
        """Length of a beat before the first and after the last one: the median of the nearest ones."""
        intervals = np.diff(self.times_s)
        return float(np.median(intervals[:_TEMPO_BEATS])), float(np.median(intervals[-_TEMPO_BEATS:]))


LEVEL_NAMES = ("rms", "bass", "mid", "treble")
ONSET_NAMES = ("onset", "kick", "snare")
BEAT_NAMES = ("beat", "beat_phase", "bar", "bar_phase", "bpm")
_MOST_BANDS = 16  # different bands in one range of frames; a band whose edges move has no use


@dataclass(frozen=True)
class Curves:
    """Series over time that were measured together.

    Args:
        values: (n,) by name, or (n, bands) of one kind, 0 or more.
        rate_hz: entries per second.
        first_s: time of the first entry in seconds.
    """

    values: Mapping[str, npt.NDArray[np.floating]]
    rate_hz: float
    first_s: float


@dataclass(frozen=True)
class Levels:
    """The levels and onsets of a sound.

    Args:
        amplitudes: the amplitude of each of `LEVEL_NAMES`; "bands" -> (n, bands), the amplitude of each band.
        onsets: the strength of each of `ONSET_NAMES`.
        edges_hz: (bands + 1,) frequencies between the bands, ascending.
        smoothing_s: length of the window that the values are averaged over, in seconds.
    """

    amplitudes: Curves
    onsets: Curves
    edges_hz: Floats
    smoothing_s: float

    def at(self, name: str, frame: npt.ArrayLike, fps: float) -> Floats:
        """Return a level or an onset at frames: 0 = silence, 1 = the loudest moment, or a strong onset."""
        curves = self.onsets if name in ONSET_NAMES else self.amplitudes
        return self._read(name, lambda: curves.values[name], curves, frame, fps)

    def band(self, low_hz: Value, high_hz: Value, frame: npt.ArrayLike, fps: float) -> Floats:
        """Return the level between two frequencies at frames, 1 = the strongest there; nan without a range."""
        low, high, frames = np.broadcast_arrays(low_hz, high_hz, np.asarray(frame, np.float64))
        pairs = np.unique(np.stack([low.ravel(), high.ravel()], axis=1), axis=0)
        result = np.full(frames.shape, np.nan)
        for start, end in pairs.tolist() if len(pairs) <= _MOST_BANDS else ():
            if start < end:
                chosen = (low == start) & (high == end)
                measured = partial(self._band, start, end)
                name = f"band({start!r}, {end!r})"
                result[chosen] = self._read(name, measured, self.amplitudes, frames[chosen], fps)
        return result

    def _band(self, low_hz: float, high_hz: float) -> Floats:
        edges = np.log2(self.edges_hz)
        low, high = np.log2(max(low_hz, 1e-3)), np.log2(max(high_hz, 1e-3))
        width = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        share = np.clip(width / np.diff(edges), 0, 1).astype(np.float32)
        bands = self.amplitudes.values["bands"]
        blocks = [bands[start : start + _BLOCK] for start in range(0, len(bands), _BLOCK)]
        return np.concatenate([np.sqrt(block.astype(np.float32) ** 2 @ share) for block in blocks])

    def _read(
        self,
        name: str,
        measured: Callable[[], npt.NDArray[np.floating]],
        curves: Curves,
        frame: npt.ArrayLike,
        fps: float,
    ) -> Floats:
        key = (name, fps)
        if key not in self._smooth:
            frame_steps = curves.rate_hz / fps
            values = np.asarray(measured(), np.float64)
            if curves is self.onsets:
                values = _held(values, frame_steps)
            values = _averaged(values, max(self.smoothing_s * curves.rate_hz, frame_steps))
            peak = _strong(values) if curves is self.onsets else float(values.max())
            if curves is self.amplitudes and peak < _SILENT * float(curves.values["rms"].max()):
                self._silent[name] = None
                values, peak = np.zeros(len(values)), 1.0
            self._smooth[key] = np.minimum(values / (peak or 1.0), 1.0)
        values = self._smooth[key]
        step = (np.asarray(frame, np.float64) / fps - curves.first_s) * curves.rate_hz
        return np.interp(step, np.arange(len(values)), values)

    @property
    def silent(self) -> tuple[str, ...]:
        """The levels that were read and are silent throughout."""
        return tuple(self._silent)

    @cached_property
    def _silent(self) -> dict[str, None]:
        return {}

    @cached_property
    def _smooth(self) -> dict[tuple[str, float], Floats]:
        """The values at every step, as frames read them."""
        return {}


_BLOCK = 1 << 16
_SILENT = 1e-3  # of the loudest moment: the residue of filters and compression


def _held(values: Floats, steps: float) -> Floats:
    """Return the largest value within half a frame, so that a short onset is seen at the frame nearest to it."""
    side = max(0, round(steps / 2))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, side), 2 * side + 1)
    blocks = range(0, len(windows), _BLOCK)
    return np.concatenate([windows[start : start + _BLOCK].max(axis=1) for start in blocks])


def _strong(values: Floats) -> float:
    """Return the strength that one of twenty onsets exceeds; the first sound after silence would outdo all others."""
    inner = values[1:-1]
    peaks = inner[(inner > values[:-2]) & (inner >= values[2:]) & (inner > 0.1 * values.max())]
    return float(np.quantile(peaks, 0.95)) if peaks.size else float(values.max())


def _averaged(values: Floats, steps: float) -> Floats:
    """Return the mean around each value, weighted by a Hann window of `steps`, within the series."""
    side = min(round(steps / 2), len(values) - 1)
    if side < 1:
        return values
    weights = np.hanning(2 * side + 3)[1:-1]
    total = np.convolve(np.ones(len(values)), weights, "same")
    return np.asarray(np.convolve(values, weights, "same") / total, np.float64)


@dataclass(frozen=True)
class Sound:
    """The sound of a run; its parts are found when an expression first reads them.

    Args:
        find_beats: returns the beats; raises SettingsError if there are none.
        find_levels: returns the levels; raises SettingsError if the sound cannot be read. None = no sound, but a
            tempo.
        find_duration_s: returns the length of the sound from frame 0 on, in seconds. None = only a tempo is known.
        find_content: returns the digest of the sound's content.
    """

    find_beats: Callable[[], Beats]
    find_levels: Callable[[], Levels] | None = None
    find_duration_s: Callable[[], float] | None = None
    find_content: Callable[[], str] | None = None

    @cached_property
    def duration_s(self) -> float | None:
        """Length of the sound from frame 0 on, in seconds; None = only a tempo is known.

        Raises:
            SettingsError: the sound cannot be read.
        """
        return self.find_duration_s() if self.find_duration_s is not None else None

    @property
    def digest(self) -> str:
        """Digest of the sound's content if an expression has read it so far, else empty."""
        read = "levels" in vars(self) or ("beats" in vars(self) and not self.beats.is_steady)
        return self.find_content() if read and self.find_content is not None else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what has been read so far."""
        silent = self.levels.silent if "levels" in vars(self) else ()
        return tuple(messages.LEVEL_IS_SILENT(name=name) for name in silent)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that expressions may use."""
        levels = (*LEVEL_NAMES, *ONSET_NAMES) if self.find_levels is not None else ()
        return (*levels, *BEAT_NAMES)

    @cached_property
    def beats(self) -> Beats:
        """The beats.

        Raises:
            SettingsError: none are known, or the sound cannot be read.
        """
        return self.find_beats()

    @cached_property
    def levels(self) -> Levels:
        """The levels.

        Raises:
            SettingsError: the sound cannot be read.
        """
        if self.find_levels is None:
            raise ValueError("There are beats, but no sound.")
        return self.find_levels()

    def at(self, name: str, frame: npt.ArrayLike, fps: float) -> Floats:
        """Return the value of one of `names` at frames; fractions lie between frames."""
        if name not in BEAT_NAMES:
            return self.levels.at(name, frame, fps)
        if name == "bpm":
            return self.beats.tempo(frame, fps)
        count = self.beats.count(frame, fps)
        count = count / self.beats.per_bar if name.startswith("bar") else count
        return np.asarray(count % 1.0 if name.endswith("phase") else np.floor(count), np.float64)


class Hearing(NamedTuple):
    """The sound at a frame rate: the operand that functions of the sound have beside those that are written."""

    sound: Sound
    fps: float


def _function(name: str) -> Function:
    return Function(lambda frame, hearing: hearing.sound.at(name, frame, hearing.fps), more=(HEARING,))


def _band(low_hz: Value, high_hz: Value, frame: Value, hearing: Hearing) -> Value:
    return hearing.sound.levels.band(low_hz, high_hz, frame, hearing.fps)


HEARING = "<sound>"  # no name that an expression can contain
_OF_BEATS = {name: _function(name) for name in BEAT_NAMES}
_OF_LEVELS = {name: _function(name) for name in (*LEVEL_NAMES, *ONSET_NAMES)}
_OF_LEVELS["band"] = Function(_band, 2, 3, more=(HEARING,), last="t")
TEMPO_FUNCTIONS: Mapping[str, Function] = FUNCTIONS | _OF_BEATS
SOUND_FUNCTIONS: Mapping[str, Function] = {**TEMPO_FUNCTIONS, **_OF_LEVELS}
