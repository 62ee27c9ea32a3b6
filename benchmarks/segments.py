"""Segments of one video on 1, 2 and 4 workers: whole jobs with an engine that sleeps, so that cores do not count."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.rows import Row
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.types import Image
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.pipeline.segments import SegmentWorker
from deforum_helpers.pipeline.work_orders import WorkOrder, open_worker

NAME = "segments"
BAR = "per frame at most 1.15 times its sleep, divided by the number of workers"

FRAMES = 48
SLEEP_S = 0.5
SLACK = 1.15
SCENE = 12
SETTINGS: dict[str, dict[str, object]] = {
    "each frame alone": {"animation_mode": "Interpolation"},
    f"cuts every {SCENE} frames": {
        "animation_mode": "2D",
        "diffusion_cadence": 1,
        "prompt_transition": "cut",
        "prompts": {str(frame): f"scene {frame}" for frame in range(0, FRAMES, SCENE)},
    },
}


class SleepingEngine(NullEngine):
    """The engine without a model, which takes its time as a GPU would."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        time.sleep(SLEEP_S)
        return super().generate(request, cancel)


def run() -> list[Row]:
    return [
        Row(
            f"256x256, {label}, {workers} worker{'s' * (workers > 1)}, per frame",
            _per_frame_ms(changes, workers),
            1000 * SLEEP_S * SLACK / workers,
        )
        for label, changes in SETTINGS.items()
        for workers in (1, 2, 4)
    ]


def _per_frame_ms(changes: dict[str, object], workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        facts = own_facts("null", None, Path(folder))
        common = {"W": 256, "H": 256, "max_frames": FRAMES, "seed": 1, "skip_video_creation": True}
        prepared = prepare(common | changes, facts)

        @contextlib.contextmanager
        def more(
            order: WorkOrder, device: torch.device, beat: Callable[[], None]
        ) -> Iterator[Sequence[SegmentWorker]]:
            yield [open_worker(order, facts, SleepingEngine(), beat) for _ in range(workers - 1)]

        began = time.perf_counter()
        run_job(prepared, SleepingEngine(), CancelToken(), lambda progress: None, more_workers=more)
        return (time.perf_counter() - began) * 1000 / FRAMES
