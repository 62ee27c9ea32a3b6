"""Make the moving thumbnails of the presets: each preset's own camera moves its still.

    python -m tools.preset_thumbnails [--out config/presets]

No model is needed but the built-in depth network.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from PIL import Image as Picture

from deforum_helpers.cancel import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.convert import from_pixels
from deforum_helpers.image.types import Image
from deforum_helpers.job import run_job
from deforum_helpers.own_host import own_facts
from deforum_helpers.prepare import prepare
from deforum_helpers.ui.presets import Preset, preset_settings, presets

SIDE_PX, SHOWN_PX, FRAMES, FPS, QUALITY = 128, 112, 16, 8, 60
PLAIN = {
    "W": SIDE_PX,
    "H": SIDE_PX,
    "max_frames": FRAMES,
    "diffusion_cadence": 1,
    "color_coherence": "None",
    "noise_schedule": "0: (0)",
    "amount_schedule": "0: (0)",
    "depth_algorithm": "Built-in",
    "optical_flow_cadence": "None",
    "noise_source": "new",
    "skip_video_creation": True,
    "add_soundtrack": "None",
    "batch_name": "thumbnail",
}


class Still:
    """An engine that begins with a picture and leaves every other one as it is."""

    name = "still"
    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        import numpy as np

        with Picture.open(path) as opened:
            small = opened.convert("RGB").resize((SIDE_PX, SIDE_PX))
        self._picture = from_pixels(np.asarray(small, dtype=np.float32) / 255.0)

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        """Return the init image, or the picture where there is none."""
        return self._picture if request.init_image is None else request.init_image

    def resting(self) -> AbstractContextManager[None]:
        """Lend nothing: it has no memory of its own."""
        return nullcontext()

    def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
        """Return nothing."""
        return ()


def main() -> int:
    """Make all of them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=presets()[0].path.parent)
    options = parser.parse_args()
    for preset in presets():
        if preset_settings(preset.name)["animation_mode"] == "Interpolation":  # no camera
            continue
        frames = _frames(preset)
        path = options.out / f"{preset.name}.webp"
        first, *others = (frame.resize((SHOWN_PX, SHOWN_PX), Picture.Resampling.LANCZOS) for frame in frames)
        first.save(
            path, save_all=True, append_images=others, duration=1000 // FPS, loop=0, quality=QUALITY, method=6
        )
        print(path, path.stat().st_size, flush=True)
    return 0


def _frames(preset: Preset) -> list[Picture.Image]:
    settings = preset_settings(preset.name) | PLAIN
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(settings, own_facts("null", None, Path(folder)))
        result = run_job(prepared, Still(preset.still), CancelToken(), lambda progress: None)
        paths = sorted(result.outdir.glob("*.png"))[:FRAMES]
        return [Picture.open(path).convert("RGB") for path in paths]


if __name__ == "__main__":
    raise SystemExit(main())
