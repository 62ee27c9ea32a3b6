"""The projection of the 3D camera: from the pixels of one view to those of the next.

The classic camera gives the coordinates that each pixel of the next frame is sampled at. With x, y from -1 to 1 over
columns and rows and z the depth of a pixel, the camera move maps (x, y, z) to (X, Y, Z). The content there moves by k
(X/Z - x/z, Y/Z - y/z) in halves of the image, with k_y = 1 / tan(fov / 2) and k_x = k_y / aspect. The pixel is sampled
at its position minus that motion.

The exact camera is a pinhole. A pixel (column, row) at depth z is at ((column - cx) / fx, (row - cy) / fy, 1) · z in
the camera's frame, with (cx, cy) the center of the image and fx, fy from `lens`. Sideways moves shift content by as
many pixels as the classic warp. Rotations and forward moves are those of a real camera, so a rotation reveals nothing
except at the edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deforum_helpers.camera.types import Matrix, Plane, camera_value_error

TILE_PIXELS = 131072
FARTHEST_PX = 1e6


@dataclass(frozen=True)
class Lens:
    """The scale of a field of view.

    Args:
        scale_x_px, scale_y_px: pixels by which content at depth 1 moves when the camera moves sideways by 1.
    """

    scale_x_px: float
    scale_y_px: float


def lens(fov_deg: float, aspect: float, size_px: tuple[int, int]) -> Lens:
    """Return the lens of a field of view.

    lens(90, 1, (100, 50)) moves content at depth 1 by 50 and 25 pixels per unit.

    Args:
        fov_deg: field of view; negative values reverse the motion.
        aspect: divides the horizontal motion, not 0.
        size_px: (width, height).

    Raises:
        SettingsError: the field of view or the aspect ratio is invalid.
    """
    tangent = math.tan(math.radians(fov_deg) / 2) if math.isfinite(fov_deg) else 0.0
    if abs(tangent) < 1e-9:
        raise camera_value_error("fov_schedule", fov_deg, "an angle other than a multiple of 360 degrees")
    if not math.isfinite(aspect) or abs(aspect) < 1e-9:
        raise camera_value_error("aspect_ratio_schedule", aspect, "a number other than 0")
    width_px, height_px = size_px
    return Lens(width_px / (2 * tangent * aspect), height_px / (2 * tangent))


def sampling_maps(
    depth: Plane | None,
    size_px: tuple[int, int],
    next_from_prev: Matrix,
    optics: Lens,
    flip_dst_from_src: Matrix | None = None,
) -> tuple[Plane, Plane]:
    """Return the columns and rows to sample at, each (H, W) float32 in pixels, (0, 0) = center of the first pixel.

    The fast form of `sampling_point`: computes whole rows, in tiles that fit the processor's cache.

    Args:
        depth: (H, W) float32, or None for a plane at depth 1.
        size_px: (width, height).
        next_from_prev: (4, 4) pose of `pose.next_from_prev`.
        optics: from `lens`.
        flip_dst_from_src: (3, 3) perspective flip before the move, composed with it into one sampling; or None.
    """
    width_px, height_px = size_px
    map_x = np.empty((height_px, width_px), np.float32)
    map_y = np.empty((height_px, width_px), np.float32)
    src_from_dst = None if flip_dst_from_src is None else inverse(flip_dst_from_src)
    rows = max(1, TILE_PIXELS // width_px)
    x = np.linspace(-1, 1, width_px, dtype=np.float32)
    y = np.linspace(-1, 1, height_px, dtype=np.float32)[:, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for top in range(0, height_px, rows):
            tile = slice(top, min(top + rows, height_px))
            z = None if depth is None else depth[tile]
            _fill(map_x[tile], map_y[tile], z, (x, y[tile]), top, next_from_prev, optics)
            if src_from_dst is not None:
                map_x[tile], map_y[tile] = map_points(src_from_dst, map_x[tile], map_y[tile])
            _bound(map_x[tile])
            _bound(map_y[tile])
    return map_x, map_y


def _fill(
    map_x: Plane,
    map_y: Plane,
    z: Plane | None,
    start_points: tuple[Plane, Plane],
    top: int,
    next_from_prev: Matrix,
    optics: Lens,
) -> None:
    """Write the coordinates of some rows, starting at row `top`, into `map_x` and `map_y`.

    Args:
        map_x, map_y: (n, W) output rows.
        z: (n, W) depth of these rows, or None for a plane at depth 1.
        start_points: x (W,) and y (n, 1) of the pixels, -1..1 over the image.
        top: number of the first row.
        next_from_prev: (4, 4) pose.
        optics: from `lens`.
    """
    x, y = start_points
    columns = np.arange(map_x.shape[1], dtype=np.float32)
    rows = np.arange(top, top + map_x.shape[0], dtype=np.float32)[:, None]
    pose = next_from_prev.astype(np.float32)

    def moved(axis: int) -> Plane:
        flat = (pose[axis, 0] * x + pose[axis, 3]) + pose[axis, 1] * y
        flat += pose[axis, 2] if z is None else pose[axis, 2] * z
        return flat

    depth_then = moved(2)
    for out, place, start, axis, scale in (
        (map_x, columns, x, 0, optics.scale_x_px),
        (map_y, rows, y, 1, optics.scale_y_px),
    ):
        shift = moved(axis)
        shift /= depth_then
        shift -= start if z is None else np.divide(start, z, out=out)
        shift *= np.float32(scale)
        np.subtract(place, shift, out=out)


def map_points(src_from_dst: Matrix, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return the points (x, y), any shape, mapped by a (3, 3) homography."""
    m = src_from_dst.astype(np.float32)
    weight = m[2, 0] * x + m[2, 1] * y + m[2, 2]
    return (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / weight, (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / weight


def inverse(dst_from_src: Matrix) -> Matrix:
    """Return the inverse (3, 3) matrix, src_from_dst."""
    return np.asarray(np.linalg.inv(dst_from_src), dtype=np.float64)


def sampling_maps_2d(size_px: tuple[int, int], src_from_dst: Matrix) -> tuple[Plane, Plane]:
    """Return the columns and rows to sample at, each (H, W) float32 in pixels, for a 2D move.

    Args:
        size_px: (width, height).
        src_from_dst: (3, 3), inverse of `matrix_2d.move_matrix`.
    """
    down, along = sampling_lines_2d(size_px, src_from_dst)
    map_x, map_y, weight = map(np.add.outer, down, along)
    if not np.array_equal(src_from_dst[2], (0, 0, 1)):
        with np.errstate(divide="ignore", invalid="ignore"):
            map_x /= weight
            map_y /= weight
    _bound(map_x)
    _bound(map_y)
    return map_x, map_y


def sampling_lines_2d(size_px: tuple[int, int], src_from_dst: Matrix) -> tuple[Plane, Plane]:
    """Return (3, H) and (3, W) float32, whose outer sums are x, y and weight of the point that each pixel samples.

    Args:
        size_px, src_from_dst: as in `sampling_maps_2d`.
    """
    columns, rows = (np.arange(side, dtype=np.float64) for side in size_px)
    down = np.stack([b * rows + c for _, b, c in src_from_dst]).astype(np.float32)
    return down, np.stack([a * columns for a, _, _ in src_from_dst]).astype(np.float32)


def sampling_point(
    column: float,
    row: float,
    depth: float,
    size_px: tuple[int, int],
    next_from_prev: Matrix,
    optics: Lens,
) -> tuple[float, float]:
    """Return the position that one pixel of the next frame is sampled at, in pixels; the reference of `sampling_maps`.

    With 3x3 pixels, 90 degrees, depth 1 and translation_x = 20 the middle pixel is sampled 0.15 pixels to its right.

    Args:
        column, row: position of the pixel.
        depth: depth of the pixel.
        size_px: (width, height), each at least 2.
        next_from_prev: (4, 4) pose.
        optics: from `lens`.
    """
    width_px, height_px = size_px
    x, y = 2 * column / (width_px - 1) - 1, 2 * row / (height_px - 1) - 1
    x_then, y_then, z_then, _ = next_from_prev @ (x, y, depth, 1)
    shift_x = optics.scale_x_px * (x_then / z_then - x / depth)
    shift_y = optics.scale_y_px * (y_then / z_then - y / depth)
    return float(column - shift_x), float(row - shift_y)


def _bound(coordinates: Plane) -> None:
    """Bound coordinates in place: points level with the camera project to infinity."""
    lowest, highest = float(coordinates.min()), float(coordinates.max())
    if not (lowest >= -FARTHEST_PX and highest <= FARTHEST_PX):
        np.nan_to_num(coordinates, copy=False, nan=FARTHEST_PX, posinf=FARTHEST_PX, neginf=-FARTHEST_PX)
        np.clip(coordinates, -FARTHEST_PX, FARTHEST_PX, out=coordinates)


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
