"""Elementary rotation matrices, shared by the 3D camera and the perspective flip."""

from __future__ import annotations

import math

import numpy as np

from deforum_helpers.camera.types import Matrix


def rotation(x_deg: float, y_deg: float, z_deg: float) -> Matrix:
    """Return Rx · Ry · Rz, a (3, 3) float64 rotation.

    Each factor has its sine below the diagonal, except Ry, whose sine stands in the last row with a minus:
    rotation(90, 0, 0) @ (0, 1, 0) = (0, 0, 1), rotation(0, 0, 90) @ (1, 0, 0) = (0, 1, 0).

    Args:
        x_deg, y_deg, z_deg: angles about the three axes, degrees.
    """
    (cx, sx), (cy, sy), (cz, sz) = (
        (math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in (x_deg, y_deg, z_deg)
    )
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]], dtype=np.float64)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], dtype=np.float64)
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]], dtype=np.float64)
    return about_x @ about_y @ about_z
