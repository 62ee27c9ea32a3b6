"""The scene of the tab's 3D view: the camera at every frame, key poses, and the newest frame as a depth surface."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.camera.path import Entry, pose
from deforum_helpers.camera.pose import moves_of, quaternions
from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.camera_export import video_shot
from deforum_helpers.render.plan import Plan
from deforum_helpers.schedule import Timeline
from deforum_helpers.schedule.camera_path import camera_entries
from deforum_helpers.settings.modes import follows_path

MOST_POSES = 600
MADE_KEYS = 6
SURFACE_PX = 96
COLORS_PX = 320


def camera_scene(plan: Plan, frame: Path | None = None) -> dict[str, Any] | None:
    """Return the scene as JSON values, or None for a plan without a 3D camera.

    `poses` are [frame, x, y, z, qw, qx, qy, qz, fov], at most `MOST_POSES` and always the last; `keys` are [frame, x,
    y, z, tilt, pan, roll] as in the text of a path, with an eighth number where a key sets the field of view. `own`:
    they are those of camera_path; otherwise they are places on the way. `surface` has depth, colors and the frame.

    Args:
        plan: the plan.
        frame: file of the newest frame of the shown run, whose name ends in its number; or None.
    """
    settings = plan.settings
    if settings.animation_mode != "3D":
        return None
    shot, _ = video_shot(plan)
    poses, fovs = shot.poses, shot.path.fov_deg
    own = _key_poses(plan)
    if own:
        # The path of the plan begins at the origin, that of the text at its first pose.
        poses = pose(*own[0].moves[0].numbers[:6]) @ poses
    shown = np.unique(np.linspace(0, plan.frames - 1, min(plan.frames, MOST_POSES)).round().astype(int))
    rows = np.column_stack([shown, poses[shown, :3, 3], quaternions(poses[shown, :3, :3]), fovs[shown]])
    return {
        "frames": plan.frames,
        "fps": plan.fps,
        "aspect": settings.W / settings.H,
        "poses": np.round(rows, 5).tolist(),
        "keys": [_key(entry) for entry in own] or _places(plan.frames, poses),
        "own": bool(own),
        "surface": None if frame is None else _surface(str(frame), _changed_ns(frame), plan.frames),
    }


def _key_poses(plan: Plan) -> list[Entry]:
    """Return the entries of a camera_path that consists of poses alone, else none."""
    settings = plan.settings
    if not follows_path(settings):
        return []
    timeline = Timeline(plan.frames, settings.seed, settings.fps, settings.W, settings.H)
    try:
        entries, _ = camera_entries(settings.camera_path, timeline)
    except SettingsError:
        return []
    are_poses = all([move.name for move in entry.moves] == ["pose"] for entry in entries)
    return list(entries) if are_poses else []


def _key(entry: Entry) -> list[float]:
    *place, fov = entry.moves[0].numbers
    return [entry.frame, *place, *([fov] if fov else [])]


def _places(frames: int, poses: NDArray[np.float64]) -> list[list[float]]:
    """Return places on the way as keys, for a path that is made of something else than poses."""
    shown = np.unique(np.linspace(0, frames - 1, min(frames, MADE_KEYS)).round().astype(int))
    _, degrees = moves_of(np.linalg.inv(poses[shown]))
    places = poses[shown, :3, 3] * (1, -1, 1)
    return np.round(np.column_stack([shown, places, degrees]), 4).tolist()


def _changed_ns(path: Path) -> int:
    """Return when a file was written, 0 if it has been removed."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4)
def _surface(path: str, _written_ns: int, frames: int) -> dict[str, Any] | None:
    """Return the depth of a frame by the built-in network, one byte per point, and its colors as a JPEG."""
    import torch

    from deforum_helpers.image.convert import from_bytes
    from deforum_helpers.models.depth.estimators import make_estimator

    try:
        pixels = read_frame(Path(path))
        image = _fitted(pixels, COLORS_PX)
        depth = make_estimator("Built-in", torch.device("cpu")).estimate(
            from_bytes(image, torch.device("cpu"))
        )
    except (DeforumError, OSError):
        return None
    small = _fitted(depth.numpy(), SURFACE_PX)
    number = re.search(r"(\d{1,9})$", Path(path).stem)
    near, far = float(small.min()), float(small.max())
    levels = np.round((small - near) / max(far - near, 1e-6) * 255).astype(np.uint8)
    _, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return {
        "frame": min(int(number[1]) if number else 0, frames - 1),
        "width": levels.shape[1],
        "height": levels.shape[0],
        "near": near,
        "far": far,
        "depth": base64.b64encode(levels.tobytes()).decode(),
        "image": base64.b64encode(jpeg.tobytes()).decode(),
    }


def _fitted(image: NDArray[Any], longest_px: int) -> NDArray[Any]:
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    return image if scale >= 1 else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
