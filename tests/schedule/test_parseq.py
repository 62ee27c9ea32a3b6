"""Parseq manifests: fields and schedules, gaps, deltas, prompts; and manifests that are broken."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.schedule.parseq import Manifest, field_of, read_manifest


def manifest(*frames: dict[str, Any], deltas: bool = True, **rest: Any) -> Manifest:
    return read_manifest(json.dumps({"rendered_frames": frames, **rest}), uses_deltas=deltas)


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ("strength_schedule", "strength"),
        ("noise_schedule", "noise"),
        ("cfg_scale_schedule", "scale"),
        ("steps_schedule", "steps_schedule"),
        ("sampler_schedule", "sampler_schedule"),
        ("seed_schedule", "seed"),
        ("fov_schedule", "fov"),
        ("kernel_schedule", "antiblur_kernel"),
        ("image_strength_schedule", "strength"),
        ("blendFactorMax", "guided_blendFactorMax"),
        ("tweening_frames_schedule", "guided_tweening_frames"),
        ("hybrid_flow_factor_schedule", "hybrid_flow_factor"),
        ("cn_1_weight", "cn_1_weight"),
        ("cadence_flow_factor_schedule", "cadence_flow_factor"),
        ("perspective_flip_fv", "perspective_flip_fv"),
    ],
)
def test_the_field_of_a_schedule(schedule: str, field: str) -> None:
    assert field_of(schedule) == field


def test_gaps_are_straight_lines_and_the_end_is_held() -> None:
    read = manifest({"frame": 0, "noise": 1}, {"frame": 4, "noise": 3}, {"frame": 6, "noise": 0})
    assert read.frames == 7
    assert read.numbers("noise", 9).tolist() == [1, 1.5, 2, 2.5, 3, 1.5, 0, 0, 0]
    assert [code_of(text) for text in read.warnings] == ["manifest_frames_missing"]
    assert " 4 " in read.warnings[0]


def test_a_field_may_be_missing_in_later_frames() -> None:
    read = manifest({"frame": 0, "noise": 1}, {"frame": 1}, {"frame": 2, "noise": 2, "late": 5})
    assert read.numbers("noise", 3).tolist() == [1, 1.5, 2]
    assert read.field_of("late") is None


def test_the_last_of_two_equal_frames_counts() -> None:
    read = manifest({"frame": 0, "noise": 1}, {"frame": 0, "noise": 2})
    assert read.numbers("noise", 1).tolist() == [2]
    assert [code_of(text) for text in read.warnings] == ["manifest_frame_repeated"]


def test_moves_are_changes_or_totals() -> None:
    frame = {"frame": 0, "zoom": 5, "zoom_delta": 1.1, "angle": 3}
    changes, totals = manifest(frame), manifest(frame, deltas=False)
    assert (changes.field_of("zoom"), totals.field_of("zoom")) == ("zoom_delta", "zoom")
    assert (changes.field_of("angle"), totals.field_of("angle")) == (None, "angle")
    assert changes.without_delta("angle")
    assert not changes.without_delta("zoom")
    assert not totals.without_delta("angle")


def test_prompts_are_taken_as_they_are() -> None:
    read = manifest({"frame": 0, "deforum_prompt": "a --neg b"}, {"frame": 2, "deforum_prompt": "c"})
    prompts = read.prompts(4)
    assert prompts is not None
    assert prompts.positive == ("a", "a", "c", "c")
    assert prompts.negative == ("b", "b", "", "")
    assert prompts.key_frames == (0, 2)
    assert prompts.warnings == ()
    assert manifest({"frame": 0}).prompts(1) is None


def test_a_misspelled_mark_in_a_manifest_is_read_as_the_mark() -> None:
    prompts = manifest(
        {"frame": 0, "deforum_prompt": "a —neg b"}, {"frame": 2, "deforum_prompt": "c --NEG d"}
    ).prompts(4)
    assert prompts is not None
    assert prompts.positive == ("a", "a", "c", "c")
    assert prompts.negative == ("b", "b", "d", "d")
    assert [any(mark in one for one in prompts.warnings) for mark in ("'—neg'", "'--NEG'")] == [True, True]


def test_options() -> None:
    read = manifest(
        {"frame": 0}, options={"output_fps": 24, "cadence": "3"}, meta={"a": 1}, rendered_frames_meta={}
    )
    assert (read.fps, read.cadence) == (24, 3)
    assert read.summary == {"options": {"output_fps": 24, "cadence": "3"}, "meta": {"a": 1}}
    bare = manifest({"frame": 0}, options={"output_fps": 0})
    assert (bare.fps, bare.cadence) == (None, None)


@given(st.dictionaries(st.integers(0, 40), st.floats(-1e6, 1e6), min_size=1), st.integers(1, 60))
def test_given_frames_keep_their_values(given_values: dict[int, float], frames: int) -> None:
    entries = [{"frame": frame, "noise": value} for frame, value in given_values.items()]
    values = manifest(*entries).numbers("noise", frames)
    assert values.shape == (frames,)
    for frame, value in given_values.items():
        if frame < frames:
            assert np.isclose(values[frame], value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "broken in line 1, column 2"),
        ("[]", "no JSON object"),
        ("{}", "there are no rendered_frames"),
        ('{"rendered_frames": []}', "there are no rendered_frames"),
        ('{"rendered_frames": [{}]}', "entry 0 of rendered_frames has no frame number"),
        ('{"rendered_frames": [{"frame": -1}]}', "no frame number"),
        ('{"rendered_frames": [{"frame": 1000000}]}', "no frame number"),
        ('{"rendered_frames": [{"frame": true}]}', "no frame number"),
        ('{"rendered_frames": [7]}', "no frame number"),
        ('{"rendered_frames": [{"frame": 0}], "options": {"output_fps": -3}}', "options.output_fps is '-3'"),
        ("[" * 100_000, "nests deeper than"),
    ],
)
def test_broken_manifests(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_manifest(text, uses_deltas=True)
    (problem,) = caught.value.problems
    assert problem.setting == "parseq_manifest"
    assert says in problem.message


@pytest.mark.parametrize("value", ["fast", [1], {"a": 1}, 1e300, float("inf")])
def test_values_that_are_no_numbers(value: Any) -> None:
    read = manifest({"frame": 0, "noise": 0}, {"frame": 1, "noise": value})
    with pytest.raises(SettingsError, match=r"noise is .* at frame 1"):
        read.numbers("noise", 2)
    with pytest.raises(SettingsError, match="noise is '0' at frame 0"):
        read.texts("noise", 2)
