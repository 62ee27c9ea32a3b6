"""The 2D matrix and the perspective flip."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.camera.matrix_2d import (
    classic_flip_matrix,
    homography,
    move_matrices,
    move_matrix,
    perspective_flip_matrix,
)
from deforum_helpers.core.errors import SettingsError
from tests.image.sample_images import golden

GOLDEN = golden("warp2d.json")
angles = st.floats(-60, 60)


def matrix_of(move: dict[str, Any], flip: np.ndarray | None = None) -> np.ndarray:
    names = ("angle_deg", "zoom", "translation_px", "center")
    return move_matrix(**{name: move[name] for name in names}, size_px=(24, 16), flip=flip)


@pytest.mark.parametrize("move", [m for m in GOLDEN["moves"] if m["flip"] is None])
def test_classic_moves(move: dict[str, Any]) -> None:
    np.testing.assert_allclose(matrix_of(move), move["matrix"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("flip", GOLDEN["flips"])
def test_classic_flips(flip: dict[str, Any]) -> None:
    arguments = (flip["theta_deg"], flip["phi_deg"], flip["gamma_deg"], flip["fv_deg"], flip["size_px"])
    np.testing.assert_allclose(classic_flip_matrix(*arguments), flip["matrix"], rtol=1e-6, atol=1e-5)


def test_flip_and_shift_work_together() -> None:
    """Deviation: classic Deforum loses the shift when the flip is on; without it our matrix is the classic one."""
    (move,) = (m for m in GOLDEN["moves"] if m["flip"] is not None)
    flip = classic_flip_matrix(**move["flip"], size_px=(24, 16))
    unshifted = {**move, "translation_px": (0, 0)}
    np.testing.assert_allclose(matrix_of(unshifted, flip), move["matrix"], rtol=0, atol=1e-5)
    place = np.array([5.0, 7.0, 1.0])
    shifted = place + np.array([*move["translation_px"], 0])
    np.testing.assert_allclose(matrix_of(move, flip) @ place, matrix_of(unshifted, flip) @ shifted)


def test_documented_number() -> None:
    matrix = move_matrix(angle_deg=0, zoom=2, translation_px=(3, 0), center=(0.5, 0.5), size_px=(100, 100))
    np.testing.assert_allclose(matrix @ (50, 50, 1), (56, 50, 1))


def test_positive_angle_turns_counter_clockwise_on_the_screen() -> None:
    matrix = move_matrix(angle_deg=90, zoom=1, translation_px=(0, 0), center=(0.5, 0.5), size_px=(10, 10))
    np.testing.assert_allclose(matrix @ (10, 5, 1), (5, 0, 1), atol=1e-12)


@given(
    st.floats(-170, 170).filter(lambda a: abs(a) > 1), st.tuples(st.integers(8, 4096), st.integers(8, 4096))
)
def test_flip_of_zero_angles_changes_nothing(fv_deg: float, size_px: tuple[int, int]) -> None:
    """Deviation: classic Deforum's flip of zero angles shrinks the image a little in every frame."""
    flip = perspective_flip_matrix(theta_deg=0, phi_deg=0, gamma_deg=0, fv_deg=fv_deg, size_px=size_px)
    np.testing.assert_allclose(flip, np.eye(3), atol=1e-9)


@given(angles, angles, angles)
def test_flip_is_the_classic_one_relative_to_rest(theta_deg: float, phi_deg: float, gamma_deg: float) -> None:
    flip = perspective_flip_matrix(
        theta_deg=theta_deg, phi_deg=phi_deg, gamma_deg=gamma_deg, fv_deg=53, size_px=(640, 384)
    )
    at_rest = classic_flip_matrix(0, 0, 0, 53, (640, 384))
    classic = classic_flip_matrix(theta_deg, phi_deg, gamma_deg, 53, (640, 384))
    np.testing.assert_allclose(at_rest @ flip, classic, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("phi_deg", "gamma_deg"), [(90, 0), (0, 90), (90, 90), (270, 0)])
def test_edge_on_flip_can_still_be_undone(phi_deg: float, gamma_deg: float) -> None:
    flip = perspective_flip_matrix(
        theta_deg=0, phi_deg=phi_deg, gamma_deg=gamma_deg, fv_deg=53, size_px=(64, 64)
    )
    assert np.isfinite(np.linalg.inv(flip)).all()


def test_homography_takes_points_to_points() -> None:
    source = np.array([[0, 0], [4, 0], [4, 3], [0, 3]], dtype=float)
    target = np.array([[1, 1], [5, 0], [6, 4], [0, 3]], dtype=float)
    seen = np.c_[source, np.ones(4)] @ homography(source, target).T
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], target, atol=1e-9)


def test_zoom_of_zero_takes_every_point_to_one() -> None:
    matrix = move_matrix(angle_deg=30, zoom=0, translation_px=(5, 1), center=(0.5, 0.25), size_px=(8, 8))
    np.testing.assert_array_equal(matrix, [[0, 0, 4], [0, 0, 2], [0, 0, 1]])


@pytest.mark.parametrize("zoom", [1e-9, -1e-5, float("nan")])
def test_zoom_of_nearly_zero_is_refused(zoom: float) -> None:
    with pytest.raises(SettingsError, match="zoom") as caught:
        move_matrix(angle_deg=0, zoom=zoom, translation_px=(0, 0), center=(0.5, 0.5), size_px=(8, 8))
    assert caught.value.problems[0].setting == "zoom"


@pytest.mark.parametrize("fv_deg", [0, 180, 360, -720])
def test_flip_without_perspective_is_refused(fv_deg: float) -> None:
    with pytest.raises(SettingsError, match="perspective_flip_fv"):
        perspective_flip_matrix(theta_deg=1, phi_deg=0, gamma_deg=0, fv_deg=fv_deg, size_px=(8, 8))


def test_moves_made_together_are_those_made_one_by_one() -> None:
    angles, zooms = [0.0, 30.0, -7.5], [1.0, 0.0, 1.02]
    shifts, centers = [(0.0, 0.0), (3.0, -1.0), (0.5, 9.0)], [(0.5, 0.5), (0.25, 1.0), (0.0, 0.5)]
    together = move_matrices(
        angles_deg=np.array(angles),
        zooms=np.array(zooms),
        translations_px=np.array(shifts),
        centers=np.array(centers),
        size_px=(64, 48),
    )
    for matrix, angle, zoom, shift, (x, y) in zip(together, angles, zooms, shifts, centers, strict=True):
        a, b = zoom * math.cos(math.radians(angle)), zoom * math.sin(math.radians(angle))
        cx, cy = 64 * x, 48 * y
        turn = np.array([[a, b, (1 - a) * cx - b * cy], [-b, a, b * cx + (1 - a) * cy], [0, 0, 1]])
        moved = turn @ np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
        np.testing.assert_array_equal(matrix, moved)
