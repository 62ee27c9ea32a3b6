"""Hybrid video: frames follow a video's motion and have its image composited over them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import clip, levels, said
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked, SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import OpenPieceWorkers, OwnPieceWorker, release_kept
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.convert import resized, to_bytes
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.pipeline.human_masks import write_human_masks
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.render.hybrid import Motion
from deforum_helpers.settings.host_options import Options
from tests.image.sample_images import random_image

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
PLAIN = {
    "zoom": "0:(1)",
    "color_coherence": "None",
    "noise_schedule": "0:(0)",
    "amount_schedule": "0:(0)",
    "skip_video_creation": True,
    "max_frames": 99,
    "hybrid_flow_method": "DIS Fine",
}


class Copyist(NoisyEngine):
    """Returns what it starts from, or noise."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self.requests.append(request)
        return super().generate(request, cancel) if request.init_image is None else request.init_image


class Ramp:
    """Stands for a depth model: far on the right."""

    name = "ramp"

    def estimate(self, image: Image) -> Depth:
        return torch.linspace(1, 2, image.shape[2]).expand(*image.shape[1:]).contiguous()


def rendered(root: Path, engine: NoisyEngine, **changes: Any) -> RunResult:
    job = prepared(root, QUICK, **PLAIN | changes)
    return run_job(job, engine, CancelToken(), lambda progress: None, estimator=lambda name, device: Ramp())


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def walking(frames: int, step_px: int = 3) -> np.ndarray:
    """A cloth that moves to the right."""
    ground = to_bytes(resized(random_image(40, 60, 2), 160, 96))
    return np.stack([ground[16:80, 80 - step_px * k : 144 - step_px * k] for k in range(frames)])


@pytest.fixture
def walk(tmp_path: Path) -> str:
    return str(clip(tmp_path / "walk.mp4", walking(6)))


@pytest.fixture
def steps(tmp_path: Path) -> str:
    return str(clip(tmp_path / "steps.mp4", levels(5)))


@pytest.fixture
def spots(tmp_path: Path) -> str:
    cv2.imwrite(str(tmp_path / "spots.png"), to_bytes(1 - resized(random_image(10, 10, 7), 64, 64)))
    return str(tmp_path / "spots.png")


@pytest.mark.parametrize("motion", ["Affine", "Perspective", "Optical Flow"])
@pytest.mark.parametrize("cadence", [1, 3])
def test_frames_move_as_the_video_moves(
    tmp_path: Path, walk: str, spots: str, motion: str, cadence: int
) -> None:
    """The video moves three pixels a frame; so does a video that starts from another image."""
    frames = frames_of(
        rendered(
            tmp_path,
            Copyist(),
            video_init_path=walk,
            hybrid_motion=motion,
            hybrid_use_first_frame_as_init_image=False,
            use_init=True,
            init_image=spots,
            diffusion_cadence=cadence,
        )
    )
    assert len(frames) == 6
    for k in (3, 5):
        moved, still = (
            np.abs(frames[k][16:-16, 28:-8].astype(int) - frames[0][16:-16, 28 - s : 56 - s]).mean()
            for s in (3 * k, 0)
        )
        assert moved < 0.35 * still


@pytest.mark.parametrize("kind", ["flow", "matrix"])
def test_what_comes_in_over_many_frames_is_the_edge_stretched(kind: str) -> None:
    """Four moves of three pixels leave twelve columns of the edge, no mirror images of mirror images."""
    image = random_image(24, 32)
    flow, matrix = torch.zeros(2, 24, 32), np.eye(3)
    flow[0] = matrix[0, 2] = 3
    motion = Motion(flow=flow) if kind == "flow" else Motion(matrix=matrix)
    moved = image
    for _ in range(4):
        moved = motion.warp(moved, 1.0)
    assert torch.allclose(moved[:, :, 12:], image[:, :, :-12], atol=1e-5)
    assert torch.allclose(moved[:, :, :12], image[:, :, :1].expand(-1, -1, 12), atol=1e-5)


def test_the_flow_factor_and_its_direction(tmp_path: Path, walk: str) -> None:
    first = {"video_init_path": walk, "hybrid_motion": "Optical Flow"}
    still = frames_of(rendered(tmp_path / "a", Copyist(), hybrid_flow_factor_schedule="0:(0)", **first))
    assert all(np.abs(frame.astype(int) - still[0]).max() <= 1 for frame in still)
    there = frames_of(rendered(tmp_path / "b", Copyist(), **first))
    video = walking(6)
    assert np.abs(there[5][16:-16, 24:-8].astype(int) - video[5][16:-16, 24:-8]).mean() < 6


def test_consistency_and_the_previous_image(tmp_path: Path, walk: str) -> None:
    first = {"video_init_path": walk, "hybrid_motion": "Optical Flow", "hybrid_motion_use_prev_img": True}
    video = walking(6)
    for changes in ({}, {"hybrid_flow_consistency": True, "hybrid_consistency_blur": 1}):
        frames = frames_of(rendered(tmp_path / str(len(changes)), Copyist(), **first, **changes))
        assert np.abs(frames[5][16:-16, 24:-8].astype(int) - video[5][16:-16, 24:-8]).mean() < 6
    affine = frames_of(rendered(tmp_path / "affine", Copyist(), **first | {"hybrid_motion": "Affine"}))
    assert np.abs(affine[5][16:-16, 24:-8].astype(int) - video[5][16:-16, 24:-8]).mean() < 8


@pytest.mark.parametrize("when", ["Before Motion", "Normal", "After Generation"])
def test_the_video_is_composited(tmp_path: Path, steps: str, when: str) -> None:
    engine = Copyist()
    frames = frames_of(
        rendered(
            tmp_path,
            engine,
            video_init_path=steps,
            hybrid_composite=when,
            hybrid_comp_alpha_schedule="0:(1), 2:(0.5)",
        )
    )
    numbers = [0, 1.0 * 0.75 + 0 * 0.25]
    for k in range(2, 5):
        numbers.append((numbers[-1] + k) / 2)
    assert np.allclose([said(frame) for frame in frames], numbers, atol=0.1)
    composited_before = [
        said(request.init_image.numpy() * 255)
        for request in engine.requests
        if request.init_image is not None
    ]
    assert (abs(composited_before[4] - numbers[4]) < 0.1) is (when != "After Generation")


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("Depth", "frame", "video"),
        ("Video Depth", "frame", "video"),
        ("None", "video", "video"),
    ],
)
def test_masks_decide_where_it_shows(tmp_path: Path, steps: str, kind: str, left: str, right: str) -> None:
    """Near things are bright in the mask, and the video shows where it is bright."""
    frames = frames_of(
        rendered(
            tmp_path,
            Copyist(),
            video_init_path=steps,
            hybrid_composite="Normal",
            hybrid_comp_alpha_schedule="0:(1)",
            hybrid_comp_mask_type=kind,
            depth_algorithm="Midas-3-Hybrid",
            extract_to_frame=1,
        )
    )
    shown = {"frame": 0, "video": 1}
    assert said(frames[1][:, :2]) == pytest.approx(shown[left], abs=0.12)
    assert said(frames[1][:, -2:]) == pytest.approx(shown[right], abs=0.12)


def test_difference_inverse_and_extra_frames(tmp_path: Path, steps: str) -> None:
    changes = {
        "video_init_path": steps,
        "hybrid_composite": "Normal",
        "hybrid_motion": "Optical Flow",
        "hybrid_comp_alpha_schedule": "0:(1)",
        "hybrid_comp_mask_type": "Difference",
        "hybrid_comp_mask_inverse": True,
        "hybrid_comp_save_extra_frames": True,
        "extract_to_frame": 2,
    }
    result = rendered(tmp_path, Copyist(), **changes)
    first = frames_of(result)[1]
    mask = 1 - 20 / 255
    assert said(first) == pytest.approx(1 - mask, abs=0.1)
    names = sorted(
        path.name[len(result.timestring) + 1 :] for path in (result.outdir / "hybridframes").iterdir()
    )
    assert names == sorted(
        [f"{kind}{number:09d}.jpg" for kind in ("comp", "mask", "prev") for number in (1, 2)]
        + [f"flow{number:09d}.jpg" for number in (0, 1)]
    )


def test_extra_frames_of_depth_and_of_trust_in_motion(tmp_path: Path, walk: str) -> None:
    changes = {
        "video_init_path": walk,
        "hybrid_composite": "Normal",
        "hybrid_motion": "Optical Flow",
        "hybrid_flow_method": "DIS Medium",
        "hybrid_flow_consistency": True,
        "hybrid_comp_mask_type": "Video Depth",
        "hybrid_comp_save_extra_frames": True,
        "depth_algorithm": "Midas-3-Hybrid",
        "extract_to_frame": 1,
    }
    result = rendered(tmp_path, Copyist(), **changes)
    folder, stem = result.outdir / "hybridframes", result.timestring
    depth = cv2.imread(str(folder / f"{stem}_vid_depth000000001.jpg"))
    # near things are bright, and the left is near
    assert depth[:, :4].mean() > 230 > 20 > depth[:, -4:].mean()
    trust = cv2.imread(str(folder / f"{stem}_flow_mask000000000.jpg"))
    assert trust[20:-20, 20:-20].mean() > 200


def test_the_init_image_may_be_composited(tmp_path: Path, spots: str) -> None:
    frames = frames_of(
        rendered(
            tmp_path,
            NoisyEngine(),
            init_image=spots,
            hybrid_composite="After Generation",
            hybrid_use_init_image=True,
            hybrid_comp_alpha_schedule="0:(1)",
            max_frames=3,
        )
    )
    wanted = cv2.imread(spots)[..., ::-1].astype(int)
    assert np.abs(frames[0] - wanted).max() > 50
    assert np.abs(frames[1] - wanted).max() <= 1
    assert np.abs(frames[2] - wanted).max() <= 1


def test_the_order_of_a_key_frame(tmp_path: Path, steps: str) -> None:
    common = {"video_init_path": steps, "hybrid_motion": "Affine", "color_coherence": "Video Input"}
    keys = {
        when: prepared(tmp_path, **PLAIN | common | {"hybrid_composite": when}).plan.key_frames[2].stages
        for when in ("Before Motion", "Normal", "After Generation")
    }
    assert keys["Before Motion"] == (
        *("video_reference", "move", "composite_before", "hybrid_motion", "match_color"),
        *("diffuse", "match_color"),
    )
    assert keys["Normal"] == (
        *("video_reference", "move", "hybrid_motion", "composite", "match_color", "diffuse", "match_color"),
    )
    assert keys["After Generation"] == (
        *("video_reference", "move", "hybrid_motion", "match_color", "diffuse"),
        *("composite_after", "match_color"),
    )


@pytest.mark.parametrize("cadence", [1, 2])
def test_a_resumed_video_is_the_same_to_the_bit(tmp_path: Path, walk: str, cadence: int) -> None:
    changes = {
        "video_init_path": walk,
        "hybrid_motion": "Optical Flow",
        "hybrid_flow_method": "DIS Medium",
        "hybrid_composite": "Normal",
        "hybrid_comp_mask_type": "Blend",
        "color_coherence": "LAB",
        "noise_schedule": "0:(0.1)",
        "translation_x": "0:(1)",
        "diffusion_cadence": cadence,
    }
    whole = frames_of(rendered(tmp_path / "whole", NoisyEngine(), **changes))
    job, cancel = prepared(tmp_path / "parts", QUICK, **PLAIN | changes), CancelToken()

    def park(progress: Progress) -> None:
        if progress.frame >= 3:
            cancel.park()

    with pytest.raises(Parked):
        run_job(job, NoisyEngine(), cancel, park)
    (settings,) = (tmp_path / "parts").rglob("*_settings.txt")
    again = replace(job, resume=settings.name[:14])
    parts = frames_of(run_job(again, NoisyEngine(), CancelToken(), lambda progress: None))
    assert len(parts) == 6
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_what_is_missing_is_told_before_the_first_frame(
    tmp_path: Path, walk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deforum_helpers.models.flow.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="hybrid_flow_method: RAFT needs"):
        prepared(tmp_path, video_init_path=walk, hybrid_motion="Optical Flow", hybrid_flow_method="RAFT")
    with pytest.raises(SettingsError, match="video_init_path is empty"):
        prepared(tmp_path, hybrid_composite="Normal")
    cv2.imwrite(str(tmp_path / "composited.png"), to_bytes(random_image(64, 64, 7)))
    init = {"use_init": True, "init_image": str(tmp_path / "composited.png")}
    composited = init | {"hybrid_composite": "Normal", "hybrid_use_init_image": True}
    prepared(tmp_path, **composited)
    with pytest.raises(SettingsError, match="video_init_path is empty"):
        prepared(tmp_path, **composited, color_coherence="Video Input")


class LeftHalf:
    """Stands for a model that finds people: they are always on the left."""

    def find(self, image: Image, words: str) -> torch.Tensor:
        mask = torch.zeros(image.shape[1:])
        mask[:, : image.shape[2] // 2] = 1
        return mask


@pytest.mark.parametrize(("kind", "pngs", "videos"), [("PNGs", 5, 0), ("Video", 0, 1), ("Both", 5, 1)])
def test_people_are_saved(
    tmp_path: Path, steps: str, monkeypatch: pytest.MonkeyPatch, kind: str, pngs: int, videos: int
) -> None:
    monkeypatch.setattr("deforum_helpers.pipeline.sources.make_finder", lambda purpose, device: LeftHalf())
    monkeypatch.setattr("deforum_helpers.pipeline.host_facts.missing_feature", lambda purpose: None)
    changes = {"video_init_path": steps, "hybrid_composite": "Normal", "hybrid_generate_human_masks": kind}
    folder = rendered(tmp_path, Copyist(), **changes).outdir / "human_masks"
    masks = sorted(folder.glob("*.png"))
    assert len(masks) == pngs
    assert all((cv2.imread(str(path))[:, :32] == 255).all() for path in masks)
    assert all((cv2.imread(str(path))[:, 32:] == 0).all() for path in masks)
    assert len(list(folder.glob("*.mp4"))) == videos
    for video in folder.glob("*.mp4"):
        assert count_frames(video) == 5


class Bright:
    """Stands for a model that finds people: they are as likely as a pixel is bright."""

    def find(self, image: Image, words: str) -> torch.Tensor:
        return image.mean(0)


@pytest.mark.parametrize("kind", ["PNGs", "Video", "Both"])
def test_several_workers_find_the_same_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("deforum_helpers.pipeline.human_masks.make_finder", lambda purpose, device: Bright())
    frames = [tmp_path / f"{number:09d}.png" for number in range(19)]
    for number, path in enumerate(frames):
        write_frame(path, np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8))

    def made(name: str, workers: OpenPieceWorkers | None) -> dict[str, bytes]:
        write_human_masks(
            frames,
            kind,
            tmp_path / name,
            fps=12,
            options=Options(**QUICK),
            finder=Bright,
            device=torch.device("cpu"),
            cancel=CancelToken(),
            workers=workers,
        )
        files = (tmp_path / name / "human_masks").iterdir()
        return {path.name: path.read_bytes() for path in files if path.is_file()}

    shared = made("shared", lambda: nullcontext([OwnPieceWorker(), OwnPieceWorker()]))
    release_kept()
    assert shared == made("alone", None)
    assert len(list((tmp_path / "shared" / "human_masks").glob("*.png"))) == (0 if kind == "Video" else 19)


def test_people_that_an_earlier_attempt_found_are_not_looked_for_again(tmp_path: Path) -> None:
    frames = [tmp_path / f"{number:09d}.png" for number in range(3)]
    for number, path in enumerate(frames):
        write_frame(path, np.full((16, 16, 3), 40 * number, np.uint8))
    loaded: list[int] = []

    def written(kind: str = "PNGs") -> int:
        def finder() -> LeftHalf:
            loaded.append(1)
            return LeftHalf()

        before = len(loaded)
        write_human_masks(
            frames,
            kind,
            tmp_path,
            fps=12,
            options=Options(),
            finder=finder,
            device=torch.device("cpu"),
            cancel=CancelToken(),
        )
        return len(loaded) - before

    assert [written(), written()] == [1, 0]
    (tmp_path / "human_masks" / "000000001.png").unlink()
    assert [written(), written()] == [1, 0]
    assert [written("Both"), written("Both")] == [1, 0]
    write_frame(frames[2], np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8))
    assert [written("Both"), written("Both")] == [1, 0]


def test_people_cannot_be_found_without_a_model(
    tmp_path: Path, steps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(SettingsError, match=r"hybrid_generate_human_masks: .* hf download nvidia"):
        prepared(
            tmp_path, video_init_path=steps, hybrid_composite="Normal", hybrid_generate_human_masks="PNGs"
        )
