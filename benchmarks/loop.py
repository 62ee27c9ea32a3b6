"""The whole frame loop, with models that cost nothing: files, video and all image operations."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.rows import Row
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import HostFacts, prepare

BARS_MS = {512: 40.0, 1024: 170.0}
# The encoder looks 50 frames ahead, so a shorter video would measure its shutdown.
FRAMES = {512: 120, 1024: 60}


class GivenDepth:
    """A precomputed hilly landscape, the same for every image."""

    name = "given"

    def __init__(self) -> None:
        self._depths: dict[tuple[int, int], Depth] = {}

    def estimate(self, image: Image) -> Depth:
        height, width = image.shape[1:]
        if (height, width) not in self._depths:
            y, x = np.mgrid[0:height, 0:width] / height
            hills = 1.5 + 0.4 * np.sin(6 * x) * np.cos(4 * y) - 0.3 * y
            self._depths[height, width] = torch.from_numpy(hills.astype(np.float32))
        return self._depths[height, width]


def rows(size: int) -> list[Row]:
    """Return two rows for each cadence: wall time, and processor time of one thread; the limit is that of cadence 1.

    The second row, which has the limit, is the processor time of all threads of this process. The encoder is a
    separate process and alone takes about 48 ms of processor time for a frame of 512x512 at its preset
    "slow": on two cores the wall time cannot be less than half the sum of both.
    """
    return [row for cadence in (1, 2, 4) for row in _rows(size, cadence)]


def _rows(size: int, cadence: int) -> list[Row]:
    settings = {
        "W": size,
        "H": size,
        "max_frames": FRAMES[size],
        "animation_mode": "3D",
        "translation_z": "0:(2)",
        "rotation_3d_y": "0:(0.3)",
        "color_coherence": "LAB",
        "noise_type": "perlin",
        "noise_schedule": "0:(0.04)",
        "amount_schedule": "0:(0.1)",
        "diffusion_cadence": cadence,
        "seed": 1,
        "legacy_colormatch": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts("benchmark", "null", None, Path(folder), samplers(), schedulers())
        prepared = prepare(settings, facts)
        engine = make_engine("null")
        engine.generate(prepared.plan.key_frames[0].request, CancelToken())  # its chart is made once
        began, worked = time.perf_counter(), time.process_time()
        result = run_job(
            prepared,
            engine,
            CancelToken(),
            lambda progress: None,
            estimator=lambda name, device: GivenDepth(),
        )
        wall_ms = (time.perf_counter() - began) * 1000 / result.frames
        work_ms = (time.process_time() - worked) * 1000 / result.frames
    label = f"{size}x{size}, cadence {cadence}, per frame"
    return [
        Row(f"{label}, wall beside the encoder", wall_ms),
        Row(f"{label}, one thread without encoder", work_ms, BARS_MS[size]),
    ]
