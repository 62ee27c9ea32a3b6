"""Interpolation: every frame for itself, prompts that pass into each other, with masks and resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
PLAIN = {
    "animation_mode": "Interpolation",
    "skip_video_creation": True,
    "translation_x": "0:(9)",
    "noise_schedule": "0:(0.5)",
    "color_coherence": "LAB",
    "color_force_grayscale": True,
    "diffusion_cadence": 3,
    "keyframe_distribution": "Keyframes Only",
    "diffusion_redo": 2,
    "prompts": {"0": "a --neg x", "4": "b"},
}


def rendered(root: Path, engine: NoisyEngine, **changes: Any) -> RunResult:
    return run_job(prepared(root, QUICK, **PLAIN | changes), engine, CancelToken(), lambda progress: None)


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def test_every_frame_is_generated_from_text_with_weights(tmp_path: Path) -> None:
    engine = NoisyEngine()
    frames = frames_of(rendered(tmp_path, engine))
    assert [request.prompt for request in engine.requests] == [
        "a",
        *(f"( a ):{1 - w} AND  ( b ):{w}" for w in (0.25, 0.5, 0.75)),
        "b",
    ]
    assert [request.negative_prompt for request in engine.requests] == [
        "x",
        "( x  ):0.75",
        "( x  ):0.5",
        "( x  ):0.25",
        "",
    ]
    assert all(request.init_image is None for request in engine.requests)
    assert [request.seed for request in engine.requests] == [1, 2, 3, 4, 5]
    alone = NoisyEngine()
    for request, frame in zip(engine.requests, frames, strict=True):
        generated = alone.generate(request, CancelToken())
        assert np.array_equal(frame, np.rint(generated.permute(1, 2, 0).numpy() * 255).astype(np.uint8))


def test_an_init_image_counts_in_every_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blue.png"), np.full((64, 64, 3), (255, 0, 0), np.uint8))
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    cv2.imwrite(str(tmp_path / "right.png"), mask)
    engine = NoisyEngine()
    frames = frames_of(
        rendered(
            tmp_path,
            engine,
            use_init=True,
            init_image=str(tmp_path / "blue.png"),
            strength=0.4,
            use_mask=True,
            mask_file=str(tmp_path / "right.png"),
            full_res_mask=False,
        )
    )
    assert [request.denoising_strength for request in engine.requests] == [0.6] * 5
    assert all(request.init_image is not None for request in engine.requests)
    assert all((frame[:, :16] == (0, 0, 255)).all() for frame in frames)
    assert all((frame[:, 48:] != (0, 0, 255)).any() for frame in frames)


def test_the_subseed_follows_its_schedules(tmp_path: Path) -> None:
    keys = prepared(
        tmp_path, **PLAIN, subseed_schedule="0:(5)", subseed_strength_schedule="0:(0.1*t)"
    ).plan.key_frames
    assert [key.request.subseed for key in keys] == [5] * 5
    assert np.allclose([key.request.subseed_strength for key in keys], [0, 0.1, 0.2, 0.3, 0.4])


def test_nothing_else_happens(tmp_path: Path) -> None:
    keys = prepared(tmp_path, **PLAIN).plan.key_frames
    assert {key.stages for key in keys} == {("diffuse",)}
    assert [key.index for key in keys] == list(range(5))


def test_a_resumed_video_is_the_same_to_the_bit(tmp_path: Path) -> None:
    whole = frames_of(rendered(tmp_path / "whole", NoisyEngine()))
    job, cancel = prepared(tmp_path / "parts", QUICK, **PLAIN), CancelToken()
    told: list[Progress] = []

    def park(progress: Progress) -> None:
        told.append(progress)
        if progress.frame >= 2:
            cancel.park()

    with pytest.raises(Parked):
        run_job(job, NoisyEngine(), cancel, park)
    assert [one.fraction for one in told if one.phase == "GENERATING"] == [0.0, 0.2, 0.4]
    (settings,) = (tmp_path / "parts").rglob("*_settings.txt")
    again = replace(job, resume=settings.name[:14])
    parts = frames_of(run_job(again, NoisyEngine(), CancelToken(), lambda progress: None))
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))
