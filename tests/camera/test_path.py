"""Camera paths: each move with worked numbers, poses and their parts in both directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.camera.path import (
    REPLACED,
    CameraPath,
    Entry,
    Move,
    Track,
    dolly_zoom_fov,
    follow,
    pose,
    spline,
)
from deforum_helpers.camera.pose import (
    chained,
    moves_of,
    poses,
    quaternions,
    rigid_fault,
    rotations,
    rotations_from_quaternions,
    slerp,
    squared,
)
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline
from deforum_helpers.schedule.camera_path import camera_entries
from tests.refusals import refuses

SIZE = 21
angles = st.floats(-179, 179)
places = st.floats(-300, 300)


def path(text: str, count: int = SIZE, fov: float = 60.0) -> CameraPath:
    entries, _ = camera_entries(text, Timeline(count, 1, 15, 64, 64))
    return follow(entries, count, np.full(count, fov), 15)


@given(st.tuples(places, places, places), st.tuples(angles, angles, angles))
def test_a_move_is_found_again_in_its_matrix(
    translation: tuple[float, ...], degrees: tuple[float, ...]
) -> None:
    matrices = poses(np.array([translation]), np.array([degrees]))
    again = poses(*moves_of(matrices))
    np.testing.assert_allclose(again, matrices, atol=1e-9)


def test_a_turn_by_90_degrees_to_the_right_is_found_again() -> None:
    matrices = poses(np.array([[1.0, 2, 3]]), np.array([[20.0, 90, 10]]))
    np.testing.assert_allclose(poses(*moves_of(matrices)), matrices, atol=1e-9)


@given(angles, angles, angles)
def test_quaternions_and_matrices_agree(x: float, y: float, z: float) -> None:
    matrix = rotations(np.array([[x, y, z]]))
    np.testing.assert_allclose(rotations_from_quaternions(quaternions(matrix)), matrix, atol=1e-12)


def test_half_a_quarter_turn() -> None:
    quarter = quaternions(np.array([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]]))
    np.testing.assert_allclose(quarter, [[math.sqrt(0.5), 0, 0, math.sqrt(0.5)]])
    half = slerp(np.array([1.0, 0, 0, 0]), quarter, np.array([0.5]))
    np.testing.assert_allclose(half, [[0.92388, 0, 0, 0.38268]], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "position", "forward"),
    [
        ("0: truck(0.5)", (0.5, 0, 0), (0, 0, 1)),
        ("0: crane(0.5)", (0, -0.5, 0), (0, 0, 1)),
        ("0: pedestal(0.5)", (0, -0.5, 0), (0, 0, 1)),
        ("0: dolly(0.5)", (0, 0, 0.5), (0, 0, 1)),
        ("0: tilt(90)", (0, 0, 0), (0, -1, 0)),
        ("0: pan(90)", (0, 0, 0), (1, 0, 0)),
        ("0: roll(90)", (0, 0, 0), (0, 0, 1)),
        ("0: orbit(2, 90)", (2, 0, 2), (-1, 0, 0)),
        ("0: orbit(depth=2, degrees=-90)", (-2, 0, 2), (1, 0, 0)),
        ("0: pan(90), 10: dolly(3)", (3, 0, 0), (1, 0, 0)),
        ("0: pan(90) + dolly(3)", (3, 0, 0), (1, 0, 0)),
        ("0: truck(1) + crane(1)", (1, -1, 0), (0, 0, 1)),
        ("0: truck(1) + look_at(0, 0, 1)", (1, 0, 0), (-math.sqrt(0.5), 0, math.sqrt(0.5))),
        ("0: look_at(1, 0, 1)", (0, 0, 0), (math.sqrt(0.5), 0, math.sqrt(0.5))),
        ("0: pose(0, 0, 0), 20: pose(1, 2, 3, pan=90)", (1, -2, 3), (1, 0, 0)),
        ("0: truck(1), 10: hold()", (1, 0, 0), (0, 0, 1)),
    ],
)
def test_where_moves_lead(text: str, position: tuple[float, ...], forward: tuple[float, ...]) -> None:
    last = path(text).poses[-1]
    np.testing.assert_allclose(last[:3, 3], position, atol=1e-9)
    np.testing.assert_allclose(last[:3, 2], forward, atol=1e-9)


def test_an_orbit_keeps_its_distance_and_its_center_in_the_middle() -> None:
    found = path("0: orbit(2, 200)").poses
    center = np.array([0, 0, 2.0, 1])
    np.testing.assert_allclose(np.linalg.inv(found) @ center, np.tile(center, (SIZE, 1)), atol=1e-9)
    # At frame 10 of 20 the camera is 100 degrees around: 2 sin 100° to the right.
    assert found[10, 0, 3] == pytest.approx(2 * math.sin(math.radians(100)))


def test_a_tracked_point_stays_in_the_middle_all_the_way() -> None:
    found = path("0: truck(1.5) + crane(0.5) + look_at(0, 0, 3)").poses
    seen = np.linalg.inv(found) @ (0, 0, 3, 1)
    np.testing.assert_allclose(seen[:, :2], 0, atol=1e-9)


def test_a_dolly_zoom_keeps_the_plane_as_large() -> None:
    found = path("0: dolly_zoom(2, 1)")
    sizes = np.tan(np.radians(found.fov_deg) / 2) * (2 - found.poses[:, 2, 3])
    np.testing.assert_allclose(sizes, math.tan(math.radians(30)) * 2)
    assert found.fov_deg[-1] == pytest.approx(98.2132107)
    assert dolly_zoom_fov(np.array([0.5]), 60, 2, 1)[0] == pytest.approx(75.1782, abs=1e-4)


def test_only_moves_of_the_lens_set_the_field_of_view() -> None:
    assert np.isnan(path("0: dolly(1)").fov_deg).all()
    found = path("0: dolly(1), 10: fov(40), 15: truck(1)").fov_deg
    assert np.isnan(found[:10]).all()
    np.testing.assert_allclose(found[[10, 15, 20]], [60, 40, 40])
    assert found[12] == pytest.approx(52)
    np.testing.assert_allclose(
        path("0: pose(0,0,0), 10: pose(1,0,0,fov=40)").fov_deg[[0, 10, 20]], [60, 40, 40]
    )


def test_easings_keep_the_ends() -> None:
    for name, middle in (("linear", 0.5), ("ease_in", 0.25), ("ease_out", 0.75), ("ease_in_out", 0.5)):
        found = path(f"0: truck(1) ~{name}").poses[:, 0, 3]
        np.testing.assert_allclose(found[[0, 10, 20]], [0, middle, 1])
    assert path("0: truck(1) ~ease_in_out").poses[5, 0, 3] == pytest.approx(0.125)


def test_a_spline_passes_its_poses_smoothly() -> None:
    keys, moved = np.array([0.0, 10, 20]), np.stack([pose(x, 0, 0, 0, 0, 0) for x in (0, 1, 0)])
    found = spline(keys, moved, np.array([-5.0, 0, 5, 10, 15, 20, 30]))
    np.testing.assert_allclose(found[:, 0, 3], [0, 0, 0.625, 1, 0.625, 0, 0])
    fine = spline(keys, moved, np.linspace(0, 20, 2001))[:, 0, 3]
    speeds = np.diff(fine) / 0.01
    assert np.abs(np.diff(speeds)).max() < 1e-3
    straight = spline(np.array([0.0, 10]), moved[:2], np.arange(11.0))[:, 0, 3]
    np.testing.assert_allclose(straight, np.arange(11) / 10, atol=1e-12)


@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 3, *[st.floats(-80, 80)] * 3), min_size=1, max_size=6))
def test_a_spline_is_exact_at_its_keys_and_rigid_between(keys: list[tuple[float, ...]]) -> None:
    at = np.cumsum(np.arange(1.0, len(keys) + 1)) * 3
    passed = np.stack([pose(*key) for key in keys])
    found = spline(at, passed, np.arange(80.0))
    np.testing.assert_allclose(found[at.astype(int)], passed)
    assert rigid_fault(found, 1e-9) is None


def test_the_schedules_of_a_path_lead_along_it() -> None:
    entries, _ = camera_entries("5: orbit(1.5, 70) + crane(0.3) ~ease_in", Timeline(SIZE, 1, 15, 64, 64))
    followed = follow(entries, SIZE, np.full(SIZE, 60.0), 15)
    values = followed.schedules(SIZE)
    assert list(values) == list(REPLACED)
    columns = np.stack(list(values.values()), axis=1)
    np.testing.assert_allclose(chained(poses(columns[:, :3], columns[:, 3:])), followed.poses, atol=1e-9)
    assert not columns[:6].any()  # the camera stands still before its first entry, exactly


def test_a_loop_closes_with_the_move_after_the_last_frame() -> None:
    entries, _ = camera_entries("0: orbit(2, 360)", Timeline(20, 1, 15, 64, 64))
    values = follow(entries, 21, np.full(21, 60.0), 15, closing=1).schedules(20)
    np.testing.assert_allclose(values["rotation_3d_y"], -18)
    np.testing.assert_allclose(values["translation_x"], values["translation_x"][0])


def test_a_file_follows_what_came_before_it() -> None:
    seen = np.stack([pose(5, 5, x, 0, 0, 0) for x in range(30)])
    track = {("a.glb", "", ""): Track(seen, np.linspace(40, 69, 30), 30)}
    move = Move("file", (0.5, 0.0), "a.glb")
    entries = (Entry(0, (Move("truck", (1.0,)),)), Entry(10, (move,)))
    found = follow(entries, SIZE, np.full(SIZE, 60.0), 15, track)
    np.testing.assert_allclose(found.poses[[10, 20], 2, 3], [0, 5])
    np.testing.assert_allclose(found.poses[[10, 20], 0, 3], 1)
    np.testing.assert_allclose(found.fov_deg[[10, 20]], [40, 50])


def test_a_short_file_is_refused_or_holds_its_end() -> None:
    track = {("a.glb", "", ""): Track(np.stack([pose(0, 0, x, 0, 0, 0) for x in range(15)]), None, 15)}
    with refuses(SettingsError, "camera_path_too_short", "15 frames at 15 fps", "needs 21"):
        follow((Entry(0, (Move("file", (1.0, 0.0), "a.glb"),)),), SIZE, np.full(SIZE, 60.0), 15, track)
    held = follow((Entry(0, (Move("file", (1.0, 1.0), "a.glb"),)),), SIZE, np.full(SIZE, 60.0), 15, track)
    assert held.poses[-1, 2, 3] == 14


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0: dolly(1), 5: pose(0, 0, 0)", "camera_path_pose_after_move"),
        ("0: pose(0, 0, 0) + dolly(1)", "camera_path_pose_added"),
        ("0: pose(0, 0, 0) ~ease_in", "camera_path_pose_added"),
        ("0: dolly_zoom(1, 1)", "camera_path_point_level"),
        ("0: crane(1) + look_at(0, 5, 0)", "camera_path_aim_lost"),
        ("0: orbit(0, 90)", "camera_path_value"),
        ("0: truck(1e9)", "camera_path_value"),
        ("0: fov(180)", "camera_path_value"),
        ("0: spin(3)", "unexpected_token"),
        ("0: orbit(2", "unexpected_token"),
        ("0: orbit(2)", "unexpected_token"),
        ("0: orbit(2, 3, 4)", "unexpected_token"),
        ("0: truck(nan)", "unexpected_token"),
        ("0: truck(right=1, right=2)", "unexpected_token"),
        ("0: truck(1) truck(2)", "unexpected_token"),
        ("0: truck(1) ~boing", "unexpected_token"),
        ("0: file(a.glb)", "unexpected_token"),
        ("0: file('a.glb', 3)", "unexpected_token"),
        ("0: truck(1), 0: truck(2)", "key_out_of_range"),
        ("0-4: truck(1)", "key_out_of_range"),
        ("0: " + "+".join(["truck(1)"] * 30), "unexpected_token"),
    ],
)
def test_what_no_path_can_mean_is_told(text: str, code: str) -> None:
    with refuses(SettingsError, code, "camera_path"):
        path(text)


def test_keys_far_beyond_the_video_cost_nothing() -> None:
    found = path("0: truck(1), 900000000: dolly(1)").poses
    assert found[-1, 0, 3] == pytest.approx(20 / 900000000)


@given(st.text(max_size=40))
def test_any_text_is_a_path_a_file_or_a_problem(text: str) -> None:
    try:
        entries, _ = camera_entries(text or "x", Timeline(5, 1, 15, 64, 64))
    except SettingsError:
        return
    if not any(move.name == "file" for entry in entries for move in entry.moves):
        follow(entries, 5, np.full(5, 60.0), 15)


def test_poses_that_no_camera_has() -> None:
    good = np.tile(np.eye(4), (3, 1, 1))
    assert rigid_fault(good) is None
    for place, value, word in (
        ((1, 0, 3), np.nan, "finite"),
        ((1, 3, 0), 1, "last row"),
        ((1, 0, 0), 2, "rigid"),
        ((1, 0, 0), -1, "mirrored"),
    ):
        bad = good.copy()
        bad[place] = value
        fault = rigid_fault(bad)
        assert fault is not None
        assert fault[0] == 1
        assert word in fault[1]
    near = good.copy()
    near[:, 0, 1] = 1e-4
    np.testing.assert_allclose(np.linalg.det(squared(near)[:, :3, :3]), 1)
