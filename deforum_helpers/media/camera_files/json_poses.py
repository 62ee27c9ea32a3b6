"""Cameras in JSON: a 4x4 pose per frame, row by row, with the axes of `camera.path` or, on request, those of OpenGL."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from deforum_helpers.camera.types import Matrix
from deforum_helpers.media import messages
from deforum_helpers.media.camera_files.base import FLIP, Shot, Source, numbers_of


def read_json(source: Source, document: Any) -> tuple[Matrix, Matrix | None, float | None]:
    """Return poses (N, 4, 4), fields of view (N,) or None, and the frame rate or None."""
    top = document if isinstance(document, dict) else {"poses": document}
    frames = top.get("frames")
    fov: Any = top.get("fov_deg")
    if isinstance(frames, list) and all(isinstance(frame, dict) for frame in frames):
        rows = [frame.get("pose", frame.get("transform_matrix")) for frame in frames]
        if fov is None and any("fov_deg" in frame for frame in frames):
            fov = [frame.get("fov_deg") for frame in frames]
    else:
        rows = top.get("poses", [])
    if not isinstance(rows, list) or not rows:
        source.refuse(messages.CAMERA_FILE_UNKNOWN)
    poses = np.empty((len(rows), 4, 4))
    for number, row in enumerate(rows):
        poses[number] = numbers_of(source, row, (4, 4), f"pose {number}")
    if top.get("axes") not in (None, "opencv", "opengl"):
        source.refuse(
            messages.CAMERA_FILE_VALUE,
            part="axes",
            found=repr(top["axes"])[:40],
            allowed='"opencv" or "opengl"',
        )
    if top.get("axes") == "opengl":
        poses = FLIP @ poses @ FLIP
    fovs = None
    if fov is not None:
        constant = isinstance(fov, (int, float))
        fovs = numbers_of(source, [fov] * len(rows) if constant else fov, (len(rows),), "fov_deg")
    rate = top.get("fps")
    if rate is not None:
        rate = float(numbers_of(source, [rate], (1,), "fps")[0])
        if not 0.01 <= rate <= 1000:
            source.refuse(messages.CAMERA_FILE_VALUE, part="fps", found=f"{rate:g}", allowed="0.01 to 1000")
    return poses, fovs, rate


def shot_json(shot: Shot) -> bytes:
    """Return the camera as JSON, one frame per line."""
    frames = ",\n".join(
        json.dumps({"pose": pose, "fov_deg": fov})
        for pose, fov in zip(shot.poses.tolist(), shot.path.fov_deg.tolist(), strict=True)
    )
    head = {
        "axes": "opencv",
        "fps": shot.fps,
        "width": shot.size_px[0],
        "height": shot.size_px[1],
        "aspect": float(shot.aspects[0]),
    }
    return f'{json.dumps(head)[:-1]},\n"frames": [\n{frames}\n]}}\n'.encode()
