"""Frame interpolation and upscaling, each compared with the plain library calls."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from benchmarks.rows import Row, best_of
from benchmarks.video import moving_frames
from deforum_helpers.image.convert import from_bytes, pixels
from deforum_helpers.models.flow.estimators import dis_medium
from deforum_helpers.models.interpolation.engines import MotionInterpolator
from deforum_helpers.models.interpolation.sequence import similarity
from deforum_helpers.models.upscaling.models import Lanczos

NAME = "postproduction"
BAR = "512x512: one interpolated frame takes at most as long as measuring motion both ways"

SIZE_PX = 512
FRAMES = 4
SLACK = 1.3


def run() -> list[Row]:
    frames = moving_frames()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with torch.no_grad():
        return [*_between(frames), *_larger(frames)]


def _between(frames: list[np.ndarray]) -> list[Row]:
    first, second = (from_bytes(frame) for frame in frames[:2])
    method, interpolator = dis_medium(), MotionInterpolator()
    times = [number / (FRAMES + 1) for number in range(1, FRAMES + 1)]
    measured = best_of(lambda: (method.estimate(first, second), method.estimate(second, first)))
    interpolated = best_of(lambda: list(interpolator.between(first, second, times)))
    return [
        Row("motion, both ways", measured),
        Row("interpolated frame", (interpolated - measured) / FRAMES, measured),
        Row("comparison of two frames", best_of(lambda: similarity(first, second))),
    ]


def _larger(frames: list[np.ndarray]) -> list[Row]:
    image, upscaler = from_bytes(frames[0]), Lanczos(2)
    size = (2 * SIZE_PX, 2 * SIZE_PX)
    plain = best_of(lambda: cv2.resize(pixels(image), size, interpolation=cv2.INTER_LANCZOS4))
    ours = best_of(lambda: upscaler.enlarged(image))
    return [Row("Lanczos x2, plain", plain), Row("Lanczos x2", ours, SLACK * plain)]
