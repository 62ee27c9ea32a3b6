"""A camera path in a plan: it drives the moves of all frames, enters the digest by content, and the checks tell it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.__main__ import main
from deforum_helpers.camera.pose import chained
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.media.camera_files.gltf import shot_glb
from deforum_helpers.pipeline.camera_export import video_shot
from deforum_helpers.pipeline.prepare import Prepared, prepare
from tests.refusals import refuses
from tests.ui.fake_service import facts

DEEP: dict[str, Any] = {"animation_mode": "3D", "max_frames": 21, "W": 128, "H": 64, "fps": 10, "seed": 1}


def planned(tmp_path: Path, **changes: Any) -> Prepared:
    return prepare(DEEP | changes, facts(tmp_path))


def codes(prepared: Prepared) -> set[str]:
    return {code_of(text) for text in prepared.warnings}


def test_the_moves_of_the_run_follow_the_path(tmp_path: Path) -> None:
    plan = planned(tmp_path, camera_path="0: orbit(2, 90), 10: dolly_zoom(2, 1)").plan
    camera = chained(plan.poses)
    # Half of the entries' frames: an orbit of 90 degrees, then one unit towards its center.
    np.testing.assert_allclose(camera[10, :3, 3], [2, 0, 2], atol=1e-9)
    np.testing.assert_allclose(camera[20, :3, 3], [1, 0, 2], atol=1e-9)
    fov = plan.schedules.values["fov_schedule"]
    np.testing.assert_allclose(fov[:10], 70)  # that of the schedule, until the path sets it
    assert np.tan(np.radians(fov[20]) / 2) == pytest.approx(2 * np.tan(np.radians(35)))
    assert plan.schedules.values["translation_x"][10] == pytest.approx(200 * 2 * np.sin(np.radians(9)))


def test_a_path_replaces_the_schedules_and_says_so(tmp_path: Path) -> None:
    own = planned(tmp_path, translation_z="0: (9)", camera_path="0: truck(1)")
    assert "camera_path_replaces" in codes(own)
    assert not own.plan.schedules.values["translation_z"].any()
    assert "camera_path_replaces" not in codes(planned(tmp_path, camera_path="0: truck(1)"))


def test_shake_is_added_to_a_path(tmp_path: Path) -> None:
    still = planned(tmp_path, camera_path="0: hold()").plan
    assert still.moves.still
    assert not planned(tmp_path, camera_path="0: hold()", shake_name="INVESTIGATION").plan.moves.still


def test_other_modes_do_not_read_it(tmp_path: Path) -> None:
    flat = planned(tmp_path, animation_mode="2D", camera_path="0: spin(", translation_x="0: (3)").plan
    assert flat.schedules.values["translation_x"][5] == 3


def test_without_a_path_a_plan_stays_as_it_was(tmp_path: Path) -> None:
    bare = planned(tmp_path).plan
    assert bare.digest == planned(tmp_path, camera_path="").plan.digest


def test_a_changed_file_is_another_run(tmp_path: Path) -> None:
    path = tmp_path / "poses.json"

    def digest(step: float) -> str:
        poses = [np.eye(4).tolist() for _ in range(21)]
        for number, pose in enumerate(poses):
            pose[2][3] = step * number
        path.write_text(json.dumps(poses), encoding="utf-8")
        return planned(tmp_path, camera_path=str(path)).plan.digest

    assert digest(0.1) == digest(0.1)
    assert digest(0.1) != digest(0.2)


def test_a_loop_and_a_reversed_run_follow_it_too(tmp_path: Path) -> None:
    loop = planned(tmp_path, seamless_loop=True, camera_path="0: orbit(2, 360)").plan
    poses = loop.poses
    np.testing.assert_allclose(poses, np.tile(poses[0], (21, 1, 1)), atol=1e-9)
    ahead = planned(tmp_path, camera_path="0: orbit(2, 50)").plan
    back = planned(tmp_path, camera_path="0: orbit(2, 50)", reverse_generation=True).plan
    np.testing.assert_allclose(back.poses[1], np.linalg.inv(ahead.poses[20]), atol=1e-9)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nowhere.glb", "camera_file_unusable"),
        ("0: file('nowhere.glb')", "camera_file_unusable"),
        ('""', "camera_folder_incomplete"),
        ("0: orbit(", "unexpected_token"),
        ("0: pose(5000, 0, 0), 1: pose(9000, 0, 0)", "camera_path_too_fast"),
        ("http://127.0.0.1:9/a.glb", "address_not_fetched"),
    ],
)
def test_problems_come_with_all_others_before_the_first_frame(tmp_path: Path, path: str, code: str) -> None:
    with refuses(SettingsError, code) as caught:
        planned(tmp_path, camera_path=path, strength_schedule="0: (oops)")
    assert {"strength_schedule"} < {problem.setting for problem in caught.value.problems}  # type: ignore[attr-defined]


def test_a_short_file_is_told_with_the_way_to_hold(tmp_path: Path) -> None:
    path = tmp_path / "poses.json"
    path.write_text(json.dumps([np.eye(4).tolist()] * 20), encoding="utf-8")
    with refuses(SettingsError, "camera_path_too_short", "hold=1"):
        planned(tmp_path, camera_path=str(path))
    planned(tmp_path, camera_path=f'0: file("{path.as_posix()}", hold=1)')
    planned(tmp_path, camera_path=str(path), max_frames=20)
    assert "camera_path_longer" in codes(planned(tmp_path, camera_path=str(path), max_frames=10))


def test_lenses_that_do_not_fit_are_told(tmp_path: Path) -> None:
    zoom = "0: dolly_zoom(2, 1)"
    assert {"camera_path_sets_fov", "camera_path_zoom_classic"} <= codes(planned(tmp_path, camera_path=zoom))
    exact = planned(tmp_path, camera_path=zoom, depth_warp="exact")
    assert "camera_path_pixels" in codes(exact)
    assert "camera_path_zoom_classic" not in codes(exact)
    square = planned(tmp_path, camera_path=zoom, depth_warp="exact", aspect_ratio_schedule="0: (2)")
    assert "camera_path_pixels" not in codes(square)


@pytest.mark.parametrize("reverse", [False, True])
def test_an_exported_camera_makes_the_same_plan(tmp_path: Path, reverse: bool) -> None:
    first = planned(
        tmp_path,
        translation_x="0: (3*sin(t))",
        rotation_3d_y="0: (2)",
        rotation_3d_z="0: (1)",
        translation_z="0: (6)",
        fov_schedule="0: (40+t)",
        reverse_generation=reverse,
    ).plan
    shot, warnings = video_shot(first)
    assert not warnings
    path = tmp_path / "a.glb"
    path.write_bytes(shot_glb(shot))
    again = planned(tmp_path, camera_path=str(path), reverse_generation=reverse).plan
    np.testing.assert_allclose(again.poses[1:], first.poses[1:], atol=1e-6)
    np.testing.assert_allclose(
        again.schedules.values["fov_schedule"], first.schedules.values["fov_schedule"], atol=1e-5
    )


def test_the_camera_of_a_flat_video_shows_the_same_motion(tmp_path: Path) -> None:
    flat = {"animation_mode": "2D", "zoom": "0: (1.03)", "angle": "0: (2)", "translation_x": "0: (1.5)"}
    plan = planned(tmp_path, **flat, translation_y="0: (-0.5)").plan
    shot, _ = video_shot(plan)
    focal = 64 / (2 * np.tan(np.radians(35)))
    lens = np.array([[focal, 0, 63.5], [0, focal, 31.5], [0, 0, 1]])
    total = np.eye(3)
    for frame in range(1, 21):
        total = plan.moves[frame].dst_from_src @ total  # type: ignore[union-attr]
    point = np.array([20.0, 50, 1])
    on_plane = np.linalg.inv(lens) @ point  # at depth 1
    seen = np.linalg.inv(shot.poses[20]) @ (*on_plane, 1)
    pixel = lens @ seen[:3]
    np.testing.assert_allclose(pixel[:2] / pixel[2], (total @ point)[:2], atol=1e-6)


def test_a_negative_field_of_view_reverses_the_exported_camera(tmp_path: Path) -> None:
    ahead, _ = video_shot(planned(tmp_path, translation_z="0: (10)").plan)
    back, _ = video_shot(planned(tmp_path, translation_z="0: (10)", fov_schedule="0: (-70)").plan)
    np.testing.assert_allclose(back.poses[:, 2, 3], -ahead.poses[:, 2, 3])
    assert (back.path.fov_deg == 70).all()


def test_videos_without_a_camera_are_told(tmp_path: Path) -> None:
    with refuses(SettingsError, "export_without_camera"):
        video_shot(planned(tmp_path, animation_mode="Interpolation").plan)
    with refuses(SettingsError, "export_zoom_zero", "frame 1"):
        video_shot(planned(tmp_path, animation_mode="2D", zoom="0: (0)").plan)
    _, warnings = video_shot(planned(tmp_path, enable_perspective_flip=True).plan)
    assert [code_of(text) for text in warnings] == ["export_without_flip"]


def test_the_command_writes_what_a_path_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings_path = tmp_path / "run.txt"
    settings_path.write_text(json.dumps(DEEP), encoding="utf-8")
    for name in ("a.glb", "a.gltf", "a.json", "a.zip", "colmap"):
        target = tmp_path / name
        assert main(["camera", str(settings_path), "--to", str(target), "--engine", "null"]) == 0
        assert capsys.readouterr().out.strip() == str(target)
        if name != "a.zip":
            again = planned(tmp_path, camera_path=str(target)).plan
            np.testing.assert_allclose(again.schedules.values["translation_z"][1:], 1.75, atol=1e-4)
    for wrong in (
        ["--to", "a.fbx"],
        ["--to", "a.glb", "--scale", "0"],
        [str(settings_path), "--to", "a.glb"],
    ):
        assert main(["camera", str(settings_path), *wrong]) == 2
        assert capsys.readouterr().err.strip()
