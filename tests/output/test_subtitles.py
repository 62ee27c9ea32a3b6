from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.output.subtitles import (
    FrameInfo,
    Span,
    Style,
    SubtitleWriter,
    spans,
    subtitle,
    timestamp,
)

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
    return subtitle(FrameInfo(frame, label, seed, VALUES, prompt), alone(frame), fps, Style(params))


def alone(frame: int) -> Span:
    """The span of a frame whose entry is shown as long as it is."""
    return Span(frame + 1, frame, frame + 1)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            subtitle(FrameInfo(1, "false", 2, {"zoom": 1.003}, ""), alone(1), 20, Style(["Zoom"])),
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
    path, style = tmp_path / "a.srt", Style(["Prompt"])
    moments = [FrameInfo(frame, "false", frame, {}, "Schloß") for frame in range(2)]
    with SubtitleWriter(path, 20, style) as writer:
        for moment in moments:
            writer.write(moment, alone(moment.frame))
        assert not path.exists()
        assert writer.finish() == path
    expected = "".join(subtitle(moment, alone(moment.frame), 20, style) for moment in moments)
    assert path.read_bytes() == expected.encode()


def test_an_unfinished_file_leaves_nothing(tmp_path: Path) -> None:
    with SubtitleWriter(tmp_path / "a.srt", 20, Style()) as writer:
        writer.write(FrameInfo(0, "false", 1, {}, ""), alone(0))
    assert not list(tmp_path.iterdir())


@given(
    frames=st.integers(0, 200),
    fps=st.sampled_from([1.0, 7.5, 10.0, 23.976, 60.0]),
    per_second=st.integers(0, 60),
    keys=st.sets(st.integers(0, 220), max_size=9),
)
def test_entries_last_as_long_as_the_video(frames: int, fps: float, per_second: int, keys: set[int]) -> None:
    made = spans(frames, fps, per_second, keys)
    assert [frame for span in made for frame in range(span.first, span.end)] == list(range(frames))
    assert [span.number for span in made] == list(range(1, len(made) + 1))
    assert {frame for frame in keys if frame < frames} <= {span.first for span in made} or not frames
    if per_second == 0 or per_second >= fps:
        assert len(made) == frames
    elif not keys:
        assert len(made) <= frames / fps * per_second + 1


def test_entries_of_another_style() -> None:
    moment, span, both = FrameInfo(4, "false", 3, {"zoom": 1.5}, "a lake"), Span(2, 4, 7), ("Zoom", "Prompt")
    times = "2\n00:00:00,400 --> 00:00:00,700\n"

    def made(style: Style) -> str:
        entry = subtitle(moment, span, 10, style)
        assert entry.startswith(times)
        return entry.removeprefix(times)

    assert made(Style(both)) == "F#: 4; Cadence: false; Seed: 3; Zoom: 1.500; Prompt: a lake\n\n"
    assert made(Style(both, simple=True)) == "Zoom: 1.500; Prompt: a lake\n\n"
    assert made(Style(both, simple=True, prompt_on_own_line=True)) == "Zoom: 1.500; \nPrompt: a lake\n\n"
    assert made(Style(("Prompt",), simple=True, prompt_on_own_line=True)) == "Prompt: a lake\n\n"
    assert made(Style(simple=True)) == " \n\n"
    assert made(Style(("Prompt",), prompt_on_own_line=True)).endswith("Seed: 3; \nPrompt: a lake\n\n")
