"""Guided images: which image, how much of it, its colours, its strength; and what cannot be one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.render.guides import GuideImages, guide_at

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
STILL = {
    "zoom": "0:(1)",
    "color_coherence": "None",
    "noise_schedule": "0:(0)",
    "amount_schedule": "0:(0)",
    "skip_video_creation": True,
    "use_looper": True,
}
AT = {
    "tweening_frames_schedule": 4.0,
    "blendFactorMax": 0.35,
    "blendFactorSlope": 0.25,
    "color_correction_factor": 0.1,
}


@pytest.fixture
def images(tmp_path: Path) -> str:
    for name, color in (("a", (255, 0, 0)), ("b", (0, 0, 255))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((64, 64, 3), color, np.uint8))
    return json.dumps({"0": str(tmp_path / "a.png"), "max_f/2": str(tmp_path / "b.png")})


def rendered(root: Path, engine: NoisyEngine, **changes: Any) -> RunResult:
    job = prepared(root, QUICK, **STILL | changes)
    return run_job(job, engine, CancelToken(), lambda progress: None)


@pytest.mark.parametrize(
    ("frame", "number", "share"),
    [
        (1, 0, 0.35 - 0.25 * math.cos(1 / 2)),
        (4, 0, 0.35 - 0.25 * math.cos(0)),
        (5, 0, 0.07),
        (19, 0, 0.07),
        (20, 1, 0.35 - 0.25 * math.cos(0)),
        (29, 1, 0.07),
        (30, 2, 0.35 - 0.25 * math.cos(2 / 2)),
        (40, 2, 0.07),
        (52, 2, 0.35 - 0.25 * math.cos(0)),
    ],
)
def test_classics_numbers(frame: int, number: int, share: float) -> None:
    """Images at 0, 20 and 30; 20 frames apart, then 10, then as if 25."""
    guide = guide_at(GuideImages((0, 20, 30), ("a", "b", "c")), frame, False, AT)
    assert guide is not None
    assert guide.number == number
    assert guide.share == pytest.approx(share)
    assert guide.color_share == 0.1


def test_no_tweening_frames_leave_the_faint_share() -> None:
    guide = guide_at(GuideImages((0,), ("a",)), 0, False, AT | {"tweening_frames_schedule": 0.0})
    assert guide is not None
    assert guide.share == 0.07


def test_the_video_starts_from_the_first_image_and_passes_by_the_second(tmp_path: Path, images: str) -> None:
    engine = NoisyEngine()
    rendered(
        tmp_path,
        engine,
        init_images=images,
        max_frames=9,
        strength=0.3,
        image_strength_schedule="0:(0.75), 8:(0.5)",
        blendFactorMax="0:(1)",
        blendFactorSlope="0:(0)",
    )
    starts = [request.init_image for request in engine.requests]
    assert all(start is not None for start in starts)
    for number, start in enumerate(starts):
        blue, red = (torch.tensor(color)[:, None, None] for color in ([0.0, 0, 1], [1.0, 0, 0]))
        assert torch.allclose(start, (red if number >= 4 else blue).expand(3, 64, 64), atol=1e-6)
    assert engine.requests[0].denoising_strength == pytest.approx(0.7)
    assert engine.requests[8].denoising_strength == pytest.approx(0.5)
    assert engine.requests[4].denoising_strength == pytest.approx(1 - 0.625)


def test_the_seed_follows_its_schedule(tmp_path: Path, images: str) -> None:
    keys = prepared(
        tmp_path, **STILL, init_images=images, seed_schedule="0:(7), 2:(9)", seed_behavior="fixed"
    ).plan.key_frames
    assert [key.request.seed for key in keys] == [7, 8, 9, 9, 9]


def test_odd_keys_are_told(tmp_path: Path, images: str) -> None:
    blue, red = json.loads(images).values()
    keys = f'{{"0-3": {json.dumps(blue)}, "1.5": {json.dumps(red)}, "2": {json.dumps(red)}, "2": {json.dumps(blue)}}}'
    warnings = prepared(tmp_path, **STILL, init_images=keys).warnings
    told = [warning for warning in warnings if warning.startswith("init_images")]
    assert len(told) == 3
    assert all(any(key in warning for warning in told) for key in ("-3", "1.5", "'2'"))


def test_colours_move_towards_the_image(tmp_path: Path, images: str) -> None:
    engine = NoisyEngine()
    result = rendered(
        tmp_path,
        engine,
        init_images=images,
        max_frames=3,
        color_correction_factor="0:(1)",
        tweening_frames_schedule="0:(0)",
    )
    last = read_frame(sorted(frame_files(result.outdir))[-1])
    assert last[..., 0].mean() > 230
    assert last[..., 1:].mean() < 30


def test_strength_at_prompts(tmp_path: Path, images: str) -> None:
    keys = prepared(
        tmp_path,
        **STILL,
        init_images=images,
        keyframe_distribution="Additive",
        image_strength_schedule="0:(0.8)",
        image_keyframe_strength_schedule="0:(0.2)",
    ).plan.key_frames
    assert [round(1 - key.request.denoising_strength, 3) for key in keys][1:] == [0.8, 0.8, 0.2, 0.8]


def test_a_resumed_video_is_the_same_to_the_bit(tmp_path: Path, images: str) -> None:
    changes = {"init_images": images, "max_frames": 8, "diffusion_cadence": 2, "noise_schedule": "0:(0.1)"}
    whole = [
        read_frame(path) for path in frame_files(rendered(tmp_path / "a", NoisyEngine(), **changes).outdir)
    ]
    job, cancel = prepared(tmp_path / "b", QUICK, **STILL | changes), CancelToken()

    def park(progress: Progress) -> None:
        if progress.frame >= 4:
            cancel.park()

    with pytest.raises(Exception, match="parked"):
        run_job(job, NoisyEngine(), cancel, park)
    (settings,) = (tmp_path / "b").rglob("*_settings.txt")
    again = replace(job, resume=settings.name[:14])
    result = run_job(again, NoisyEngine(), CancelToken(), lambda progress: None)
    parts = [read_frame(path) for path in frame_files(result.outdir)]
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({}, "names no image"),
        ('{"0": "a.png"', "expected a comma or the closing bracket at line 1, column 14"),
        ("[" * 100_000, "nests deeper than"),
        ({"0": "a.png", "max_f*0": "b.png"}, "has two images at frame 0"),
        ({"0": ""}, "has no image at key '0'"),
        ({"0": 3}, "has no image at key '0'"),
        ({"t": "a.png"}, "init_images"),
        ({"0": "nowhere.png"}, "does not exist"),
    ],
)
def test_what_cannot_guide_is_told_before_the_first_frame(tmp_path: Path, named: Any, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        prepared(tmp_path / "out", **STILL, init_images=named)
    assert any(
        says in problem.message for problem in caught.value.problems if problem.setting == "init_images"
    )
    assert not (tmp_path / "out").exists()
