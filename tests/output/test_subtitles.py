from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.output.subtitles import SubtitleWriter, subtitle, timestamp
from deforum_helpers.settings.tables import SUBTITLE_PARAMS

VALUES = {
    "angle": 0.0,
    "zoom": 1.0025,
    "translation_z": -1.5,
    "rotation_3d_y": 2,
    "strength_schedule": 0.65,
    "sampler_schedule": "Euler a",
    "fov_schedule": 70.0,
}


def entry(frame: int, fps: float, label: str, seed: int, prompt: str, *params: str) -> str:
    return subtitle(frame, fps, label, seed, VALUES, prompt, params, SUBTITLE_PARAMS)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            subtitle(1, 20, "false", 2, {"zoom": 1.003}, "", ["Zoom"], SUBTITLE_PARAMS),
            "2\n00:00:00,050 --> 00:00:00,100\nF#: 1; Cadence: false; Seed: 2; Zoom: 1.003\n\n",
        ),
        (
            entry(0, 15, "false", 7, "a castle"),
            "1\n00:00:00,000 --> 00:00:00,066\nF#: 0; Cadence: false; Seed: 7; \n\n",
        ),
        (
            entry(2, 3, "True", 9, "a castle", "Prompt"),
            "3\n00:00:00,666 --> 00:00:00,999\nF#: 2; Cadence: True; Seed: 9; Prompt: a castle\n\n",
        ),
        (
            entry(3, 3, "False", 9, "a castle --neg ", "Prompt", "Angle"),
            "4\n00:00:00,999 --> 00:00:01,333\n"
            "F#: 3; Cadence: False; Seed: 9; Angle: 0; Prompt: a castle --neg\n\n",
        ),
        (
            entry(36000, 10, "false", 1, "", "Str Sch", "Trans Z", "Rot 3D Y"),
            "36001\n01:00:00,000 --> 01:00:00,100\n"
            "F#: 36000; Cadence: false; Seed: 1; TrZ: -1.500; RotY: 2; StrSch: 0.650\n\n",
        ),
        (
            entry(5, 12.5, "false", 1, "two\n\nlines", "FOV Sch", "Sampler Sch", "Prompt"),
            "6\n00:00:00,400 --> 00:00:00,480\nF#: 5; Cadence: false; Seed: 1; SamplerSchedule: Euler a; "
            "FieldOfViewSchedule: 70; Prompt: two  lines\n\n",
        ),
    ],
)
def test_entries(made: str, expected: str) -> None:
    assert made == expected


@pytest.mark.parametrize(
    ("frame", "fps", "time"),
    [
        (360_000, 1, "100:00:00,000"),
        (1, 29.97, "00:00:00,033"),
        (1, 0.5, "00:00:02,000"),
        (59, 60, "00:00:00,983"),
    ],
)
def test_timestamps(frame: int, fps: float, time: str) -> None:
    assert timestamp(frame, fps) == time


@given(st.integers(0, 500_000), st.integers(1, 240))
def test_a_timestamp_is_never_late_and_at_most_a_millisecond_early(frame: int, fps: int) -> None:
    clock, milliseconds = timestamp(frame, fps).split(",")
    hours, minutes, seconds = map(int, clock.split(":"))
    told = Fraction(((hours * 60 + minutes) * 60 + seconds) * 1000 + int(milliseconds), 1000)
    assert 0 <= Fraction(frame, fps) - told <= Fraction(1, 1000)


def test_the_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    with SubtitleWriter(path, 20) as writer:
        for frame in range(2):
            writer.write(frame, "false", frame, {}, "Schloß", ["Prompt"], SUBTITLE_PARAMS)
        assert not path.exists()
        assert writer.finish() == path
    expected = subtitle(0, 20, "false", 0, {}, "Schloß", ["Prompt"], SUBTITLE_PARAMS)
    expected += subtitle(1, 20, "false", 1, {}, "Schloß", ["Prompt"], SUBTITLE_PARAMS)
    assert path.read_bytes() == expected.encode()


def test_an_unfinished_file_leaves_nothing(tmp_path: Path) -> None:
    with SubtitleWriter(tmp_path / "a.srt", 20) as writer:
        writer.write(0, "false", 1, {}, "", [], SUBTITLE_PARAMS)
    assert not list(tmp_path.iterdir())
