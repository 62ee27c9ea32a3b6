"""The camera's move into each frame, computed for the whole film before its first frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.flat import flat_matrices, perspective_flip_matrix
from deforum_helpers.camera.pinhole import View, intrinsics, scene_move, view
from deforum_helpers.camera.pose import poses
from deforum_helpers.camera.shake import shake_offsets
from deforum_helpers.render.schedules import Values
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import is_moved

_IDENTITY = np.eye(4)


@dataclass(frozen=True, slots=True)
class FlatMove:
    """A move of the picture plane.

    Args:
        dst_from_src: (3, 3) float64 homography in pixels.
    """

    dst_from_src: NDArray[np.float64]

    @property
    def still(self) -> bool:
        return bool((self.dst_from_src == _IDENTITY[:3, :3]).all())

    def pose(self) -> NDArray[np.float64]:
        """Return the homography as a (4, 4) matrix that leaves the third axis alone."""
        axes = [0, 1, 3]
        pose = np.eye(4)
        pose[np.ix_(axes, axes)] = self.dst_from_src
        return pose


@dataclass(frozen=True, slots=True)
class CameraMove:
    """A move of the camera through the scene.

    Args:
        next_from_prev: (4, 4) float64 pose in scene units.
        fov_deg: vertical field of view.
        aspect: width / height of the view.
        flip_dst_from_src: (3, 3) perspective flip of the picture before the move, or None.
    """

    next_from_prev: NDArray[np.float64]
    fov_deg: float
    aspect: float
    flip_dst_from_src: NDArray[np.float64] | None = None

    @property
    def still(self) -> bool:
        return self.flip_dst_from_src is None and bool((self.next_from_prev == _IDENTITY).all())

    def pose(self) -> NDArray[np.float64]:
        return self.next_from_prev


Move = FlatMove | CameraMove


def composed(moves: Sequence[Move]) -> FlatMove | None:
    """Return one move that does what 2D moves do in turn, or None where there is none: in 3D depth changes on the way.

    Args:
        moves: in order.
    """
    total = np.eye(3)
    for move in moves:
        if not isinstance(move, FlatMove) or not move.dst_from_src[:, :2].any():
            return None
        total = move.dst_from_src @ total
    return FlatMove(total)


def taken_back(moves: Sequence[Move]) -> Move:
    """Return the move that leads back from the last of `moves` to before the first.

    Perspective flips are left out. Where a 2D move makes the image vanish, nothing leads back: the image stays.

    Args:
        moves: in order, at least one.
    """
    first = moves[0]
    if isinstance(first, CameraMove):
        total = np.eye(4)
        for move in moves:
            total = move.pose() @ total
        return CameraMove(np.asarray(np.linalg.inv(total), np.float64), first.fov_deg, first.aspect)
    flat = composed(moves)
    if flat is None or abs(np.linalg.det(flat.dst_from_src)) < 1e-9:
        return FlatMove(np.eye(3))
    return FlatMove(np.asarray(np.linalg.inv(flat.dst_from_src), np.float64))


def scene_view(moves: Sequence[Move], frame: int, size_px: tuple[int, int]) -> View:
    """Return how a real camera takes the pixels of frame `frame` - 1 to `frame`; a changing field of view zooms.

    Args:
        moves: of the whole video, in 3D.
        frame: frame number, >= 1.
        size_px: (width, height).
    """
    before, now = moves[frame - 1], moves[frame]
    if isinstance(before, FlatMove) or isinstance(now, FlatMove):
        raise AssertionError("the picture plane has no depth")
    optics = [intrinsics(move.fov_deg, move.aspect, size_px) for move in (before, now)]
    return view(scene_move(now.next_from_prev, now.fov_deg, optics[0], now.flip_dst_from_src), *optics)


@dataclass(frozen=True)
class SceneCamera:
    """Where a frame is seen from.

    Args:
        pose: (4, 4) from the first frame's camera to this one's.
        optics: (3, 3) intrinsics.
    """

    pose: NDArray[np.float64]
    optics: NDArray[np.float64]


def scene_cameras(moves: Sequence[Move], size_px: tuple[int, int]) -> tuple[SceneCamera, ...]:
    """Return the camera of every frame, for the moves of a whole video in 3D."""
    cameras: list[SceneCamera] = []
    for move in moves:
        if isinstance(move, FlatMove):
            raise AssertionError("the picture plane has no depth")
        optics = intrinsics(move.fov_deg, move.aspect, size_px)
        pose = np.eye(4)
        if cameras:
            before = cameras[-1]
            pose = scene_move(move.next_from_prev, move.fov_deg, before.optics, move.flip_dst_from_src)
            pose = pose @ before.pose
        cameras.append(SceneCamera(pose, optics))
    return tuple(cameras)


def plan_moves(settings: Settings, series: Values) -> tuple[Move, ...]:
    """Return the move from frame k-1 to frame k for every frame k; the first is never used.

    Args:
        settings: gives the mode, the size and the switches.
        series: schedule name -> (frames,) values.
    """
    frames = len(series["zoom"])
    if not is_moved(settings):
        return (FlatMove(np.eye(3)),) * frames
    flips = _flips(settings, series, frames)
    if settings.animation_mode == "2D":
        return _flat_moves(settings, series, flips)
    return _camera_moves(settings, series, flips)


def _flips(settings: Settings, series: Values, frames: int) -> list[NDArray[np.float64] | None]:
    if not settings.enable_perspective_flip:
        return [None] * frames
    angles = [series[f"perspective_flip_{axis}"].tolist() for axis in ("theta", "phi", "gamma", "fv")]
    made: dict[tuple[float, ...], NDArray[np.float64]] = {}
    flips: list[NDArray[np.float64] | None] = []
    for turned in zip(*angles, strict=True):
        theta, phi, gamma, fv = turned
        if theta == phi == gamma == 0:
            flips.append(None)
            continue
        if turned not in made:
            made[turned] = perspective_flip_matrix(
                theta_deg=theta, phi_deg=phi, gamma_deg=gamma, fv_deg=fv, size_px=(settings.W, settings.H)
            )
        flips.append(made[turned])
    return flips


def _flat_moves(
    settings: Settings, series: Values, flips: list[NDArray[np.float64] | None]
) -> tuple[FlatMove, ...]:
    matrices = flat_matrices(
        angles_deg=series["angle"],
        zooms=series["zoom"],
        translations_px=np.stack([series[f"translation_{axis}"] for axis in "xy"], axis=1),
        centers=np.stack([series[f"transform_center_{axis}"] for axis in "xy"], axis=1),
        size_px=(settings.W, settings.H),
    )
    return tuple(
        FlatMove(matrix if flip is None else flip @ matrix)
        for matrix, flip in zip(matrices, flips, strict=True)
    )


def _camera_moves(
    settings: Settings, series: Values, flips: list[NDArray[np.float64] | None]
) -> tuple[CameraMove, ...]:
    shakes = shake_offsets(
        settings.shake_name, settings.shake_intensity, settings.shake_speed, len(flips), settings.fps
    )
    translations = np.stack([series[f"translation_{axis}"] for axis in "xyz"], axis=1) + shakes[0]
    rotations_deg = np.stack([series[f"rotation_3d_{axis}"] for axis in "xyz"], axis=1) + shakes[1]
    aspects = series["aspect_ratio_schedule"].tolist()
    if settings.aspect_ratio_use_old_formula:
        aspects = [settings.W / settings.H] * len(flips)
    fovs_deg = series["fov_schedule"].tolist()
    moves = zip(poses(translations, rotations_deg), fovs_deg, aspects, flips, strict=True)
    return tuple(CameraMove(*move) for move in moves)
