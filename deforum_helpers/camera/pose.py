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


def chained(next_from_prev: Matrix) -> Matrix:
    """Return poses (N, 4, 4) `scene_from_frame`, the first at the origin, of moves (N, 4, 4), the first of them unused.

    The columns are the axes of the camera (right, down, forward) and its position, in the axes of frame 0. After the
    move (0, 0, 10) to frame 1 it is at (0, 0, 0.05).
    """
    path = np.empty((len(next_from_prev), 4, 4))
    path[0] = np.eye(4)
    for frame, prev_from_next in enumerate(np.linalg.inv(next_from_prev[1:]), 1):
        path[frame] = path[frame - 1] @ prev_from_next
    return path


def moves_of(next_from_prev: Matrix) -> tuple[Matrix, Matrix]:
    """Return the translations and rotations in degrees, both (N, 3), of rigid moves (N, 4, 4): the inverse of `poses`.

    The matrix of `next_from_prev` with translation (20, 0, 10) gives (20, 0, 10) and (0, 0, 0). Where the camera turns
    right by exactly 90 degrees, its roll is given as a tilt. Values are rounded to 1e-9, so that a camera that stands
    still gives zeros.
    """
    m: Matrix = np.asarray(next_from_prev[:, :3, :3]).transpose(0, 2, 1)
    across = np.hypot(m[:, 1, 2], m[:, 2, 2])
    locked = across < 1e-9
    about_x = np.where(locked, np.arctan2(m[:, 2, 1], m[:, 1, 1]), np.arctan2(-m[:, 1, 2], m[:, 2, 2]))
    about_y = np.arctan2(m[:, 0, 2], across)
    about_z = np.where(locked, 0, np.arctan2(-m[:, 0, 1], m[:, 0, 0]))
    degrees = np.degrees(np.stack([about_x, about_y, about_z], axis=1))
    translations = next_from_prev[:, :3, 3] * (-1, 1, -1) * UNITS_PER_DEPTH
    # Adding 0 turns -0 into 0.
    return np.round(translations, 9) + 0.0, np.round(degrees, 9) + 0.0


def quaternions(rotation_matrices: Matrix) -> Matrix:
    """Return unit quaternions (w, x, y, z), (N, 4) with w >= 0, of rotation matrices (N, 3, 3).

    The largest of the four is computed first and divides the others (Shepperd, 1978), so none loses precision.
    A quarter turn about z, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], gives (0.7071, 0, 0, 0.7071).
    """
    m = np.asarray(rotation_matrices, np.float64)
    trace = np.trace(m, axis1=1, axis2=2)
    diagonal = np.diagonal(m, axis1=1, axis2=2)
    largest = np.argmax(np.column_stack([trace, diagonal]), axis=1)
    found = np.empty((len(m), 4))
    for number in range(4):
        rows = largest == number
        some = m[rows]
        if number == 0:
            first = 1 + trace[rows]
            others = [some[:, j, k] - some[:, k, j] for j, k in ((2, 1), (0, 2), (1, 0))]
            found[rows] = np.column_stack([first, *others])
            continue
        i = number - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        values = np.empty((len(some), 4))
        values[:, 0] = some[:, k, j] - some[:, j, k]
        values[:, 1 + i] = 1 + some[:, i, i] - some[:, j, j] - some[:, k, k]
        values[:, 1 + j] = some[:, j, i] + some[:, i, j]
        values[:, 1 + k] = some[:, k, i] + some[:, i, k]
        found[rows] = values
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    found[found[:, 0] < 0] *= -1
    return found


def rotations_from_quaternions(wxyz: Matrix) -> Matrix:
    """Return rotation matrices (N, 3, 3) of quaternions (w, x, y, z), (N, 4), of any length above 0."""
    w, x, y, z = (wxyz / np.linalg.norm(wxyz, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows, np.float64).transpose(2, 0, 1)


def slerp(start: Matrix, end: Matrix, shares: Matrix) -> Matrix:
    """Return quaternions (N, 4) on the shortest turn from `start` to `end` at constant speed.

    Halfway from no turn to a quarter turn about z is an eighth: (0.9239, 0, 0, 0.3827). Shares outside 0..1 continue
    the turn.

    Args:
        start, end: unit quaternions (w, x, y, z), (N, 4) or (4,).
        shares: (N,), 0 = start, 1 = end.
    """
    start, end = np.broadcast_arrays(np.atleast_2d(start), np.atleast_2d(end))
    dots = np.sum(start * end, axis=1)
    end = np.where(dots[:, None] < 0, -end, end)
    # The angle from the lengths of sum and difference is exact for small turns too.
    angle = 2 * np.arctan2(np.linalg.norm(end - start, axis=1), np.linalg.norm(end + start, axis=1))
    small = angle < 1e-12
    sine = np.where(small, 1, np.sin(angle))
    first = np.where(small, 1 - shares, np.sin((1 - shares) * angle) / sine)
    second = np.where(small, shares, np.sin(shares * angle) / sine)
    mixed = first[:, None] * start + second[:, None] * end
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float64)


def rigid_fault(scene_from_frame: Matrix, tolerance: float = 1e-3) -> tuple[int, str] | None:
    """Return the number and the fault of the first of the poses (N, 4, 4) that is no rigid move, or None.

    Args:
        scene_from_frame: any values.
        tolerance: largest deviation of an axis from length 1 and from a right angle with the others.
    """
    poses = scene_from_frame
    axes = poses[:, :3, :3]
    with np.errstate(all="ignore"):
        finite = np.asarray(np.isfinite(poses).all(axis=(1, 2)))
        last_row = np.asarray(np.abs(poses[:, 3] - (0, 0, 0, 1)).max(axis=1) <= tolerance)
        skew = np.abs(axes.transpose(0, 2, 1) @ axes - np.eye(3)).max(axis=(1, 2))
        square = np.asarray(skew <= tolerance)
        mirrored = np.asarray(np.linalg.det(np.where(finite[:, None, None], axes, np.eye(3))) < 0)
    bad = np.flatnonzero(~(finite & last_row & square & ~mirrored))
    if not bad.size:
        return None
    number = int(bad[0])
    if not finite[number]:
        return number, "contains a value that is not a finite number"
    if not last_row[number]:
        return number, "has a last row other than 0, 0, 0, 1"
    if not square[number]:
        return number, "is not rigid: it scales or shears"
    return number, "is mirrored (its determinant is negative)"


def squared(scene_from_frame: Matrix) -> Matrix:
    """Return nearly rigid poses (N, 4, 4) with exact rotations: the nearest ones, by singular values."""
    u, _, vt = np.linalg.svd(scene_from_frame[:, :3, :3])
    exact = np.array(scene_from_frame, np.float64)
    exact[:, :3, :3] = u @ vt
    exact[:, 3] = (0, 0, 0, 1)
    return exact
