"""Long videos: what a hundred frames of the same operations do to colours, brightness and edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_runs import frame_files, prepared

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.image.convert import resized, to_bytes
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import run_job
from tests.image.sample_images import random_image

FLIGHT = {"animation_mode": "3D", "translation_z": "0:(3)", "rotation_3d_y": "0:(0.5)"}
ZOOM = {"animation_mode": "2D", "zoom": "0:(1.01)"}
WEAR = {"noise_schedule": "0:(0.05)", "amount_schedule": "0:(0.1)", "max_frames": 100}
CALM = {
    "color_coherence": "None",
    "noise_schedule": "0:(0)",
    "amount_schedule": "0:(0)",
    "max_frames": 40,
}


class Street:
    """Stands for a depth model: a far wall above, a floor that comes nearer below."""

    name = "street"

    def estimate(self, image: Image) -> Depth:
        height, width = image.shape[1:]
        column = torch.cat([torch.full((height // 2,), 2.0), torch.linspace(2, 1, height - height // 2)])
        return column[:, None].expand(height, width).contiguous()


@pytest.fixture
def image_file(tmp_path: Path) -> str:
    """Soft colours, as of a landscape in daylight."""
    soft = 0.25 + 0.5 * resized(random_image(7, 7, 3), 96, 96)
    bright = torch.tensor([0.1, 0.05, -0.1])[:, None, None]
    cv2.imwrite(str(tmp_path / "image.png"), to_bytes(soft + bright)[..., ::-1])
    return str(tmp_path / "image.png")


def rendered(root: Path, image_file: str, depth: Any = None, **changes: Any) -> list[np.ndarray]:
    """The frames of an engine that returns what it is given."""
    settings = {"use_init": True, "init_image": image_file, "skip_video_creation": True, "W": 64, "H": 64}
    job = prepared(root, **settings | changes)
    result = run_job(
        job,
        make_engine("null"),
        CancelToken(),
        lambda progress: None,
        estimator=lambda name, device: depth or Street(),
    )
    return [read_frame(path).astype(float) for path in frame_files(result.outdir)]


@pytest.mark.parametrize(
    ("coherence", "changes", "levels"),
    [("LAB", FLIGHT, 4), ("LAB", ZOOM, 4), ("RGB", FLIGHT, 1), ("LAB", FLIGHT | {"diffusion_cadence": 3}, 4)],
    ids=["LAB 3D", "LAB 2D", "RGB", "cadence 3"],
)
def test_colours_stay_over_a_hundred_frames(
    tmp_path: Path, image_file: str, coherence: str, changes: dict[str, Any], levels: float
) -> None:
    frames = rendered(tmp_path, image_file, color_coherence=coherence, **changes, **WEAR)
    means = np.array([frame.mean((0, 1)) for frame in frames[:: changes.get("diffusion_cadence", 1)]])
    assert np.abs(means - means[0]).max() < levels


def test_without_coherence_noise_carries_colours_off(tmp_path: Path, image_file: str) -> None:
    """That is what the test above would see."""
    frames = rendered(tmp_path, image_file, color_coherence="None", **ZOOM, **WEAR)
    assert np.abs(frames[-1].mean((0, 1)) - frames[0].mean((0, 1))).max() > 12


@pytest.mark.parametrize("sampling", ["bicubic", "bilinear"])
def test_moving_darkens_nothing(tmp_path: Path, image_file: str, sampling: str) -> None:
    """A camera that turns to and fro, forty times: rounding once a frame leaves the brightness where it was."""
    roll = {"animation_mode": "3D", "rotation_3d_z": "0:(2*cos(pi*t))", "sampling_mode": sampling}
    frames = rendered(tmp_path, image_file, **roll, **CALM)
    first, last = (frame[20:44, 20:44].mean() for frame in (frames[0], frames[-1]))
    assert abs(last - first) < 0.5


def streaks(frame: np.ndarray) -> float:
    """How little changes towards the four edges, beside the middle: 0 where the edges are stretched."""
    across = [np.abs(np.diff(np.rot90(frame, turn), axis=0)).mean((1, 2)) for turn in range(4)]
    return float(np.mean([steps[:4].mean() / steps[24:40].mean() for steps in across]))


def test_a_flight_backwards_does_not_stretch_the_edges(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grass.png"), to_bytes(resized(random_image(32, 32, 1), 64, 64)))
    back = {"animation_mode": "3D", "translation_z": "0:(-30)", **CALM, "max_frames": 4}
    mirrored, stretched = (
        rendered(tmp_path / mode, str(tmp_path / "grass.png"), padding_mode=mode, **back)[-1]
        for mode in ("reflection", "border")
    )
    assert streaks(mirrored) > 0.5
    assert streaks(stretched) < 0.1


@pytest.mark.parametrize("move", ["translation_x", "translation_z"])
@pytest.mark.parametrize("way", [3, -3])
def test_the_edges_of_near_things_stay_sharp(tmp_path: Path, move: str, way: int) -> None:
    """A red post before a far blue wall, twenty moves on, is one post, with at most four mixed pixels a side."""
    pixels = np.full((64, 64, 3), (255, 0, 0), np.uint8)
    pixels[:, 24:40] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "post.png"), pixels)

    class Post:
        name = "post"

        def estimate(self, image: Image) -> Depth:
            return torch.where(image[0] > image[2], 1.0, 2.0)

    changes = {"animation_mode": "3D", move: f"0:({way})", **CALM, "max_frames": 21}
    row = rendered(tmp_path, str(tmp_path / "post.png"), Post(), **changes)[-1][32] / 255
    assert ((row[:, 0] > 0.1) & (row[:, 2] > 0.1)).sum() <= 8
    red = np.flatnonzero(row[:, 0] > 0.5)
    assert len(red) == np.ptp(red) + 1 >= 6
