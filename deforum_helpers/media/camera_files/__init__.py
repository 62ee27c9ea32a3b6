"""Camera animations in files: JSON of 4x4 poses, glTF and GLB, COLMAP's text files; read into `Track`s, and written.

Each format is converted where it is read and written, and nowhere else. Inside, a pose is `scene_from_frame` with the
axes right, down, forward (`camera.path`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from deforum_helpers.camera.path import Track
from deforum_helpers.media.camera_files.base import Shot, Source, document_of, track_of
from deforum_helpers.media.camera_files.colmap import read_colmap, shot_zip
from deforum_helpers.media.camera_files.gltf import GLB_MAGIC, read_glb, read_gltf, shot_glb, shot_gltf
from deforum_helpers.media.camera_files.json_poses import read_json, shot_json

# Ending -> media type and writer; COLMAP's files, which are a folder, come as a ZIP file.
WRITERS: Mapping[str, tuple[str, Callable[[Shot], bytes]]] = {
    "json": ("application/json", shot_json),
    "glb": ("model/gltf-binary", shot_glb),
    "gltf": ("model/gltf+json", shot_gltf),
    "zip": ("application/zip", shot_zip),
}


def read_camera(source: Source, *, fps: float, most_frames: int) -> Track:
    """Read a camera animation.

    Args:
        source: the file.
        fps: frame rate of the video; animations with times are sampled at it, from their first key.
        most_frames: number of frames that are needed at most.

    Raises:
        SettingsError: the file is missing, no camera file, has no camera or several, or a pose that no camera can have.
    """
    path = Path(source.path)
    if path.name.casefold() in ("images.txt", "cameras.txt"):
        path = path.parent
    if _is_folder(path):
        return track_of(source, *read_colmap(source, path), fps=None, at_fps=fps, most_frames=most_frames)
    content = source.content(path)
    if content.startswith(GLB_MAGIC):
        return read_glb(source, content, path, fps, most_frames)
    document = document_of(source, content)
    if isinstance(document, dict) and "asset" in document:
        return read_gltf(source, document, path, fps, most_frames)
    poses, fovs, own_fps = read_json(source, document)
    return track_of(source, poses, fovs, fps=own_fps, at_fps=fps, most_frames=most_frames)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
