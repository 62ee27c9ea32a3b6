"""The camera's move into each frame, computed for the whole film before its first frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.matrix_2d import flat_matrices, perspective_flip_matrix
from deforum_helpers.camera.pinhole import View, intrinsics, scene_move, view
from deforum_helpers.camera.pose import poses
from deforum_helpers.camera.shake import shake_offsets
from deforum_helpers.render.schedules import Values
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import is_moved

_IDENTITY = np.eye(4)
# The determinant of a 2D move below which nothing leads back from it.
FLAT_DETERMINANT = 1e-9


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
    if flat is None or abs(np.linalg.det(flat.dst_from_src)) < FLAT_DETERMINANT:
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


Matrices = NDArray[np.float64]
Flips = Callable[[int], "Matrices | None"]


class Moves(Sequence[Move]):
    """The moves into the frames of a video, or into some of them. Each is made when it is looked at.

    Args:
        matrices: (N, 3, 3) homographies in pixels of a picture plane, or (N, 4, 4) poses of a camera.
        optics: field of view in degrees and aspect of each view of a camera; None for a picture plane.
        flips: gives the (3, 3) perspective flip of a move by its number, or None; None where nothing is flipped.
        numbers: which of the N moves these are; by default all.
    """

    def __init__(
        self,
        matrices: Matrices,
        optics: tuple[Sequence[float], Sequence[float]] | None = None,
        flips: Flips | None = None,
        numbers: range | None = None,
    ) -> None:
        self._matrices, self._optics, self._flips = matrices, optics, flips
        self._numbers = range(len(matrices)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Move: ...
    @overload
    def __getitem__(self, place: slice) -> Moves: ...
    def __getitem__(self, place: int | slice) -> Move | Moves:
        if isinstance(place, slice):
            return Moves(self._matrices, self._optics, self._flips, self._numbers[place])
        number = self._numbers[place]
        matrix, flip = self._matrices[number], None if self._flips is None else self._flips(number)
        if self._optics is None:
            return FlatMove(matrix if flip is None else flip @ matrix)
        fovs_deg, aspects = self._optics
        return CameraMove(matrix, fovs_deg[number], aspects[number], flip)

    @property
    def still(self) -> bool:
        """Whether the camera stands still in all of them."""
        if self._flips is not None:
            return all(move.still for move in self)
        size = self._matrices.shape[-1]
        return bool((self._chosen == _IDENTITY[:size, :size]).all())

    @property
    def poses(self) -> Matrices:
        """(N, 4, 4) pose of each."""
        return np.stack([move.pose() for move in self]) if self._optics is None else self._chosen

    def in_render_order(self) -> Moves:
        """Return the moves of a whole video that is rendered from its last frame to its first.

        The move into a frame takes back the one into the frame after it, as `taken_back` has it. Where a 2D move makes
        the image vanish, so does the one back.
        """
        order = [0, *range(len(self) - 1, 0, -1)]
        if self._optics is not None:
            fovs_deg, aspects = ([column[number] for number in order] for column in self._optics)
            back = np.asarray(np.linalg.inv(self._matrices)[order], np.float64)
            return Moves(back, (fovs_deg, aspects))
        back = self._matrices.copy()
        if self._flips is not None:
            back = np.stack([move.dst_from_src for move in self if isinstance(move, FlatMove)])
        seen = back[:, :, :2].any(axis=(1, 2))
        lost = seen & (np.abs(np.linalg.det(back)) < FLAT_DETERMINANT)
        back[lost] = _IDENTITY[:3, :3]
        back[seen & ~lost] = np.linalg.inv(back[seen & ~lost])
        return Moves(back[order])

    @property
    def _chosen(self) -> Matrices:
        return self._matrices[np.array(self._numbers, np.int64)]


def plan_moves(settings: Settings, series: Values) -> Moves:
    """Return the move from frame k-1 to frame k for every frame k; the first is never used.

    Args:
        settings: gives the mode, the size and the switches.
        series: schedule name -> (frames,) values.
    """
    frames = len(series["zoom"])
    if not is_moved(settings):
        return Moves(np.broadcast_to(np.eye(3), (frames, 3, 3)))
    flips = _flips(settings, series) if settings.enable_perspective_flip else None
    if settings.animation_mode == "2D":
        return Moves(_flat_matrices(settings, series), flips=flips)
    return _camera_moves(settings, series, flips)


def _flips(settings: Settings, series: Values) -> Flips:
    angles = [series[f"perspective_flip_{axis}"] for axis in ("theta", "phi", "gamma", "fv")]

    def flip(number: int) -> Matrices | None:
        theta, phi, gamma, fv = (float(column[number]) for column in angles)
        if theta == phi == gamma == 0:
            return None
        return perspective_flip_matrix(
            theta_deg=theta, phi_deg=phi, gamma_deg=gamma, fv_deg=fv, size_px=(settings.W, settings.H)
        )

    return flip


def _flat_matrices(settings: Settings, series: Values) -> Matrices:
    return flat_matrices(
        angles_deg=series["angle"],
        zooms=series["zoom"],
        translations_px=np.stack([series[f"translation_{axis}"] for axis in "xy"], axis=1),
        centers=np.stack([series[f"transform_center_{axis}"] for axis in "xy"], axis=1),
        size_px=(settings.W, settings.H),
    )


def _camera_moves(settings: Settings, series: Values, flips: Flips | None) -> Moves:
    frames = len(series["fov_schedule"])
    shakes = shake_offsets(
        settings.shake_name, settings.shake_intensity, settings.shake_speed, frames, settings.fps
    )
    translations = np.stack([series[f"translation_{axis}"] for axis in "xyz"], axis=1) + shakes[0]
    rotations_deg = np.stack([series[f"rotation_3d_{axis}"] for axis in "xyz"], axis=1) + shakes[1]
    aspects = series["aspect_ratio_schedule"].tolist()
    if settings.aspect_ratio_use_old_formula:
        aspects = [settings.W / settings.H] * frames
    return Moves(poses(translations, rotations_deg), (series["fov_schedule"].tolist(), aspects), flips)
