"""The camera of any video, made from its plan, for other programs.

In 3D it is the camera of the run. In 2D it is a camera above the image as a plane at depth 1, which shows exactly the
same motion: a zoom by 2 halves the distance. Pixels become scene units through the field of view.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deforum_helpers.camera.path import CameraPath
from deforum_helpers.camera.pose import chained
from deforum_helpers.camera.types import Matrix
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.media.camera_files.base import Shot
from deforum_helpers.pipeline import messages
from deforum_helpers.render.moves import Move3D, Moves, plan_moves
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings.modes import is_moved

SMALLEST_ZOOM = 1e-9


def video_shot(plan: Plan, scale: float = 1.0) -> tuple[Shot, tuple[str, ...]]:
    """Return the camera of every frame of the video, frame 0 at the origin, and warnings.

    Args:
        plan: the plan; a reversed one too is given in the order of the video.
        scale: units of the file per scene unit.

    Raises:
        SettingsError: the mode has no camera, or a zoom of 0 leaves nothing to see.
    """
    settings, values = plan.settings, plan.schedules.values
    if not is_moved(settings):
        message = messages.NO_CAMERA(mode=settings.animation_mode)
        raise SettingsError(
            [Problem(message, "animation_mode", found=settings.animation_mode, allowed="2D or 3D")]
        )
    moves = plan_moves(replace(settings, enable_perspective_flip=False), values)
    size_px, warnings = (settings.W, settings.H), []
    if settings.enable_perspective_flip:
        warnings.append(messages.FLIP_NOT_EXPORTED())
    if settings.animation_mode == "3D":
        steps, fovs, aspects = _of_3d(moves)
    else:
        fovs = np.full(plan.frames, abs(float(values["fov_schedule"][0])))
        aspects = np.full(plan.frames, settings.W / settings.H)
        steps = _of_plane(moves, float(fovs[0]), size_px)
    return Shot(CameraPath(chained(steps), fovs), aspects, size_px, plan.fps, scale), tuple(warnings)


def _of_3d(moves: Moves) -> tuple[Matrix, Matrix, Matrix]:
    """Return `next_from_prev` (N, 4, 4), fields of view and aspects (N,); a negative field of view reverses a move."""
    lenses = [(move.fov_deg, move.aspect) for move in moves if isinstance(move, Move3D)]
    fovs, aspects = np.array(lenses, np.float64).T
    steps = np.array(moves.poses, np.float64)
    is_reversed = fovs < 0
    steps[is_reversed] = np.linalg.inv(steps[is_reversed])
    return steps, np.abs(fovs), aspects


def _of_plane(moves: Moves, fov_deg: float, size_px: tuple[int, int]) -> Matrix:
    """Return `next_from_prev` (N, 4, 4) of a camera above a plane, at distance 1 in frame 0.

    A similarity in pixels with the zoom s leaves the camera at 1/s of its distance.
    """
    width_px, height_px = size_px
    focal_px = height_px / (2 * np.tan(np.radians(fov_deg) / 2))
    center = np.array([(width_px - 1) / 2, (height_px - 1) / 2])
    steps, distance = np.tile(np.eye(4), (len(moves), 1, 1)), 1.0
    matrices = moves.poses
    for frame in range(1, len(moves)):
        matrix = matrices[frame][:2, :2]
        shift = matrices[frame][:2, 3]
        zoom = float(np.hypot(*matrix[:, 0]))
        if zoom < SMALLEST_ZOOM:
            message = messages.ZOOM_WITHOUT_CAMERA(frame=frame)
            raise SettingsError([Problem(message, "zoom", frame, found="0", allowed="a zoom other than 0")])
        turn = matrix / zoom
        steps[frame][:2, :2] = turn
        # The plane's points shift by what the image shifts about its center, at the distance after the move.
        steps[frame][:2, 3] = (matrix @ center + shift - center) * distance / (zoom * focal_px)
        steps[frame][2, 3] = distance / zoom - distance
        distance /= zoom
    return steps
