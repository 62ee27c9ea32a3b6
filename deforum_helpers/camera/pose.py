"""Poses of the 3D camera, and rotation matrices, which the perspective flip uses too."""

from __future__ import annotations

import math

import numpy as np

from deforum_helpers.camera.types import Matrix


def rotation(x_deg: float, y_deg: float, z_deg: float) -> Matrix:
    """Return Rx · Ry · Rz, a (3, 3) float64 rotation.

    Each factor has its sine below the diagonal; Ry has it negated:
    rotation(90, 0, 0) @ (0, 1, 0) = (0, 0, 1), rotation(0, 0, 90) @ (1, 0, 0) = (0, 1, 0).

    Args:
        x_deg, y_deg, z_deg: angles about the three axes, degrees.
    """
    return np.asarray(rotations(np.array([[x_deg, y_deg, z_deg]], dtype=np.float64))[0], np.float64)


def rotations(angles_deg: Matrix) -> Matrix:
    """Return `rotation` for many triples of angles: (N, 3) degrees to (N, 3, 3)."""
    about_x, about_y, about_z = (np.zeros((len(angles_deg), 3, 3)) for _ in range(3))
    for about, first, second, angles in ((about_x, 1, 2, 0), (about_y, 2, 0, 1), (about_z, 0, 1, 2)):
        cosines, sines = cosines_and_sines(angles_deg[:, angles])
        about[:, angles, angles] = 1
        about[:, first, first] = about[:, second, second] = cosines
        about[:, first, second], about[:, second, first] = -sines, sines
    return about_x @ about_y @ about_z


def cosines_and_sines(angles_deg: Matrix) -> tuple[Matrix, Matrix]:
    """Return the cosines and sines of angles (N,) in degrees.

    Uses `math`, as NumPy's results differ in the last bit between processors.
    """
    angles = np.radians(angles_deg).tolist()
    return np.array([math.cos(angle) for angle in angles]), np.array([math.sin(angle) for angle in angles])


UNITS_PER_DEPTH = 200.0


def next_from_prev(
    translation: tuple[float, float, float], rotation_deg: tuple[float, float, float]
) -> Matrix:
    """Return the (4, 4) float64 matrix that maps a point of the previous camera's frame to the next.

    A point is a column (x, y, z, 1). translation_x > 0 moves the camera right and so the content left,
    translation_y > 0 moves the content down, translation_z > 0 moves forward; rotation_3d_x > 0 looks up,
    rotation_3d_y > 0 looks right, rotation_3d_z > 0 rotates the content counter-clockwise.

    next_from_prev((20, 0, 10), (0, 0, 0)) maps (0, 0, 1) to (-0.1, 0, 0.95).

    Args:
        translation: translation_x, translation_y, translation_z as in the settings, 1/200 of a depth unit.
        rotation_deg: rotation_3d_x, rotation_3d_y, rotation_3d_z, degrees; applied in that order to row vectors.
    """
    pose = poses(np.array([translation], np.float64), np.array([rotation_deg], np.float64))[0]
    return np.asarray(pose, np.float64)


def poses(translations: Matrix, rotations_deg: Matrix) -> Matrix:
    """Return `next_from_prev` for many moves: translations and degrees, both (N, 3), to (N, 4, 4)."""
    poses = np.zeros((len(translations), 4, 4))
    poses[:, :3, :3] = rotations(rotations_deg).transpose(0, 2, 1)
    poses[:, :3, 3] = translations * (-1, 1, -1) / UNITS_PER_DEPTH
    poses[:, 3, 3] = 1
    return poses
