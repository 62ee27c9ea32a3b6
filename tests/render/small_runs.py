"""Small videos for the tests of the loop: settings on top of classic's, an engine of fixed noise, the host."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.pipeline.prepare import HostFacts, Prepared, prepare

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {
    "W": 64,
    "H": 64,
    "max_frames": 5,
    "seed": 1,
    "steps": 4,
    "diffusion_cadence": 1,
    "sampler": "Euler a",
    "legacy_colormatch": False,
    "depth_algorithm": "Plane",
    "prompts": {"0": "a lighthouse on a cliff", "3": "a harbour at dawn --neg fog"},
}


def host(output_root: Path, **changes: Any) -> HostFacts:
    facts = {
        "name": "test",
        "engine": "null",
        "model": None,
        "output_root": output_root,
        "samplers": samplers(),
        "schedulers": schedulers(),
        "checkpoints": ("a", "b"),
    }
    return HostFacts(**(facts | changes))


def prepared(output_root: Path, overrides: dict[str, Any] | None = None, **changes: Any) -> Prepared:
    return prepare(SMALL | changes, host(output_root), overrides, draw_seed=lambda: 1234)


def golden_traces() -> dict[str, Any]:
    return json.loads((GOLDEN / "traces.json").read_text(encoding="utf-8"))


class NoisyEngine:
    """Generates an image of random pixels that depends on the request's seed and, a little, on its init image."""

    name = "noisy"
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.requests: list[GenerateRequest] = []

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        cancel.check_cancel()
        self.requests.append(request)
        random = np.random.default_rng(request.seed)
        pixels = random.integers(0, 256, (request.height_px, request.width_px, 3), np.uint8)
        image = from_bytes(pixels, self.device)
        if request.init_image is not None:
            image = torch.lerp(request.init_image, image, request.denoising_strength * 0.5)
        return image

    def resting(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        return ()


def frame_files(outdir: Path) -> Iterator[Path]:
    return (path for path in sorted(outdir.glob("*_?????????.png")) if "depth" not in path.name)
