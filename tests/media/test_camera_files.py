"""Camera files: round trips through every format, another program's glTF, and files that no camera is read from."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deforum_helpers.camera.path import CameraPath, Track, pose
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.media.camera_files import read_camera
from deforum_helpers.media.camera_files.base import Shot, Source
from deforum_helpers.media.camera_files.colmap import shot_colmap
from deforum_helpers.media.camera_files.gltf import shot_glb, shot_gltf
from deforum_helpers.media.camera_files.json_poses import shot_json
from tests.refusals import refuses

FLIP = np.diag([1.0, -1, -1, 1])


def read(path: Path, fps: float = 15, most: int = 1000, **names: str) -> Track:
    return read_camera(Source(str(path), path.name, "camera_path", **names), fps=fps, most_frames=most)


def written(folder: Path, shot: Shot) -> list[Path]:
    """Write a shot in every format; return the paths."""
    paths = [folder / "a.glb", folder / "a.gltf", folder / "a.json", folder / "colmap"]
    for path, content in zip(paths, (shot_glb(shot), shot_gltf(shot), shot_json(shot)), strict=False):
        path.write_bytes(content)
    paths[3].mkdir(exist_ok=True)
    for name, content in shot_colmap(shot).items():
        (paths[3] / name).write_bytes(content)
    return paths


cameras = st.tuples(
    *[st.floats(-8, 8)] * 3, *[st.floats(-170, 170)] * 3, st.one_of(st.just(50.0), st.floats(2, 150))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(cameras, min_size=1, max_size=5), st.sampled_from([12.0, 15, 23.976, 60]))
def test_every_format_gives_the_camera_back(
    tmp_path: Path, frames: list[tuple[float, ...]], fps: float
) -> None:
    poses = np.stack([pose(*frame[:6]) for frame in frames])
    fovs = np.array([frame[6] for frame in frames])
    shot = Shot(CameraPath(poses, fovs), np.full(len(frames), 16 / 9), (640, 360), fps)
    for path in written(tmp_path, shot):
        track = read(path, fps)
        assert track.frames == len(frames)
        np.testing.assert_allclose(track.poses, poses, atol=1e-6 if "a.gl" in path.name else 1e-9, rtol=0)
        assert track.fov_deg is not None
        np.testing.assert_allclose(np.radians(track.fov_deg), np.radians(fovs), atol=1e-6, rtol=0)


def test_a_long_shot_keeps_its_last_frame_to_1e_6(tmp_path: Path) -> None:
    count = 3000
    poses = np.stack([pose(np.sin(k / 90), k / count, 0, 0, k / 20, 0) for k in range(count)])
    shot = Shot(CameraPath(poses, np.full(count, 50.0)), np.ones(count), (64, 64), 23.976)
    for path in written(tmp_path, shot):
        track = read(path, 23.976, count + 1)
        assert track.frames == count
        np.testing.assert_allclose(track.poses, poses, atol=1e-6)


def test_the_scale_is_that_of_the_positions_alone() -> None:
    shot = Shot(
        CameraPath(pose(1, 2, 3, 0, 30, 0)[None], np.array([50.0])), np.ones(1), (64, 64), 15, scale=10
    )
    frame = json.loads(shot_json(shot))["frames"][0]
    np.testing.assert_allclose(np.array(frame["pose"])[:3, 3], [10, -20, 30])


def gltf(
    channels: dict[str, tuple[list[float], Any, str]], cameras: int = 1, kind: str = "perspective"
) -> pygltflib.GLTF2:
    """Return a document as another program writes it: a camera node below a parent that is moved up by 1 and scaled."""
    model, blob = pygltflib.GLTF2(), b""
    perspective = pygltflib.Perspective(yfov=0.8, znear=0.1) if kind == "perspective" else None
    model.cameras = [pygltflib.Camera(type=kind, perspective=perspective)]
    model.nodes = [
        pygltflib.Node(children=list(range(1, cameras + 1)), translation=[0, 1, 0], scale=[2, 2, 2])
    ]
    model.nodes += [pygltflib.Node(name=f"Cam{n}", camera=0) for n in range(cameras)]
    model.scenes, model.scene = [pygltflib.Scene(nodes=[0])], 0
    animation = pygltflib.Animation(name="Action")
    for path, (times, values, interpolation) in channels.items():
        for array in (times, values):
            raw = np.array(array, np.float32)
            model.bufferViews.append(
                pygltflib.BufferView(buffer=0, byteOffset=len(blob), byteLength=raw.nbytes)
            )
            model.accessors.append(
                pygltflib.Accessor(
                    bufferView=len(model.bufferViews) - 1,
                    componentType=pygltflib.FLOAT,
                    count=len(raw),
                    type={1: "SCALAR", 3: "VEC3", 4: "VEC4"}[raw.reshape(len(raw), -1).shape[1]],
                )
            )
            blob += raw.tobytes()
        last = len(model.accessors) - 1
        animation.samplers.append(
            pygltflib.AnimationSampler(input=last - 1, output=last, interpolation=interpolation)
        )
        target = pygltflib.AnimationChannelTarget(node=1, path=path)
        animation.channels.append(
            pygltflib.AnimationChannel(sampler=len(animation.samplers) - 1, target=target)
        )
    if channels:
        model.animations = [animation]
    model.buffers = [pygltflib.Buffer(byteLength=len(blob))]
    model.set_binary_blob(blob)
    return model


def saved(model: pygltflib.GLTF2, folder: Path) -> Path:
    path = folder / "scene.glb"
    path.write_bytes(b"".join(model.save_to_bytes()))
    return path


MOVE = {"translation": ([1.0, 2.0], [[0, 0, 0], [0, 0, -4]], "LINEAR")}


def test_an_animation_of_another_program_is_sampled_at_the_frame_rate(tmp_path: Path) -> None:
    track = read(saved(gltf(MOVE), tmp_path), 10)
    assert track.frames == 11  # from its first key, at second 1, to its last
    # -z of glTF is forward; the parent is 1 up and twice as large.
    np.testing.assert_allclose(track.poses[:, 2, 3], np.linspace(0, 8, 11), atol=1e-6)
    np.testing.assert_allclose(track.poses[:, 1, 3], -1)
    assert track.fov_deg is not None
    np.testing.assert_allclose(track.fov_deg, np.degrees(0.8))


def test_steps_hold_and_cubic_splines_follow_their_tangents(tmp_path: Path) -> None:
    stepped = {"translation": ([0.0, 1.0], [[0, 0, 0], [0, 0, -4]], "STEP")}
    np.testing.assert_allclose(read(saved(gltf(stepped), tmp_path), 10).poses[:, 2, 3], [0] * 10 + [8])
    keys = [[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, -4], [0, 0, 0]]
    smooth = {"translation": ([0.0, 1.0], keys, "CUBICSPLINE")}
    # With flat tangents: 3s² - 2s³ of the way, 0.15625 at a quarter.
    found = read(saved(gltf(smooth), tmp_path), 4).poses[:, 2, 3]
    np.testing.assert_allclose(found, np.array([0, 0.15625, 0.5, 0.84375, 1]) * 8, atol=1e-6)


def test_turns_of_another_program_are_read(tmp_path: Path) -> None:
    half = [
        0,
        np.sin(np.radians(-45)),
        0,
        np.cos(np.radians(45)),
    ]  # 90 degrees to the right about y, which is up
    track = read(saved(gltf({"rotation": ([0.0, 1.0], [[0, 0, 0, 1], half], "LINEAR")}), tmp_path), 2)
    np.testing.assert_allclose(track.poses[:, :3, 2], [[0, 0, 1], [0.7071, 0, 0.7071], [1, 0, 0]], atol=1e-4)


def test_another_program_reads_what_is_written(tmp_path: Path) -> None:
    poses = np.stack([pose(0, 0, k, 0, 0, 0) for k in range(4)])
    shot = Shot(CameraPath(poses, np.full(4, 60.0)), np.full(4, 2.0), (64, 32), 2)
    path = tmp_path / "a.glb"
    path.write_bytes(shot_glb(shot))
    model = pygltflib.GLTF2().load(str(path))
    lens = model.cameras[0].perspective
    assert lens.yfov == pytest.approx(np.radians(60))
    assert lens.aspectRatio == 2
    accessor = model.accessors[model.animations[0].samplers[0].output]
    view = model.bufferViews[accessor.bufferView]
    raw = model.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    np.testing.assert_allclose(np.frombuffer(raw, "<f4").reshape(-1, 3), [[0, 0, -k] for k in range(4)])
    times = model.accessors[model.animations[0].samplers[0].input]
    assert (times.min, times.max) == ([0], [1.5])


def test_the_camera_of_colmap_looks_where_ours_does(tmp_path: Path) -> None:
    # World to camera: a camera at (0, 0, -2) of the world, which sees the origin at depth 2.
    (tmp_path / "cameras.txt").write_text("# made\n7 SIMPLE_PINHOLE 100 50 25 50 25\n", encoding="utf-8")
    lines = ["2 1 0 0 0 0 0 3 7 f10.png", "", "1 1 0 0 0 0 0 2 7 f9.png", "1 2 -1"]
    (tmp_path / "images.txt").write_text("\n".join(lines), encoding="utf-8")
    track = read(tmp_path)
    np.testing.assert_allclose(track.poses[:, 2, 3], [-2, -3])  # f9 before f10
    np.testing.assert_allclose(track.fov_deg, 90)


@pytest.mark.parametrize(
    "document",
    [
        [np.eye(4).tolist()] * 3,
        {"poses": [np.eye(4).ravel().tolist()] * 3, "fov_deg": 50},
        {"poses": [np.eye(4).tolist()] * 3, "fov_deg": [50, 50, 50], "axes": "opencv"},
        {"frames": [{"transform_matrix": np.eye(4).tolist(), "fov_deg": 50}] * 3, "axes": "opengl"},
    ],
)
def test_forms_of_json(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "poses"
    path.write_text(json.dumps(document), encoding="utf-8")
    track = read(path)
    np.testing.assert_allclose(track.poses, np.tile(np.eye(4), (3, 1, 1)))


def test_json_with_a_frame_rate_is_resampled(tmp_path: Path) -> None:
    poses = [pose(0, 0, k, 0, 30 * k, 0).tolist() for k in range(3)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"poses": poses, "fps": 10, "fov_deg": [40, 50, 60]}), encoding="utf-8")
    track = read(path, 20)
    np.testing.assert_allclose(track.poses, [pose(0, 0, k / 2, 0, 15 * k, 0) for k in range(5)], atol=1e-9)
    np.testing.assert_allclose(track.fov_deg, [40, 45, 50, 55, 60])


def replaced(matrix: Any, row: int, column: int, value: float) -> list[list[float]]:
    changed = np.array(matrix, np.float64)
    changed[row, column] = value
    return changed.tolist()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "camera_file_unknown"),
        (b"nothing", "camera_file_unknown"),
        (b"{}", "camera_file_unknown"),
        (b"[]", "camera_file_unknown"),
        (b"[[1,2]]", "camera_file_value"),
        (b'{"poses": [[["a"]]]}', "camera_file_value"),
        (json.dumps([replaced(np.eye(4), 0, 3, float("nan"))]).encode(), "camera_file_pose"),
        (json.dumps([replaced(np.eye(4), 0, 0, -1)]).encode(), "camera_file_pose"),
        (json.dumps([replaced(np.eye(4), 0, 0, 2)]).encode(), "camera_file_pose"),
        (json.dumps({"poses": [np.eye(4).tolist()], "fov_deg": 180}).encode(), "camera_file_fov"),
        (json.dumps({"poses": [np.eye(4).tolist()], "fov_deg": [1, 2]}).encode(), "camera_file_value"),
        (json.dumps({"poses": [np.eye(4).tolist()], "axes": "left"}).encode(), "camera_file_value"),
        (json.dumps({"poses": [np.eye(4).tolist()], "fps": 0}).encode(), "camera_file_value"),
        (b"glTF\1\0\0\0\0\0\0\0", "camera_file_broken"),
        (b"glTF" + struct.pack("<IIII", 2, 99, 9999, 0x4E4F534A) + b"{}", "camera_file_broken"),
        (b'{"asset": {}, "nodes": 3}', "camera_file_broken"),
        (b'{"asset": {}}', "camera_file_without_camera"),
        (b'{"asset": {}, "cameras": [{}], "nodes": [{"camera": 3}]}', "camera_file_broken"),
        (
            b'{"asset": {}, "cameras": [{"perspective": {"yfov": 1}}], "nodes": [{"camera": 0, "children": [0]}]}',
            "camera_file_broken",
        ),
        (
            b'{"asset": {}, "cameras": [{"perspective": {"yfov": 1}}], "nodes": [{"camera": 0, "scale": [1, -1, 1]}]}',
            "camera_file_pose",
        ),
    ],
)
def test_files_without_a_camera_are_told(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "a.any"
    path.write_bytes(content)
    with refuses(SettingsError, code, "camera_path", "a.any"):
        read(path)


def test_cameras_and_animations_are_chosen_by_name(tmp_path: Path) -> None:
    path = saved(gltf(MOVE, cameras=2), tmp_path)
    with refuses(SettingsError, "camera_file_several", "'Cam0', 'Cam1'"):
        read(path)
    assert read(path, camera="Cam0").frames == 16
    assert read(path, camera="Cam1").frames == 1  # only the first is animated
    with refuses(SettingsError, "camera_file_name_unknown", "'Cam0', 'Cam1'"):
        read(path, camera="Cam7")
    model = gltf(MOVE)
    model.animations.append(pygltflib.Animation.from_dict(model.animations[0].to_dict()))  # type: ignore[attr-defined]
    model.animations[1].name = "Other"
    path = saved(model, tmp_path)
    with refuses(SettingsError, "camera_file_several", "'Action', 'Other'"):
        read(path)
    assert read(path, animation="Other").frames == 16


def test_a_camera_without_perspective_is_told(tmp_path: Path) -> None:
    with refuses(SettingsError, "camera_file_orthographic"):
        read(saved(gltf(MOVE, kind="orthographic"), tmp_path))


@pytest.mark.parametrize(
    "uri", ["../secret.bin", "/etc/passwd", "http://127.0.0.1/a.bin", "file:///etc/passwd"]
)
def test_data_is_read_from_beside_the_file_only(tmp_path: Path, uri: str) -> None:
    shot = Shot(CameraPath(np.eye(4)[None], np.array([50.0])), np.ones(1), (64, 64), 15)
    document = json.loads(shot_gltf(shot))
    document["buffers"][0]["uri"] = uri
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps(document), encoding="utf-8")
    with refuses(SettingsError, "camera_buffer_outside"):
        read(path)


def test_data_beside_the_file_is_read(tmp_path: Path) -> None:
    model = gltf(MOVE)
    (tmp_path / "scene.bin").write_bytes(model.binary_blob())
    model.buffers[0].uri = "scene.bin"
    path = tmp_path / "scene.gltf"
    path.write_text(model.gltf_to_json(), encoding="utf-8")
    assert read(path).frames == 16


@pytest.mark.parametrize(
    ("cameras_txt", "images_txt", "code"),
    [
        (None, "", "camera_folder_incomplete"),
        ("1 PINHOLE 4 4 1 1 2 2", None, "camera_folder_incomplete"),
        ("1 OPENCV_FISHEYE 4 4 1 1 2 2 0 0 0 0", "", "camera_file_line"),
        ("1 PINHOLE 4 4 1 x 2 2", "", "camera_file_line"),
        ("1 PINHOLE 4 4 1 1 2 2", "", "camera_file_without_camera"),
        ("1 PINHOLE 4 4 1 1 2 2", "1 1 0 0 0 0 0 0 2 a.png", "camera_file_line"),
        ("1 PINHOLE 4 4 1 1 2 2", "1 0 0 0 0 0 0 0 1 a.png", "camera_file_pose"),
        ("1 PINHOLE 4 4 1 1 2 2", "1 1 0 0 0 nan 0 0 1 a.png", "camera_file_pose"),
    ],
)
def test_folders_that_colmap_did_not_write(
    tmp_path: Path, cameras_txt: str | None, images_txt: str | None, code: str
) -> None:
    for name, text in (("cameras.txt", cameras_txt), ("images.txt", images_txt)):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
    with refuses(SettingsError, code):
        read(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with refuses(SettingsError, "camera_file_unusable", "does not exist"):
        read(tmp_path / "none.glb")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_damaged_files_are_problems_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    poses = np.stack([pose(0, 0, k, 0, 0, 0) for k in range(3)])
    shot = Shot(CameraPath(poses, np.array([50.0, 51, 52])), np.ones(3), (64, 64), 15)
    content = bytearray(data.draw(st.sampled_from([shot_glb(shot), shot_gltf(shot), shot_json(shot)])))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(content)
    with suppress(SettingsError):
        read(path)
