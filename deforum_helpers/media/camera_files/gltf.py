"""Cameras in glTF and GLB files, as Blender writes them.

The axes are right, up, backward, so a camera looks along -z. Fields of view are vertical, in radians; keys in seconds.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from deforum_helpers.camera.path import Track
from deforum_helpers.camera.pose import quaternions, rigid_fault, rotations_from_quaternions, slerp
from deforum_helpers.camera.types import Matrix
from deforum_helpers.media import messages
from deforum_helpers.media.camera_files.base import FLIP, Shot, Source, document_of, numbers_of, track_of

GLB_MAGIC = b"glTF"
# A sample this near to a key, in frames, is that key: times in glTF are float32.
_NEAR_FRAMES = 1e-3
_POINTER = "KHR_animation_pointer"
_COMPONENTS: Mapping[int, tuple[str, float]] = {
    5126: ("<f4", 1),
    5120: ("<i1", 127),
    5121: ("<u1", 255),
    5122: ("<i2", 32767),
    5123: ("<u2", 65535),
}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_REST: Mapping[str, tuple[float, ...]] = {
    "translation": (0, 0, 0),
    "rotation": (0, 0, 0, 1),
    "scale": (1, 1, 1),
}


@dataclass(frozen=True)
class _Sampler:
    """Keys of one animated property: times (K,) in seconds, values (K, D) or (K, 3, D) with tangents."""

    times: Matrix
    values: Matrix
    interpolation: str

    def at(self, moments: Matrix, near_s: float, *, turns: bool) -> Matrix:
        """Return the values (N, D) at moments (N,) in seconds; `turns`: they are quaternions (x, y, z, w)."""
        keys, values = self.times, self.values
        main = values[:, 1] if self.interpolation == "CUBICSPLINE" else values
        if len(keys) == 1:
            return np.repeat(main[:1], len(moments), axis=0)
        nearest = np.clip(np.searchsorted(keys, moments), 1, len(keys) - 1)
        nearest -= moments - keys[nearest - 1] < keys[nearest] - moments
        moments = np.where(np.abs(keys[nearest] - moments) < near_s, keys[nearest], moments)
        moments = np.clip(moments, keys[0], keys[-1])
        low = np.clip(np.searchsorted(keys, moments, side="right") - 1, 0, len(keys) - 2)
        span = np.maximum(keys[low + 1] - keys[low], 1e-12)
        share = (moments - keys[low]) / span
        if self.interpolation == "STEP":
            return np.asarray(main[np.where(share >= 1, low + 1, low)])
        if self.interpolation == "CUBICSPLINE":
            s, d = share[:, None], span[:, None]
            found = (
                (2 * s**3 - 3 * s**2 + 1) * main[low]
                + d * (s**3 - 2 * s**2 + s) * values[low, 2]
                + (3 * s**2 - 2 * s**3) * main[low + 1]
                + d * (s**3 - s**2) * values[low + 1, 0]
            )
            return np.asarray(found)
        if turns:
            return slerp(_unit(main[low]), _unit(main[low + 1]), share)
        return np.asarray(main[low] + (main[low + 1] - main[low]) * share[:, None])


def _unit(values: Matrix) -> Matrix:
    with np.errstate(all="ignore"):
        return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float64)


class _Gltf:
    """A glTF document and the camera in it."""

    def __init__(self, source: Source, document: dict[str, Any], binary: bytes | None, path: Path) -> None:
        self._source, self._document, self._binary, self._path = source, document, binary, path
        self._buffers: dict[int, bytes] = {}

    def track(self, fps: float, most_frames: int) -> Track:
        node = self._camera_node()
        chain = self._chain(node)
        camera = self._nodes()[node]["camera"]
        yfov = self._yfov(camera)
        samplers, fov_sampler = self._samplers(chain, camera)
        timed = [*samplers.values(), *([fov_sampler] if fov_sampler else [])]
        start = min((float(one.times[0]) for one in timed), default=0.0)
        end = max((float(one.times[-1]) for one in timed), default=0.0)
        count = int((end - start) * fps + 0.05) + 1
        moments = start + np.arange(min(count, most_frames)) / fps
        near_s = _NEAR_FRAMES / fps
        poses = np.tile(np.eye(4), (len(moments), 1, 1))
        for number in chain:
            poses = poses @ self._local(number, samplers, moments, near_s)
        if fault := rigid_fault(_unscaled(poses)):
            self._source.refuse(
                messages.CAMERA_FILE_POSE,
                number=fault[0],
                fault=fault[1],
                allowed="a rotation and a position",
            )
        fovs = np.full(len(moments), np.degrees(yfov))
        if fov_sampler is not None:
            fovs = np.degrees(fov_sampler.at(moments, near_s, turns=False)[:, 0])
        track = track_of(
            self._source,
            FLIP @ _unscaled(poses) @ FLIP,
            fovs,
            fps=None,
            at_fps=fps,
            most_frames=most_frames,
        )
        return Track(track.poses, track.fov_deg, count)

    def _broken(self, part: str) -> NoReturn:
        self._source.refuse(messages.CAMERA_FILE_BROKEN, part=part)

    def _list(self, name: str) -> list[dict[str, Any]]:
        found = self._document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self._broken(name)
        return found

    def _nodes(self) -> list[dict[str, Any]]:
        return self._list("nodes")

    def _member(self, items: Sequence[Any], number: object, part: str) -> Any:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(items):
            self._broken(part)
        return items[number]

    def _camera_node(self) -> int:
        cameras, named = self._list("cameras"), {}
        for number, node in enumerate(self._nodes()):
            if "camera" in node:
                camera = self._member(cameras, node["camera"], f"node {number}")
                name = str(node.get("name") or camera.get("name") or f"node {number}")
                named[name if name not in named else f"{name} (node {number})"] = number
        if not named:
            self._source.refuse(messages.CAMERA_FILE_WITHOUT_CAMERA)
        if self._source.camera:
            return self._chosen("camera", self._source.camera, named)
        if len(named) > 1:
            self._source.refuse(
                messages.CAMERA_FILE_SEVERAL, what="cameras", key="camera", allowed=_names(named)
            )
        return next(iter(named.values()))

    def _chosen(self, what: str, name: str, named: Mapping[str, int]) -> int:
        if name not in named:
            self._source.refuse(
                messages.CAMERA_FILE_NAME_UNKNOWN, what=what, found=name[:80], allowed=_names(named)
            )
        return named[name]

    def _chain(self, node: int) -> list[int]:
        """Return the numbers of the nodes from the root to a node."""
        nodes, parents = self._nodes(), {}
        for number, one in enumerate(nodes):
            children = one.get("children", [])
            if not isinstance(children, list):
                self._broken(f"node {number}")
            for child in children:
                self._member(nodes, child, f"node {number}")
                parents[child] = number
        chain = [node]
        while chain[-1] in parents:
            chain.append(parents[chain[-1]])
            if len(chain) > len(nodes):
                self._broken("nodes")
        return chain[::-1]

    def _yfov(self, camera: int) -> float:
        perspective = self._list("cameras")[camera].get("perspective")
        if not isinstance(perspective, dict):
            self._source.refuse(messages.CAMERA_FILE_ORTHOGRAPHIC)
        yfov = perspective.get("yfov")
        if not isinstance(yfov, (int, float)) or isinstance(yfov, bool):
            self._broken("yfov")
        return float(yfov)

    def _samplers(
        self, chain: list[int], camera: int
    ) -> tuple[dict[tuple[int, str], _Sampler], _Sampler | None]:
        """Return the samplers that move the camera, by node and property, and that of its field of view."""
        pointer = f"/cameras/{camera}/perspective/yfov"
        moving: dict[str, tuple[dict[str, Any], list[tuple[tuple[int, str] | None, Any]]]] = {}
        for number, animation in enumerate(self._list("animations")):
            found: list[tuple[tuple[int, str] | None, Any]] = []
            channels = animation.get("channels", [])
            if not isinstance(channels, list):
                self._broken(f"animation {number}")
            for channel in channels:
                target = channel.get("target", {}) if isinstance(channel, dict) else None
                if not isinstance(target, dict):
                    self._broken(f"animation {number}")
                if target.get("node") in chain and target.get("path") in _REST:
                    found.append(((target["node"], target["path"]), channel.get("sampler")))
                extension = target.get("extensions")
                extension = extension.get(_POINTER) if isinstance(extension, dict) else None
                if isinstance(extension, dict) and extension.get("pointer") == pointer:
                    found.append((None, channel.get("sampler")))
            if found:
                name = str(animation.get("name") or f"animation {number}")
                moving[name if name not in moving else f"{name} ({number})"] = (animation, found)
        if not moving:
            return {}, None
        numbers = {name: number for number, name in enumerate(moving)}
        if self._source.animation:
            chosen = self._chosen("animation", self._source.animation, numbers)
        elif len(moving) > 1:
            self._source.refuse(
                messages.CAMERA_FILE_SEVERAL,
                what="animations of the camera",
                key="animation",
                allowed=_names(moving),
            )
        else:
            chosen = 0
        animation, found = list(moving.values())[chosen]
        samplers: dict[tuple[int, str], _Sampler] = {}
        of_fov = None
        for target, number in found:
            width = 1 if target is None else len(_REST[target[1]])
            sampler = self._sampler(animation, number, width)
            if target is None:
                of_fov = sampler
            else:
                samplers[target] = sampler
        return samplers, of_fov

    def _sampler(self, animation: dict[str, Any], number: object, width: int) -> _Sampler:
        samplers = animation.get("samplers")
        entry = self._member(samplers if isinstance(samplers, list) else [], number, "an animation sampler")
        if not isinstance(entry, dict):
            self._broken("an animation sampler")
        interpolation = entry.get("interpolation", "LINEAR")
        if interpolation not in ("LINEAR", "STEP", "CUBICSPLINE"):
            self._broken(f"the interpolation {str(interpolation)[:40]!r}")
        times = self._accessor(entry.get("input"), 1)[:, 0]
        values = self._accessor(entry.get("output"), width)
        per_key = 3 if interpolation == "CUBICSPLINE" else 1
        if not len(times) or len(values) != len(times) * per_key:
            self._broken("an animation sampler")
        if not np.isfinite(times).all() or (np.diff(times) < 0).any() or np.ptp(times) > 1e6:
            self._broken("the key times of an animation")
        if per_key == 3:
            values = values.reshape(len(times), 3, width)
        return _Sampler(times, values, interpolation)

    def _accessor(self, number: object, width: int) -> Matrix:
        """Return an accessor's values, (count, width) float64."""
        accessor = self._member(self._list("accessors"), number, "an accessor")
        view = self._member(
            self._list("bufferViews"), accessor.get("bufferView"), "an accessor without a view"
        )
        component, count = accessor.get("componentType"), accessor.get("count")
        offsets = [accessor.get("byteOffset", 0), view.get("byteOffset", 0)]
        is_whole = all(isinstance(one, int) and 0 <= one < 1 << 40 for one in (count, *offsets))
        if component not in _COMPONENTS or not is_whole or _WIDTHS.get(str(accessor.get("type"))) != width:
            self._broken("an accessor")
        if "sparse" in accessor:
            self._broken("a sparse accessor, which is not supported,")
        kind, largest = _COMPONENTS[component]
        item = np.dtype(kind).itemsize * width
        stride = view.get("byteStride", item)
        content = self._buffer(view.get("buffer"))
        start = sum(offsets)
        if (
            not isinstance(stride, int)
            or not item <= stride <= 252
            or start + (count - 1) * stride + item > len(content)
        ):
            self._broken("an accessor")
        if not count:
            return np.zeros((0, width))
        rows = np.lib.stride_tricks.as_strided(
            np.frombuffer(content, np.uint8, offset=start), (count, item), (stride, 1), writeable=False
        )
        values = np.ascontiguousarray(rows).view(kind).astype(np.float64)
        return np.asarray(np.maximum(values / largest, -1) if largest != 1 else values)

    def _buffer(self, number: object) -> bytes:
        entry = self._member(self._list("buffers"), number, "a buffer")
        assert isinstance(number, int)
        if number not in self._buffers:
            self._buffers[number] = self._content(entry.get("uri"), number)
        return self._buffers[number]

    def _content(self, uri: object, number: int) -> bytes:
        if uri is None and number == 0 and self._binary is not None:
            return self._binary
        if not isinstance(uri, str):
            self._broken(f"buffer {number}")
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=True)
            except (ValueError, binascii.Error):
                self._broken(f"buffer {number}")
        if not re.fullmatch(r"[\w\- .]+(?:/[\w\- .]+)*", uri) or ".." in uri.split("/"):
            self._source.refuse(
                messages.CAMERA_BUFFER_OUTSIDE, found=uri[:80], allowed="a file beside the glTF file"
            )
        return self._source.content(self._path.parent / uri)

    def _local(
        self, number: int, samplers: Mapping[tuple[int, str], _Sampler], moments: Matrix, near_s: float
    ) -> Matrix:
        """Return the transforms (N, 4, 4) of a node in its parent."""
        node = self._nodes()[number]
        matrix = np.tile(np.eye(4), (len(moments), 1, 1))
        if "matrix" in node:
            matrix[:] = (
                numbers_of(self._source, node["matrix"], (16,), f"matrix of node {number}").reshape(4, 4).T
            )
            return matrix
        values = {}
        for part, rest in _REST.items():
            if sampler := samplers.get((number, part)):
                values[part] = sampler.at(moments, near_s, turns=part == "rotation")
            else:
                still = numbers_of(
                    self._source, node.get(part, list(rest)), (len(rest),), f"{part} of node {number}"
                )
                values[part] = np.tile(still, (len(moments), 1))
        xyzw = values["rotation"]
        with np.errstate(all="ignore"):
            matrix[:, :3, :3] = rotations_from_quaternions(xyzw[:, [3, 0, 1, 2]])
        matrix[:, :3, :3] *= values["scale"][:, None, :]
        matrix[:, :3, 3] = values["translation"]
        return matrix


def _unscaled(poses: Matrix) -> Matrix:
    """Return poses with axes of length 1; the scale of its parents does not change what a camera sees."""
    with np.errstate(all="ignore"):
        axes = poses[:, :3, :3] / np.linalg.norm(poses[:, :3, :3], axis=1, keepdims=True)
    found = poses.copy()
    found[:, :3, :3] = axes
    return found


def _names(names: Iterable[str]) -> str:
    listed = [repr(name[:60]) for name in names]
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")


def read_glb(source: Source, content: bytes, path: Path, fps: float, most_frames: int) -> Track:
    """Return the camera of a GLB file; raises as `read_camera`."""
    document, binary = _glb_chunks(source, content)
    return _Gltf(source, document, binary, path).track(fps, most_frames)


def read_gltf(source: Source, document: dict[str, Any], path: Path, fps: float, most_frames: int) -> Track:
    """Return the camera of a glTF document; raises as `read_camera`."""
    return _Gltf(source, document, None, path).track(fps, most_frames)


def _glb_chunks(source: Source, content: bytes) -> tuple[dict[str, Any], bytes | None]:
    """Return the document and the binary chunk of a GLB file, version 2."""
    chunks: dict[bytes, bytes] = {}
    place = 12
    while place + 8 <= len(content):
        (length,), kind = struct.unpack_from("<I", content, place), content[place + 4 : place + 8]
        chunks.setdefault(kind, content[place + 8 : place + 8 + length])
        place += 8 + length
    if content[4:8] != struct.pack("<I", 2) or b"JSON" not in chunks or place > len(content) + 3:
        source.refuse(messages.CAMERA_FILE_BROKEN, part="the container of the GLB file")
    document = document_of(source, chunks[b"JSON"])
    if not isinstance(document, dict):
        source.refuse(messages.CAMERA_FILE_BROKEN, part="the container of the GLB file")
    return document, chunks.get(b"BIN\0")


def _gltf_parts(shot: Shot) -> tuple[dict[str, Any], bytes]:
    """Return the document and its buffer: one animated camera node, one key per frame."""
    poses = FLIP @ shot.poses @ FLIP
    count = len(poses)
    wxyz = quaternions(poses[:, :3, :3])
    fov = np.radians(shot.path.fov_deg)
    zooms = bool(np.ptp(fov) > 0)
    columns = [
        ("SCALAR", np.arange(count) / shot.fps),
        ("VEC3", poses[:, :3, 3]),
        ("VEC4", _continuous(wxyz)[:, [1, 2, 3, 0]]),
        *([("SCALAR", fov)] if zooms else []),
    ]
    arrays = [np.ascontiguousarray(values, "<f4") for _, values in columns]
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    start = 0
    for (kind, _), array in zip(columns, arrays, strict=True):
        views.append({"buffer": 0, "byteOffset": start, "byteLength": array.nbytes})
        accessor = {"bufferView": len(views) - 1, "componentType": 5126, "count": count, "type": kind}
        if not accessors:
            accessor |= {"min": [float(array[0])], "max": [float(array[-1])]}
        accessors.append(accessor)
        start += array.nbytes
    targets: list[dict[str, Any]] = [{"node": 0, "path": "translation"}, {"node": 0, "path": "rotation"}]
    if zooms:
        pointer = {"pointer": "/cameras/0/perspective/yfov"}
        targets.append({"path": "pointer", "extensions": {_POINTER: pointer}})
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Deforum"},
        **({"extensionsUsed": [_POINTER]} if zooms else {}),
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "Camera", "camera": 0}],
        "cameras": [
            {
                "type": "perspective",
                "name": "Camera",
                "perspective": {
                    "yfov": float(fov[0]),
                    "aspectRatio": abs(float(shot.aspects[0])),
                    "znear": 0.01,
                    "zfar": 1000.0,
                },
            }
        ],
        "animations": [
            {
                "name": "Camera path",
                "samplers": [
                    {"input": 0, "output": number + 1, "interpolation": "LINEAR"}
                    for number in range(len(targets))
                ],
                "channels": [{"sampler": number, "target": target} for number, target in enumerate(targets)],
            }
        ],
        "buffers": [{"byteLength": start}],
        "bufferViews": views,
        "accessors": accessors,
    }
    return document, b"".join(array.tobytes() for array in arrays)


def _continuous(wxyz: Matrix) -> Matrix:
    """Return quaternions with the signs that make neighbors near, as programs that mix their components expect."""
    signs = np.cumprod(np.where(np.sum(wxyz[1:] * wxyz[:-1], axis=1) < 0, -1.0, 1.0))
    return np.asarray(wxyz * np.concatenate([[1.0], signs])[:, None])


def shot_gltf(shot: Shot) -> bytes:
    """Return the camera as a glTF file with its data inside."""
    document, content = _gltf_parts(shot)
    uri = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    document["buffers"][0]["uri"] = uri
    return json.dumps(document).encode()


def shot_glb(shot: Shot) -> bytes:
    """Return the camera as a GLB file."""
    document, content = _gltf_parts(shot)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    content += b"\0" * (-len(content) % 4)
    head = struct.pack("<4sII", GLB_MAGIC, 2, 12 + 16 + len(text) + len(content))
    return (
        head
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(content), b"BIN\0")
        + content
    )
