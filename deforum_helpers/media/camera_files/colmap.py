"""Cameras in COLMAP's text files: its poses are `frame_from_scene`, its frames in the order of their names."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deforum_helpers.camera.pose import quaternions, rigid_fault, rotations_from_quaternions
from deforum_helpers.camera.types import Matrix
from deforum_helpers.media import messages
from deforum_helpers.media.camera_files.base import Shot, Source

# Model -> the places of its vertical focal length among its parameters; lens distortion is ignored.
_MODELS: Mapping[str, int] = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 0,
    "RADIAL": 0,
    "OPENCV": 1,
    "FULL_OPENCV": 1,
}


def read_colmap(source: Source, folder: Path) -> tuple[Matrix, Matrix]:
    """Return poses (N, 4, 4) and fields of view (N,) of a folder; raises as `read_camera`."""
    texts = {}
    for name in ("cameras.txt", "images.txt"):
        if not (folder / name).is_file():
            source.refuse(messages.CAMERA_FOLDER_INCOMPLETE, missing=name)
        texts[name] = source.content(folder / name).decode("utf-8", "replace")
    fovs = {}
    for number, line in enumerate(texts["cameras.txt"].splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = _MODELS.get(words[1]) if len(words) > 4 else None
        if place is None:
            found = words[1] if len(words) > 1 else line
            allowed = ", ".join(_MODELS)
            source.refuse(
                messages.CAMERA_FILE_LINE,
                file="cameras.txt",
                line=number,
                found=repr(found[:40]),
                allowed=allowed,
            )
        height, focal = _floats(source, "cameras.txt", number, [words[3], *words[4 + place : 5 + place]], 2)
        fovs[words[0]] = math.degrees(2 * math.atan2(height, 2 * focal))
    images: list[tuple[str, list[float], str]] = []
    lines = [
        (number, line)
        for number, line in enumerate(texts["images.txt"].splitlines(), 1)
        if not line.startswith("#")
    ]
    # Each image has two lines; the second, with points, may be empty.
    for number, line in lines[::2]:
        words = line.split(maxsplit=9)
        if not words:
            continue
        numbers = _floats(source, "images.txt", number, words[1:8], 7)
        if len(words) < 10 or words[8] not in fovs:
            allowed = "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME with a camera of cameras.txt"
            source.refuse(
                messages.CAMERA_FILE_LINE,
                file="images.txt",
                line=number,
                found=repr(line[:40]),
                allowed=allowed,
            )
        images.append((words[9], numbers, words[8]))
    if not images:
        source.refuse(messages.CAMERA_FILE_WITHOUT_CAMERA)
    images.sort(key=lambda image: _natural(image[0]))
    values = np.array([numbers for _, numbers, _ in images])
    if not (np.abs(values[:, :4]).max(axis=1) > 1e-12).all():
        values[:, :4][np.abs(values[:, :4]).max(axis=1) <= 1e-12] = np.nan
    frame_from_scene = np.tile(np.eye(4), (len(images), 1, 1))
    with np.errstate(all="ignore"):
        frame_from_scene[:, :3, :3] = rotations_from_quaternions(values[:, :4])
    frame_from_scene[:, :3, 3] = values[:, 4:]
    if fault := rigid_fault(frame_from_scene):
        source.refuse(
            messages.CAMERA_FILE_POSE, number=fault[0], fault=fault[1], allowed="a rotation and a position"
        )
    return np.asarray(np.linalg.inv(frame_from_scene), np.float64), np.array(
        [fovs[camera] for _, _, camera in images]
    )


def _floats(source: Source, file: str, line: int, words: Sequence[str], count: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        found = repr(" ".join(words)[:40])
        source.refuse(
            messages.CAMERA_FILE_LINE, file=file, line=line, found=found, allowed=f"{count} numbers"
        )
    return numbers


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return the key that sorts `frame9` before `frame10`."""
    return [
        (0, int(part[:18]), "") if part.isdigit() and part.isascii() else (1, 0, part)
        for part in re.split(r"(\d+)", name)
    ]


def shot_colmap(shot: Shot) -> dict[str, bytes]:
    """Return COLMAP's text files by name. Frames with the same lens share a camera; pixel centers are at 0.5."""
    width, height = shot.size_px
    tangents = 2 * np.tan(np.radians(shot.path.fov_deg) / 2)
    focal = list(zip((width / (tangents * shot.aspects)).tolist(), (height / tangents).tolist(), strict=True))
    numbers: dict[tuple[float, float], int] = {}
    for lens in focal:
        numbers.setdefault(lens, len(numbers) + 1)
    cameras = [
        f"{number} PINHOLE {width} {height} {fx!r} {fy!r} {width / 2!r} {height / 2!r}"
        for (fx, fy), number in numbers.items()
    ]
    frame_from_scene: Matrix = np.asarray(np.linalg.inv(shot.poses), np.float64)
    turns, places = quaternions(frame_from_scene[:, :3, :3]).tolist(), frame_from_scene[:, :3, 3].tolist()
    images = []
    for frame, lens in enumerate(focal):
        values = " ".join(map(repr, [*turns[frame], *places[frame]]))
        images.append(f"{frame + 1} {values} {numbers[lens]} {frame:09}.png\n")
    heads = (
        "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n",
        "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; every second line is empty: no points\n",
    )
    return {
        "cameras.txt": (heads[0] + "\n".join(cameras) + "\n").encode(),
        "images.txt": (heads[1] + "".join(f"{image}\n" for image in images)).encode(),
        "points3D.txt": b"# no points\n",
    }


def shot_zip(shot: Shot) -> bytes:
    """Return COLMAP's text files as a ZIP file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in shot_colmap(shot).items():
            archive.writestr(name, content)
    return packed.getvalue()
