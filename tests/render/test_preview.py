"""The preview of moves: a test image that the camera carries along, visible to the end; no model is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.preview import PreviewEngine
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import RunResult, run_job
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.context import RenderContext

STILL = {"zoom": "0:(1)", "translation_z": "0:(0)", "rotation_3d_x": "0:(0)"}
CAMERAS: dict[str, dict[str, Any]] = {
    "2D zoom in": {"zoom": "0:(1.05)"},
    "2D zoom out": {"zoom": "0:(0.95)", "angle": "0:(3)"},
    "2D pan": {"translation_x": "0:(3)"},
    "3D forwards": {"animation_mode": "3D", "translation_z": "0:(8)"},
    "3D turn": {"animation_mode": "3D", "rotation_3d_y": "0:(2)", "padding_mode": "zeros"},
    "3D sideways": {"animation_mode": "3D", "translation_x": "0:(6)", "diffusion_cadence": 3},
}
# What changes images beside the camera; over a whole video it would leave nothing of one that is not diffused.
OTHER_CHANGES = {
    "strength_schedule": "0:(0.5)",
    "noise_schedule": "0:(0.1)",
    "contrast_schedule": "0:(0.9)",
    "amount_schedule": "0:(0.5)",
    "color_coherence": "LAB",
    "diffusion_redo": 3,
    "optical_flow_redo_generation": "DIS Medium",
}


def preview(root: Path, **changes: Any) -> tuple[Prepared, RunResult, list[np.ndarray]]:
    settings = STILL | {"W": 128, "H": 96, "max_frames": 60, "skip_video_creation": True} | changes
    job, engine = prepared(root, motion_preview_mode=True, **settings), NoisyEngine()
    result = run_job(job, engine, CancelToken(), lambda progress: None)
    assert engine.requests == []
    return job, result, [read_frame(path) for path in frame_files(result.outdir)]


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_camera_is_seen_to_the_last_frame(camera: str, tmp_path: Path) -> None:
    job, _, frames = preview(tmp_path, **CAMERAS[camera], **OTHER_CHANGES)
    assert len(frames) == 60
    for frame in frames:
        parts = frame.reshape(3, 32, 4, 32, 3).swapaxes(1, 2).reshape(12, -1)
        assert parts.std(axis=1).min() > 20
    context = RenderContext(
        plan=job.plan, engine=PreviewEngine(torch.device("cpu")), cached_depth=None, cancel=CancelToken()
    )
    for index in (1, 10, 30, 59):
        before, frame = frames[index - 1].astype(float), frames[index].astype(float)
        moved = to_bytes(context.warp(from_bytes(frames[index - 1]), index)).astype(float)
        assert np.median(np.abs(frame - moved)) < 0.5 * np.median(np.abs(frame - before))


def test_a_camera_that_stands_still_leaves_the_image_as_it_is(tmp_path: Path) -> None:
    _, result, frames = preview(tmp_path, max_frames=10, **OTHER_CHANGES)
    assert all(np.array_equal(frame, frames[0]) for frame in frames)
    assert "motion_preview" in map(code_of, result.warnings)


def test_depth_is_not_looked_at(tmp_path: Path) -> None:
    changes = {"animation_mode": "3D", "depth_algorithm": "Built-in", "translation_z": "0:(5)"}
    assert prepared(tmp_path, **changes).plan.uses_depth
    assert not prepared(tmp_path, motion_preview_mode=True, **changes).plan.uses_depth
