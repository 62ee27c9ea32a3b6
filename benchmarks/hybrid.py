"""Motion of a video, warping by flow, mask expressions, frame extraction: each compared with the plain library call."""

from __future__ import annotations

import subprocess
import tempfile
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.rows import Row, best_of
from benchmarks.video import FPS, moving_frames
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image import mask as masks
from deforum_helpers.image.convert import from_bytes, pixels
from deforum_helpers.media.extraction import Selection, extract_frames, inspect_video
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.flow.estimators import dis_medium
from deforum_helpers.models.flow.warp import moved_along, pixel_places
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.schedule.mask_grammar import parse_mask

NAME = "hybrid"
BAR = "512x512: at most 1.3 of the plain OpenCV or ffmpeg call"

SIZE_PX = 512
SLACK = 1.3
REPEATS = 15


def run() -> list[Row]:
    frames = moving_frames()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with torch.no_grad():
        return [*_flow(frames), *_cadence(frames), *_masks(), *_extraction(frames)]


def _compared(label: str, plain: float, ours: float) -> list[Row]:
    return [Row(f"{label}, plain", plain), Row(label, ours, SLACK * plain)]


def _flow(frames: list[np.ndarray]) -> list[Row]:
    """DIS flow between two frames of a video, and a frame warped by it."""
    source, target = (from_bytes(frame) for frame in frames[:2])
    method = dis_medium()
    columns, rows = pixel_places(SIZE_PX, SIZE_PX)

    def plain() -> None:
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames[:2]]
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = dis.calc(gray[0], gray[1], None)
        x, y = columns - flow[..., 0], rows - flow[..., 1]
        cv2.remap(pixels(source), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def ours() -> None:
        moved_along(source, method.estimate(source, target))

    return _compared(
        "motion by DIS Medium and a frame moved", best_of(plain, REPEATS), best_of(ours, REPEATS)
    )


def _cadence(frames: list[np.ndarray]) -> list[Row]:
    """One in-between frame: two images warped by a flow and blended."""
    old, new = (from_bytes(frame) for frame in (frames[0], frames[8]))
    flow = dis_medium().estimate(old, new)
    columns, rows = pixel_places(SIZE_PX, SIZE_PX)
    x, y = (np.ascontiguousarray(along) for along in flow.numpy())

    def plain() -> None:
        moved = [
            cv2.remap(
                pixels(image),
                cv2.scaleAdd(x, -share, columns),
                cv2.scaleAdd(y, -share, rows),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            for image, share in ((old, 0.25), (new, -0.75))
        ]
        cv2.addWeighted(moved[0], 0.75, moved[1], 0.25, 0)

    def ours() -> None:
        torch.lerp(moved_along(old, flow, 0.25), moved_along(new, flow, -0.75), 0.25)

    return _compared("an in-between frame along a flow", best_of(plain, REPEATS), best_of(ours, REPEATS))


def _masks() -> list[Row]:
    random = np.random.default_rng(0)
    names = ("init_mask", "video_mask", "human_mask")
    planes = {name: random.random((SIZE_PX, SIZE_PX), np.float32) for name in names}
    tensors = {name: torch.from_numpy(plane) for name, plane in planes.items()}
    expression = parse_mask("!{init_mask} & ({video_mask} | {human_mask})", "mask_schedule")

    def plain() -> None:
        either = cv2.max(planes["video_mask"], planes["human_mask"])
        cv2.min(cv2.subtract(1.0, planes["init_mask"]), either)

    def ours() -> None:
        expression.value(lambda leaf: tensors[leaf.text], masks.inverse, masks.PAIRS)

    return _compared("three masks put together", best_of(plain, REPEATS), best_of(ours, REPEATS))


def _extraction(frames: list[np.ndarray]) -> list[Row]:
    ffmpeg, number = find_ffmpeg(None), count()
    with tempfile.TemporaryDirectory() as root:
        video = Path(root, "film.mp4")
        with VideoWriter(video, width=SIZE_PX, height=SIZE_PX, fps=FPS, ffmpeg=ffmpeg) as writer:
            for frame in frames:
                writer.write(frame)
        footage = inspect_video(video, setting="video_init_path")

        def plain() -> None:
            folder = Path(root, f"plain{next(number)}")
            folder.mkdir()
            quality = ["-c:v", "mjpeg", "-qmin", "1", "-q:v", "1", "-pix_fmt", "yuvj444p"]
            command = [ffmpeg, "-loglevel", "error", "-nostdin", "-i", str(video), *quality]
            subprocess.run([*command, str(folder / "%09d.jpg")], check=True)

        def ours() -> None:
            extract_frames(footage, Path(root, f"ours{next(number)}"), Selection(), CancelToken())

        alone, taken = best_of(plain, 3), best_of(ours, 3)
    return _compared("a frame extracted", alone / len(frames), taken / len(frames))
