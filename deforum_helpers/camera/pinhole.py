"""The camera as a pinhole: what a point of one view is in the next, exactly.

A pixel (column, row) at depth z stands at ((column - cx) / fx, (row - cy) / fy, 1) · z before the camera, with (cx, cy)
the middle of the picture and fx, fy of `projection.lens`. Sideways moves shift content by as many pixels as the
classic warp does; turns and moves forward are those of a real camera, so turning alone uncovers nothing but the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deforum_helpers.camera.projection import lens
from deforum_helpers.camera.types import Matrix


@dataclass(frozen=True)
class View:
    """What takes a pixel of one view to the next one.

    (column, row, 1) and the inverse depth d there give h = pixels · (column, row, 1) + shift · d; the pixel is then at
    (h0 / h2, h1 / h2), and its depth is h2 / d.

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
    """Return the (3, 3) float64 matrix from directions before the camera to pixels, (0, 0) = centre of the first.

    intrinsics(90, 1, (101, 101)) is [[50.5, 0, 50], [0, 50.5, 50], [0, 0, 1]]. A negative aspect mirrors sideways
    moves; the sign of the field of view belongs to the pose (see `scene_move`).

    Args:
        fov_deg: field of view.
        aspect: divides horizontal motion.
        size_px: (width, height).

    Raises:
        SettingsError: the field of view or the aspect ratio has no lens.
    """
    optics = lens(fov_deg, aspect, size_px)
    turned = np.sign(optics.scale_y_px)
    width_px, height_px = size_px
    return np.array(
        [
            [optics.scale_x_px * turned, 0, (width_px - 1) / 2],
            [0, optics.scale_y_px * turned, (height_px - 1) / 2],
            [0, 0, 1],
        ]
    )


def scene_move(
    next_from_prev: Matrix, fov_deg: float, before: Matrix, flip_dst_from_src: Matrix | None = None
) -> Matrix:
    """Return the (4, 4) float64 matrix that takes points of the previous camera's frame to the next one's.

    Args:
        next_from_prev: (4, 4) of `pose.next_from_prev`.
        fov_deg: field of view; one with a negative lens turns the motion round, as in the classic warp.
        before: (3, 3) intrinsics of the previous view.
        flip_dst_from_src: (3, 3) perspective flip of the picture before the move, or None. The whole scene is turned
            by it, so that what it brings nearer is nearer for the move as well.
    """
    turned_round = np.tan(np.radians(fov_deg) / 2) < 0
    pose = np.linalg.inv(next_from_prev) if turned_round else next_from_prev
    if flip_dst_from_src is None:
        return np.asarray(pose, dtype=np.float64)
    # A flip turns the picture about its middle, which keeps its distance.
    weight = float(flip_dst_from_src[2] @ (before[0, 2], before[1, 2], 1))
    scene = np.eye(4)
    scene[:3, :3] = np.linalg.inv(before) @ (flip_dst_from_src / weight) @ before
    return np.asarray(pose @ scene, dtype=np.float64)


def view(move: Matrix, before: Matrix, after: Matrix) -> View:
    """Return what takes pixels of the previous view to the next one.

    Args:
        move: (4, 4) of `scene_move`, or the product of several.
        before, after: (3, 3) intrinsics of both.
    """
    return View(after @ move[:3, :3] @ np.linalg.inv(before), after @ move[:3, 3])
