"""Keys in seconds, beats, bars, percent and from the end, in schedules, prompts and guide images."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.schedule import Timeline, key_frame, numeric_series, prompt_series, string_series
from deforum_helpers.schedule.sound import Beats, Sound
from tests.refusals import refuses

STEADY = Sound(lambda: Beats.steady(100, 0.25))  # a beat every 0.6 s
FASTER = Sound(lambda: Beats(np.cumsum([1.0, *[0.5] * 8, *[0.4] * 32]), per_bar=3))


def frame(key: str, frames: int = 301, fps: float = 30.0, sound: Sound | None = STEADY) -> int:
    return key_frame(key, Timeline(frames, 7, fps, 64, 64, sound), "prompts")[0]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("2.5s", 75),
        ("0s", 0),
        (".5 s", 15),
        ("+1s", 30),
        ("1.s", 30),
        ("0.05s", 2),  # 1.5 is nearer to the later of two
        ("0b", 8),  # 0.25 s = 7.5 frames
        ("1b", 26),  # 0.85 s = 25.5
        ("8b", 152),  # 5.05 s = 151.5
        ("2bar", 152),
        ("2 bars", 152),
        ("2.5b", 53),  # 1.75 s = 52.5
        ("50%", 150),
        ("0%", 0),
        ("100%", 300),
        ("33.3%", 100),
        ("-10", 291),
        ("- 1", 300),
        ("-301", 0),
        ("-400", -99),
        ("-1s", 271),
        ("-25%", 225),
        ("-1b", 283),  # frame 301 is 5/18 of the way from beat 16 (frame 296) to beat 17 (frame 314)
        ("30", 30),
        ("2.5", 2),
        ("max_f-10", 290),
        ("0-10", -10),
        ("-0", 0),
        ("5 % 3", 2),
        ('"2.5s"', 75),
        ("(-10)", 291),
    ],
)
def test_keys(key: str, expected: int) -> None:
    assert frame(key) == expected


def test_beats_follow_the_tempo_of_a_sound() -> None:
    assert [frame(key, sound=FASTER) for key in ("0b", "8b", "10b", "4bar")] == [30, 150, 174, 198]


@given(st.integers(0, 5000), st.sampled_from([15, 23.976, 24, 29.97, 30, 60]), st.integers(40, 240))
def test_beats_do_not_drift(beat: int, fps: float, bpm: int) -> None:
    exact = Fraction(beat * 60, bpm) * Fraction(fps)
    found = frame(f"{beat}b", fps=fps, sound=Sound(lambda: Beats.steady(bpm)))
    assert abs(found - exact) <= Fraction(1, 2) + Fraction(1, 10**6)


@given(st.floats(0, 5000).map(lambda number: round(number, 3)), st.sampled_from([12, 23.976, 25, 30, 59.94]))
def test_seconds_are_rounded_to_the_nearest_frame(seconds: float, fps: float) -> None:
    assert frame(f"{seconds:.3f}s", fps=fps) == math.floor(seconds * fps + 0.5)


def test_every_kind_of_schedule_has_them() -> None:
    over = Timeline(101, 7, 10.0, 64, 64, STEADY)
    series = numeric_series("0: (0), 2s: (20) ~linear, 50%: (50), -1: (0) ~hold", over, "zoom")
    assert series.key_frames == (0, 20, 50, 100)
    assert series.values[[10, 35, 99, 100]].tolist() == [10, 35, 50, 0]
    assert string_series("0: (a), 2bar: (b)", over, "sampler_schedule").key_frames == (0, 51)
    prompts = prompt_series({"0": "a", "50%": "b", "-1s": "c"}, over)
    assert prompts.key_frames == (0, 50, 91)


def test_of_two_keys_at_one_frame_the_last_counts() -> None:
    over = Timeline(101, 7, 10.0, 64, 64)
    series = numeric_series("0: (0), 50%: (1), 5s: (2)", over, "zoom")
    assert series.values[50] == 2
    assert [code_of(warning) for warning in series.warnings] == ["key_given_again"]


@pytest.mark.parametrize("key", ["8b", "2bar", "-1b"])
def test_beats_without_a_tempo_or_a_sound_are_refused(key: str) -> None:
    over = Timeline(100, 7, 10.0, 64, 64)
    with refuses(SettingsError, "beats_unknown", key, "bpm"):
        numeric_series(f"0: (1), {key}: (2)", over, "zoom")
    with refuses(SettingsError, "beats_unknown", key):
        prompt_series({"0": "a", key: "b"}, over)


@pytest.mark.parametrize("key", ["2.5sec", "2.5 x", "s", "%", "1:30", "2b1", "8B", "999999999s", "2.5.1s"])
def test_other_units_are_refused(key: str) -> None:
    with pytest.raises(SettingsError):
        frame(f"{key}" if key != "s" else "s s")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("0-30", False),
        ("30-60", True),
        ("30 - 60", True),
        ("60-30", False),
        ("max_f-400", False),
        ("-30", False),
    ],
)
def test_a_range_of_frames_is_told_from_a_formula(key: str, told: bool) -> None:
    _, warnings = key_frame(key, Timeline(301, 7, 30.0, 64, 64), "prompts")
    assert ("key_like_range" in map(code_of, warnings)) == told
