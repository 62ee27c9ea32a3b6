"""Whole videos on a GPU: the images of the CPU's video, the same ones each time, resumed to the bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import clip, levels
from small_runs import frame_files, prepared

from deforum_helpers.core.errors import Parked
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.image.convert import resized, to_bytes
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, run_job
from tests.image.sample_images import random_image

GPU = "cuda"
SETTINGS: dict[str, dict[str, Any]] = {
    "2D": {"animation_mode": "2D", "zoom": "0:(1.02)", "angle": "0:(1)", "border": "wrap"},
    "3D": {"animation_mode": "3D", "translation_z": "0:(3)", "depth_algorithm": "Built-in"},
    "cadence": {"diffusion_cadence": 3, "optical_flow_cadence": "DIS Medium", "translation_x": "0:(2)"},
    "mask": {"use_mask": True, "mask_file": "<mask>", "translation_x": "0:(2)", "mask_overlay_blur": 3},
    "guided": {"use_looper": True, "init_images": json.dumps({"0": "<image>", "3": "<mask>"})},
    "video": {"animation_mode": "Video Input", "video_init_path": "<video>"},
    "hybrid": {
        "video_init_path": "<video>",
        "hybrid_motion": "Optical Flow",
        "hybrid_flow_method": "Farneback",
        "hybrid_composite": "Normal",
        "hybrid_comp_mask_type": "Depth",
        "depth_algorithm": "Built-in",
    },
}


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    half = np.zeros((64, 64), np.uint8)
    half[:, 32:] = 255
    cv2.imwrite(str(tmp_path / "half.png"), half)
    cv2.imwrite(str(tmp_path / "image.png"), to_bytes(resized(random_image(8, 8, 2), 64, 64)))
    files = {"<mask>": tmp_path / "half.png", "<image>": tmp_path / "image.png"}
    files["<video>"] = clip(tmp_path / "video.mp4", levels(6))
    common = {"use_init": True, "init_image": "<image>", "max_frames": 6, "skip_video_creation": True}
    text = json.dumps(common | {"noise_schedule": "0:(0.1)"} | SETTINGS[request.param])
    for name, path in files.items():
        text = text.replace(name, str(path))
    return json.loads(text)


def rendered(root: Path, device: str, settings: dict[str, Any], stop: int | None = None) -> list[np.ndarray]:
    """The frames of a video, which is stopped once and resumed where `stop` names a frame."""
    job, cancel = prepared(root, **settings), CancelToken()

    def report(progress: Progress) -> None:
        if stop is not None and progress.frame >= stop:
            cancel.park()

    engine = make_engine("null", device=device)
    if stop is not None:
        with pytest.raises(Parked):
            run_job(job, engine, cancel, report)
        (saved,) = root.rglob("*_settings.txt")
        job = replace(job, resume=saved.name[:14])
    result = run_job(job, engine, CancelToken(), lambda progress: None)
    return [read_frame(path) for path in frame_files(result.outdir)]


@pytest.mark.gpu
@pytest.mark.parametrize("settings", SETTINGS, indirect=True)
def test_gpu_videos(settings: dict[str, Any], tmp_path: Path) -> None:
    whole = rendered(tmp_path / "whole", GPU, settings)
    resumed = rendered(tmp_path / "resumed", GPU, settings, stop=3)
    on_cpu = rendered(tmp_path / "cpu", "cpu", settings)
    assert len(whole) == len(resumed) == len(on_cpu) == 6
    for one, again, other in zip(whole, resumed, on_cpu, strict=True):
        np.testing.assert_array_equal(one, again)
        assert np.abs(one.astype(int) - other).mean() < 2
