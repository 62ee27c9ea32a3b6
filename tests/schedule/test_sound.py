"""Beats: their times, the frames that they fall on, and the count of them at each frame."""

from __future__ import annotations

import numpy as np
import pytest

from deforum_helpers.schedule.sound import Beats

RATES = (1, 15, 23.976, 24, 29.97, 30, 60)


@pytest.mark.parametrize("bpm", [33.3, 60, 97.3, 119.999, 190])
def test_beats_fall_on_the_frame_nearest_to_their_time_without_drift(bpm: float) -> None:
    beats = Beats.steady(bpm, 0.37)
    numbers = np.arange(-20, 40_000)
    exact_s = 0.37 + numbers * 60 / bpm
    for fps in RATES:
        frames = beats.frame(numbers, fps)
        assert np.abs(frames / fps - exact_s).max() <= 0.5 / fps + 1e-9


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("bpm", [60, 97.3, 190])
def test_the_count_changes_at_the_frames_that_beats_fall_on(bpm: float, fps: float) -> None:
    beats = Beats.steady(bpm, 0.37)
    frames = np.arange(5000)
    count = beats.count(frames, fps)
    numbers = np.arange(-10, int(count[-1]) + 10)
    newest = numbers[np.searchsorted(beats.frame(numbers, fps), frames, side="right") - 1]
    assert (np.floor(count) == newest).all()
    assert (np.diff(count) >= 0).all()


def test_beats_go_on_beyond_both_ends_at_the_tempo_there() -> None:
    beats = Beats(np.cumsum([1.0, *[0.5] * 20, *[0.4] * 20]), first=-1)
    assert beats.time_s([-3, -1, 0, 39, 41]) == pytest.approx([0.0, 1.0, 1.5, 19.0, 19.8])
    assert beats.tempo([0, 450], 25) == pytest.approx([120, 150])


def test_beats_must_ascend() -> None:
    with pytest.raises(ValueError):
        Beats(np.array([1.0, 1.0]))
