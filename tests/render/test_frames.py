"""What the frames of a video look like: where they start, how groups fade, and when depth is looked at."""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_runs import NoisyEngine, frame_files, prepared

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.convert import to_bytes
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.output import step_files as steps
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline import job as jobs
from deforum_helpers.pipeline.job import RunResult, run_job

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
PLAIN = {
    "zoom": "0:(1)",
    "color_coherence": "None",
    "noise_schedule": "0:(0)",
    "amount_schedule": "0:(0)",
    "skip_video_creation": True,
}


class CountingDepth:
    """A slope; counts the images that were looked at."""

    name = "slope"

    def __init__(self) -> None:
        self.looks = 0

    def estimate(self, image: Image) -> Depth:
        self.looks += 1
        height, width = image.shape[1:]
        return torch.linspace(1, 2, height)[:, None].expand(height, width).contiguous()


def rendered(root: Path, engine: Any = None, depth: CountingDepth | None = None, **changes: Any) -> RunResult:
    def estimator(name: str, device: torch.device) -> CountingDepth:
        assert depth is not None, "nothing in this video needs depth"
        return depth

    job = prepared(root, QUICK, **changes)
    return run_job(job, engine or NoisyEngine(), CancelToken(), lambda progress: None, estimator=estimator)


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


def test_8_bit_pixels_that_a_frame_carries_are_those_of_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[bool] = []

    def checked(outcome: Any, *others: Any) -> Any:
        for frame in outcome.frames:
            carried.append(frame.levels is not None)
            if frame.levels is not None:
                np.testing.assert_array_equal(frame.levels.array(), to_bytes(frame.image))
        return steps.step_files(outcome, *others)

    monkeypatch.setattr(jobs, "step_files", checked)
    dissolving = {
        "prompt_transition": "dissolve",
        "prompt_transition_frames": 6,
        "prompts": {"0": "a", "4": "b"},
    }
    rendered(tmp_path, **PLAIN, **dissolving, diffusion_cadence=3, max_frames=14)
    assert any(carried)
    assert not all(carried)


def test_a_group_fades_from_the_old_image_to_the_anchor(tmp_path: Path) -> None:
    """Frame i of n is (1 - i/n) of the old image and i/n of the anchor."""
    frames = frames_of(rendered(tmp_path, **PLAIN, diffusion_cadence=4, max_frames=9))
    old, anchor = frames[3].astype(float), frames[7].astype(float)
    for number, index in enumerate(range(4, 8), start=1):
        expected = old + (anchor - old) * number / 4
        np.testing.assert_allclose(frames[index], expected, atol=1)
    np.testing.assert_array_equal(frames[0], frames[3])


@pytest.mark.parametrize("frames", [9, 10, 11, 12, 13])
def test_a_video_does_not_jump_at_its_end(tmp_path: Path, frames: int) -> None:
    """Where the video ends before the next image is due, that image comes no faster than any other."""
    shown = frames_of(rendered(tmp_path, **PLAIN, diffusion_cadence=4, max_frames=frames))
    assert len(shown) == frames
    steps = [np.abs(b.astype(float) - a).mean() for a, b in pairwise(shown)]
    assert max(steps[7:]) < 1.5 * max(steps[3:7])


@pytest.mark.parametrize("given", ["path", "data"])
def test_a_video_starts_from_its_init_image(given: str, tmp_path: Path) -> None:
    x, y = np.meshgrid(np.arange(64, dtype=np.uint8), np.arange(64, dtype=np.uint8))
    bgr = np.dstack([x * 3, y * 2, x + y])
    path = tmp_path / "begin.png"
    cv2.imwrite(str(path), bgr)
    init = str(path)
    if given == "data":
        init = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    engine = NoisyEngine()
    rendered(tmp_path / "out", engine, **PLAIN, use_init=True, init_image=init, strength=0.75)
    first = engine.requests[0]
    assert first.denoising_strength == pytest.approx(0.25)
    assert first.init_image is not None
    np.testing.assert_allclose(
        first.init_image.permute(1, 2, 0).numpy() * 255, bgr[..., ::-1].astype(float), atol=1e-3
    )


def test_a_2d_video_never_loads_a_depth_model(tmp_path: Path) -> None:
    rendered(tmp_path, animation_mode="2D", depth_algorithm="Midas-3-Hybrid")


@pytest.mark.parametrize(
    "changes", [{"use_depth_warping": False, "translation_z": "0:(5)"}, {"translation_z": "0:(0)"}]
)
def test_a_3d_video_that_needs_no_depth_loads_no_model(changes: dict[str, str], tmp_path: Path) -> None:
    rendered(tmp_path, animation_mode="3D", **changes)


@pytest.mark.parametrize(("cadence", "unfinished"), [(1, 0), (2, 1), (3, 2)])
def test_there_is_one_look_for_every_move(cadence: int, unfinished: int, tmp_path: Path) -> None:
    """The fading image moves through the depth of the anchor, which is looked at once.

    An anchor that the video ends too soon for does not move itself, so it is looked at for the fading image alone.
    """
    depth = CountingDepth()
    rendered(
        tmp_path,
        depth=depth,
        animation_mode="3D",
        translation_z="0:(5)",
        max_frames=5,
        diffusion_cadence=cadence,
    )
    assert depth.looks == 4 + unfinished


def test_depth_maps_have_one_scale_for_the_whole_run(tmp_path: Path) -> None:
    depth = CountingDepth()
    result = rendered(tmp_path, depth=depth, save_depth_maps=True, animation_mode="2D")
    maps = [cv2.imread(str(path)) for path in sorted(result.outdir.glob("*_depth_*.png"))]
    assert len(maps) == 5
    for one in maps:
        np.testing.assert_array_equal(one, maps[0])
    assert abs(int(maps[0][0, 0, 0]) - int(maps[0][-1, 0, 0])) == 255


def test_colours_follow_the_given_image(tmp_path: Path) -> None:
    path = tmp_path / "green.png"
    pixels = np.random.default_rng(0).integers(0, 60, (64, 64, 3), np.uint8) + np.uint8([0, 150, 0])
    cv2.imwrite(str(path), pixels)
    result = rendered(
        tmp_path, color_coherence="Image", color_coherence_image_path=str(path), noise_schedule="0:(0)"
    )
    for frame in frames_of(result):
        red, green, blue = frame.reshape(-1, 3).mean(0)
        assert green > 150
        assert max(red, blue) < 60


def test_grayscale_videos_are_gray(tmp_path: Path) -> None:
    for frame in frames_of(rendered(tmp_path, color_force_grayscale=True, diffusion_cadence=2)):
        np.testing.assert_array_equal(frame[..., 0], frame[..., 1])
        np.testing.assert_array_equal(frame[..., 0], frame[..., 2])


def test_keyframe_strength_is_for_frames_at_which_a_prompt_begins(tmp_path: Path) -> None:
    engine = NoisyEngine()
    rendered(
        tmp_path,
        engine,
        **PLAIN,
        keyframe_distribution="Additive",
        keyframe_strength_schedule="0:(0.1)",
        strength_schedule="0:(0.8)",
        prompts={"0": "a", "3": "b"},
    )
    strengths = [round(1 - request.denoising_strength, 3) for request in engine.requests]
    assert strengths == [0.0, 0.8, 0.8, 0.1, 0.8]
