"""Seeds are known before the first frame and depend on nothing but the settings."""

from __future__ import annotations

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import KeySeeds, seed_series

BEHAVIORS = ("iter", "ladder", "alternate", "fixed", "random", "schedule")
FRAMES = (0, 3, 6, 9, 11)


def series(behavior: str, seed: int = 100, frames: tuple[int, ...] = FRAMES) -> tuple[KeySeeds, ...]:
    scheduled = [50, -1, 52, -1, 54][: len(frames)] if behavior == "schedule" else None
    return seed_series(behavior, seed, frames, iter_n=1, scheduled=scheduled)


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_equal_settings_give_equal_seeds(behavior: str) -> None:
    assert series(behavior) == series(behavior)
    assert [key.frame for key in series(behavior)] == list(FRAMES)
    assert series(behavior)[:3] == series(behavior, frames=FRAMES[:3])


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_another_seed_gives_other_noise(behavior: str) -> None:
    ours, other = series(behavior), series(behavior, seed=200)
    assert all(a.noise_seed != b.noise_seed for a, b in zip(ours, other, strict=True))


def test_random_seeds_start_with_the_seed_and_never_repeat() -> None:
    seeds = [key.seed for key in seed_series("random", 100, range(1000), iter_n=1)]
    assert seeds[0] == 100
    assert len(set(seeds)) == 1000
    assert min(seeds) >= 0
    assert 2**31 < max(seeds) < 2**32


def test_random_seeds_belong_to_the_frame_and_not_to_its_turn() -> None:
    assert series("random", frames=(0, 3, 6))[2].seed == series("random", frames=(0, 6))[1].seed


def test_scheduled_seeds_are_taken_and_below_zero_drawn() -> None:
    keys = series("schedule")
    assert [keys[0].seed, keys[2].seed, keys[4].seed] == [50, 52, 54]
    assert keys[1].seed != keys[3].seed
    assert all(0 <= key.seed < 2**32 for key in keys)
    assert keys[0].noise_seed == 100
    assert len({key.noise_seed for key in keys}) == 5


@pytest.mark.parametrize(
    ("behavior", "noise_seeds"),
    [
        ("iter", [1, 56, 66, 76, 86]),
        ("fixed", [1, 55, 65, 75, 85]),
        ("ladder", [1, 57, 64, 77, 84]),
        ("alternate", [1, 56, 64, 76, 84]),
    ],
)
def test_noise_seeds_follow_from_the_seeds_that_a_manifest_gives(
    behavior: str, noise_seeds: list[int]
) -> None:
    given = [55, 65, 75, 85, 95]
    keys = seed_series(behavior, 1, FRAMES, iter_n=1, scheduled=given)
    assert [key.seed for key in keys] == given
    assert [key.noise_seed for key in keys] == noise_seeds


def test_given_seeds_that_are_shared_by_several_frames_change_as_rarely() -> None:
    keys = seed_series("iter", 1, FRAMES, iter_n=2, scheduled=[10, 20, 30, 40, 50])
    assert [key.noise_seed for key in keys] == [1, 11, 20, 31, 40]


def test_random_noise_does_not_depend_on_the_seeds_that_are_given() -> None:
    keys = seed_series("random", 100, FRAMES, iter_n=1, scheduled=[5, -1, 7, 8, 9])
    assert [key.noise_seed for key in keys] == [key.noise_seed for key in series("random")]
    assert all(0 <= key.seed < 2**32 for key in keys)


def test_redo_seeds_differ_by_frame_and_pass() -> None:
    keys = series("fixed")
    seeds = [seed for key in keys for seed in key.redo_seeds(3)]
    assert len(set(seeds)) == 15
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert keys[0].redo_seeds(2) == keys[0].redo_seeds(3)[:2]
    assert keys[0].redo_seeds(0) == ()


def test_unknown_behavior_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        series("sideways")
    (problem,) = caught.value.problems
    assert (problem.setting, problem.found) == ("seed_behavior", "sideways")
    assert problem.allowed == "iter, ladder, alternate, fixed, random, schedule"


def test_iter_needs_a_positive_number() -> None:
    with pytest.raises(SettingsError) as caught:
        seed_series("iter", 1, [0], iter_n=0)
    (problem,) = caught.value.problems
    assert (problem.setting, problem.code, problem.found) == ("seed_iter_N", "seed_iter_n_too_small", "0")


@pytest.mark.parametrize("scheduled", [None, [1, 2]])
def test_a_seed_schedule_has_a_value_for_each_key_frame(scheduled: list[int] | None) -> None:
    with pytest.raises(ValueError, match="a scheduled value for each key frame"):
        seed_series("schedule", 1, [0], iter_n=1, scheduled=scheduled)
