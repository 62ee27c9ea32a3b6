"""The scene of the 3D view: the plan's camera, the key poses of its text, and the newest frame with its depth."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deforum_helpers.media.camera_files import read_camera
from deforum_helpers.media.camera_files.base import Source
from deforum_helpers.pipeline.camera_export import video_shot
from deforum_helpers.pipeline.camera_scene import MOST_POSES, camera_scene
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.render.plan import Plan
from deforum_helpers.ui.answers import Answers
from deforum_helpers.ui.controls import NAMES, default_values
from tests.ui.fake_service import FakeService, facts

DEEP: dict[str, Any] = {"animation_mode": "3D", "max_frames": 21, "W": 128, "H": 64, "seed": 1}
POSES = "0: pose(1, 2, 3, tilt=10), 20: pose(2, 2, 3, pan=-30, fov=40)"


def planned(tmp_path: Path, **changes: Any) -> Plan:
    return prepare(DEEP | changes, facts(tmp_path)).plan


def test_the_poses_of_the_text_are_the_keys(tmp_path: Path) -> None:
    scene = camera_scene(planned(tmp_path, camera_path=POSES))
    assert scene is not None
    assert scene["own"]
    assert scene["keys"] == [[0, 1, 2, 3, 10, 0, 0], [20, 2, 2, 3, 0, -30, 0, 40]]
    # In the axes of the text, with y down, the way begins and ends at its poses.
    np.testing.assert_allclose(scene["poses"][0][1:4], [1, -2, 3], atol=1e-5)
    np.testing.assert_allclose(scene["poses"][-1][1:4], [2, -2, 3], atol=1e-5)
    assert scene["poses"][-1][8] == pytest.approx(40)


def test_other_paths_have_places_on_the_way(tmp_path: Path) -> None:
    scene = camera_scene(planned(tmp_path, camera_path="0: orbit(2, 90)"))
    assert scene is not None
    assert not scene["own"]
    assert scene["keys"][-1] == pytest.approx([20, 2, 0, 2, 0, -90, 0], abs=1e-3)
    assert camera_scene(planned(tmp_path, animation_mode="2D")) is None


def test_a_long_path_is_thinned_to_its_last_frame(tmp_path: Path) -> None:
    scene = camera_scene(planned(tmp_path, max_frames=5000))
    assert scene is not None
    assert len(scene["poses"]) == MOST_POSES
    assert scene["poses"][-1][0] == 4999


def test_the_newest_frame_has_depth_and_colors(tmp_path: Path) -> None:
    frame = tmp_path / "20260101000000_000000007.png"
    assert cv2.imwrite(str(frame), np.random.default_rng(1).integers(0, 255, (64, 128, 3), np.uint8))
    scene = camera_scene(planned(tmp_path), frame)
    assert scene is not None
    surface = scene["surface"]
    assert (surface["frame"], surface["width"], surface["height"]) == (7, 96, 48)
    assert len(base64.b64decode(surface["depth"])) == 96 * 48
    assert 0.9 < surface["near"] < surface["far"] < 2.1
    jpeg = np.frombuffer(base64.b64decode(surface["image"]), np.uint8)
    assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (64, 128, 3)
    frame.write_bytes(b"broken")
    assert camera_scene(planned(tmp_path), frame)["surface"] is None  # type: ignore[index]


@pytest.mark.parametrize("ending", ["glb", "json", "zip"])
def test_the_camera_file_of_the_page_has_the_planned_poses(tmp_path: Path, ending: str) -> None:
    answers = Answers(FakeService(facts(tmp_path)), str)
    asked = {"number": 3, "values": DEEP | {"camera_path": POSES}, "ending": ending}
    answer = json.loads(answers.camera_file(json.dumps(asked)))
    assert (answer["number"], answer["name"], answer["said"]) == (3, f"camera.{ending}", "")
    path = tmp_path / answer["name"]
    path.write_bytes(base64.b64decode(answer["content"]))
    if ending == "zip":
        with zipfile.ZipFile(path) as packed:
            packed.extractall(tmp_path / "colmap")
        path = tmp_path / "colmap"
    read = read_camera(Source(str(path), path.name, "camera_path"), fps=15, most_frames=21)
    shot, _ = video_shot(planned(tmp_path, camera_path=POSES))
    np.testing.assert_allclose(read.poses, shot.poses, atol=1e-6)


def test_a_camera_file_is_refused_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(FakeService(facts(tmp_path)), str)

    def said(**values: Any) -> str:
        answer = json.loads(answers.camera_file(json.dumps({"values": DEEP | values})))
        assert "content" not in answer
        return str(answer["said"])

    assert "Interpolation" in said(animation_mode="Interpolation")
    assert "translation_z" in said(translation_z="0: (")
    monkeypatch.setattr("deforum_helpers.ui.answers.MOST_CAMERA_BYTES", 10)
    assert said()


def test_the_page_gets_the_scene_in_3d_only(tmp_path: Path) -> None:
    values = dict(zip(NAMES, default_values(), strict=True))
    for mode, shown in (("3D", True), ("2D", False)):
        html = Answers(FakeService(facts(tmp_path)), str).plot(
            [], tuple((values | {"animation_mode": mode}).values())
        )
        assert ("deforum_camera_view" in html) is shown
