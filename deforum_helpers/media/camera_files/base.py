"""A camera file to read, the camera of a video to write, and what the formats share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from deforum_helpers.camera.path import CameraPath, Track
from deforum_helpers.camera.pose import (
    quaternions,
    rigid_fault,
    rotations_from_quaternions,
    slerp,
    squared,
)
from deforum_helpers.camera.types import Matrix
from deforum_helpers.core.bounded_json import JsonTooLarge, parse_json
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.regular import UnusableFile, read_regular
from deforum_helpers.core.messages import Message
from deforum_helpers.media import messages

MOST_BYTES = 200_000_000
MOST_VALUES = 4_000_000
ALLOWED = (
    "moves such as 0: orbit(1.5, 90), a .glb or .gltf file, a JSON file of poses, or a folder with COLMAP's "
    "cameras.txt and images.txt"
)
# Between the axes right, down, forward and right, up, backward, in both directions.
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Source:
    """A camera file to read.

    Args:
        path: file or folder on this machine.
        name: as the user wrote it, for messages.
        setting: the setting that names it.
        camera, animation: names in a glTF file; "" = its only one.
    """

    path: str
    name: str
    setting: str
    camera: str = ""
    animation: str = ""

    def refuse(
        self, message: Message, *, allowed: str = ALLOWED, passing: bool = False, **values: object
    ) -> NoReturn:
        text = message(setting=self.setting, name=self.name[-80:], allowed=allowed, **values)
        raise SettingsError(
            [Problem(text, self.setting, found=self.name[-80:], allowed=allowed, passing=passing)]
        )

    def content(self, path: Path, most_bytes: int = MOST_BYTES) -> bytes:
        """Return the content of a file; raises as `read_camera`."""
        try:
            return read_regular(path, most_bytes)
        except UnusableFile as error:
            self.refuse(messages.CAMERA_FILE_UNUSABLE, why=error, passing=error.passing)


@dataclass(frozen=True)
class Shot:
    """The camera of a video, to be written.

    Args:
        path: one pose and one field of view per frame.
        aspects: (N,) width / height of the view.
        size_px: (width, height).
        fps: frame rate.
        scale: units of the file per scene unit.
    """

    path: CameraPath
    aspects: Matrix
    size_px: tuple[int, int]
    fps: float
    scale: float = 1.0

    @property
    def poses(self) -> Matrix:
        scaled = self.path.poses.copy()
        scaled[:, :3, 3] *= self.scale
        return scaled


def track_of(
    source: Source, poses: Matrix, fovs: Matrix | None, *, fps: float | None, at_fps: float, most_frames: int
) -> Track:
    """Return a track of one pose per frame at `fps` (None = that of the video), resampled to `at_fps`."""
    if fault := rigid_fault(poses):
        source.refuse(
            messages.CAMERA_FILE_POSE, number=fault[0], fault=fault[1], allowed="a rotation and a position"
        )
    if fovs is not None:
        bad = np.flatnonzero(~(np.isfinite(fovs) & (fovs >= 1) & (fovs <= 179)))
        if bad.size:
            source.refuse(
                messages.CAMERA_FILE_FOV,
                number=int(bad[0]),
                found=f"{fovs[bad[0]]:g}",
                allowed="1 to 179 degrees",
            )
    poses = squared(poses)
    if fps is None or fps == at_fps:
        return Track(poses[:most_frames], None if fovs is None else fovs[:most_frames], len(poses))
    count = int((len(poses) - 1) / fps * at_fps + 0.05) + 1
    places = np.minimum(np.arange(min(count, most_frames)) * (fps / at_fps), len(poses) - 1)
    low = np.minimum(places.astype(np.int64), max(0, len(poses) - 2))
    high, shares = np.minimum(low + 1, len(poses) - 1), places - low
    found = poses[low].copy()
    found[:, :3, 3] += (poses[high, :3, 3] - poses[low, :3, 3]) * shares[:, None]
    turns = quaternions(poses[:, :3, :3])
    found[:, :3, :3] = rotations_from_quaternions(slerp(turns[low], turns[high], shares))
    mixed = None if fovs is None else fovs[low] + (fovs[high] - fovs[low]) * shares
    return Track(found, mixed, count)


def document_of(source: Source, content: bytes) -> Any:
    """Return the value of a JSON text; raises as `read_camera`."""
    try:
        return parse_json(content, most_bytes=MOST_BYTES, most_values=MOST_VALUES)
    except JsonTooLarge as error:
        source.refuse(messages.CAMERA_FILE_UNUSABLE, why=error)
    except ValueError:
        source.refuse(messages.CAMERA_FILE_UNKNOWN)


def numbers_of(source: Source, values: Any, shape: tuple[int, ...], part: str) -> Matrix:
    """Return JSON numbers as an array; NaN and infinity pass, booleans and texts do not."""
    wanted = " x ".join(map(str, shape)) + " numbers"
    flat = values if len(shape) == 1 else _joined(values)
    are_numbers = isinstance(flat, list) and all(
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and (abs(value) < 1e300 or math.isnan(value))
        for value in flat
    )
    if not are_numbers or len(flat) != math.prod(shape):
        found = f"{len(flat)} values" if are_numbers else "something else"
        source.refuse(messages.CAMERA_FILE_VALUE, part=part, found=found, allowed=wanted)
    return np.array(flat, np.float64).reshape(shape)


def _joined(rows: Any) -> Any:
    """Return the rows of a matrix as one list; a flat list stays."""
    if isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows):
        return [value for row in rows for value in row]
    return rows
