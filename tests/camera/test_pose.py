"""The 3D pose: signs, units, order of the turns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.camera.pose import UNITS_PER_DEPTH, next_from_prev, poses, rotation

angles = st.floats(-360, 360)


def test_documented_number() -> None:
    moved = next_from_prev((20, 0, 10), (0, 0, 0)) @ (0, 0, 1, 1)
    np.testing.assert_allclose(moved, (-0.1, 0, 0.95, 1))


def test_rotation_factors() -> None:
    np.testing.assert_allclose(rotation(90, 0, 0) @ (0, 1, 0), (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(rotation(0, 90, 0) @ (0, 0, 1), (1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(rotation(0, 0, 90) @ (1, 0, 0), (0, 1, 0), atol=1e-12)


def test_turns_are_applied_to_rows_in_the_order_x_y_z() -> None:
    pose = next_from_prev((0, 0, 0), (30, 40, 50))
    row = np.array([0.3, -0.2, 1.5])
    expected = row @ rotation(30, 0, 0) @ rotation(0, 40, 0) @ rotation(0, 0, 50)
    np.testing.assert_allclose(pose[:3, :3] @ row, expected)


@pytest.mark.parametrize(
    ("rotation_deg", "axis", "sign"),
    [((5, 0, 0), 1, 1), ((-5, 0, 0), 1, -1), ((0, 5, 0), 0, -1), ((0, -5, 0), 0, 1)],
    ids=[
        "look up: content down",
        "look down: content up",
        "look right: content left",
        "look left: content right",
    ],
)
def test_where_the_middle_goes(rotation_deg: tuple[float, float, float], axis: int, sign: int) -> None:
    moved = next_from_prev((0, 0, 0), rotation_deg) @ (0, 0, 1, 1)
    assert moved[axis] * sign == pytest.approx(math.sin(math.radians(5)))


def test_positive_roll_turns_the_content_counter_clockwise() -> None:
    right_edge = next_from_prev((0, 0, 0), (0, 0, 5)) @ (1, 0, 1, 1)
    assert right_edge[1] < 0


@given(angles, angles, angles)
def test_turns_keep_lengths(x: float, y: float, z: float) -> None:
    turn = next_from_prev((1, 2, 3), (x, y, z))[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


@given(st.lists(st.tuples(*[st.floats(-400, 400)] * 3, angles, angles, angles), min_size=1, max_size=9))
def test_moves_made_together_are_those_made_one_by_one(moves: list[tuple[float, ...]]) -> None:
    """To the last bit, against the product of the three turns written out."""
    numbers = np.array(moves)
    for pose, (tx, ty, tz, *turns_deg) in zip(poses(numbers[:, :3], numbers[:, 3:]), moves, strict=True):
        (cx, sx), (cy, sy), (cz, sz) = (
            (math.cos(math.radians(turn)), math.sin(math.radians(turn))) for turn in turns_deg
        )
        about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        expected = np.eye(4)
        expected[:3, :3] = (about_x @ about_y @ about_z).T
        expected[:3, 3] = np.array([-tx, ty, -tz]) / UNITS_PER_DEPTH
        np.testing.assert_array_equal(pose, expected)
