"""The cost of a frame in longer videos (expected: constant) and larger images (expected: linear), without a model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.loop import GivenDepth
from benchmarks.memory import resident_mb
from benchmarks.rows import Row
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.job import Progress, run_job
from deforum_helpers.pipeline.prepare import HostFacts, prepare

NAME = "growth"
BAR = "10,000 frames: the last 1,000 take <= 1.15 of the first, <= 10 MB; 256 to 2048 px: <= 1.25 of linear"
FRAMES, STRETCH = 10_000, 1_000
WARM_UP = 100
SIDES_PX = (256, 512, 1024, 2048)
# Pixels to render at each size, after a few warm-up frames.
PIXELS = 16 * 1024 * 1024
FEWEST = 5
FLAT, LINEAR = 1.15, 1.25
SETTINGS: Mapping[str, Any] = {
    "animation_mode": "3D",
    "translation_z": "0:(2)",
    "color_coherence": "LAB",
    "amount_schedule": "0:(0.1)",
    "diffusion_cadence": 1,
    "seed": 1,
    "legacy_colormatch": False,
}


def run() -> list[Row]:
    """Return rows by video length (processor time, resident memory) and by image size."""
    return [*_length_rows(), *_size_rows()]


def _length_rows() -> list[Row]:
    marks = (WARM_UP, WARM_UP + STRETCH, FRAMES - STRETCH, FRAMES)
    at = _measured(64, FRAMES, marks)
    first, last = (
        1000 * (at[end][0] - at[begin][0]) / STRETCH
        for begin, end in zip(marks[::2], marks[1::2], strict=True)
    )
    return [
        Row(f"64x64, frames {WARM_UP} to {WARM_UP + STRETCH}, per frame", first),
        Row(f"64x64, frames {FRAMES - STRETCH} to {FRAMES}, per frame", last, FLAT * first),
        Row(f"memory, frames {WARM_UP} to {FRAMES}", at[FRAMES][1] - at[WARM_UP][1], 10.0, unit="MB"),
    ]


def _size_rows() -> list[Row]:
    """Return the time per megapixel at each size; the limits come from the previous sizes."""
    times, resident = {}, {}
    for side_px in SIDES_PX:
        frames = max(FEWEST, PIXELS // side_px**2)
        at = _measured(side_px, frames + FEWEST, (FEWEST, frames + FEWEST))
        (started, _), (ended, resident[side_px]) = at[FEWEST], at[frames + FEWEST]
        times[side_px] = 1000 * (ended - started) / (frames * _megapixels(side_px))
    memory = {
        larger: (resident[larger] - resident[side_px]) / (_megapixels(larger) - _megapixels(side_px))
        for side_px, larger in pairwise(SIDES_PX)
    }
    return [
        *(
            Row(f"{side_px}x{side_px}, per megapixel", times[side_px], bar)
            for side_px, bar in zip(SIDES_PX, _bars(times, SIDES_PX), strict=True)
        ),
        *(
            Row(f"{side_px}x{side_px}, memory for each megapixel more", memory[side_px], bar, unit="MB")
            for side_px, bar in zip(SIDES_PX[1:], _bars(memory, SIDES_PX[1:]), strict=True)
        ),
    ]


def _megapixels(side_px: int) -> float:
    return side_px**2 / 1e6


def _bars(measured: Mapping[int, float], sides_px: Sequence[int]) -> list[float | None]:
    """Return a limit for each size: a quarter more than the previous size took; small images cost more per pixel."""
    return [None, *(LINEAR * measured[side_px] for side_px in sides_px[:-1])]


def _measured(side_px: int, frames: int, marks: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Render; return the processor time in seconds and the resident memory in MB at each of the frames."""
    at: dict[int, tuple[float, float]] = {}
    wanted = set(marks)

    def report(progress: Progress) -> None:
        if progress.frame in wanted:
            at.setdefault(progress.frame, (time.process_time(), resident_mb()))

    settings = {**SETTINGS, "W": side_px, "H": side_px, "max_frames": frames}
    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts("benchmark", "null", None, Path(folder), samplers(), schedulers())
        run_job(
            prepare(settings, facts),
            make_engine("null"),
            CancelToken(),
            report,
            estimator=lambda name, device: GivenDepth(),
        )
    return at
