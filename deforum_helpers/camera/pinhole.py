"""The pinhole camera: the exact transform of pixels from one view to the next.

A pixel (column, row) at depth z is at ((column - cx) / fx, (row - cy) / fy, 1) · z in the camera's frame, with (cx, cy)
the center of the image and fx, fy from `projection.lens`. Sideways moves shift content by as many pixels as the classic
warp. Rotations and forward moves are those of a real camera, so a rotation reveals nothing except at the edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deforum_helpers.camera.projection import lens
from deforum_helpers.camera.types import Matrix


@dataclass(frozen=True)
class View:
    """The transform of pixels from one view to the next.

    With the inverse depth d at a pixel, h = pixels · (column, row, 1) + shift · d. In the next view the pixel is at
    (h0 / h2, h1 / h2), at depth h2 / d.

    Args:
        pixels: (3, 3) float64.
        shift: (3,) float64.
    """

    pixels: Matrix
    shift: Matrix

    @property
    def still(self) -> bool:
        return bool(np.allclose(self.pixels, np.eye(3), rtol=0, atol=1e-9)) and not self.shift.any()


def intrinsics(fov_deg: float, aspect: float, size_px: tuple[int, int]) -> Matrix:
    """Return the (3, 3) float64 matrix from directions in the camera's frame to pixels, (0, 0) = first pixel's center.

    intrinsics(90, 1, (101, 101)) is [[50.5, 0, 50], [0, 50.5, 50], [0, 0, 1]]. A negative aspect mirrors sideways
    moves; the sign of the field of view belongs to the pose (see `scene_move`).

    Args:
        fov_deg: field of view.
        aspect: divides horizontal motion.
        size_px: (width, height).

    Raises:
        SettingsError: the field of view or the aspect ratio is invalid.
    """
    scale = lens(fov_deg, aspect, size_px)
    sign = np.sign(scale.scale_y_px)
    width_px, height_px = size_px
    return np.array(
        [
            [scale.scale_x_px * sign, 0, (width_px - 1) / 2],
            [0, scale.scale_y_px * sign, (height_px - 1) / 2],
            [0, 0, 1],
        ]
    )


def scene_move(
    next_from_prev: Matrix, fov_deg: float, before: Matrix, flip_dst_from_src: Matrix | None = None
) -> Matrix:
    """Return the (4, 4) float64 matrix that maps points of the previous camera's frame to the next.

    Args:
        next_from_prev: (4, 4) from `pose.next_from_prev`.
        fov_deg: field of view; a negative one reverses the motion, as in the classic warp.
        before: (3, 3) intrinsics of the previous view.
        flip_dst_from_src: (3, 3) perspective flip of the image before the move, or None. It rotates the whole scene,
            so parts that it brings nearer are nearer for the move too.
    """
    is_reversed = np.tan(np.radians(fov_deg) / 2) < 0
    pose = np.linalg.inv(next_from_prev) if is_reversed else next_from_prev
    if flip_dst_from_src is None:
        return np.asarray(pose, dtype=np.float64)
    # A flip rotates the image about its center, whose distance stays the same.
    weight = float(flip_dst_from_src[2] @ (before[0, 2], before[1, 2], 1))
    scene = np.eye(4)
    scene[:3, :3] = np.linalg.inv(before) @ (flip_dst_from_src / weight) @ before
    return np.asarray(pose @ scene, dtype=np.float64)


def view(move: Matrix, before: Matrix, after: Matrix) -> View:
    """Return the transform of pixels from the previous view to the next.

    Args:
        move: (4, 4) from `scene_move`, or a product of several.
        before, after: (3, 3) intrinsics of both views.
    """
    return View(after @ move[:3, :3] @ np.linalg.inv(before), after @ move[:3, 3])
