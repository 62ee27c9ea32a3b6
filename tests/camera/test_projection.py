"""Sampling coordinates: the fast form against the readable one, and documented numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.camera.matrix_2d import perspective_flip_matrix
from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.camera.projection import (
    FARTHEST_PX,
    lens,
    sampling_maps,
    sampling_maps_2d,
    sampling_point,
)
from deforum_helpers.core.errors import SettingsError

STILL = next_from_prev((0, 0, 0), (0, 0, 0))
units = st.floats(-40, 40)
small_angles = st.floats(-20, 20)


def test_documented_lens() -> None:
    optics = lens(90, 1, (100, 50))
    assert (optics.scale_x_px, optics.scale_y_px) == pytest.approx((50, 25))


def test_documented_point() -> None:
    pose = next_from_prev((20, 0, 0), (0, 0, 0))
    assert sampling_point(1, 1, 1.0, (3, 3), pose, lens(90, 1, (3, 3))) == pytest.approx((1.15, 1))


def test_twenty_units_at_fov_70_are_714_ten_thousandths_of_the_width() -> None:
    pose = next_from_prev((20, 0, 0), (0, 0, 0))
    map_x, map_y = sampling_maps(None, (512, 512), pose, lens(70, 1, (512, 512)))
    np.testing.assert_allclose(map_x - np.arange(512), 0.0714 * 512, rtol=1e-3)
    np.testing.assert_allclose(map_y.T - np.arange(512), 0, atol=1e-4)


@given(
    st.tuples(units, units, units), st.tuples(small_angles, small_angles, small_angles), st.floats(20, 120)
)
def test_fast_maps_equal_the_readable_points(
    translation: tuple[float, float, float], rotation_deg: tuple[float, float, float], fov_deg: float
) -> None:
    size_px = (37, 23)
    depth = np.random.default_rng(1).uniform(1, 2.3, size_px[::-1]).astype(np.float32)
    pose, optics = next_from_prev(translation, rotation_deg), lens(fov_deg, 1.3, size_px)
    map_x, map_y = sampling_maps(depth, size_px, pose, optics)
    for row, column in ((0, 0), (22, 36), (11, 5), (3, 30)):
        point = sampling_point(column, row, float(depth[row, column]), size_px, pose, optics)
        assert (map_x[row, column], map_y[row, column]) == pytest.approx(point, rel=1e-4, abs=1e-2)


def test_tiles_leave_no_seam() -> None:
    size_px = (300, 400)  # more than one tile of rows
    pose = next_from_prev((3, -2, 5), (1, 2, 3))
    map_x, map_y = sampling_maps(None, size_px, pose, lens(70, 1, size_px))
    assert np.abs(np.diff(map_y, 2, axis=0)).max() < 0.01
    assert np.abs(np.diff(map_x, 2, axis=0)).max() < 0.01


def test_a_still_camera_samples_every_pixel_where_it_stands() -> None:
    depth = np.random.default_rng(2).uniform(1, 2, (30, 40)).astype(np.float32)
    map_x, map_y = sampling_maps(depth, (40, 30), STILL, lens(70, 1, (40, 30)))
    np.testing.assert_allclose(map_x, np.tile(np.arange(40), (30, 1)), atol=1e-5)
    np.testing.assert_allclose(map_y.T, np.tile(np.arange(30), (40, 1)), atol=1e-5)


def test_near_things_move_more_than_far_ones() -> None:
    depth = np.array([[1.0, 2.0]], np.float32).repeat(2, 0)
    map_x, _ = sampling_maps(depth, (2, 2), next_from_prev((20, 0, 0), (0, 0, 0)), lens(70, 1, (2, 2)))
    assert map_x[0, 0] - 0 == pytest.approx(2 * (map_x[0, 1] - 1))


def test_flip_is_undone_before_the_image_is_sampled() -> None:
    flip = perspective_flip_matrix(theta_deg=5, phi_deg=8, gamma_deg=-4, fv_deg=53, size_px=(40, 30))
    still = sampling_maps(None, (40, 30), STILL, lens(70, 1, (40, 30)), flip)
    flat = sampling_maps_2d((40, 30), np.linalg.inv(flip))
    np.testing.assert_allclose(still, flat, atol=1e-3)


def test_points_beside_the_camera_stay_finite() -> None:
    depth = np.full((8, 8), 0.5, np.float32)
    pose = next_from_prev((0, 0, 100), (0, 0, 0))  # flies exactly into the scene
    for plane in sampling_maps(depth, (8, 8), pose, lens(70, 1, (8, 8))):
        assert np.isfinite(plane).all()
        assert np.abs(plane).max() <= FARTHEST_PX


def test_flat_maps_invert_an_affine_and_a_projective_move() -> None:
    move = np.array([[1.1, 0.2, 3], [-0.1, 0.9, -2], [0.001, 0.002, 1]])
    for matrix in (move, np.vstack([move[:2], [0, 0, 1]])):
        map_x, map_y = sampling_maps_2d((20, 10), np.linalg.inv(matrix))
        u, v, w = matrix @ (map_x[4, 13], map_y[4, 13], 1)
        assert (u / w, v / w) == pytest.approx((13, 4), abs=1e-3)


@pytest.mark.parametrize(
    ("fov_deg", "aspect", "setting"),
    [
        (0, 1, "fov_schedule"),
        (360, 1, "fov_schedule"),
        (float("nan"), 1, "fov_schedule"),
        (70, 0, "aspect_ratio"),
    ],
)
def test_no_lens(fov_deg: float, aspect: float, setting: str) -> None:
    with pytest.raises(SettingsError, match=setting):
        lens(fov_deg, aspect, (8, 8))
