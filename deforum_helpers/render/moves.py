"""The camera move into each frame, computed for the whole run before its first frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.matrix_2d import move_matrices, perspective_flip_matrix
from deforum_helpers.camera.path import REPLACED, Track, follow
from deforum_helpers.camera.pose import UNITS_PER_DEPTH, poses
from deforum_helpers.camera.projection import View, intrinsics, scene_move, view
from deforum_helpers.camera.shake import shake_offsets
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.render import messages
from deforum_helpers.render.schedules import Schedules, Values
from deforum_helpers.schedule import Timeline
from deforum_helpers.schedule.camera_path import camera_entries
from deforum_helpers.settings import FIELDS, Settings, flat_settings
from deforum_helpers.settings.modes import follows_path, is_exact, is_moved

_IDENTITY = np.eye(4)
# Smallest determinant of a 2D move that can be inverted.
SMALLEST_DETERMINANT = 1e-9
# Largest translation per frame, in units of the schedules.
FASTEST = FIELDS["translation_x"].maximum or 0


@dataclass(frozen=True, slots=True)
class Move2D:
    """A camera move in 2D: a homography of the image plane.

    Args:
        dst_from_src: (3, 3) float64 homography in pixels.
    """

    dst_from_src: NDArray[np.float64]

    @property
    def still(self) -> bool:
        return bool((self.dst_from_src == _IDENTITY[:3, :3]).all())

    def pose(self) -> NDArray[np.float64]:
        """Return the homography as a (4, 4) matrix that keeps the third axis."""
        axes = [0, 1, 3]
        pose = np.eye(4)
        pose[np.ix_(axes, axes)] = self.dst_from_src
        return pose


@dataclass(frozen=True, slots=True)
class Move3D:
    """A camera move in 3D.

    Args:
        next_from_prev: (4, 4) float64 pose in scene units.
        fov_deg: vertical field of view.
        aspect: width / height of the view.
        flip_dst_from_src: (3, 3) perspective flip of the image before the move, or None.
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


Move = Move2D | Move3D


def compose_2d(moves: Sequence[Move]) -> Move2D | None:
    """Return the 2D move that equals `moves` in sequence; None for moves in 3D, where depth changes on the way.

    Args:
        moves: moves in order.
    """
    total = np.eye(3)
    for move in moves:
        if not isinstance(move, Move2D) or not move.dst_from_src[:, :2].any():
            return None
        total = move.dst_from_src @ total
    return Move2D(total)


def inverse_move(moves: Sequence[Move]) -> Move:
    """Return the inverse of `moves` in sequence, without perspective flips.

    A 2D move that shrinks the image to nothing has no inverse; the result is the identity then.

    Args:
        moves: moves in order, at least one.
    """
    first = moves[0]
    if isinstance(first, Move3D):
        total = np.eye(4)
        for move in moves:
            total = move.pose() @ total
        return Move3D(np.asarray(np.linalg.inv(total), np.float64), first.fov_deg, first.aspect)
    product = compose_2d(moves)
    if product is None or abs(np.linalg.det(product.dst_from_src)) < SMALLEST_DETERMINANT:
        return Move2D(np.eye(3))
    return Move2D(np.asarray(np.linalg.inv(product.dst_from_src), np.float64))


def scene_view(moves: Sequence[Move], frame: int, size_px: tuple[int, int]) -> View:
    """Return the exact transform of the pixels of frame - 1 to `frame`; a changing field of view zooms.

    Args:
        moves: all moves of the run, in 3D.
        frame: number of the destination frame, >= 1.
        size_px: (width, height).
    """
    before, now = moves[frame - 1], moves[frame]
    if isinstance(before, Move2D) or isinstance(now, Move2D):
        raise AssertionError("a 2D move has no exact view")
    cameras = [intrinsics(move.fov_deg, move.aspect, size_px) for move in (before, now)]
    return view(scene_move(now.next_from_prev, now.fov_deg, cameras[0], now.flip_dst_from_src), *cameras)


@dataclass(frozen=True)
class SceneCamera:
    """The camera of a frame.

    Args:
        pose: (4, 4) pose from the first frame's camera to this frame's.
        intrinsics: (3, 3), from directions to pixels.
    """

    pose: NDArray[np.float64]
    intrinsics: NDArray[np.float64]


def scene_cameras(moves: Sequence[Move], size_px: tuple[int, int]) -> tuple[SceneCamera, ...]:
    """Return the camera of every frame, for all moves of a run in 3D."""
    cameras: list[SceneCamera] = []
    for move in moves:
        if isinstance(move, Move2D):
            raise AssertionError("a 2D move has no exact view")
        matrix = intrinsics(move.fov_deg, move.aspect, size_px)
        pose = np.eye(4)
        if cameras:
            before = cameras[-1]
            pose = scene_move(move.next_from_prev, move.fov_deg, before.intrinsics, move.flip_dst_from_src)
            pose = pose @ before.pose
        cameras.append(SceneCamera(pose, matrix))
    return tuple(cameras)


Matrices = NDArray[np.float64]
Flips = Callable[[int], "Matrices | None"]


class Moves(Sequence[Move]):
    """The moves into the frames of a run, or into some of them. Each object is made when it is accessed.

    Args:
        matrices: (N, 3, 3) homographies in pixels (2D), or (N, 4, 4) poses (3D).
        optics: fields of view in degrees and aspects, one of each per move; None in 2D.
        flips: number of a move -> its (3, 3) perspective flip or None; None where no move has one.
        numbers: numbers of the moves in this sequence; by default all N.
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
            return Move2D(matrix if flip is None else flip @ matrix)
        fovs_deg, aspects = self._optics
        return Move3D(matrix, fovs_deg[number], aspects[number], flip)

    @property
    def still(self) -> bool:
        """Whether the camera stands still in all moves."""
        if self._flips is not None:
            return all(move.still for move in self)
        size = self._matrices.shape[-1]
        return bool((self._chosen == _IDENTITY[:size, :size]).all())

    @property
    def poses(self) -> Matrices:
        """(N, 4, 4) pose of each move."""
        return np.stack([move.pose() for move in self]) if self._optics is None else self._chosen

    def in_render_order(self) -> Moves:
        """Return the moves of a run that is rendered from the last frame to the first.

        The move into a frame is the inverse of the move into the frame after it; see `inverse_move`. A 2D move that
        shrinks the image to nothing is kept as it is.
        """
        order = [0, *range(len(self) - 1, 0, -1)]
        if self._optics is not None:
            fovs_deg, aspects = ([column[number] for number in order] for column in self._optics)
            back = np.asarray(np.linalg.inv(self._matrices)[order], np.float64)
            return Moves(back, (fovs_deg, aspects))
        back = self._matrices.copy()
        if self._flips is not None:
            back = np.stack([move.dst_from_src for move in self if isinstance(move, Move2D)])
        invertible = back[:, :, :2].any(axis=(1, 2))
        lost = invertible & (np.abs(np.linalg.det(back)) < SMALLEST_DETERMINANT)
        back[lost] = _IDENTITY[:3, :3]
        back[invertible & ~lost] = np.linalg.inv(back[invertible & ~lost])
        return Moves(back[order])

    @property
    def _chosen(self) -> Matrices:
        return self._matrices[np.array(self._numbers, np.int64)]


# Camera file, camera and animation in it -> the track; see `camera.path.Move.key`.
Tracks = Mapping[tuple[str, str, str], Track]


def with_camera_path(
    settings: Settings, schedules: Schedules, timeline: Timeline, tracks: Tracks
) -> Schedules:
    """Return the schedules with those of the 3D camera replaced by its path, if `camera_path` acts.

    The values are moves from frame to frame in the units of the schedules, so all that reads these follows the path.

    Raises:
        SettingsError: the path cannot be read or followed.
    """
    if not follows_path(settings):
        return schedules
    entries, warnings = camera_entries(settings.camera_path, timeline)
    fov_deg = schedules.values["fov_schedule"]
    if settings.seamless_loop:
        fov_deg = np.append(fov_deg, fov_deg[0])
    path = follow(
        entries, len(fov_deg), fov_deg, timeline.fps, tracks, closing=len(fov_deg) - timeline.frames
    )
    moves = path.schedules(timeline.frames)
    for name in REPLACED[:3]:
        if np.abs(moves[name]).max() > FASTEST:
            frame = int(np.abs(moves[name]).argmax())
            step, allowed = abs(moves[name][frame]) / UNITS_PER_DEPTH, FASTEST / UNITS_PER_DEPTH
            message = messages.PATH_TOO_FAST(frame=frame, found=step, allowed=allowed)
            raise SettingsError([Problem(message, "camera_path", frame)])
    values = {**schedules.values, **moves}
    fovs = path.fov_deg[: timeline.frames]
    is_set = ~np.isnan(fovs)
    values["fov_schedule"] = np.where(is_set, np.round(fovs, 9), schedules.values["fov_schedule"])
    for name in (*REPLACED, "fov_schedule"):
        values[name].flags.writeable = False
    found = [*schedules.warnings, *warnings, *_path_warnings(settings, schedules)]
    if is_set.any():
        found.append(messages.FOV_FROM_PATH())
        if np.ptp(fovs[is_set]) > 0 and not is_exact(settings):
            found.append(messages.ZOOM_NEEDS_EXACT())
    longer = [track.frames for track in tracks.values() if track.frames > len(fov_deg)]
    if longer:
        found.append(messages.PATH_IS_LONGER(found=max(longer), frames=timeline.frames))
    return replace(
        schedules, values=values, used=schedules.used | {*REPLACED, "fov_schedule"}, warnings=tuple(found)
    )


def _path_warnings(settings: Settings, schedules: Schedules) -> Iterator[str]:
    """Yield warnings about schedules that the path replaces, and about a lens that distorts turns."""
    flat = flat_settings(settings)
    changed = [name for name in REPLACED if flat[name].strip() not in ("", FIELDS[name].default)]
    if changed:
        yield messages.PATH_REPLACES(names=", ".join(changed))
    wanted, found = settings.W / settings.H, float(schedules.values["aspect_ratio_schedule"][0])
    if is_exact(settings) and not settings.aspect_ratio_use_old_formula and abs(found / wanted - 1) > 1e-3:
        yield messages.PIXELS_NOT_SQUARE(found=found, width=settings.W, height=settings.H, wanted=wanted)


def plan_moves(settings: Settings, series: Values) -> Moves:
    """Return the move from frame k-1 to frame k for every frame k; the first one is used only by loops.

    Args:
        settings: checked settings.
        series: schedule name -> (frames,) values.
    """
    frames = len(series["zoom"])
    if not is_moved(settings):
        return Moves(np.broadcast_to(np.eye(3), (frames, 3, 3)))
    flips = _flips(settings, series) if settings.enable_perspective_flip else None
    if settings.animation_mode == "2D":
        return Moves(_matrices_2d(settings, series), flips=flips)
    return _moves_3d(settings, series, flips)


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


def _matrices_2d(settings: Settings, series: Values) -> Matrices:
    return move_matrices(
        angles_deg=series["angle"],
        zooms=series["zoom"],
        translations_px=np.stack([series[f"translation_{axis}"] for axis in "xy"], axis=1),
        centers=np.stack([series[f"transform_center_{axis}"] for axis in "xy"], axis=1),
        size_px=(settings.W, settings.H),
    )


def _moves_3d(settings: Settings, series: Values, flips: Flips | None) -> Moves:
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
