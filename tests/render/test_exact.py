"""Runs whose frames are moved as a real camera sees them."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import RunResult, run_job
from deforum_helpers.render.cached_depth import CachedDepth
from deforum_helpers.render.context import RenderContext

STEM = "20260102030405"
EXACT = {
    "animation_mode": "3D",
    "depth_warp": "exact",
    "translation_x": "0: (25)",
    "translation_z": "0: (4)",
    "noise_schedule": "0: (0)",
    "amount_schedule": "0: (0)",
    "color_coherence": "None",
    "skip_video_creation": True,
}
# Uncovers more than the frame's own sampling is left with.
WIDE = {"translation_x": "0: (75)"}


class Boxes:
    """Sees a near box in the middle of a far wall, wherever the image is."""

    name = "boxes"

    def estimate(self, image: Image) -> Depth:
        depth = torch.full(image.shape[1:], 3.0)
        depth[20:44, 24:40] = 1.0
        return depth


class Painting(NoisyEngine):
    """Paints within masks alone, as engines do, and keeps what it was asked for."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        image = super().generate(request, cancel)
        if request.mask is None or request.init_image is None:
            return image
        return torch.lerp(request.init_image, image, request.mask)


def run(
    root: Path, engine: Any = None, resume: str | None = None, stop_at: int = 0, **changes: Any
) -> RunResult:
    def report(progress: Any) -> None:
        if stop_at and progress.frame >= stop_at:
            cancel.park()

    cancel = CancelToken()
    return run_job(
        prepared(root, **{**EXACT, **changes}),
        engine or Painting(),
        cancel,
        report,
        resume=resume,
        now=lambda: datetime(2026, 1, 2, 3, 4, 5),
        estimator=lambda name, device, **share: Boxes(),
    )


def frames_of(root: Path) -> list[np.ndarray]:
    return [
        read_frame(path) for path in frame_files(next(path.parent for path in root.rglob("*_settings.txt")))
    ]


CASES: dict[str, dict[str, Any]] = {
    "every frame": {},
    "painted at every frame": WIDE,
    "cadence": {"diffusion_cadence": 3, "max_frames": 8},
    "flow between": {"diffusion_cadence": 2, "optical_flow_cadence": "DIS Medium"},
    "turning": {"translation_x": "0: (0)", "translation_z": "0: (0)", "rotation_3d_y": "0: (4)"},
    "zooming lens": {
        "translation_x": "0: (0)",
        "translation_z": "0: (0)",
        "fov_schedule": "0: (70), 4: (50)",
    },
    "flipped": {"enable_perspective_flip": True, "perspective_flip_theta": "0: (3)"},
    "flat wall": {"use_depth_warping": False},
    "masked": {"use_mask": True, "mask_schedule": '0: ("{everywhere}")', "use_noise_mask": True},
    "filled only": {"revealed_strength_schedule": "0: (0)"},
    "redone": {"diffusion_redo": 1, "optical_flow_redo_generation": "DIS Medium"},
    "colours": {"color_coherence": "LAB"},
    "preview": {"motion_preview_mode": True},
    "far away": {"translation_z": "0: (900)"},
    "remembered": {"scene_memory": True, "translation_x": "0: (25), 3: (25), 4: (-25)", "max_frames": 8},
    "remembered edge-on": {
        "scene_memory": True,
        "enable_perspective_flip": True,
        "perspective_flip_phi": "0: (0), 1: (90), 2: (45)",
    },
    "remembered with cadence": {
        "scene_memory": True,
        "translation_x": "0: (25), 3: (25), 4: (-25)",
        "max_frames": 8,
        "diffusion_cadence": 2,
    },
    "not square": {"W": 96, "H": 64, "translation_y": "0: (9)", "padding_mode": "zeros"},
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_parked_goes_on_bit_for_bit(case: str, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole, **CASES[case])
    for stop_at in (2, 4):
        with contextlib.suppress(Parked):
            run(parts, resume=STEM if parts.exists() else None, stop_at=stop_at, **CASES[case])
    run(parts, resume=STEM, **CASES[case])
    ours, theirs = frames_of(parts), frames_of(whole)
    assert len(ours) == len(theirs) >= 5
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def painted_requests(engine: Painting) -> list[GenerateRequest]:
    return [request for request in engine.requests if request.mask is not None]


def test_what_comes_into_sight_is_painted_from_noise_of_its_own(tmp_path: Path) -> None:
    engine = Painting()
    run(tmp_path, engine, noise_source="inverted", autoencoder_correction=True, **WIDE)
    painted = painted_requests(engine)
    assert len(painted) == 4  # every frame but the first
    assert {request.denoising_strength for request in painted} == {1.0}
    assert {request.noise_source for request in painted} == {"new"}
    assert not any(request.autoencoder_correction for request in painted)
    assert len({request.seed for request in engine.requests}) == len(engine.requests)
    for request in painted:
        assert request.mask is not None
        assert request.mask[:, -4:].min() > 0.8  # the edge that the camera moves to
        assert 0 < request.mask.mean() < 0.8


def test_the_schedule_says_how_strongly(tmp_path: Path) -> None:
    engine = Painting()
    run(tmp_path, engine, revealed_strength_schedule="0: (0), 1: (0), 2: (0.4), 3: (0)", **WIDE)
    assert [request.denoising_strength for request in painted_requests(engine)] == [0.4]


def test_what_in_between_frames_uncover_is_painted_at_the_next_key_frame(tmp_path: Path) -> None:
    every, third = Painting(), Painting()
    run(tmp_path / "1", every, max_frames=7, **WIDE)
    run(tmp_path / "3", third, max_frames=7, diffusion_cadence=3, **WIDE)
    once, all_three = (painted_requests(engine)[1].mask for engine in (every, third))
    assert once is not None
    assert all_three is not None
    assert all_three.sum() > 1.5 * once.sum()


def test_masks_of_the_settings_hold_what_is_painted(tmp_path: Path) -> None:
    engine = Painting()
    masked = {"use_mask": True, "mask_schedule": '0: ("!{everywhere}")', "full_res_mask": False, **WIDE}
    run(tmp_path, engine, **masked)
    assert not painted_requests(engine)


def test_a_near_thing_keeps_its_size_and_leaves_no_smear(tmp_path: Path) -> None:
    """A red box moves before a wall of stripes; the classic warp stretches or swallows it."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[..., 1] = 250 * (np.indices((64, 64)).sum(0) % 6 < 3)
    pixels[20:44, 24:40] = (250, 0, 0)
    moved = {}
    for warp in ("classic", "exact"):
        job = prepared(tmp_path, **{**EXACT, "depth_warp": warp, "max_frames": 2})
        context = RenderContext(job.plan, NullEngine(), CachedDepth(Boxes(), NullEngine()), CancelToken())
        moved[warp] = to_bytes(context.warp(from_bytes(pixels), 1))
    red = {warp: int((image[..., 0] > 125).sum()) for warp, image in moved.items()}
    assert abs(red["exact"] - 24 * 16) <= 24
    assert abs(red["classic"] - 24 * 16) > 48


def test_depth_is_looked_at_once_an_image(tmp_path: Path) -> None:
    looks = []

    class Counting(Boxes):
        def estimate(self, image: Image) -> Depth:
            looks.append(image)
            return super().estimate(image)

    def make(name: str, device: Any, **share: Any) -> Counting:
        return Counting()

    job = prepared(tmp_path, **{**EXACT, "max_frames": 7, "diffusion_cadence": 2})
    run_job(job, Painting(), CancelToken(), lambda progress: None, estimator=make)
    assert len(looks) <= 7


@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({}, "348d8cba661b1aa29b330546fc691f4b609dd8bffd2997ffb98cde83fd16b5db"),
        (
            {"diffusion_cadence": 3, "noise_source": "inverted"},
            "9a6726641c2b357e6814f9b15a4eef8330bed76dc8677c2cbb719f96702571d9",
        ),
    ],
)
def test_runs_of_before_go_on(changes: dict[str, Any], digest: str, tmp_path: Path) -> None:
    job = prepared(tmp_path, animation_mode="3D", translation_z="0: (4)", **changes)
    assert job.plan.digest == digest


def test_the_exact_camera_needs_3d(tmp_path: Path) -> None:
    told = [text for text in prepared(tmp_path, depth_warp="exact").warnings if "depth_warp" in text]
    assert len(told) == 1
    assert not [text for text in prepared(tmp_path, **EXACT).warnings if "depth_warp" in text]
