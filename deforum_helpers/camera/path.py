"""Camera paths: position, direction and field of view of the camera at every frame, made of moves.

A path is a list of entries, each beginning at its frame and lasting to the next one. Poses are `scene_from_frame`:
(4, 4) matrices whose columns are the camera's axes (right, down, forward) and its position, in the axes of frame 0's
camera and in scene units, those of depth. The numbers of moves have the signs of the translation and rotation
schedules: right, up and forward; tilt up, pan right, roll clockwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from deforum_helpers.camera import messages
from deforum_helpers.camera.pose import (
    moves_of,
    quaternions,
    rotations,
    rotations_from_quaternions,
    slerp,
)
from deforum_helpers.camera.types import Matrix
from deforum_helpers.core.easing import CURVES
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.messages import Text

SETTING = "camera_path"
# Schedules that a path replaces in 3D; where it sets the field of view, fov_schedule too.
REPLACED = (
    *(f"translation_{axis}" for axis in "xyz"),
    *(f"rotation_3d_{axis}" for axis in "xyz"),
)
# Share of an entry's frames that have passed -> share of its way that the camera has gone.
# The easings that reach their end exactly and turn back nowhere.
EASINGS: Mapping[str, Callable[[Matrix], Matrix]] = MappingProxyType(
    {name: CURVES[name] for name in ("linear", "ease_in", "ease_out", "ease_in_out")}
)


@dataclass(frozen=True)
class Move:
    """One move as written: `orbit(1.5, 90)`.

    Args:
        name: a key of `MOVES`.
        numbers: one per parameter.
        source: the file of `file`, as written.
        camera, animation: names in that file, "" = its only one.
    """

    name: str
    numbers: tuple[float, ...] = ()
    source: str = ""
    camera: str = ""
    animation: str = ""

    def number(self, parameter: str) -> float:
        return self.numbers[list(MOVES[self.name].parameters).index(parameter)]

    @property
    def key(self) -> tuple[str, str, str]:
        """The file with the camera and the animation in it."""
        return self.source, self.camera, self.animation


@dataclass(frozen=True)
class Entry:
    """The moves that begin at a frame, carried out together, and how they are eased."""

    frame: int
    moves: tuple[Move, ...]
    easing: str = "linear"


@dataclass(frozen=True)
class Track:
    """A camera read from a file: one pose for each frame at the video's frame rate.

    Args:
        poses: (N, 4, 4) rigid poses in any scene, axes right, down, forward.
        fov_deg: (N,) vertical fields of view, or None.
        frames: number of frames in the file, of which no more were read than the video has.
    """

    poses: Matrix
    fov_deg: Matrix | None
    frames: int


@dataclass(frozen=True)
class CameraPath:
    """An evaluated path.

    Args:
        poses: (N, 4, 4) `scene_from_frame`.
        fov_deg: (N,) vertical field of view; NaN where fov_schedule holds.
    """

    poses: Matrix
    fov_deg: Matrix

    def schedules(self, frames: int) -> dict[str, Matrix]:
        """Return the values of `REPLACED`, (frames,) each; value k moves the camera from frame k-1 to frame k.

        The first value moves it from the last frame to the first, as loops need, if the path has one pose more than
        there are frames; else it is 0.
        """
        next_from_prev = np.linalg.inv(self.poses[1:]) @ self.poses[:-1]
        if len(self.poses) > frames:
            next_from_prev = np.concatenate([next_from_prev[-1:], next_from_prev[: frames - 1]])
        else:
            next_from_prev = np.concatenate([np.eye(4)[None], next_from_prev])
        translations, degrees = moves_of(next_from_prev)
        return dict(zip(REPLACED, [*translations.T.copy(), *degrees.T.copy()], strict=True))


@dataclass(frozen=True)
class Parameter:
    """A number of a move: default (None = required) and bounds."""

    default: float | None = None
    low: float = -10_000
    high: float = 10_000


@dataclass(frozen=True)
class MoveKind:
    """A kind of move.

    Args:
        parameters: by name, in order.
        deltas: (shares of the way (N,), the parameters) -> (N, 4, 4) poses in the axes of the camera at the start of
            the entry; None for the kinds that `follow` treats apart.
    """

    parameters: Mapping[str, Parameter]
    deltas: Callable[..., Matrix] | None = None


def shifts(right: Matrix | float, up: Matrix | float, forward: Matrix | float) -> Matrix:
    """Return (N, 4, 4) poses of a camera moved in its own axes; shifts(1, 2, 3) is at (1, -2, 3)."""
    places = np.stack(
        np.broadcast_arrays(*np.atleast_1d(right, -np.asarray(up, np.float64), forward)), axis=1
    )
    moved = np.tile(np.eye(4), (len(places), 1, 1))
    moved[:, :3, 3] = places
    return moved


def turns(tilt_deg: Matrix | float, pan_deg: Matrix | float, roll_deg: Matrix | float) -> Matrix:
    """Return (N, 4, 4) poses of a camera turned where it stands; after turns(0, 90, 0) forward is (1, 0, 0)."""
    angles = np.stack(np.broadcast_arrays(*np.atleast_1d(tilt_deg, pan_deg, roll_deg)), axis=1)
    turned = np.tile(np.eye(4), (len(angles), 1, 1))
    turned[:, :3, :3] = rotations(np.asarray(angles, np.float64))
    return turned


def pose(x: float, y: float, z: float, tilt_deg: float, pan_deg: float, roll_deg: float) -> Matrix:
    """Return the (4, 4) pose at a point of the scene, right, up and forward of frame 0's camera."""
    placed = turns(tilt_deg, pan_deg, roll_deg)[0]
    placed[:3, 3] = (x, -y, z)
    return placed


def orbit(shares: Matrix, depth: float, degrees: float) -> Matrix:
    """Return poses on a circle around the point at `depth` straight ahead, which stays in the middle of the image.

    The axis is the camera's vertical. Positive angles lead to the right: after orbit(2, 90) the camera is at (2, 0, 2)
    and looks along (-1, 0, 0).
    """
    ahead = shifts(0, 0, depth)
    return np.asarray(ahead @ turns(0, -degrees * shares, 0) @ np.linalg.inv(ahead), np.float64)


def dolly_zoom_fov(shares: Matrix, fov_deg: float, depth: float, forward: float) -> Matrix:
    """Return the fields of view (N,) that keep the plane at `depth` the same size in the image while the camera moves.

    tan(fov / 2) grows as the distance shrinks: from 60 degrees, half the way to the plane gives 98.21 degrees.

    Args:
        shares: (N,) shares of the way.
        fov_deg: field of view at the start.
        depth: distance of the plane at the start.
        forward: the whole way, below `depth`.
    """
    tangent = np.tan(np.radians(fov_deg) / 2) * depth / (depth - forward * shares)
    return np.asarray(np.degrees(2 * np.arctan(tangent)), np.float64)


def aimed(places: Matrix, point: Matrix) -> Matrix:
    """Return rotations (N, 3, 3) that look from `places` (N, 3) at a point (3,) without roll; NaN where undefined.

    All in the scene's axes (right, down, forward). From the origin to (1, 0, 1): forward is (0.7071, 0, 0.7071).
    """
    with np.errstate(all="ignore"):
        forward = point - places
        forward = forward / np.linalg.norm(forward, axis=1, keepdims=True)
        right = np.cross((0.0, 1.0, 0.0), forward)
        length = np.linalg.norm(right, axis=1, keepdims=True)
        right = np.where(length < 1e-9, np.nan, right / length)
    return np.stack([right, np.cross(forward, right), forward], axis=2)


def spline(keys: Matrix, poses: Matrix, frames: Matrix) -> Matrix:
    """Return poses (N, 4, 4) at `frames` on a smooth path through `poses` at the frames `keys`.

    A Catmull-Rom spline whose knots are the frames (Barry and Goldman, 1988): positions are mixed linearly, directions
    along the shortest turn. Through 0, 1 and 0 at the frames 0, 10 and 20 it passes 0.625 at frame 5; through two poses
    it is straight. Beyond the ends the camera stands still.

    Args:
        keys: (K,) ascending frames.
        poses: (K, 4, 4).
        frames: (N,).
    """
    frames = np.clip(np.asarray(frames, np.float64), keys[0], keys[-1])
    placed = np.tile(np.eye(4), (len(frames), 1, 1))
    if len(keys) == 1:
        placed[:] = poses[0]
        return placed
    turned = quaternions(poses[:, :3, :3])
    placed[:, :3, 3] = _through(keys, poses[:, :3, 3], frames, _mixed)
    placed[:, :3, :3] = rotations_from_quaternions(_through(keys, turned, frames, slerp))
    exact = np.searchsorted(keys, frames)
    on_key = keys[np.minimum(exact, len(keys) - 1)] == frames
    placed[on_key] = poses[exact[on_key]]
    return placed


def _mixed(start: Matrix, end: Matrix, shares: Matrix) -> Matrix:
    return np.asarray(start + (end - start) * shares[:, None], np.float64)


def _through(
    keys: Matrix, values: Matrix, frames: Matrix, mix: Callable[[Matrix, Matrix, Matrix], Matrix]
) -> Matrix:
    """Return values (N, D) of a Catmull-Rom spline; `mix` leads from one value to another."""
    # One more key beyond each end continues the first and the last part straight.
    one, two = np.ones(1), np.full(1, 2.0)
    before, after = mix(values[1], values[0], two), mix(values[-2], values[-1], two)
    values = np.concatenate([before, values, after])
    knots = np.concatenate([one * (2 * keys[0] - keys[1]), keys, one * (2 * keys[-1] - keys[-2])])
    part = np.clip(np.searchsorted(keys, frames, side="right"), 1, len(keys) - 1)
    p, t = [values[part - 1 + i] for i in range(4)], [knots[part - 1 + i] for i in range(4)]

    def between(start: Matrix, end: Matrix, first: int, last: int) -> Matrix:
        return mix(start, end, (frames - t[first]) / (t[last] - t[first]))

    low, middle, high = (between(p[i], p[i + 1], i, i + 1) for i in range(3))
    return between(between(low, middle, 0, 2), between(middle, high, 1, 3), 1, 2)


_DEPTH = Parameter(low=1e-3)
_DEGREES = Parameter(low=-36_000, high=36_000)
_FOV = Parameter(low=1, high=179)
_NUMBER, _ZERO = Parameter(), Parameter(0)
_TURN = Parameter(0, low=-36_000, high=36_000)
MOVES: Mapping[str, MoveKind] = MappingProxyType(
    {
        "hold": MoveKind({}, lambda s: shifts(0 * s, 0, 0)),
        "truck": MoveKind({"right": _NUMBER}, lambda s, right: shifts(right * s, 0, 0)),
        "crane": MoveKind({"up": _NUMBER}, lambda s, up: shifts(0, up * s, 0)),
        "dolly": MoveKind({"forward": _NUMBER}, lambda s, forward: shifts(0, 0, forward * s)),
        "tilt": MoveKind({"degrees": _DEGREES}, lambda s, degrees: turns(degrees * s, 0, 0)),
        "pan": MoveKind({"degrees": _DEGREES}, lambda s, degrees: turns(0, degrees * s, 0)),
        "roll": MoveKind({"degrees": _DEGREES}, lambda s, degrees: turns(0, 0, degrees * s)),
        "orbit": MoveKind({"depth": _DEPTH, "degrees": _DEGREES}, orbit),
        "dolly_zoom": MoveKind(
            {"depth": _DEPTH, "forward": _NUMBER}, lambda s, depth, forward: shifts(0, 0, forward * s)
        ),
        "fov": MoveKind({"degrees": _FOV}, lambda s, degrees: shifts(0 * s, 0, 0)),
        "look_at": MoveKind({"x": _NUMBER, "y": _NUMBER, "z": _NUMBER}),
        "pose": MoveKind(
            {
                **dict.fromkeys("xyz", _NUMBER),
                **dict.fromkeys(("tilt", "pan", "roll"), _TURN),
                "fov": Parameter(0, low=1, high=179),  # 0 = as before
            }
        ),
        "file": MoveKind({"scale": Parameter(1, low=1e-6, high=1e6), "hold": Parameter(0, low=0, high=1)}),
    }
)
# Other names of moves.
ALIASES: Mapping[str, str] = MappingProxyType({"pedestal": "crane", "zoom": "fov", "still": "hold"})


def follow(
    entries: Sequence[Entry],
    count: int,
    fov_deg: Matrix,
    fps: float,
    tracks: Mapping[tuple[str, str, str], Track] = MappingProxyType({}),
    *,
    closing: int = 0,
) -> CameraPath:
    """Return the path through `count` frames.

    Before the first entry and after the last pose the camera stands still. The last entry lasts to the last frame.

    Args:
        entries: in ascending order of their frames, at least one.
        count: number of poses.
        fov_deg: (count,) values of fov_schedule.
        fps: frame rate of the video, for messages.
        tracks: the files that the entries name, by `Move.key`.
        closing: number of the last poses that files need not have: 1 for a loop, whose last pose is beyond its frames.

    Raises:
        SettingsError: a move is not possible where it begins.
    """
    return _Follower(entries, count, fov_deg, fps, tracks, closing).path()


class _Follower:
    """Evaluates the entries one after the other; arguments as of `follow`."""

    def __init__(
        self,
        entries: Sequence[Entry],
        count: int,
        fov_deg: Matrix,
        fps: float,
        tracks: Mapping[tuple[str, str, str], Track],
        closing: int,
    ) -> None:
        self._entries, self._count, self._fps, self._tracks = entries, count, fps, tracks
        self._schedule, self._demanded = fov_deg, count - closing
        self._poses = np.tile(np.eye(4), (count, 1, 1))
        self._fov = np.full(count, np.nan)
        self._at, self._fov_at = np.eye(4), np.nan

    def path(self) -> CameraPath:
        place = 0
        while place < len(self._entries):
            stop = place + 1
            if self._is_pose(place):
                while stop < len(self._entries) and self._is_pose(stop):
                    stop += 1
                self._pass_poses(self._entries[place:stop], is_first=place == 0)
            else:
                end = self._entries[stop].frame if stop < len(self._entries) else self._count - 1
                self._carry_out(self._entries[place], end)
            place = stop
        return CameraPath(self._poses, self._fov)

    def _is_pose(self, place: int) -> bool:
        return any(move.name == "pose" for move in self._entries[place].moves)

    def _pass_poses(self, keys: Sequence[Entry], is_first: bool) -> None:
        if not is_first:
            found = " + ".join(move.name for move in self._entries[self._entries.index(keys[0]) - 1].moves)
            raise _problem(messages.PATH_POSE_AFTER_MOVE, keys[0].frame, found=found)
        for key in keys:
            if len(key.moves) > 1 or key.easing != "linear":
                raise _problem(messages.PATH_POSE_ADDED, key.frame, found="pose")
        at = np.array([key.frame for key in keys], np.float64)
        numbers = [key.moves[0].numbers for key in keys]
        start = 0 if is_first else keys[0].frame
        frames = np.arange(start, self._count)
        poses = np.stack([pose(*some[:6]) for some in numbers])
        self._poses[frames] = spline(at, poses, frames.astype(np.float64))
        self._at = poses[-1]
        if any(some[6] for some in numbers):
            fovs, fov = [], self._fov_of(keys[0].frame)
            for some in numbers:
                fov = some[6] or fov
                fovs.append(fov)
            shown = np.clip(frames.astype(np.float64), at[0], at[-1])
            through = fovs * len(frames) if len(fovs) == 1 else _fov_through(at, fovs, shown)
            self._fov[frames] = through
            self._fov_at = fovs[-1]

    def _fov_of(self, frame: int) -> float:
        """Return the field of view at a frame: that of the path so far, else that of the schedule."""
        if np.isnan(self._fov_at):
            return float(self._schedule[min(frame, self._count - 1)])
        return float(self._fov_at)

    def _carry_out(self, entry: Entry, end: int) -> None:
        """Write the poses from an entry to frame `end`, and those of a camera that stands still after it."""
        if entry.frame >= self._count:
            return
        frames = np.arange(entry.frame, max(min(end, self._count - 1), entry.frame) + 1)
        shares = EASINGS[entry.easing]((frames - entry.frame) / max(1, end - entry.frame))
        poses = np.tile(self._at, (len(frames), 1, 1))
        fov: Matrix | None = None
        start_fov, aims = self._fov_of(entry.frame), []
        for move in entry.moves:
            kind = MOVES[move.name]
            if move.name == "look_at":
                aims.append(move)
            elif move.name == "pose":
                raise _problem(messages.PATH_POSE_ADDED, entry.frame, found="pose")
            elif move.name == "file":
                deltas, fov_of_file = self._deltas_of_file(move, entry.frame, len(frames))
                poses, fov = poses @ deltas, fov if fov_of_file is None else fov_of_file
            else:
                assert kind.deltas is not None
                poses = poses @ kind.deltas(shares, *move.numbers)
            if move.name == "fov":
                fov = start_fov + (move.number("degrees") - start_fov) * shares
            elif move.name == "dolly_zoom":
                depth, forward = move.numbers
                if depth - forward < depth * 1e-3:
                    raise _problem(messages.PATH_POINT_LEVEL, entry.frame, depth=depth)
                fov = dolly_zoom_fov(shares, start_fov, depth, forward)
        for move in aims:
            poses = _looking_at(move, poses, shares, entry.frame)
        self._write(entry.frame, poses, fov)

    def _write(self, frame: int, poses: Matrix, fov: Matrix | None) -> None:
        stop = frame + len(poses)
        self._at = poses[-1]
        self._poses[frame:stop], self._poses[stop:] = poses, self._at
        if fov is not None:
            self._fov_at = float(fov[-1])
            self._fov[frame:stop], self._fov[stop:] = fov, self._fov_at

    def _deltas_of_file(self, move: Move, frame: int, needed: int) -> tuple[Matrix, Matrix | None]:
        track = self._tracks[move.key]
        found, demanded = len(track.poses), min(needed, self._demanded - frame)
        if found < demanded and not move.number("hold"):
            raise _problem(
                messages.PATH_TOO_SHORT,
                frame,
                name=move.source[-80:],
                found=found,
                fps=self._fps,
                needed=demanded,
            )
        numbers = np.minimum(np.arange(needed), found - 1)
        deltas = np.linalg.inv(track.poses[0]) @ track.poses[numbers]
        deltas[:, :3, 3] *= move.number("scale")
        return deltas, None if track.fov_deg is None else track.fov_deg[numbers]


def _fov_through(keys: Matrix, fovs: list[float], frames: Matrix) -> Matrix:
    values = _through(keys, np.array(fovs, np.float64)[:, None], np.asarray(frames, np.float64), _mixed)
    return np.asarray(np.clip(values[:, 0], 1, 179), np.float64)


def _looking_at(move: Move, poses: Matrix, shares: Matrix, frame: int) -> Matrix:
    """Return `poses` turned to the point of `move`; what the camera is off at the start, it turns over the entry."""
    x, y, z = move.numbers
    aims = aimed(poses[:, :3, 3], np.array([x, -y, z]))
    lost = np.isnan(aims).any(axis=(1, 2))
    if lost.any():
        raise _problem(messages.PATH_AIM_LOST, frame + int(np.argmax(lost)))
    off = quaternions((aims[0].T @ poses[0, :3, :3])[None])
    rest = rotations_from_quaternions(slerp(off, np.array([1.0, 0, 0, 0]), shares))
    turned = poses.copy()
    turned[:, :3, :3] = aims @ rest
    return turned


def _problem(message: Callable[..., Text], frame: int, **values: object) -> SettingsError:
    text = message(setting=SETTING, frame=frame, **values)
    return SettingsError([Problem(text, SETTING, frame)])
