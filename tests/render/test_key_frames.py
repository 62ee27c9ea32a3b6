from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.options import Options
from deforum_helpers.render.placing import place_key_frames
from deforum_helpers.render.plan import make_plan
from deforum_helpers.render.schedules import Schedules
from deforum_helpers.settings import load_settings


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
    film = {"max_frames": 40, "seed": 3, "diffusion_cadence": 1, "stability_schedule": "0:(0.5)"}
    plan = make_plan(load_settings({**film, "prompts": {"0": "a hill", "15": "a lake"}}).settings, Options())
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
