"""Settings that a prompt gives to its frames: `--seed`, `--steps` and `--cfg`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.schedule import Timeline, interpolated_prompt_series, prompt_series
from deforum_helpers.schedule.prompt_text import OwnSettings
from tests.refusals import refuses


def timeline(frames: int = 10, seed: int = 7) -> Timeline:
    return Timeline(frames=frames, seed=seed, fps=15.0, width=512, height=512)


@pytest.mark.parametrize(
    ("prompt", "positive", "negative", "own"),
    [
        ("a cat --seed 5", "a cat", "", OwnSettings(seed=5)),
        ("a cat --seed 5, asleep", "a cat, asleep", "", OwnSettings(seed=5)),
        ("--steps 30 a cat --neg dog --cfg 7.5", "a cat", "dog", OwnSettings(steps=30, cfg_scale=7.5)),
        ("a cat --seed=5 --steps = 9 --neg dog", "a cat", "dog", OwnSettings(5, 9)),
        ("a cat --seed 5 --seed 6", "a cat", "", OwnSettings(6)),
        ("a cat\n--cfg 0", "a cat", "", OwnSettings(cfg_scale=0.0)),
        ("a `t*0`--seed 4", "a 0", "", OwnSettings(4)),
        ("a `t*0` --seed 4 `t*0`", "a 0 0", "", OwnSettings(4)),
        ("one ` --steps 3", "one `", "", OwnSettings(steps=3)),
        ("a cat --seedling 5", "a cat --seedling 5", "", OwnSettings()),
        ("a cat --ar 16:9 --stylize 50", "a cat --ar 16:9 --stylize 50", "", OwnSettings()),
        ("grey--seed 5", "grey--seed 5", "", OwnSettings()),
        ("a cat -- seed 5", "a cat -- seed 5", "", OwnSettings()),
    ],
)
@pytest.mark.parametrize("expand", [prompt_series, interpolated_prompt_series])
def test_own_settings(expand: Any, prompt: str, positive: str, negative: str, own: OwnSettings) -> None:
    series = expand({"0": prompt}, timeline())
    assert (series.positive[0], series.negative[0]) == (positive, negative)
    assert (series.own_at(0), series.own_at(9)) == (own, own)
    assert series.own == (() if own == OwnSettings() else (own,) * 10)


def test_they_hold_as_long_as_their_prompt() -> None:
    prompts = {"2": "a --seed 1", "5": "b", "8": "c --steps 3", "30": "d --cfg 2"}
    for expand in (prompt_series, interpolated_prompt_series):
        series = expand(prompts, timeline())
        assert series.own == (*[OwnSettings(1)] * 5, *[OwnSettings()] * 3, *[OwnSettings(steps=3)] * 2)


@pytest.mark.parametrize(
    "text", ["a --seed", "a --seed abc", "a --steps x5", "a --cfg high --neg b", "a --cfg 5)"]
)
def test_without_a_number_they_are_words(text: str) -> None:
    series = prompt_series({"0": text}, timeline())
    assert "--" in series.positive[0]
    assert series.own == ()
    assert "own_setting_without_number" in map(code_of, series.warnings)


@pytest.mark.parametrize(
    "text",
    ["--seed 4294967296", "--seed -2", "--seed 1.5", "--steps 0", "--steps 201", "--cfg 1001", "--cfg -1"],
)
def test_out_of_range(text: str) -> None:
    with refuses(SettingsError, "own_setting_out_of_range", text.split()[0], text.split()[1], "frame 3"):
        prompt_series({"3": f"a cat {text}"}, timeline())


def test_a_random_seed_is_derived_from_the_seed_of_the_run() -> None:
    seeds = [prompt_series({"0": "a --seed -1"}, timeline(seed=seed)).own_at(0).seed for seed in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]


PROMPTS = {"0": "a lake", "3": "a wood --seed 50 --steps 8 --cfg 2", "6": "a town", "8": "a sea --steps 3"}


def keys(folder: Path, **changes: Any) -> list[Any]:
    from small_runs import prepared

    settings = {"max_frames": 10, "diffusion_cadence": 1, "seed": 5, "steps": 20, "prompts": PROMPTS}
    return list(prepared(folder, **settings | changes).plan.key_frames)


def test_requests_take_them(tmp_path: Path) -> None:
    own, plain = keys(tmp_path), keys(tmp_path, prompts={"0": "a lake"})
    assert [key.request.steps for key in own] == [20] * 3 + [8] * 3 + [20] * 2 + [3] * 2
    assert [key.request.cfg_scale for key in own] == [7] * 3 + [2] * 3 + [7] * 4
    assert [key.request.seed for key in own] == [5, 6, 7, 50, 51, 52, 11, 12, 13, 14]
    assert [key.request.seed for key in plain] == list(range(5, 15))
    assert own[3].request.prompt == "a wood"


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ("fixed", [50, 50, 50]),
        ("ladder", [50, 52, 51]),
        ("schedule", [50, 50, 50]),
        ("alternate", [50, 51, 50]),
    ],
)
def test_seeds_go_on_by_the_seed_behavior(tmp_path: Path, behavior: str, expected: list[int]) -> None:
    found = keys(tmp_path, seed_behavior=behavior, seed_schedule="0:(9)")
    assert [key.request.seed for key in found][3:6] == expected


def test_steps_are_counted(tmp_path: Path) -> None:
    from small_runs import prepared

    settings = {"animation_mode": "Interpolation", "max_frames": 10, "steps": 20, "seed": 5}
    assert prepared(tmp_path, **settings, prompts=PROMPTS).summary["sampling_steps"] == 5 * 20 + 3 * 8 + 2 * 3


def test_reversed_runs_keep_them_at_their_frames(tmp_path: Path) -> None:
    steps = [key.request.steps for key in keys(tmp_path, reverse_generation=True)]
    assert steps[::-1] == [20] * 3 + [8] * 3 + [20] * 2 + [3] * 2
