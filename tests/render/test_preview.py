"""The preview of moves: a test picture and white frames that the camera carries along; no model is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from films import NoisyEngine, frame_files, prepared

from deforum_helpers.cancel import CancelToken
from deforum_helpers.engines.null import draw_chart
from deforum_helpers.job import run_job
from deforum_helpers.output.frames import read_frame


def test_the_camera_moves_a_frame_and_nothing_is_diffused(tmp_path: Path) -> None:
    engine = NoisyEngine()
    job = prepared(
        tmp_path,
        motion_preview_mode=True,
        zoom="0:(1)",
        translation_x="0:(6)",
        strength_schedule="0:(0.5)",
        color_coherence="None",
        noise_schedule="0:(0)",
        amount_schedule="0:(0)",
        diffusion_redo=3,
        optical_flow_redo_generation="DIS Medium",
        skip_video_creation=True,
    )
    result = run_job(job, engine, CancelToken(), lambda progress: None)
    frames = [read_frame(path).astype(float) for path in frame_files(result.outdir)]
    assert engine.requests == []
    assert np.array_equal(frames[0], np.rint(draw_chart(0, 64, 64) * 255))
    newest, before = frames[3][32, 21].mean(), frames[3][32, 27].mean()
    assert newest > 120
    assert 55 < before < newest
    assert any("nothing is diffused" in text for text in result.warnings)


def test_depth_is_not_looked_at(tmp_path: Path) -> None:
    changes = {"animation_mode": "3D", "depth_algorithm": "Built-in", "translation_z": "0:(5)"}
    assert prepared(tmp_path, **changes).plan.uses_depth
    assert not prepared(tmp_path, motion_preview_mode=True, **changes).plan.uses_depth
