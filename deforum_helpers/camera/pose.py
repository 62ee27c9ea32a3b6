"""The pose of one camera move in 3D.

Axes of a camera: x to the right, y down, z forward, which is how the pixels of a picture lie. The settings speak
another dialect, kept for old files: translation_y > 0 lifts the camera, and 200 units of translation are one unit of
depth.
"""

from __future__ import annotations

import numpy as np

from deforum_helpers.camera.angles import rotations
from deforum_helpers.camera.types import Matrix

UNITS_PER_DEPTH = 200.0


def next_from_prev(
    translation: tuple[float, float, float], rotation_deg: tuple[float, float, float]
) -> Matrix:
    """Return the (4, 4) float64 matrix that takes a point of the previous camera's frame to the next one's.

    A point is a column (x, y, z, 1). translation_x > 0 moves the camera right and so the picture's content left,
    translation_y > 0 moves the content down, translation_z > 0 flies forward; rotation_3d_x > 0 looks up,
    rotation_3d_y > 0 looks right, rotation_3d_z > 0 turns the content counter-clockwise.

    next_from_prev((20, 0, 10), (0, 0, 0)) takes (0, 0, 1) to (-0.1, 0, 0.95).

    Args:
        translation: translation_x, translation_y, translation_z as in the settings, 1/200 of a depth unit.
        rotation_deg: rotation_3d_x, rotation_3d_y, rotation_3d_z, degrees; applied in that order to row vectors.
    """
    pose = poses(np.array([translation], np.float64), np.array([rotation_deg], np.float64))[0]
    return np.asarray(pose, np.float64)


def poses(translations: Matrix, rotations_deg: Matrix) -> Matrix:
    """Return `next_from_prev` of many moves at once: translations and degrees, both (N, 3), to (N, 4, 4)."""
    poses = np.zeros((len(translations), 4, 4))
    poses[:, :3, :3] = rotations(rotations_deg).transpose(0, 2, 1)
    poses[:, :3, 3] = translations * (-1, 1, -1) / UNITS_PER_DEPTH
    poses[:, 3, 3] = 1
    return poses
