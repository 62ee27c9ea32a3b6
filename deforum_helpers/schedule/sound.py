"""The sound of a run as expressions read it: its beats, levels and onsets over time.

Time 0 is the beginning of frame 0. The values come from `media/sound_analysis.py`, or, for beats without a sound, from
the settings `bpm` and `beat_offset`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Sound:
    """The beats of a run, found when an expression first reads them.

    Args:
        find_beats: returns the beats; raises SettingsError if there are none.
        duration_s: length of the sound from frame 0 on, in seconds; None = only a tempo is known.
    """

    find_beats: Callable[[], Beats]
    duration_s: float | None = None

    @cached_property
    def beats(self) -> Beats:
        """The beats.

        Raises:
            SettingsError: none are known, or the sound cannot be read.
        """
        return self.find_beats()
