"""The timeline's numbers in the page, run by Node, against the same numbers of the server."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.schedule import Timeline, numeric_series
from deforum_helpers.schedule.easing import NAMES
from deforum_helpers.ui.timeline import key_points

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "javascript" / "deforum_keys.js"
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node, which runs the page's script, is not installed")


def asked(question: Mapping[str, Any]) -> Any:
    assert NODE
    done = subprocess.run(
        [NODE, str(HERE / "timeline_keys.mjs"), str(SCRIPT)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def some_schedule(chance: random.Random, frames: int) -> str:
    entries = []
    for frame in sorted(chance.sample(range(frames + 5), chance.randint(1, 9))):
        value = (
            f"({chance.uniform(-3, 3):.3f})"
            if chance.random() < 0.8
            else f"(sin(t/7) + {chance.random():.2f})"
        )
        easing = chance.choice([*NAMES, "", "", ""])
        numbers = "(" + ", ".join(f"{chance.uniform(0, 1):.2f}" for _ in range(4)) + ")"
        written = f" ~{easing}{numbers if easing == 'bezier' else ''}" if easing else ""
        entries.append(f"{frame}: {value}{written}")
    return ", ".join(entries)


def test_curves_are_those_of_the_server() -> None:
    chance = random.Random(5)
    schedules = []
    for _ in range(150):
        frames = chance.randint(2, 90)
        timeline = Timeline(frames, 1, 15.0, 64, 64)
        text = some_schedule(chance, frames)
        values = numeric_series(text, timeline, "zoom").values.tolist()
        points = key_points(text, "zoom", timeline)
        schedules.append({"text": text, "points": points, "frames": frames, "values": values})
    curves = asked({"ask": "series", "schedules": schedules})
    for schedule, curve in zip(schedules, curves, strict=True):
        assert np.allclose(curve, schedule["values"], rtol=0, atol=1e-9), schedule["text"]


@pytest.mark.parametrize("step", [1, 3.7])
def test_a_drawn_curve_has_the_values_of_the_frames(step: float) -> None:
    """Straight between its corners it meets every frame; with fewer corners it stays within the values."""
    chance = random.Random(9)
    schedules = []
    for _ in range(80):
        frames = chance.randint(5, 90)
        timeline = Timeline(frames, 1, 15.0, 64, 64)
        text = some_schedule(chance, frames)
        values = numeric_series(text, timeline, "zoom").values.tolist()
        points = key_points(text, "zoom", timeline)
        schedules.append({"text": text, "points": points, "frames": frames, "values": values, "step": step})
    fewer = 0
    for schedule, drawn in zip(schedules, asked({"ask": "curves", "schedules": schedules}), strict=True):
        for corners, values in drawn:
            places, heights = zip(*corners, strict=True)
            assert list(places) == sorted(places)
            assert (places[0], places[-1]) == (0, schedule["frames"] - 1)
            if step == 1:
                between = np.interp(range(schedule["frames"]), places, heights)
                assert np.allclose(between, values, rtol=0, atol=1e-9), schedule["text"]
            else:
                assert heights[-1] == pytest.approx(values[-1])
            fewer += len(corners) < schedule["frames"]
    assert fewer > 80


def test_undo_and_redo_are_a_walk_over_the_texts() -> None:
    """Undoing everything gives the first texts, redoing everything the last ones, whatever came between."""
    chance = random.Random(7)
    start = {"zoom": "0: (1)", "angle": "0: (0)", "prompts": "{}"}
    walks, expected = [], []
    for _ in range(60):
        steps: list[Any] = []
        walked, place = [start], 0
        for number in range(25):
            step = chance.choice(["undo", "redo", "edit", "edit"])
            if step == "edit":
                names = chance.sample(list(start), chance.randint(1, 2))
                steps.append({name: f"{name} {number}" for name in names})
                walked = [*walked[: place + 1], walked[place] | steps[-1]]
                place += 1
            else:
                steps.append(step)
                place = max(0, place - 1) if step == "undo" else min(len(walked) - 1, place + 1)
        walks.append(steps + ["undo"] * 30 + ["redo"] * 30)
        expected.append([walked[place], start, walked[-1]])
    found = asked({"ask": "history", "start": start, "walks": walks})
    assert [[texts[24], texts[54], texts[-1]] for texts in found] == expected


def test_a_change_that_changes_nothing_is_no_step() -> None:
    walk = [{"zoom": "b"}, {"zoom": "b"}, "undo"]
    assert asked({"ask": "history", "start": {"zoom": "a"}, "walks": [walk]})[0][-1] == {"zoom": "a"}


def test_moved_keys_never_meet_others_and_stay_in_the_video() -> None:
    chance = random.Random(3)
    cases = []
    for _ in range(200):
        last = chance.randint(5, 60)
        frames = sorted(chance.sample(range(last + 1), chance.randint(1, 5)))
        chosen = chance.sample(frames, chance.randint(1, len(frames)))
        cases.append([frames, chosen, chance.randint(-80, 80), last])
    for (frames, chosen, wanted, last), shift in zip(
        cases, asked({"ask": "shift", "cases": cases}), strict=True
    ):
        moved = {frame + shift for frame in chosen}
        assert moved.isdisjoint(set(frames) - set(chosen))
        assert min(moved) >= 0
        assert max(moved) <= last
        free = wanted if min(chosen) + wanted >= 0 and max(chosen) + wanted <= last else None
        if free is not None and {frame + wanted for frame in chosen}.isdisjoint(set(frames) - set(chosen)):
            assert shift == wanted


def test_what_is_near_attracts_and_what_is_far_does_not() -> None:
    places = [0, 10, 20.5, 40]
    calls = [[places, 12, 3], [places, 15.3, 3], [places, 18, 3], [places, 99, 3], [[], 5, 3]]
    assert asked({"ask": "call", "name": "nearest", "calls": calls}) == [10, None, 20.5, None, None]


def test_numbers_are_written_short() -> None:
    calls = [[1.2345, 0.01], [-0.0001, 0.01], [200.4, 5], [1e-7, 1e-8], [3, 0.5], [12.5, 0.02]]
    expected = ["1.23", "0", "200", "0.0000001", "3", "12.5"]
    assert asked({"ask": "call", "name": "written", "calls": calls}) == expected
    sizes = [[0.034], [0.5], [1], [7], [1500], [0]]
    assert asked({"ask": "call", "name": "niceStep", "calls": sizes}) == [0.02, 0.5, 1, 5, 1000, 1]


def test_a_raised_formula_gets_an_offset_and_a_raised_number_a_value() -> None:
    points = [{"frame": 0, "number": None, "easing": None}, {"frame": 10, "number": 2, "easing": None}]
    question = {"ask": "moved", "points": points, "chosen": [0, 10], "shift": 5, "rise": 0.26, "step": 0.1}
    first, second = asked(question)
    assert (first["frame"], first["was"], first["offset"]) == (5, 0, 0.3)
    assert (second["frame"], second["was"], second["number"]) == (15, 10, 2.3)


def test_bands_reach_to_the_next_prompt() -> None:
    prompts = [{"frame": -5, "text": "a"}, {"frame": 10, "text": "b"}, {"frame": 30, "text": "c"}]
    calls = [[prompts, 20], [[{"frame": 99, "text": "z"}], 20]]
    bands, alone = asked({"ask": "call", "name": "bands", "calls": calls})
    assert [(band["text"], band["start"], band["end"]) for band in bands] == [("b", 0, 20)]
    assert [(band["text"], band["start"], band["end"]) for band in alone] == [("z", 0, 20)]
