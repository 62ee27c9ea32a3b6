"""Checking a video of 100,000 frames: from its settings to the plan and its summary."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import Row
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.pipeline.prepare import HostFacts, prepare

NAME = "plan"
BAR = "100,000 frames checked: 1500 ms of processor time"
FRAMES = 100_000

MATHS = {
    "translation_z": "0: (2*sin(2*3.14*t/40)+3)",
    "translation_x": "0: (10*sin(2*3.14*t/20))",
    "rotation_3d_x": "0: (0), 50: (1), 999: (0)",
    "rotation_3d_y": "0: (0.5*cos(t/30))",
    "strength_schedule": "0: (0.65-0.1*(t%24==0))",
    "noise_schedule": "0: (0.02+0.01*sin(t/9))",
    "cfg_scale_schedule": "0: (7+sin(t/15))",
    "fov_schedule": "0: (70+5*sin(t/100))",
    "contrast_schedule": "0: (1+0.01*sin(t/7))",
    "amount_schedule": "0: (0.1+0.05*sin(t/3))",
    "prompts": {
        str(frame): f"a forest, number {frame} (mist:`0.5+0.5*sin(t/20)`) --neg blurry"
        for frame in range(0, FRAMES, 5000)
    },
}
# Nothing is rendered, so any disk has room for it.
DISK_BYTES = 10**12
VIDEOS: dict[str, dict[str, Any]] = {
    "2D, cadence 1": {"animation_mode": "2D"},
    "2D, cadence 2": {"animation_mode": "2D", "diffusion_cadence": 2},
    "2D, random seeds and perspective flips": {
        "animation_mode": "2D",
        "seed_behavior": "random",
        "enable_perspective_flip": True,
        "perspective_flip_theta": "0: (sin(t/10))",
    },
    "3D, cadence 1, with maths": {"animation_mode": "3D", **MATHS},
    "3D, morphs and stability": {
        "animation_mode": "3D",
        "prompt_transition": "morph",
        "stability_schedule": "0: (0.3)",
        **MATHS,
    },
    "Interpolation": {"animation_mode": "Interpolation", "prompts": MATHS["prompts"]},
}


def run() -> list[Row]:
    """Return one row for each video; the best of three."""
    return [
        Row(f"{FRAMES} frames, {label}", min(_check_ms(changes) for _ in range(3)), 1500.0)
        for label, changes in VIDEOS.items()
    ]


def _check_ms(changes: dict[str, Any]) -> float:
    settings = {"max_frames": FRAMES, "diffusion_cadence": 1, "seed": 5, **changes}
    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts(
            "benchmark",
            "demo",
            None,
            Path(folder),
            samplers(),
            schedulers(),
            free_disk=lambda _: DISK_BYTES,
        )
        began = time.process_time()
        prepare(settings, facts).summary  # noqa: B018 - it counts the steps of all frames
        return (time.process_time() - began) * 1000
