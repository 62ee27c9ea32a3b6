"""Whole videos on a pretended GPU: the CPU's frames within one level, and a render thread that does not wait."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from small_runs import prepared

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.image import noise
from deforum_helpers.image.convert import begin_to_bytes, resized, to_bytes
from deforum_helpers.image.mask import luma
from deforum_helpers.image.noise import mixed_field
from deforum_helpers.image.types import Image
from deforum_helpers.models.depth import depth_name
from deforum_helpers.models.depth.estimators import SceneDepth
from deforum_helpers.output import writer
from deforum_helpers.output.frames import encode_png, read_frame
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.render import noise_ahead
from tests.image.sample_images import soft_image
from tests.pretend_device import DEVICE, Pretending, pretending

FRAMES = 6
COMMON = {
    "max_frames": FRAMES,
    "skip_video_creation": True,
    "use_init": True,
    "init_image": "<image>",
    "noise_schedule": "0:(0.1)",
    "amount_schedule": "0:(0.2)",
    "contrast_schedule": "0:(1.02)",
    "color_coherence": "None",
}
VIDEOS: dict[str, dict[str, Any]] = {
    "2D": {"animation_mode": "2D", "zoom": "0:(1.02)", "angle": "0:(1)", "border": "wrap"},
    "2D flipped": {"animation_mode": "2D", "enable_perspective_flip": True, "perspective_flip_phi": "0:(9)"},
    "3D": {"animation_mode": "3D", "translation_z": "0:(3)", "rotation_3d_y": "0:(1)"},
    "scaled depth": {"animation_mode": "3D", "translation_z": "0:(3)", "depth_algorithm": "Midas-3-Hybrid"},
    "metric depth": {"animation_mode": "3D", "translation_x": "0:(9)", "depth_algorithm": "Zoe"},
    "cadence": {"diffusion_cadence": 3, "translation_x": "0:(2)"},
    "mask": {"use_mask": True, "mask_file": "<mask>", "translation_x": "0:(2)", "mask_overlay_blur": 3},
    "depth maps": {"animation_mode": "3D", "save_depth_maps": True, "depth_algorithm": "Midas-3-Hybrid"},
}
# The area of a mask is read, since only it is generated.
LOOKS = ("mask",)


class Brightness:
    """A depth model that takes the brighter for the farther."""

    far_is_large = True
    metric = False

    def answer(self, image: Image) -> torch.Tensor:
        return luma(image)


def brightness_as_depth(name: str, device: torch.device) -> SceneDepth:
    return SceneDepth(depth_name(name), Brightness())


def video(root: Path, device: str, changes: dict[str, Any]) -> list[np.ndarray]:
    half = np.zeros((64, 64), np.uint8)
    half[:, 32:] = 255
    root.mkdir()
    cv2.imwrite(str(root / "half.png"), half)
    cv2.imwrite(str(root / "image.png"), to_bytes(resized(soft_image(32, 32), 64, 64)))
    text = json.dumps(COMMON | changes)
    for name, path in {"<mask>": root / "half.png", "<image>": root / "image.png"}.items():
        text = text.replace(name, str(path))
    job = prepared(root / "out", **json.loads(text))
    engine = make_engine("null", device=device)
    result = run_job(job, engine, CancelToken(), lambda progress: None, estimator=brightness_as_depth)
    return [read_frame(path) for path in sorted(result.outdir.glob("*.png"))]


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - other)


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_of_a_device_are_those_of_the_cpu(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cpu = video(tmp_path / "cpu", "cpu", VIDEOS[name])
    with pretending(monkeypatch) as mode:
        on_device = video(tmp_path / "device", str(DEVICE), VIDEOS[name])
    levels = [apart(one, other) for one, other in zip(on_device, on_cpu, strict=True)]
    assert max(frame.max() for frame in levels) <= 2
    assert min((frame <= 1).mean() for frame in levels) > 0.998
    check_waits(mode, written=len(on_cpu), looks=name in LOOKS)


@pytest.mark.parametrize("mode", ["LAB", "HSV", "RGB"])
def test_matched_colors_of_a_device_are_those_of_the_cpu(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One frame, as every further one would multiply the differences of rounding: few pixels share a level here."""
    changes = {"animation_mode": "3D", "translation_z": "0:(3)", "color_coherence": mode, "max_frames": 2}
    on_cpu = video(tmp_path / "cpu", "cpu", changes)
    with pretending(monkeypatch) as pretended:
        on_device = video(tmp_path / "device", str(DEVICE), changes)
    levels = apart(on_device[1], on_cpu[1])
    assert levels.mean() < 0.2
    assert (levels <= 1).mean() > 0.99
    check_waits(pretended, written=2, looks=False)


def test_the_operations_of_a_frame_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU launches each of them in some microseconds, more than a fast GPU needs for it at usual sizes."""
    launched = []
    for frames in (2, 4):
        changes = {"animation_mode": "3D", "translation_z": "0:(3)", "depth_algorithm": "Midas-3-Hybrid"}
        with pretending(monkeypatch) as mode:
            more = {"color_coherence": "LAB", "max_frames": frames}
            video(tmp_path / str(frames), str(DEVICE), changes | more)
        launched.append(mode.launched)
    assert (launched[1] - launched[0]) / 2 < 420


def check_waits(mode: Pretending, written: int, looks: bool) -> None:
    """Each written image leaves the device by one copy, which only the threads that write wait for."""
    render_thread = threading.current_thread().name
    assert mode.async_copies["down"] == written
    assert mode.waits
    waits = [what for thread, what in mode.waits if thread == render_thread]
    assert all("mask.py" in what or "inpaint.py" in what for what in waits) if looks else not waits


def test_noise_is_made_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def made(*size: int, **values: Any) -> Image:
        threads.append(threading.current_thread().name)
        return mixed_field(*size, **values)

    monkeypatch.setattr(noise_ahead, "mixed_field", made)
    monkeypatch.setattr(noise, "mixed_field", None)
    with pretending(monkeypatch):
        video(tmp_path / "device", str(DEVICE), {})
    assert len(threads) == FRAMES - 1  # the first frame gets none
    assert all(name.startswith("deforum-noise") for name in threads)


def test_an_array_has_its_content_when_its_event_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    image = soft_image(9, 7)
    with pretending(monkeypatch) as mode:
        copy = begin_to_bytes(image.to(DEVICE))
        assert copy.nbytes == 9 * 7 * 3
        assert not mode.waits[1:]
        np.testing.assert_array_equal(copy.array(), to_bytes(image))
    assert mode.waits[-1][1] == "event"


def test_mixing_devices_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretending(monkeypatch), pytest.raises(AssertionError, match="mixes"):
        soft_image(4, 4).to(DEVICE) + torch.zeros(3, 4, 4)


def test_pngs_encoded_on_many_cores_are_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()

    def seen(image: np.ndarray, text: Any) -> bytes:
        threads.add(threading.current_thread().name.rsplit("_", 1)[0])
        return encode_png(image, text)

    monkeypatch.setattr(writer, "encode_png", seen)
    assert [writer.png_threads(cores) for cores in (1, 4, 8, 16, 96)] == [1, 1, 2, 4, 6]
    one = video(tmp_path / "one", "cpu", VIDEOS["depth maps"])
    assert threads == {"deforum-files"}
    monkeypatch.setattr(writer, "png_threads", lambda cores: 3)
    many = video(tmp_path / "many", "cpu", VIDEOS["depth maps"])
    assert threads == {"deforum-files", "deforum-png"}
    assert len(one) == len(many) == 2 * FRAMES
    for image, other in zip(one, many, strict=True):
        np.testing.assert_array_equal(image, other)
