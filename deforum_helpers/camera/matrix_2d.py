"""The 2D camera: one 3x3 matrix per camera move, in pixels, x to the right and y down."""

from __future__ import annotations

import math

import numpy as np

from deforum_helpers.camera.pose import cosines_and_sines, rotation
from deforum_helpers.camera.types import Matrix, camera_value_error

SMALLEST_ZOOM = 1e-4
SMALLEST_FV_DEG = 1e-3
EDGE_ON_STEP_DEG = 1e-3


def move_matrix(
    *,
    angle_deg: float,
    zoom: float,
    translation_px: tuple[float, float],
    center: tuple[float, float],
    size_px: tuple[int, int],
    flip: Matrix | None = None,
) -> Matrix:
    """Return the (3, 3) float64 matrix dst_from_src of one 2D move: flip · rotation and zoom · shift.

    The shift is applied first, so it is zoomed and rotated too. move_matrix(angle_deg=0, zoom=2, translation_px=(3, 0),
    center=(0.5, 0.5), size_px=(100, 100)) takes (50, 50) to (56, 50).

    Args:
        angle_deg: counter-clockwise rotation of the content on the screen.
        zoom: > 1 enlarges; 0 shrinks the image to a point, which has no inverse.
        translation_px: shift of the content, right and down.
        center: fixed point of rotation and zoom, as shares of width and height; (0.5, 0.5) is the center.
        size_px: (width, height).
        flip: (3, 3) dst_from_src of `perspective_flip_matrix`, or None.

    Raises:
        SettingsError: the zoom is not 0, but too close to 0 for an inverse.
    """
    move = move_matrices(
        angles_deg=np.array([angle_deg], np.float64),
        zooms=np.array([zoom], np.float64),
        translations_px=np.array([translation_px], np.float64),
        centers=np.array([center], np.float64),
        size_px=size_px,
    )[0]
    return np.asarray(move if flip is None else flip @ move, np.float64)


def move_matrices(
    *, angles_deg: Matrix, zooms: Matrix, translations_px: Matrix, centers: Matrix, size_px: tuple[int, int]
) -> Matrix:
    """Return `move_matrix` for many moves without flips, (N, 3, 3).

    Args:
        angles_deg, zooms: (N,).
        translations_px, centers: (N, 2).
        size_px: (width, height).

    Raises:
        SettingsError: as `move_matrix`, for the first such zoom.
    """
    bad = ~((zooms == 0) | (np.abs(zooms) >= SMALLEST_ZOOM))
    if bad.any():
        raise camera_value_error("zoom", float(zooms[bad][0]), f"0, or at least {SMALLEST_ZOOM:g} in size")
    cosines, sines = cosines_and_sines(angles_deg)
    a, b = zooms * cosines, zooms * sines
    cx, cy = (centers * size_px).T
    turns, shifts = (np.tile(np.eye(3), (len(zooms), 1, 1)) for _ in range(2))
    turns[:, 0, 0], turns[:, 0, 1], turns[:, 0, 2] = a, b, (1 - a) * cx - b * cy
    turns[:, 1, 0], turns[:, 1, 1], turns[:, 1, 2] = -b, a, b * cx + (1 - a) * cy
    shifts[:, :2, 2] = translations_px
    return np.asarray(turns @ shifts, np.float64)


def perspective_flip_matrix(
    *, theta_deg: float, phi_deg: float, gamma_deg: float, fv_deg: float, size_px: tuple[int, int]
) -> Matrix:
    """Return the (3, 3) float64 matrix dst_from_src of an image rotated in space; zero angles give the identity.

    The matrix is the classic one relative to its own zero-angle matrix, which by itself shrinks the image by a tenth
    of a percent per frame. Edge-on, where the image has no area, the angles are shifted by a thousandth of a degree.

    Args:
        theta_deg, phi_deg, gamma_deg: rotations about z (in the plane), x and y.
        fv_deg: field of view, not a multiple of 180.
        size_px: (width, height).

    Raises:
        SettingsError: fv_deg is a multiple of 180.
    """
    half = math.radians(fv_deg) / 2
    if min(abs(math.sin(half)), abs(math.cos(half))) < math.radians(SMALLEST_FV_DEG):
        raise camera_value_error(
            "perspective_flip_fv", fv_deg, "an angle other than a multiple of 180 degrees"
        )
    at_rest = classic_flip_matrix(0, 0, 0, fv_deg, size_px)
    turned = classic_flip_matrix(theta_deg, phi_deg, gamma_deg, fv_deg, size_px)
    if abs(np.linalg.det(turned)) < 1e-5:
        turned = classic_flip_matrix(
            theta_deg, phi_deg + EDGE_ON_STEP_DEG, gamma_deg + EDGE_ON_STEP_DEG, fv_deg, size_px
        )
    return np.asarray(np.linalg.inv(at_rest) @ turned, dtype=np.float64)


def classic_flip_matrix(
    theta_deg: float, phi_deg: float, gamma_deg: float, fv_deg: float, size_px: tuple[int, int]
) -> Matrix:
    """Return classic Deforum's (3, 3) flip matrix, whose zero-angle matrix is not the identity.

    The image's corners are rotated, moved back along z and projected; the homography between corners and
    projections is the flip. At 512x512 and fv 53 degrees, zero angles scale by 0.998769.

    Args:
        theta_deg, phi_deg, gamma_deg: rotations about z, x and y.
        fv_deg: field of view.
        size_px: (width, height).
    """
    width_px, height_px = size_px
    half = math.radians(fv_deg) / 2
    diagonal = math.hypot(width_px, height_px)
    side = diagonal / math.cos(half)
    distance = diagonal / (2 * math.sin(half))
    middle = np.array([width_px / 2, height_px / 2])
    flat = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * middle
    turned = flat @ rotation(phi_deg, gamma_deg, theta_deg)[:, :2].T
    weight = 1 - (turned[:, 2] - distance)
    seen = turned[:, :2] / math.tan(half) / weight[:, None]
    source = (flat + middle).astype(np.float32)
    target = ((seen + 1) * side / 2).astype(np.float32)
    centered = np.array([[1, 0, (width_px - side) / 2], [0, 1, (height_px - side) / 2], [0, 0, 1]])
    return np.asarray(homography(source, target) @ centered, dtype=np.float64)


def homography(source: np.ndarray, target: np.ndarray) -> Matrix:
    """Return the (3, 3) float64 homography that maps four points to four others, last element 1.

    Args:
        source, target: (4, 2) points, no three of them collinear.
    """
    rows, right = [], []
    for (x, y), (u, v) in zip(source.tolist(), target.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -x * u, -y * u], [0, 0, 0, x, y, 1, -x * v, -y * v]]
        right += [u, v]
    solution = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    return np.append(solution, 1.0).reshape(3, 3)
