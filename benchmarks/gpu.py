"""Whole runs on a GPU, from settings to PNG files, with networks of real sizes and random weights.

`python -m benchmarks gpu` runs all of these rows in about eight minutes. Each model is timed with recorded graphs and,
while there is time, with compiled kernels. `--tiny` tries the rows with tiny networks on any machine.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_models, video
from benchmarks.loop import GivenDepth
from benchmarks.rows import Row
from deforum_helpers.core.progress import CancelToken, Progress
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest
from deforum_helpers.engines.diffusion.loading import LoadedModel
from deforum_helpers.engines.memory import AUTO
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.image.types import Depth, Image
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.depth.estimators import DepthEstimator
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import HostFacts, prepare
from deforum_helpers.settings.host_options import VIDEO_ENCODERS

# Set by `--tiny`.
TINY = False
# No model is compiled any more once the rows have taken this long.
COMPILED_UNTIL_S = 330.0
_BEGAN_S = time.monotonic()

COMMON: Mapping[str, Any] = {
    "animation_mode": "3D",
    "translation_z": "0:(2)",
    "rotation_3d_y": "0:(0.3)",
    "depth_algorithm": gpu_models.DEPTH,
    "color_coherence": "LAB",
    "noise_type": "perlin",
    "noise_schedule": "0:(0.04)",
    "amount_schedule": "0:(0.1)",
    "diffusion_cadence": 1,
    "seed": 1,
    "legacy_colormatch": False,
    "skip_video_creation": True,
    "prompts": {"0": "a lighthouse on a cliff --neg fog"},
}
CLASSIC = {"steps": 20, "strength_schedule": "0:(0.65)", "cfg_scale_schedule": "0:(7)", "sampler": "Euler a"}


def device() -> torch.device:
    """Return the device of the rows."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def run_frames(
    engine: Engine,
    settings: Mapping[str, Any],
    estimator: Callable[..., DepthEstimator],
    warm_up: int,
) -> float:
    """Return the milliseconds per frame of a run after its first `warm_up` frames, until all files are written."""
    began_s = 0.0

    def report(progress: Progress) -> None:
        nonlocal began_s
        if progress.frame == warm_up and not began_s:
            if engine.device.type == "cuda":
                torch.cuda.synchronize()
            began_s = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts("benchmark", "null", None, Path(folder), samplers(), schedulers())
        prepared = prepare({**COMMON, **settings}, facts)
        result = run_job(prepared, engine, CancelToken(), report, estimator=estimator)
        return (time.perf_counter() - began_s) * 1000 / (result.frames - warm_up)


@dataclass
class Timed:
    """An engine whose images are timed on the device."""

    engine: Engine
    spans: list[tuple[Any, Any]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        begin = self._now()
        image = self.engine.generate(request, cancel)
        self.spans.append((begin, self._now()))
        return image

    def _now(self) -> Any:
        if self.engine.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def mean_ms(self, first: int) -> float:
        """Return the mean time of the images from number `first` on."""
        spans = self.spans[first:]
        if self.engine.device.type == "cuda":
            torch.cuda.synchronize()
            return sum(begin.elapsed_time(end) for begin, end in spans) / len(spans)
        return sum(end - begin for begin, end in spans) * 1000 / len(spans)


@contextmanager
def compiling(choice: str) -> Iterator[None]:
    before = os.environ.get("DEFORUM_COMPILE")
    os.environ["DEFORUM_COMPILE"] = choice
    try:
        yield
    finally:
        if before is None:
            del os.environ["DEFORUM_COMPILE"]
        else:
            os.environ["DEFORUM_COMPILE"] = before


@dataclass(frozen=True)
class ModelRow:
    """A row of one model.

    Args:
        NAME, BAR: as of a module of a row.
        make: makes the model on a device; tiny if asked.
        settings: beside `COMMON`.
        side_px: side of the frames.
        bar_ms: limit of a frame, or None for information only.
        frames: frames that are timed.
        precision: of the model's weights, one of `memory.PRECISION_CHOICES`.
    """

    NAME: str
    BAR: str
    make: Callable[[torch.device, bool], LoadedModel]
    settings: Mapping[str, Any]
    side_px: int
    bar_ms: float | None
    frames: int = 60
    warm_up: int = 8
    precision: str = AUTO

    def run(self) -> list[Row]:
        """Return for each way of evaluation the time of a frame, and the share of generating."""
        if missing := not_here(self.NAME):
            return missing
        rows: list[Row] = []
        for choice in ("graphs", "always"):
            if choice == "always" and (
                device().type != "cuda" or time.monotonic() - _BEGAN_S > COMPILED_UNTIL_S
            ):
                break
            rows += self._rows(choice)
        return rows

    def _rows(self, choice: str) -> list[Row]:
        side_px, frames, warm_up = (64, 2, 1) if TINY else (self.side_px, self.frames, self.warm_up)
        size = {"W": side_px, "H": side_px, "max_frames": warm_up + frames}
        began = time.perf_counter()
        with compiling(choice):
            engine = Timed(
                gpu_models.engine_with(lambda device: self.make(device, TINY), device(), self.precision)
            )
            ms = run_frames(engine, {**size, **self.settings}, _depth_model, warm_up)
        generating_ms = engine.mean_ms(warm_up)
        total_s = time.perf_counter() - began
        del engine
        if device().type == "cuda":
            torch.cuda.empty_cache()
        label = f"{side_px}x{side_px}, {'recorded' if choice == 'graphs' else 'compiled'}"
        return [
            Row(f"{label}, per frame", ms, None if TINY else self.bar_ms),
            Row(f"{label}, of which generating", generating_ms),
            Row(f"{label}, generating's share", 100 * generating_ms / ms, unit="%"),
            Row(f"{label}, all with loading and warm-up", total_s * 1000),
        ]


def not_here(name: str) -> list[Row]:
    """Return what stands for a row that this machine cannot measure; nothing where it can."""
    if TINY or torch.cuda.is_available():
        return []
    return [Row(f"{name} needs a CUDA GPU; --tiny tries it on any machine", float("nan"))]


def _depth_model(name: str, device: torch.device) -> DepthEstimator:
    return DepthOnDevice() if TINY else gpu_models.depth_model(device)


class DepthOnDevice:
    """The landscape of `GivenDepth`, on the image's device."""

    name = "given"

    def __init__(self) -> None:
        self._given = GivenDepth()
        self._kept: Depth | None = None

    def estimate(self, image: Image) -> Depth:
        if self._kept is None:
            self._kept = self._given.estimate(image).to(image.device)
        return self._kept


@dataclass(frozen=True)
class ChainRow:
    """The row of everything but the networks."""

    NAME: str = "gpu-chain"
    BAR: str = "<= 3 ms per frame of 512x512, all but the networks"

    def run(self) -> list[Row]:
        """Return the time of a frame, with files and without waiting for them."""
        if missing := not_here(self.NAME):
            return missing
        rows = []
        for side_px, bar_ms in ((64, None),) if TINY else ((512, 3.0), (1024, None)):
            frames, warm_up = (6, 2) if TINY else (200, 20)
            size = {"W": side_px, "H": side_px, "max_frames": frames + warm_up}
            engine = make_engine("null", device=str(device()))
            ms = run_frames(engine, size, lambda name, device: DepthOnDevice(), warm_up)
            rows.append(Row(f"{side_px}x{side_px}, per frame with its PNG file", ms, bar_ms))
        return rows


@dataclass(frozen=True)
class VideoRow:
    """The row of NVENC beside x264."""

    NAME: str = "gpu-video"
    BAR: str = "NVENC beside x264 at the same crf and preset: time and size of a frame of 512x512"

    def run(self) -> list[Row]:
        """Return both, with the trial that comes before NVENC."""
        if missing := not_here(self.NAME):
            return missing
        frames = video.moving_frames()[: 5 if TINY else video.FRAMES]
        rows = []
        for encoder in VIDEO_ENCODERS:
            with tempfile.TemporaryDirectory() as folder:
                path, began = Path(folder, "video.mp4"), time.perf_counter()
                found = video.through_the_pipe(find_ffmpeg(None), path, frames, encoder)
                ms = (time.perf_counter() - began) * 1000 / len(frames)
                kilobytes = path.stat().st_size / 1000 / len(frames)
            label = f"{encoder}{', replaced by x264' if found else ''}"
            rows += [Row(f"{label}, per frame", ms), Row(f"{label}, size of a frame", kilobytes, unit="kB")]
        return rows


GPU_ROWS: Mapping[str, ChainRow | ModelRow | VideoRow] = {
    "gpu-chain": ChainRow(),
    "gpu-video": VideoRow(),
    "gpu-turbo": ModelRow(
        "gpu-turbo",
        "<= 3 ms per frame of 512x512: SD-turbo's network, 1 step, no CFG, tiny autoencoder",
        lambda device, tiny: gpu_models.unet_model(gpu_models.TURBO, device, tiny=tiny, small_vae=True),
        {"steps": 1, "strength_schedule": "0:(0)", "cfg_scale_schedule": "0:(1)", "sampler": "Euler a"},
        512,
        3.0,
        frames=200,
    ),
    "gpu-sd15": ModelRow(
        "gpu-sd15",
        "<= 25 ms per frame of 512x512: SD 1.5's network, 7 of 20 steps, CFG",
        lambda device, tiny: gpu_models.unet_model(gpu_models.SD15, device, tiny=tiny, small_vae=False),
        CLASSIC,
        512,
        25.0,
    ),
    "gpu-klein": ModelRow(
        "gpu-klein",
        "<= 150 ms per frame of 512x512: FLUX.2-klein 4B's network, 4 steps",
        lambda device, tiny: gpu_models.klein_model(device, tiny=tiny),
        {"steps": 4, "strength_schedule": "0:(0)", "cfg_scale_schedule": "0:(1)", "sampler": "Euler"},
        512,
        150.0,
        frames=24,
    ),
    "gpu-klein-int8": ModelRow(
        "gpu-klein-int8",
        "gpu-klein with the weights of its blocks in int8: what decoding them costs",
        lambda device, tiny: gpu_models.klein_model(device, tiny=tiny),
        {"steps": 4, "strength_schedule": "0:(0)", "cfg_scale_schedule": "0:(1)", "sampler": "Euler"},
        512,
        None,
        frames=16,
        precision="int8",
    ),
    "gpu-sdxl": ModelRow(
        "gpu-sdxl",
        "<= 170 ms per frame of 1024x1024: SDXL's network, 7 of 20 steps, CFG",
        lambda device, tiny: gpu_models.unet_model(gpu_models.SDXL, device, tiny=tiny, small_vae=False),
        CLASSIC,
        1024,
        170.0,
        frames=24,
    ),
}
