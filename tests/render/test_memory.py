"""What the frames have shown of the scene comes back where the camera does."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.camera.pose import next_from_prev
from deforum_helpers.camera.projection import intrinsics
from deforum_helpers.core.errors import Parked
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import RunResult, run_job
from deforum_helpers.render.memory import (
    BYTES_PER_POINT,
    SceneMemory,
    add_frame,
    empty_memory,
    hold_strength,
    recall,
)

SIDE_PX = 64
OPTICS = intrinsics(70, 1, (SIDE_PX, SIDE_PX))
EVERYWHERE = torch.ones(SIDE_PX, SIDE_PX, dtype=torch.bool)
MANY = 64_000_000
STEM = "20260102030405"


def still_image(seed: int) -> Image:
    random = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return from_bytes(random.repeat(8, 0).repeat(8, 1))


def wall(depth: float) -> Depth:
    return torch.full((SIDE_PX, SIDE_PX), depth)


def remembered(
    memory: SceneMemory, frame: int, image: Image, depth: Depth, pose: Any, bound: int = MANY
) -> SceneMemory:
    return add_frame(memory, frame, image, depth, pose, OPTICS, bound)


def test_a_frame_comes_back_as_it_was() -> None:
    memory = remembered(empty_memory(), 3, still_image(1), wall(2.0), np.eye(4))
    past = recall(memory, 10, EVERYWHERE, np.eye(4), OPTICS)
    assert past is not None
    assert past.known.all()
    assert (
        past.image - still_image(1)
    ).abs().mean() < 0.03  # points overlap a little at the borders of the squares
    assert torch.allclose(past.age, torch.tensor(7.0))


def test_what_lies_beside_the_view_comes_back_when_the_camera_turns_back() -> None:
    there = next_from_prev((0, 0, 0), (0, 20, 0))
    memory = remembered(empty_memory(), 0, still_image(1), wall(2.0), np.eye(4))
    memory = remembered(memory, 1, still_image(2), wall(2.0), there)
    past = recall(memory, 2, EVERYWHERE, np.eye(4), OPTICS)
    assert past is not None
    old = past.age == 2
    assert old.float().mean() > 0.2
    assert old[:, :12].all()  # the camera turned to the right
    assert (past.image - still_image(1))[:, old].abs().mean() < 0.05
    # What both frames showed is remembered as the newer one showed it.
    assert (past.age == 1).float().mean() > 0.4


def test_what_a_near_thing_hides_is_remembered_and_what_it_replaces_is_not() -> None:
    memory = remembered(empty_memory(), 0, still_image(1), wall(4.0), np.eye(4))
    near = wall(4.0)
    near[16:48, 16:48] = 1.0
    memory = remembered(memory, 1, still_image(2), near, np.eye(4))
    assert (memory.seen == 0).sum() >= 32 * 32  # the wall behind
    past = recall(memory, 2, EVERYWHERE, np.eye(4), OPTICS)
    assert past is not None
    assert (past.age[18:46, 18:46] == 1).all()
    # A wall that is seen again where the thing stood has looked through it.
    memory = remembered(memory, 2, still_image(3), wall(4.0), np.eye(4))
    past = recall(memory, 3, EVERYWHERE, np.eye(4), OPTICS)
    assert past is not None
    assert torch.allclose(past.age, torch.tensor(1.0))


def test_estimates_of_another_scale_are_brought_to_the_memory_s() -> None:
    slope = (1 + torch.arange(SIDE_PX) / SIDE_PX).expand(SIDE_PX, -1).contiguous()
    told = 1 / (0.8 / slope + 0.07)
    memory = remembered(empty_memory(), 0, still_image(1), slope, np.eye(4))
    memory = remembered(memory, 1, still_image(1), told, np.eye(4))
    assert memory.fit == pytest.approx((1 / 0.8, -0.07 / 0.8), rel=0.02)
    assert torch.allclose(memory.rescaled(told), slope, rtol=0.01)


@pytest.mark.parametrize("frames_held", [0.3, 1.0, 2.5])
def test_no_memory_is_larger_than_its_bound_and_the_oldest_goes_first(frames_held: float) -> None:
    bound = int(frames_held * SIDE_PX * SIDE_PX * BYTES_PER_POINT)
    memory = empty_memory()
    for frame in range(5):
        pose = next_from_prev((0, 0, 0), (0, 72 * frame, 0))  # each sees what no other does
        memory = remembered(memory, frame, still_image(frame), wall(2.0), pose, bound)
        assert memory.size_bytes <= bound
        assert (memory.seen == frame).any()
    assert memory.forgot
    counts = [int((memory.seen == frame).sum()) for frame in range(5)]
    assert counts == sorted(counts)
    assert not remembered(empty_memory(), 0, still_image(0), wall(2.0), np.eye(4)).forgot


def test_of_equal_age_the_least_visible_goes_first() -> None:
    """The camera flies between a near wall at its left and a far one, and turns round: the near one is larger now."""
    walls = wall(6.0)
    walls[:, : SIDE_PX // 2] = 1.5
    memory = remembered(empty_memory(), 0, still_image(1), walls, np.eye(4))
    forward, round_about = np.eye(4), np.diag([-1.0, 1.0, -1.0, 1.0])
    forward[2, 3] = -1.0
    bound = int(1.4 * SIDE_PX * SIDE_PX * BYTES_PER_POINT)
    memory = remembered(memory, 1, still_image(2), wall(2.0), round_about @ forward, bound)
    old = memory.positions[memory.seen == 0]
    assert memory.forgot
    assert 0.3 * SIDE_PX**2 < len(old) < 0.5 * SIDE_PX**2
    assert old[:, 2].max() < 2


def test_older_places_are_held_less() -> None:
    held = hold_strength(torch.tensor([0.0, 240.0, 480.0]), 0.8)
    assert torch.allclose(held, torch.tensor([0.8, 0.4, 0.2]))


class Soft(NullEngine):
    """Generates soft spots, which sampling a few times leaves as they are; init images pass unchanged."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        if request.init_image is not None:
            return super().generate(request, cancel)
        spots = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(request.seed))
        size_px = (request.height_px, request.width_px)
        image = torch.nn.functional.interpolate(spots, size_px, mode="bicubic").clamp(0, 1)
        return image.contiguous(memory_format=torch.channels_last)[0]


class Walls:
    """Sees a wall everywhere."""

    name = "walls"

    def estimate(self, image: Image) -> Depth:
        return torch.full(image.shape[1:], 2.0)


REMEMBERED: dict[str, Any] = {
    "animation_mode": "3D",
    "depth_warp": "exact",
    "scene_memory": True,
    "noise_schedule": "0: (0)",
    "amount_schedule": "0: (0)",
    "color_coherence": "None",
    "skip_video_creation": True,
    "fov_schedule": "0: (70)",
}
BACK = {"translation_x": "0: (12), 5: (12), 6: (-12)", "translation_z": "0: (0)", "max_frames": 11}
AROUND = {"rotation_3d_y": "0: (20)", "translation_z": "0: (0)", "max_frames": 19}


def run(
    root: Path, engine: Any = None, *, resume: bool = False, park_at: int = 0, **changes: Any
) -> RunResult:
    def report(progress: Any) -> None:
        if park_at and progress.frame >= park_at:
            cancel.park()

    cancel = CancelToken()
    return run_job(
        prepared(root, **{**REMEMBERED, **changes}),
        engine or NullEngine(),
        cancel,
        report,
        resume=STEM if resume else None,
        now=lambda: datetime(2026, 1, 2, 3, 4, 5),
        estimator=lambda name, device, **share: Walls(),
    )


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = float(((first.astype(np.float64) - second) ** 2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("way", [BACK, AROUND])
def test_a_camera_that_comes_back_finds_what_it_left(way: dict[str, Any], tmp_path: Path) -> None:
    returned = {}
    for name, changes in {
        "classic": {"depth_warp": "classic"},
        "exact": {"scene_memory": False},
        "memory": {},
    }.items():
        frames = frames_of(run(tmp_path / name, Soft(), **way, **changes))
        returned[name] = psnr(frames[0], frames[-1])
    assert returned["memory"] >= 24
    assert returned["memory"] > max(returned["classic"], returned["exact"]) + 3, returned


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
def test_the_memory_of_a_resumed_run_is_that_of_its_frames(checkpoint: str, tmp_path: Path) -> None:
    whole = frames_of(run(tmp_path / "whole", NoisyEngine(), **BACK))
    with contextlib.suppress(Parked):
        run(tmp_path / "parts", NoisyEngine(), park_at=7, **BACK)
    if checkpoint == "lost":
        next((tmp_path / "parts").rglob("*.checkpoint")).unlink()
    parts = frames_of(run(tmp_path / "parts", NoisyEngine(), resume=True, **BACK))
    assert len(parts) == len(whole) == 11
    assert all(np.array_equal(a, b) for a, b in zip(parts, whole, strict=True))


def test_the_schedule_says_how_strongly_the_past_holds(tmp_path: Path) -> None:
    turned = []
    for strength in (0, 1):
        changes = {
            "scene_memory_strength_schedule": f"0: ({strength})",
            "revealed_strength_schedule": "0: (0)",
        }
        frames = frames_of(run(tmp_path / str(strength), NoisyEngine(), **BACK, **changes))
        # The frame that the camera turns back in shows at its left what the first frames showed there.
        turned.append(frames[6])
    changed = np.abs(turned[0].astype(int) - turned[1]).mean((0, 2))
    assert changed[0] > 5
    assert changed[20:].max() == 0


def test_a_full_memory_is_told_once(tmp_path: Path) -> None:
    result = run(tmp_path, W=256, H=256, scene_memory_mb=1, **{**BACK, "max_frames": 4})
    assert len([text for text in result.warnings if "scene_memory_mb" in text]) == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"animation_mode": "2D"}, "animation_mode"),
        ({"depth_warp": "classic"}, "depth_warp"),
        ({"use_depth_warping": False}, "use_depth_warping"),
    ],
)
def test_a_memory_without_depth_is_told(changes: dict[str, Any], word: str, tmp_path: Path) -> None:
    told = [
        text for text in prepared(tmp_path, **{**REMEMBERED, **changes}).warnings if "scene_memory" in text
    ]
    assert len(told) == 1
    assert word in told[0]
    result = run(tmp_path, max_frames=3, **changes)
    assert result.frames == 3
