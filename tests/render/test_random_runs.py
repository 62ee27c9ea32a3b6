"""Videos of random settings: equal settings, equal videos; every frame once; a stopped video goes on exactly."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import clip, levels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.pipeline.prepare import Prepared

FRAMES = 7
FLOWS = st.sampled_from(["None", "DIS Medium", "Farneback"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    half = np.zeros((64, 64), np.uint8)
    half[:, 20:] = 200
    cv2.imwrite(str(folder / "half.png"), half)
    cv2.imwrite(str(folder / "blue.png"), np.full((40, 50, 3), (255, 40, 0), np.uint8))
    video = clip(folder / "steps.mp4", levels(FRAMES))
    return {"mask": str(folder / "half.png"), "image": str(folder / "blue.png"), "video": str(video)}


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    """Settings that name files as <mask>, <image> and <video>."""
    yes = st.booleans()
    return {
        "animation_mode": draw(st.sampled_from(["2D", "3D", "Video Input", "Interpolation"])),
        "video_init_path": "<video>",
        "diffusion_cadence": draw(st.integers(1, 4)),
        "use_init": draw(yes),
        "init_image": "<image>",
        "use_mask": draw(yes),
        "mask_file": "<mask>",
        "mask_schedule": draw(st.sampled_from(['0: ("{init_mask}")', '0: ("!{video_mask} | [<image>]")'])),
        "use_mask_video": draw(yes),
        "video_mask_path": "<video>",
        "overlay_mask": draw(yes),
        "use_noise_mask": draw(yes),
        "noise_mask_schedule": '0: ("{init_mask}")',
        "invert_mask": draw(yes),
        "fill": draw(st.sampled_from(["fill", "original"])),
        "use_looper": draw(yes),
        "init_images": json.dumps({"0": "<image>", "4": "<mask>"}),
        "optical_flow_cadence": draw(FLOWS),
        "optical_flow_redo_generation": draw(FLOWS),
        "diffusion_redo": draw(st.integers(0, 1)),
        "hybrid_motion": draw(st.sampled_from(["None", "Optical Flow", "Affine"])),
        "hybrid_flow_method": draw(st.sampled_from(["DIS Medium", "Farneback"])),
        "hybrid_flow_consistency": draw(yes),
        "hybrid_motion_use_prev_img": draw(yes),
        "hybrid_use_first_frame_as_init_image": draw(yes),
        "hybrid_composite": draw(st.sampled_from(["None", "Normal", "After Generation"])),
        "hybrid_comp_mask_type": draw(st.sampled_from(["None", "Difference", "Depth"])),
        "color_coherence": draw(st.sampled_from(["None", "LAB", "HSV", "Video Input"])),
        "legacy_colormatch": draw(yes),
        "strength_schedule": draw(st.sampled_from(["0:(0.65)", "0:(0.8), 3:(0), 5:(0.5)"])),
        "seed_behavior": draw(st.sampled_from(["iter", "random", "schedule"])),
        "keyframe_distribution": draw(st.sampled_from(["Off", "Redistributed"])),
        "prompt_interpolation": draw(st.sampled_from(["hold", "weights", "embedding"])),
        "reroll_blank_frames": draw(st.sampled_from(["ignore", "reroll"])),
        "translation_x": "0:(2)",
        "noise_schedule": "0:(0.1)",
        "max_frames": FRAMES,
        "skip_video_creation": True,
    }


def named(wish: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """The wish with the paths of the files."""
    text = json.dumps(wish)
    for name, path in files.items():
        text = text.replace(f"<{name}>", path)
    return json.loads(text)


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes(), st.lists(st.integers(1, FRAMES - 1), min_size=1, max_size=3, unique=True).map(sorted))
def test_a_stopped_video_goes_on_exactly(
    files: dict[str, str], wish: dict[str, Any], stops: list[int]
) -> None:
    changes = named(wish, files)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        job = prepared(root / "whole", **changes)
        assert job.plan.digest == prepared(root / "other", **changes).plan.digest
        whole = frames_of(run_job(job, NoisyEngine(), CancelToken(), lambda progress: None))
        assert len(whole) == job.plan.frames == FRAMES
        parts = frames_of(stopped(prepared(root / "parts", **changes), root / "parts", stops))
        assert len(parts) == FRAMES
        assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


def stopped(job: Prepared, root: Path, stops: list[int]) -> RunResult:
    """Render a video that is stopped as soon as each of the frames is done, and resumed each time."""
    for stop in stops:
        cancel = CancelToken()

        def park(progress: Progress, stop: int = stop, cancel: CancelToken = cancel) -> None:
            if progress.frame >= stop:
                cancel.park()

        try:
            return run_job(job, NoisyEngine(), cancel, park)
        except Parked:
            (saved,) = root.rglob("*_settings.txt")
            job = replace(job, resume=saved.name[:14])
    return run_job(job, NoisyEngine(), CancelToken(), lambda progress: None)
