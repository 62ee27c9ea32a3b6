"""The images of a plan are exact: they are drawn from the numbers that render."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.checks.request import validated
from deforum_api.queue.store import MemoryStore
from deforum_helpers.media.sound_analysis import RATE_HZ
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.plot import (
    HEAD_PX,
    ROW_PX,
    SOUND_PX,
    camera_path,
    camera_svg,
    changing_schedules,
    frame_x,
    plot_svg,
    round_ticks,
)
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.render.plan import Plan
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, default_values
from tests.render.sounds import write_wav
from tests.ui.fake_service import FakeService, facts

SETTINGS: dict[str, Any] = {
    "max_frames": 50,
    "fps": 10,
    "animation_mode": "3D",
    "zoom": "0: (1)",
    "strength_schedule": "0: (0.6), 30: (0.2+0.1*sin(t))",
    "translation_z": "0: (t), 49: (3)",
    "rotation_3d_y": "0: (2)",
    "prompts": {"0": "a lake", "20": "a forest --neg rain"},
}

TONE = 0.5 * np.sin(np.arange(2 * RATE_HZ) * 0.1)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return prepare(SETTINGS, facts(tmp_path)).plan


def curves(svg: str) -> list[NDArray[np.float64]]:
    found = re.findall(r'<polyline points="([^"]+)"', svg)
    return [np.array([[float(n) for n in point.split(",")] for point in one.split()]) for one in found]


@pytest.mark.parametrize(
    ("low", "high", "most", "whole", "ticks"),
    [
        (0, 95, 11, True, list(range(0, 100, 10))),
        (0, 3, 11, True, [0, 1, 2, 3]),
        (0, 0, 11, True, [0]),
        (0, 99_999, 6, True, [0, 20_000, 40_000, 60_000, 80_000]),
        (0, 9.5, 11, False, list(range(10))),
        (0, 0.26, 6, False, [0, 0.05, 0.1, 0.15, 0.2, 0.25]),
        (-0.989, 0.9999, 4, False, [-0.5, 0, 0.5]),
        (1e9, 1e9 + 3, 4, False, [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, most: int, whole: bool, ticks: list[float]) -> None:
    assert round_ticks(low, high, most, whole=whole) == ticks


def test_frames_seconds_and_values_have_round_ticks_in_their_places(plan: Plan) -> None:
    svg = plot_svg(plan, ["translation_z"])
    texts = re.findall(r'<text x="([0-9.]+)" y="([0-9.]+)"[^>]*>([^<]*)</text>', svg)
    frames = {text: float(x) for x, y, text in texts if y == "16"}
    seconds = {text: float(x) for x, y, text in texts if y == "30"}
    assert list(frames) == ["0", "5", "10", "15", "20", "25", "30", "35", "40", "45", "49"]
    assert list(seconds) == [
        "0 s",
        "0.5 s",
        "1 s",
        "1.5 s",
        "2 s",
        "2.5 s",
        "3 s",
        "3.5 s",
        "4 s",
        "4.5 s",
        "4.9 s",
    ]
    assert all(frames[str(n)] == pytest.approx(frame_x(plan, n), abs=0.06) for n in (0, 5, 45))
    assert seconds["1.5 s"] == frames["15"]
    assert frames["49"] == seconds["4.9 s"] == frame_x(plan, 49)
    values = plan.schedules.values["translation_z"]
    assert float(values.max()) == 48.0
    assert [text for x, y, text in texts if x == "26"] == ["0", "20", "40"]


def test_every_point_is_a_value_of_the_validated_series(tmp_path: Path, plan: Plan) -> None:
    queue = make_queue(
        own_facts("null", None, tmp_path), lambda: pytest.fail("nothing is rendered"), MemoryStore()
    )
    (answer,) = validated(queue.check, [SETTINGS], None, True)
    assert queue.close(10)
    names = ["strength_schedule", "translation_z"]
    for name, points in zip(names, curves(plot_svg(plan, names)), strict=True):
        values = np.array(answer["series"][name])
        top, bottom = points[:, 1].min(), points[:, 1].max()
        assert bottom - top == pytest.approx(ROW_PX, abs=0.01)
        read = values.min() + (bottom - points[:, 1]) / ROW_PX * np.ptp(values)
        assert np.allclose(read, values, atol=np.ptp(values) * 0.01 / ROW_PX)
        assert np.allclose(points[:, 0], [frame_x(plan, frame) for frame in range(50)], atol=0.01)


def test_only_schedules_that_change_and_are_read_are_chosen(plan: Plan) -> None:
    assert changing_schedules(plan) == ["translation_z", "strength_schedule"]


def test_prompts_are_bands_from_frame_to_frame(plan: Plan) -> None:
    bands = re.findall(
        r'<title>([^<]*)</title><rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"', plot_svg(plan, [])
    )
    assert [(band[0], band[2]) for band in bands] == [("a lake", str(HEAD_PX)), ("a forest", str(HEAD_PX))]
    assert float(bands[1][1]) == pytest.approx(frame_x(plan, 20), abs=0.1)
    assert float(bands[0][3]) == pytest.approx(frame_x(plan, 20) - frame_x(plan, 0), abs=0.1)


def test_seconds_and_key_frames_stand_on_the_axis(plan: Plan) -> None:
    svg = plot_svg(plan, [])
    assert ">4.9 s<" in svg
    assert len(re.findall(r'<path d="M[\d.]+ 36V44"', svg)) == len(plan.key_frames)


def test_a_camera_that_flies_straight_goes_one_way(tmp_path: Path) -> None:
    settings = {
        "max_frames": 5,
        "animation_mode": "3D",
        "translation_z": "0: (20)",
        "translation_x": "0: (10)",
    }
    path = camera_path(prepare(settings, facts(tmp_path)).plan)
    assert np.allclose(path[:, :3, 3], [[0.05 * k, 0, 0.1 * k] for k in range(5)])
    assert np.allclose(path[:, :3, :3], np.eye(3))


def test_a_camera_that_turns_as_it_steps_goes_round(tmp_path: Path) -> None:
    """90 degrees in ten frames, one unit forward each: the way is a quarter of a regular polygon."""
    settings = {
        "max_frames": 11,
        "animation_mode": "3D",
        "translation_z": "0: (200)",
        "rotation_3d_y": "0: (9)",
    }
    path = camera_path(prepare(settings, facts(tmp_path)).plan)
    steps = np.diff(path[:, :3, 3], axis=0)
    assert np.allclose(np.linalg.norm(steps, axis=1), 1)
    turned = np.degrees([math.atan2(step[0], step[2]) for step in steps])
    assert np.allclose(np.diff(turned), 9)
    assert np.allclose(path[10, :3, 2], [1, 0, 0])  # it looks to the right of where it looked first


def test_the_way_is_drawn_from_above_and_from_the_side_to_one_scale(plan: Plan) -> None:
    svg = camera_svg(plan)
    above, side = curves(svg)
    path = camera_path(plan)[:, :3, 3]
    for points, across, down in ((above, path[:, 0], -path[:, 2]), (side, path[:, 2], path[:, 1])):
        length = np.hypot(*np.diff(points, axis=0).T)
        expected = np.hypot(np.diff(across), np.diff(down))
        scale = length.sum() / expected.sum()
        assert np.allclose(
            points - points[0], scale * np.stack([across - across[0], down - down[0]], 1), atol=0.02
        )
    assert svg.count("<polygon") == 2 * 4 * len(plan.key_frames)


def test_2d_says_that_there_is_no_way(tmp_path: Path) -> None:
    svg = camera_svg(prepare({"max_frames": 5}, facts(tmp_path)).plan)
    assert "image plane" in svg
    assert "<polyline" not in svg
    assert 'viewBox="0 0 640 48"' in svg, "an empty pane below the sentence"
    still = camera_svg(prepare({"max_frames": 5, "animation_mode": "Interpolation"}, facts(tmp_path)).plan)
    assert "no camera motion" in still


def test_a_camera_that_stands_still_is_drawn(tmp_path: Path) -> None:
    settings = {"max_frames": 3, "animation_mode": "3D", "translation_z": "0: (0)"}
    assert "nan" not in camera_svg(prepare(settings, facts(tmp_path)).plan)


def test_the_tab_draws_what_is_chosen_or_what_changes(tmp_path: Path) -> None:
    answers = Answers(FakeService(facts(tmp_path)), str)
    values = default_values()
    assert ">cfg_scale_schedule<" in answers.plot(["cfg_scale_schedule", "no schedule"], values)
    assert ">zoom<" in answers.plot([], values)
    broken = tuple("0: (" if name == "zoom" else value for name, value in zip(NAMES, values, strict=True))
    assert "tab_plot_without_plan" in answers.plot([], broken)


@pytest.mark.parametrize("mode", ["2D", "3D", "Interpolation"])
def test_a_long_video_is_drawn_in_as_many_points_as_there_are_pixels(tmp_path: Path, mode: str) -> None:
    settings = {
        "max_frames": 12_000,
        "animation_mode": mode,
        "diffusion_cadence": 1,
        "zoom": "0:(1+sin(t/3)/9)",
        "translation_z": "0:(2+0.1*sin(t/50))",
        "rotation_3d_y": "0:(0.1*sin(t/70))",
        "cfg_scale_schedule": "0:(7+(t==8001)-(t==8002))",
        "prompts": {"0": "a hill", "4000": "a lake", "11999": "a sea"},
    }
    long = prepare(settings, facts(tmp_path)).plan
    names = ["cfg_scale_schedule", *(["zoom"] if mode == "2D" else ["translation_z"])]
    assert len(plot_svg(long, names)) < 400_000
    assert len(camera_svg(long)) < 200_000


def test_a_long_curve_covers_the_pixels_that_all_its_frames_would(tmp_path: Path) -> None:
    settings = {"max_frames": 9_000, "cfg_scale_schedule": "0:(7+sin(t/3)*sin(t/999)+4*(t==5432))"}
    long = prepare(settings, facts(tmp_path)).plan
    (drawn,) = curves(plot_svg(long, ["cfg_scale_schedule"]))
    values = long.schedules.values["cfg_scale_schedule"]
    low, high = values.min(), values.max()
    x = np.array([frame_x(long, frame) for frame in range(long.frames)])
    y = drawn[:, 1].max() - (values - low) / (high - low) * np.ptp(drawn[:, 1])
    assert (np.diff(drawn[:, 0]) >= 0).all()
    for column in range(int(x[0]), int(x[-1]) + 1):
        # Two decimals are written: a frame at the very edge of a pixel may be written beyond it.
        shown = (drawn[:, 0] >= column - 0.01) & (drawn[:, 0] <= column + 1.01)
        in_column = x.astype(int) == column
        assert drawn[shown, 1].min() <= y[in_column].min() + 0.75
        assert drawn[shown, 1].max() >= y[in_column].max() - 0.75


def marked(svg: str, kind: str) -> list[float]:
    return [float(x) for x in re.findall(rf'<path class="{kind}" d="M([\d.]+) ', svg)]


def test_beats_and_bars_of_a_tempo_are_lines_at_their_frames(tmp_path: Path) -> None:
    plan = prepare({**SETTINGS, "bpm": 120, "beats_per_bar": 3}, facts(tmp_path)).plan
    svg = plot_svg(plan, ["zoom"])
    bars = [0, 15, 30, 45]
    beats = [frame for frame in range(0, 50, 5) if frame not in bars]
    assert marked(svg, "bar") == pytest.approx([frame_x(plan, frame) for frame in bars], abs=0.01)
    assert marked(svg, "beat") == pytest.approx([frame_x(plan, frame) for frame in beats], abs=0.01)
    assert re.findall(r">bar (\d+)<", svg) == ["0", "1", "2", "3"]
    assert 'class="sound"' not in svg


def test_lines_that_would_touch_are_left_out(tmp_path: Path) -> None:
    plan = prepare({**SETTINGS, "bpm": 120, "max_frames": 5000}, facts(tmp_path)).plan
    svg = plot_svg(plan, [])
    assert not marked(svg, "beat")
    assert len(marked(svg, "bar")) == 250
    assert not re.findall(r">bar \d+<", svg)


def test_the_waveform_is_the_loudness_of_the_sound(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "late.wav", np.concatenate([np.zeros(2 * RATE_HZ), TONE]))
    plan = prepare({**SETTINGS, "audio_path": str(sound), "max_frames": 40}, facts(tmp_path)).plan
    (points,) = re.findall(r'<polygon class="sound" points="([^"]+)"', plot_svg(plan, []))
    places = np.array([[float(n) for n in point.split(",")] for point in points.split()])
    upper = places[: len(places) // 2]
    height = places[:, 1].max() - upper[:, 1]
    middle = frame_x(plan, 20)
    assert (height[upper[:, 0] < middle - 60] < SOUND_PX * 0.55).all()
    assert (height[(upper[:, 0] > middle + 60) & (upper[:, 0] < 1100)] > SOUND_PX * 0.9).all()


def test_a_silent_sound_that_nothing_reads_leaves_the_plot_without_it(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "silent.wav", np.zeros(2 * RATE_HZ))
    svg = plot_svg(prepare({**SETTINGS, "audio_path": str(sound)}, facts(tmp_path)).plan, ["zoom"])
    assert 'class="sound"' not in svg
    assert not marked(svg, "beat")
