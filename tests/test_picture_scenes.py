"""The scene clips of the image benchmark, on scenes that are put together by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.picture import COMMON, SCENE_CLIPS, clip_settings
from benchmarks.scenes import FOV_DEG, KnownDepth, Layer, Scene, poses_of, revealed_ratio, scene_pairs
from deforum_helpers.camera.projection import intrinsics
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.prepare import HostFacts, prepare
from deforum_helpers.render.plan import Plan

SIDE_PX, CANVAS_PX = 64, 96


def scene() -> Scene:
    """Return a bright box before a wall of grain."""
    grain = torch.rand(3, CANVAS_PX, CANVAS_PX, generator=torch.Generator().manual_seed(2))
    wall = Layer(grain, torch.full((CANVAS_PX, CANVAS_PX), 3.0))
    depth = torch.full((CANVAS_PX, CANVAS_PX), torch.inf)
    depth[40:60, 44:56] = 1.2
    box = Layer(torch.ones(3, CANVAS_PX, CANVAS_PX), depth)
    canvas_deg = 2 * np.degrees(np.arctan(np.tan(np.radians(FOV_DEG) / 2) * CANVAS_PX / SIDE_PX))
    return Scene((wall, box), intrinsics(canvas_deg, 1, (CANVAS_PX, CANVAS_PX)), (SIDE_PX, SIDE_PX))


def plan(clip: str, frames: int, folder: Path) -> Plan:
    settings = {**COMMON, **clip_settings(clip, frames), "max_frames": frames, "use_init": False}
    return prepare(settings, HostFacts("test", "demo", None, folder, samplers(), schedulers())).plan


def test_the_first_view_is_the_middle_of_the_canvas() -> None:
    image, depth = scene().view(np.eye(4))
    middle = scene().layers[0].colors[:, 16:80, 16:80].permute(1, 2, 0).numpy() * 255
    wall = depth.numpy() > 2
    assert np.abs(image - middle)[wall].mean() < 2
    assert (image[~wall] == 255).all()
    assert (~wall).sum() == 20 * 12


@pytest.mark.parametrize("clip", ["return", "return_own"])
@pytest.mark.parametrize("frames", [5, 6, 24, 25])
def test_the_pan_ends_where_it_began(frames: int, clip: str, tmp_path: Path) -> None:
    poses = poses_of(plan(clip, frames, tmp_path).moves)
    assert len(poses) == frames
    assert np.allclose(poses[-1], np.eye(4))
    assert abs(poses[(frames - 1) // 2][0, 3]) == pytest.approx(
        (frames - 1) // 2 * SCENE_CLIPS["return"]["translation_x"] / 200
    )


def test_true_views_have_no_smear_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.scenes.LEAST_REVEALED_PX", 1)
    poses = poses_of(plan("return", 9, tmp_path).moves)
    views = [scene().view(pose) for pose in poses]
    frames, depths = [image for image, _ in views], [depth for _, depth in views]
    pairs, sights = scene_pairs(frames, depths, poses)
    assert revealed_ratio(frames, frames, pairs, sights) == pytest.approx(1)
    for pair in pairs:
        assert np.abs(pair.after - pair.expected)[pair.seen].mean() < 40  # of grain, sampled once more


def test_known_depth_is_told_frame_by_frame() -> None:
    depths = [torch.full((2, 2), float(k)) for k in (1, 2, 3)]
    known = KnownDepth(depths)
    assert [float(known.estimate(torch.zeros(3, 2, 2))[0, 0]) for _ in depths] == [1, 2, 3]
