from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import prepared

from deforum_helpers.engines.names import steps_run
from deforum_helpers.render import key_frames, moves
from deforum_helpers.render.key_frames import KeyFrame, place_key_frames
from deforum_helpers.render.plan import make_plan
from deforum_helpers.render.schedules import Schedules
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.host_options import Options


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        ("Off", (0, 4, 8, 9)),
        ("Keyframes Only", (0, 3, 9)),
        ("Additive", (0, 3, 4, 8, 9)),
        ("Redistributed", (0, 3, 8, 9)),
    ],
)
def test_distributions(distribution: str, expected: tuple[int, ...]) -> None:
    assert place_key_frames(distribution, 10, 4, (0, 3)) == expected


@given(
    distribution=st.sampled_from(["Off", "Keyframes Only", "Additive", "Redistributed"]),
    frames=st.integers(1, 60),
    cadence=st.integers(1, 70),
    prompts=st.lists(st.integers(-5, 80), max_size=8),
)
def test_first_and_last_frame_are_key_frames(
    distribution: str, frames: int, cadence: int, prompts: list[int]
) -> None:
    places = place_key_frames(distribution, frames, cadence, prompts)
    assert places[0] == 0
    assert places[-1] == frames - 1
    assert list(places) == sorted(set(places))
    if distribution in ("Keyframes Only", "Additive", "Redistributed"):
        assert {prompt for prompt in prompts if 0 <= prompt < frames} <= set(places)


@given(
    frames=st.integers(1, 60), cadence=st.integers(1, 70), prompts=st.lists(st.integers(0, 59), max_size=8)
)
def test_redistribution_keeps_the_number_of_key_frames(frames: int, cadence: int, prompts: list[int]) -> None:
    """Only where prompts outnumber the places that may move does it grow."""
    uniform = place_key_frames("Off", frames, cadence, ())
    moved = place_key_frames("Redistributed", frames, cadence, prompts)
    assert len(moved) <= max(len(uniform) + 1, len(set(prompts)) + 2)


def plainly_moved(uniform: set[int], wanted: set[int]) -> set[int]:
    """The readable form: for each wanted frame look through all that are free."""
    chosen = set(uniform)
    for frame in sorted(wanted - uniform):
        free = chosen - wanted - {0}
        if free:
            chosen.remove(min(free, key=lambda other: (abs(other - frame), other)))
        chosen.add(frame)
    return chosen


@given(
    frames=st.integers(1, 60), cadence=st.integers(1, 20), prompts=st.lists(st.integers(0, 59), max_size=12)
)
def test_redistribution_moves_the_nearest(frames: int, cadence: int, prompts: list[int]) -> None:
    wanted = {frame for frame in prompts if frame < frames}
    placed = place_key_frames("Redistributed", frames, cadence, prompts)
    assert set(placed) == plainly_moved(set(range(0, frames, cadence)), wanted) | {0, frames - 1}


def test_a_prompt_at_every_tenth_of_a_hundred_thousand_frames() -> None:
    """Looking through all free frames for each prompt would take half an hour."""
    prompts = range(3, 100_000, 10)
    places = place_key_frames("Redistributed", 100_000, 2, prompts)
    assert set(prompts) < set(places)
    assert len(places) == 50_001


def test_key_frames_with_one_prompt_share_their_reference() -> None:
    settings = {"max_frames": 40, "seed": 3, "diffusion_cadence": 1, "stability_schedule": "0:(0.5)"}
    plan = make_plan(
        load_settings({**settings, "prompts": {"0": "a hill", "15": "a lake"}}).settings, Options()
    )
    held = [key.stability for key in plan.key_frames[1:]]
    assert len({id(stability.reference) for stability in held if stability is not None}) == 2
    assert [stability.reference.prompt for stability in held if stability] == ["a hill"] * 14 + [
        "a lake"
    ] * 25


def test_values_at_a_frame_keep_the_sign_of_zero() -> None:
    """A plan is digested as it is written, and -0.0 is written differently."""
    columns = {"zoom": [0.0, -0.0, 0.0], "angle": [2.0, 2.0, 2.0], "fov_schedule": [-0.0, -0.0, 5.0]}
    values = {name: np.array(column) for name, column in columns.items()}
    for series, frames in ((values, (0, 1, 2)), ({k: v[::-1] for k, v in values.items()}, (2, 1, 0))):
        schedules = Schedules(series, {}, frozenset(), ())
        for place, frame in enumerate(frames):
            expected = {name: column[frame] for name, column in columns.items()}
            assert repr(schedules.numbers_at(place)) == repr(expected)


def test_a_check_makes_few_key_frames_however_long_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making 100,000 key frames with their requests takes seconds; values of all frames are columns."""
    made: list[int] = []
    plan_request, flip = key_frames.plan_request, moves.perspective_flip_matrix

    def counted(script: Any, index: int, *others: Any) -> Any:
        made.append(index)
        return plan_request(script, index, *others)

    def counted_flip(**angles: Any) -> Any:
        made.append(-1)
        return flip(**angles)

    monkeypatch.setattr(key_frames, "plan_request", counted)
    monkeypatch.setattr(moves, "perspective_flip_matrix", counted_flip)
    job = prepared(
        tmp_path,
        animation_mode="3D",
        max_frames=2000,
        seed_behavior="random",
        optical_flow_cadence="DIS Fine",
        enable_perspective_flip=True,
        perspective_flip_theta="0:(1+sin(t/10))",
        enable_sampler_scheduling=True,
        sampler_schedule='0: ("Euler a"), 900: ("DDIM")',
    )
    assert job.summary["diffused_frames"] == 2000
    assert len(job.plan.subtitle_heads) == 2000
    assert len(made) < 20


CHANGES: list[dict[str, Any]] = [
    {
        "animation_mode": "3D",
        "prompt_transition": "morph",
        "prompt_transition_frames": 3,
        "max_frames": 12,
        "stability_schedule": "0:(0), 4:(0.5)",
        "diffusion_redo": 2,
    },
    {
        "seamless_loop": True,
        "ending_frames": 4,
        "max_frames": 12,
        "diffusion_cadence": 2,
        "optical_flow_cadence": "DIS Fine",
        "seed_behavior": "random",
    },
    {
        "prompt_transition": "cut",
        "reverse_generation": True,
        "enable_perspective_flip": True,
        "perspective_flip_theta": "0:(0), 3:(5)",
        "strength_schedule": "0:(-0.0), 2:(1.5), 4:(0.5)",
    },
    {
        "animation_mode": "Interpolation",
        "enable_steps_scheduling": True,
        "steps_schedule": "0:(5), 4:(9)",
        "strength_0_no_init": False,
    },
    {
        "keyframe_distribution": "Additive",
        "diffusion_cadence": 4,
        "max_frames": 11,
        "keyframe_strength_schedule": "0:(0.2)",
        "color_coherence": "LAB",
        "amount_schedule": "0:(0), 3:(0.2), 6:(0)",
        "contrast_schedule": "0:(1), 5:(0.9)",
    },
]


def test_tone_is_a_stage_only_where_it_changes_the_frame(tmp_path: Path) -> None:
    plain = prepared(tmp_path, max_frames=6, diffusion_cadence=1)
    neutral = prepared(
        tmp_path,
        max_frames=6,
        diffusion_cadence=1,
        hue_schedule="0:(360), 5:(360)",
        exposure_schedule="0:(0*t)",
        saturation_schedule="0: 1",
    )
    assert [key.stages for key in neutral.plan.key_frames] == [key.stages for key in plain.plan.key_frames]
    keys = prepared(
        tmp_path,
        max_frames=6,
        diffusion_cadence=1,
        saturation_schedule="0:(1), 2:(0.9) ~hold, 3:(1) ~hold",
        exposure_schedule="0:(0), 4:(-0.5) ~hold",
        contrast_schedule="0:(1.1)",
        amount_schedule="0:(0.1)",
    ).plan.key_frames
    assert ["tone" in key.stages for key in keys] == [False, False, True, False, True, True]
    place = keys[2].stages.index("tone")
    assert keys[2].stages[place - 1 : place + 2] == ("contrast", "tone", "sharpen")
    assert (keys[2].tone.saturation, keys[4].tone.exposure_stops, keys[4].tone.hue_deg) == (0.9, -0.5, 0)


# Of these videos. A digest changes only where the frames do: another one would end exact resumes of parked runs.
DIGESTS = (
    "084bb53ca795fadda187de6f9c8ee7baf76252341c57ef09014be8f32b22b2c4",
    "5be0288b6cda3d40681ed99a856e754fd8dff58ce619b0b62ef7bd739bdd7421",
    "3679c6252dfccb6333a3d9e77c607bbccf79dccaa47f57a392790276e3b53669",
    "934bafa7377def3c7306101683ad093a6f3e20657bc2d92a556f97e9e35ca23f",
    "7b0ac7ba007866a56591e65fb94716ecee429b47f091fbce27ac2a17e6bda302",
)


@pytest.mark.parametrize(("changes", "digest"), list(zip(CHANGES, DIGESTS, strict=True)))
def test_plans_are_digested_as_ever(changes: dict[str, Any], digest: str, tmp_path: Path) -> None:
    assert prepared(tmp_path, **changes).plan.digest == digest


def plain_steps(key: KeyFrame, redone: int) -> int:
    """The readable form: sampling steps of one key frame."""
    if key.source == "nothing":
        return steps_run(key.request.steps, None)
    passes = 1 + key.stages.count("flow_redo") + key.stages.count("redo") * redone
    return steps_run(key.request.steps, key.request.denoising_strength) * passes


@pytest.mark.parametrize("changes", CHANGES)
def test_columns_tell_of_key_frames_what_they_tell_themselves(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    plan = prepared(tmp_path, **changes).plan
    for keys in (plan.key_frames, plan.key_frames[2:-1], plan.key_frames[::-2]):
        made = list(keys)
        assert keys.indices == tuple(key.index for key in made)
        assert keys.stops == tuple(key.stop for key in made)
        assert keys.sources == tuple(key.source for key in made)
        assert keys.stages == tuple(key.stages for key in made)
        assert keys.follow_flow == any(key.flow_factor is not None for key in made)
        assert keys.sampling_steps == sum(plain_steps(key, plan.settings.diffusion_redo) for key in made)
        looks = [key.stability.requests for key in made if key.stability is not None]
        assert keys.look_requests == {request for requests in looks for request in requests}


def test_equal_settings_have_equal_key_frames(tmp_path: Path) -> None:
    one, two, other = (prepared(tmp_path, seed=seed).plan.key_frames for seed in (1, 1, 2))
    assert one == two != other
    assert one[1:3] == two[1:3] != one[2:4]
    assert list(reversed(one)) == list(one[::-1])
