"""Videos that lead back to their first frame or end with an image."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.errors import Parked, SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.image.warp import warp_2d
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.render.moves import Move2D, Move3D, compose_2d, inverse_move

NO_VIDEO = {"skip_video_creation": True, "max_frames": 16, "ending_frames": 8, "prompts": {"0": "a lake"}}


class SceneEngine(NoisyEngine):
    """Generates a smooth random scene for each seed, and repaints a little of an init image with it."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        random = np.random.default_rng(request.seed)
        coarse = random.random((8, 8, 3), np.float32)
        image = from_bytes((cv2.resize(coarse, (request.width_px, request.height_px)) * 255).astype(np.uint8))
        if request.init_image is None:
            return image
        return torch.lerp(request.init_image, image, 0.2 * request.denoising_strength)


def frames(root: Path, engine: NoisyEngine | None = None, **changes: Any) -> list[np.ndarray]:
    job = prepared(root, None, **{**NO_VIDEO, **changes})
    result = run_job(job, engine or SceneEngine(), CancelToken(), lambda progress: None)
    return [read_frame(path) for path in frame_files(result.outdir)]


def end_image(folder: Path, side_px: int = 64) -> Path:
    path = folder / "end.png"
    write_frame(path, np.random.default_rng(9).integers(0, 256, (side_px, side_px, 3), np.uint8))
    return path


def error(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in the middle of two frames, in levels."""
    inner = (slice(16, 48), slice(16, 48))
    return float(np.abs(one[inner].astype(float) - other[inner]).mean())


MOVES = {
    "2D": {"zoom": "0:(1.02)", "translation_x": "0:(1)"},
    "3D": {"animation_mode": "3D", "translation_z": "0:(2)"},
    "standing": {"zoom": "0:(1)"},
}


@pytest.mark.parametrize("cadence", [1, 3])
@pytest.mark.parametrize("moves", MOVES)
def test_the_last_frame_is_the_end_image(moves: str, cadence: int, tmp_path: Path) -> None:
    path = end_image(tmp_path)
    shown = frames(tmp_path, end_image_path=str(path), diffusion_cadence=cadence, **MOVES[moves])
    assert np.array_equal(shown[-1], read_frame(path))


@pytest.mark.parametrize("cadence", [1, 3])
def test_a_loop_closes_as_smoothly_as_its_frames_follow_each_other(cadence: int, tmp_path: Path) -> None:
    move = Move2D(np.array([[1.0, 0, 1.5], [0, 1, 0], [0, 0, 1]]))

    def moved(frame: np.ndarray) -> np.ndarray:
        return to_bytes(warp_2d(from_bytes(frame), move.dst_from_src, "replicate"))

    changes = {"zoom": "0:(1)", "translation_x": "0:(1.5)", "diffusion_cadence": cadence}
    shown = frames(tmp_path / "loop", seamless_loop=True, **changes)
    between = [error(moved(one), two) for one, two in pairwise(shown)]
    open_end = frames(tmp_path / "open", **changes)
    assert error(moved(open_end[-1]), open_end[0]) > 3 * max(between)
    assert error(moved(shown[-1]), shown[0]) <= max(between)


def test_a_loop_returns_to_its_first_prompt(tmp_path: Path) -> None:
    prompts = {"0": "a lake", "5": "a desert"}
    settings = {**NO_VIDEO, "prompts": prompts, "seamless_loop": True}
    requests = [key.request for key in prepared(tmp_path, None, **settings).plan.key_frames]
    assert [request.prompt for request in requests[4:8]] == ["a lake", *["a desert"] * 3]
    assert requests[7].blend is None
    for request in requests[8:15]:
        assert request.prompt == "a lake"
        assert request.blend is not None
        assert request.blend.prompt == "a desert"
    assert (requests[15].prompt, requests[15].blend) == ("a lake", None)


@pytest.mark.parametrize("ending", ["loop", "image"])
def test_an_interrupted_run_ends_the_same(ending: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"seamless_loop": True}
    if ending == "image":
        changes = {"end_image_path": str(end_image(tmp_path))}
    whole = frames(tmp_path / "whole", **changes)
    job, token, stem = (
        prepared(tmp_path / "parts", None, **{**NO_VIDEO, **changes}),
        CancelToken(),
        "20260102030405",
    )

    def park(progress: Any) -> None:
        if progress.frame >= 11:
            token.park()

    with pytest.raises(Parked):
        run_job(job, SceneEngine(), token, park, now=lambda: datetime(2026, 1, 2, 3, 4, 5))
    result = run_job(job, SceneEngine(), CancelToken(), lambda progress: None, resume=stem)
    resumed = [read_frame(path) for path in frame_files(result.outdir)]
    assert all(np.array_equal(one, two) for one, two in zip(whole, resumed, strict=True))


def _refused(tmp_path: Path, **changes: Any) -> list[str | None]:
    with pytest.raises(SettingsError) as caught:
        prepared(tmp_path, None, **{**NO_VIDEO, **changes})
    return [problem.setting for problem in caught.value.problems]


def test_contradictions_are_refused(tmp_path: Path) -> None:
    path = str(end_image(tmp_path))
    small = tmp_path / "small"
    small.mkdir()
    assert _refused(tmp_path, seamless_loop=True, end_image_path=path) == ["seamless_loop"]
    told = prepared(tmp_path, None, **{**NO_VIDEO, "seamless_loop": True, "animation_mode": "Interpolation"})
    assert any("seamless_loop" in warning for warning in told.warnings)
    assert all(key.ending == 0 for key in told.plan.key_frames)
    assert _refused(tmp_path, end_image_path=str(end_image(small, 32))) == ["end_image_path"]
    assert _refused(tmp_path, end_image_path=str(tmp_path / "none.png")) == ["end_image_path"]


FLAT = Move2D(np.array([[1.1, 0.1, 3], [0, 0.9, -2], [0, 0, 1]]))
DEEP = Move3D(np.array([[1.0, 0, 0, 0.1], [0, 1, 0, 0], [0, 0, 1, -0.2], [0, 0, 0, 1]]), 70, 1)


@pytest.mark.parametrize("move", [FLAT, DEEP])
@pytest.mark.parametrize("count", [1, 3])
def test_moves_are_taken_back(move: Move2D | Move3D, count: int) -> None:
    total = np.linalg.matrix_power(move.pose(), count)
    np.testing.assert_allclose(inverse_move([move] * count).pose() @ total, np.eye(4), atol=1e-9)


def test_moves_in_which_the_image_vanishes_do_not_stop_a_video(tmp_path: Path) -> None:
    assert inverse_move([Move2D(np.zeros((3, 3))), FLAT]).still
    assert compose_2d([FLAT, Move2D(np.zeros((3, 3)))]) is None
    assert len(frames(tmp_path, seamless_loop=True, zoom="0:(1), 12:(0), 13:(1)")) == 16
