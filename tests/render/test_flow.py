"""Videos that follow motion: between key frames, and from a diffusion that only tells where things go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.convert import resized
from deforum_helpers.image.types import Flow, Image
from deforum_helpers.models.flow.warp import moved_along, moved_flow
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from tests.image.sample_images import random_image

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
STILL = {
    "zoom": "0:(1)",
    "color_coherence": "None",
    "noise_schedule": "0:(0)",
    "amount_schedule": "0:(0)",
    "skip_video_creation": True,
}


def blob(place: float) -> Image:
    """A soft white disc at `place` pixels from the left of a cloudy ground."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = torch.exp(-((x - place) ** 2 + (y - 32) ** 2) / 60)
    return (0.2 * resized(random_image(16, 16, 5), 64, 64) + 0.8 * disc).clamp(0, 1)


class WalkingEngine(NoisyEngine):
    """Generates a disc that is 8 pixels further to the right at each request."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self.requests.append(request)
        return blob(12 + 8 * (len(self.requests) - 1))


def rendered(root: Path, engine: Any, cancel: CancelToken | None = None, **changes: Any) -> RunResult:
    job = prepared(root, QUICK, **STILL | changes)
    return run_job(job, engine, cancel or CancelToken(), lambda progress: None)


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def middle(frame: np.ndarray) -> float:
    """Where the disc is, from the left."""
    light = np.clip(frame[..., 0].astype(float) - 100, 0, None)
    return float((light * np.arange(64)).sum() / light.sum())


def test_in_between_frames_follow_the_disc(tmp_path: Path) -> None:
    """From 12 to 20 in four frames: a blend shows two discs, a flow one that walks."""
    changes = {"diffusion_cadence": 4, "max_frames": 13}
    followed = frames_of(
        rendered(tmp_path / "flow", WalkingEngine(), optical_flow_cadence="DIS Fine", **changes)
    )
    blended = frames_of(rendered(tmp_path / "blend", WalkingEngine(), **changes))
    assert np.allclose([middle(frame) for frame in followed[4:8]], [14, 16, 18, 20], atol=0.7)
    assert max(frame.max() for frame in blended[4:6]) < min(frame.max() for frame in followed[4:6]) - 8
    assert np.array_equal(followed[7], blended[7])
    assert np.array_equal(followed[11], blended[11])


class ChangingEngine(NoisyEngine):
    """Generates a soft ground, and on it what the image before had nothing of."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self.requests.append(request)
        ground = 0.4 + 0.1 * resized(random_image(4, 4, 5), 64, 64)
        return ground + 0.3 * resized(random_image(9, 9, 20 + len(self.requests)), 64, 64)


def test_what_has_no_way_to_the_other_image_fades(tmp_path: Path) -> None:
    """Two images of different things: a flow between them would tear both."""
    changes = {"diffusion_cadence": 4, "max_frames": 9}
    followed = frames_of(
        rendered(tmp_path / "a", ChangingEngine(), optical_flow_cadence="DIS Fine", **changes)
    )
    blended = frames_of(rendered(tmp_path / "b", ChangingEngine(), **changes))
    for one, other in zip(followed[4:7], blended[4:7], strict=True):
        assert np.abs(one.astype(int) - other).mean() < 2


def test_the_factor_says_how_far(tmp_path: Path) -> None:
    changes = {"diffusion_cadence": 4, "max_frames": 9, "optical_flow_cadence": "Farneback"}
    still = frames_of(
        rendered(tmp_path / "a", WalkingEngine(), cadence_flow_factor_schedule="0:(0)", **changes)
    )
    blended = frames_of(
        rendered(tmp_path / "b", WalkingEngine(), **(changes | {"optical_flow_cadence": "None"}))
    )
    assert np.abs(still[5].astype(int) - blended[5]).max() <= 1


def test_no_motion_is_followed_where_nothing_is_kept(tmp_path: Path) -> None:
    plan = prepared(
        tmp_path,
        optical_flow_cadence="DIS Medium",
        diffusion_cadence=3,
        max_frames=10,
        strength_schedule="0:(0.5), 6:(0), 7:(0)",
        cadence_flow_factor_schedule="0:(t)",
    ).plan
    assert [key.flow_factor for key in plan.key_frames] == [None, 6, None, None]
    assert plan.flow_methods == {"DIS Medium": "optical_flow_cadence"}


def test_a_flow_moves_with_the_camera() -> None:
    flow = torch.zeros(2, 64, 64)
    flow[0, :, :32], flow[1, :, 32:] = -6, 3

    def to_the_right(field: Image) -> Image:
        shift = torch.zeros(2, 64, 64)
        shift[0] = 10
        return moved_along(field, shift)

    moved = moved_flow(flow, to_the_right)
    assert torch.allclose(moved[:, :, 10:], flow[:, :, :-10], atol=1e-5)
    assert (moved_flow(flow, torch.zeros_like) == 0).all()
    assert torch.equal(moved_flow(flow * 0, to_the_right), flow * 0)


class Lens:
    """Stands for a way to measure motion; says 5 to the right, and remembers what it saw."""

    name = "DIS Medium"

    def __init__(self) -> None:
        self.seen: list[tuple[Image, Image]] = []

    def estimate(self, source: Image, target: Image, guess: Flow | None = None) -> Flow:
        self.seen.append((source, target))
        flow = torch.zeros(2, *source.shape[1:])
        flow[0] = 5
        return flow


def test_flow_redo_pushes_its_image_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lens, engine = Lens(), NoisyEngine()
    monkeypatch.setattr("deforum_helpers.pipeline.sources.make_flow_estimator", lambda name, device: lens)
    rendered(
        tmp_path,
        engine,
        max_frames=3,
        optical_flow_redo_generation="DIS Medium",
        redo_flow_factor_schedule="0:(2)",
        contrast_schedule="0:(0.5)",
        diffusion_redo=1,
    )
    assert len(engine.requests) == 1 + 3 + 3
    scout, redone, final = engine.requests[1:4]
    before, previous = lens.seen[0]
    assert scout.init_image is not None
    assert torch.allclose(scout.init_image, before * 0.5, atol=1e-6)
    shift = torch.zeros(2, 64, 64)
    shift[0] = 10
    assert redone.init_image is not None
    assert torch.equal(redone.init_image, moved_along(previous, shift))
    assert len({scout.seed, redone.seed, final.seed}) == 3
    assert final.seed == 2


def test_extra_diffusions_are_counted(tmp_path: Path) -> None:
    plain = prepared(tmp_path, max_frames=3).plan.sampling_steps
    redone = prepared(tmp_path, max_frames=3, optical_flow_redo_generation="DIS Fine").plan.sampling_steps
    first = prepared(tmp_path, max_frames=1).plan.sampling_steps
    assert redone - first == 2 * (plain - first)


@pytest.mark.parametrize("mode", ["2D", "3D"])
def test_a_resumed_video_is_the_same_to_the_bit(tmp_path: Path, mode: str) -> None:
    changes = {
        "animation_mode": mode,
        "optical_flow_cadence": "DIS Medium",
        "optical_flow_redo_generation": "Farneback",
        "diffusion_cadence": 3,
        "translation_x": "0:(2)",
        "angle": "0:(3)",
        "noise_schedule": "0:(0.2)",
        "max_frames": 10,
    }
    whole = frames_of(rendered(tmp_path / "whole", NoisyEngine(), **changes))
    job, cancel = prepared(tmp_path / "parts", QUICK, **STILL | changes), CancelToken()

    def park(progress: Progress) -> None:
        if progress.frame >= 5:
            cancel.park()

    with pytest.raises(Exception, match="parked"):
        run_job(job, NoisyEngine(), cancel, park)
    (settings,) = (tmp_path / "parts").rglob("*_settings.txt")
    again = replace(job, resume=settings.name[:14])
    parts = frames_of(run_job(again, NoisyEngine(), CancelToken(), lambda progress: None))
    assert len(parts) == 10
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize("setting", ["optical_flow_cadence", "optical_flow_redo_generation"])
def test_raft_is_missed_before_the_first_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setattr("deforum_helpers.models.flow.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=f"{setting}: RAFT needs the package 'torchvision'"):
        prepared(tmp_path, diffusion_cadence=2, **{setting: "RAFT"})
    assert prepared(tmp_path, diffusion_cadence=1, optical_flow_cadence="RAFT").plan.flow_methods == {}
