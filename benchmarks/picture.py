"""Coherence of videos: clips of known motion by the built-in model, in several variants.

`python -m benchmarks.picture --variants iter,inverted --clips zoom --frames 24 --out FOLDER` measures some, and saves
a video and a contact sheet of each clip.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.picture_measures import Frame, Pair, burn, coherence, psnr, pulse, sharpness
from benchmarks.rows import Row
from benchmarks.scenes import FOV_DEG, KnownDepth, forest, poses_of, revealed_ratio, scene_pairs
from deforum_helpers.camera.projection import inverse, sampling_maps_2d
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import Engine, GenerateRequest
from deforum_helpers.engines.names import samplers, schedulers
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.types import Depth
from deforum_helpers.image.warp import warp_2d
from deforum_helpers.models.depth.estimators import make_estimator
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import HostFacts, Prepared, prepare
from deforum_helpers.render.moves import Move2D

NAME = "picture"
BAR = "best: error <= 0.3 of iter's, flicker <= 0.9, motion 0.9 to 1.1, miss <= 2 px, pulse <= 0.03"
FRAMES = 48
SHEET_COLUMNS = 8
PROMPT = "a river valley between mountains, golden hour, highly detailed"

COMMON: Mapping[str, Any] = {
    "W": 512,
    "H": 512,
    "seed": 7,
    "sampler": "DPM++ 2M",
    "steps": 16,
    "animation_mode": "2D",
    "border": "replicate",
    "prompts": {"0": PROMPT},
    "strength_schedule": "0: (0.55)",
    "cfg_scale_schedule": "0: (5)",
    "noise_schedule": "0: (0)",
    "amount_schedule": "0: (0)",
    "color_coherence": "None",
    "zoom": "0: (1)",
    "fps": 12,
}
CLIPS: Mapping[str, Mapping[str, Any]] = {
    "zoom": {"zoom": "0: (1.012)"},
    "pan": {"translation_x": "0: (4)"},
}
# Through a forest whose depth is known: a flight, and a pan there and back again, in units of the settings a frame. The
# model has never seen such a forest and repaints it within some frames; the others begin with an image of its own.
SCENE_CLIPS: Mapping[str, Mapping[str, float]] = {
    "flight": {"translation_z": 4.0, "translation_x": 1.0},
    "return": {"translation_x": 5.0},
    "flight_own": {"translation_z": 4.0, "translation_x": 1.0},
    "return_own": {"translation_x": 5.0},
}
DEPTH_MODEL = "Built-in"
SEEN_IN_3D: Mapping[str, Any] = {
    "animation_mode": "3D",
    "fov_schedule": f"0: ({FOV_DEG:g})",
    "depth_algorithm": DEPTH_MODEL,
}
SCENE: Mapping[str, Any] = {
    **SEEN_IN_3D,
    "use_init": True,
    "strength": 1.0,
    "prompts": {"0": "a forest at sunset, highly detailed"},
}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "iter": {"seed_behavior": "iter"},
    "fixed": {"seed_behavior": "fixed"},
    "inverted": {"noise_source": "inverted"},
    "best": {
        "noise_source": "inverted",
        "autoencoder_correction": True,
        "stability_schedule": "0: (0.5)",
        "cadence_blend": "sharp",
        "depth_warp": "exact",
    },
    "memory": {
        "noise_source": "inverted",
        "autoencoder_correction": True,
        "stability_schedule": "0: (0.5)",
        "cadence_blend": "sharp",
        "depth_warp": "exact",
        "scene_memory": True,
    },
}
NO_CHANGES: Mapping[str, Any] = {}
MEASURES = (
    "error",
    "flicker",
    "motion",
    "miss_px",
    "sharp",
    "pulse",
    "burn",
    "revealed",
    "return",
    "s/frame",
)


@dataclass(frozen=True)
class Clip:
    """One rendered clip and its measures."""

    frames: tuple[Frame, ...]
    measures: Mapping[str, float]


def run() -> list[Row]:
    """Print all measures of all variants; return those that have a limit."""
    with tempfile.TemporaryDirectory() as folder:
        compare(tuple(VARIANTS), (*CLIPS, *SCENE_CLIPS), (1, 2), FRAMES, Path(folder))
    return []


def compare(
    variants: Sequence[str],
    clips: Sequence[str],
    cadences: Sequence[int],
    frames: int,
    out: Path,
    changes: Mapping[str, Any] = NO_CHANGES,
    engine_name: str = "demo",
) -> dict[tuple[str, int, str], Clip]:
    """Render and measure each clip with each variant; print one table per clip.

    Args:
        variants, clips: names of `VARIANTS`, and of `CLIPS` and `SCENE_CLIPS`.
        cadences: values of diffusion_cadence.
        frames: length of a clip.
        out: folder for a video and a contact sheet of each clip.
        changes: settings for all variants.
        engine_name: "null" shows the effect of the camera alone.
    """
    engine = make_engine(engine_name)
    fresh = text_to_image(engine, 4, (int(changes.get("W", COMMON["W"])), int(changes.get("H", COMMON["H"]))))
    made: dict[tuple[str, int, str], Clip] = {}
    for clip in clips:
        for cadence in cadences:
            print(f"\n{clip}, cadence {cadence}, {frames} frames\n{'':14}" + _cells(MEASURES), flush=True)
            for variant in variants:
                settings = {**COMMON, **clip_settings(clip, frames), **VARIANTS[variant], **changes}
                settings |= {"max_frames": frames, "diffusion_cadence": cadence}
                result = render(settings, engine, fresh, out, f"{clip}-{cadence}-{variant}")
                made[clip, cadence, variant] = result
                numbers = [f"{result.measures[name]:.3g}" for name in MEASURES]
                print(f"  {variant:12}" + _cells(numbers), flush=True)
    return made


def render(settings: Mapping[str, Any], engine: Engine, fresh: Sequence[Frame], out: Path, name: str) -> Clip:
    """Render and measure one clip; save its video and its contact sheet as `name`."""
    scene = forest(int(settings["H"])) if settings.get("use_init") else None
    truth: list[tuple[Frame, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        facts = HostFacts("benchmark", "demo", None, Path(folder), samplers(), schedulers())
        if scene is not None:
            write_frame(Path(folder) / "scene.png", scene.view(np.eye(4))[0])
            settings = {**settings, "init_image": str(Path(folder) / "scene.png")}
        prepared = prepare(settings, facts)
        if scene is not None:
            truth = [scene.view(pose) for pose in poses_of(prepared.plan.moves)]

        def known(name: str, device: torch.device, **share: Any) -> KnownDepth:
            return KnownDepth([depth for _, depth in truth])

        began = time.perf_counter()
        result = run_job(
            prepared,
            engine,
            CancelToken(),
            lambda progress: None,
            estimator=make_estimator if scene is None else known,
        )
        seconds = (time.perf_counter() - began) / result.frames
        paths = sorted(result.outdir.glob(f"{result.timestring}_[0-9]*.png"))
        frames = tuple(read_frame(path) for path in paths)
        if result.video is not None:
            shutil.copy(result.video, out / f"{name}{result.video.suffix}")
    write_frame(out / f"{name}.png", contact_sheet(frames))
    of_scene: dict[str, float] = {"revealed": math.nan, "return": math.nan}
    if settings["animation_mode"] == "2D":
        pairs = planned_pairs(frames, prepared)
    else:
        depths = [depth for _, depth in truth] or _estimated(frames)
        pairs, sights = scene_pairs(frames, depths, poses_of(prepared.plan.moves))
        if truth:
            of_scene["revealed"] = revealed_ratio(frames, [view for view, _ in truth], pairs, sights)
        of_scene["return"] = psnr(frames[-1], frames[0])
    fit = coherence(pairs)
    measures = {
        **of_scene,
        "error": fit.error,
        "flicker": fit.flicker,
        "motion": fit.motion,
        "miss_px": fit.miss_px,
        "sharp": float(np.mean([sharpness(frame) for frame in frames])),
        "pulse": pulse(frames),
        "burn": burn(frames, fresh).worst,
        "s/frame": seconds,
    }
    return Clip(frames, measures)


def clip_settings(clip: str, frames: int) -> Mapping[str, Any]:
    """Return the camera settings of a clip; the pan turns back in its middle and ends at its start."""
    if clip in CLIPS:
        return CLIPS[clip]
    moves = {name: f"0: ({speed:g})" for name, speed in SCENE_CLIPS[clip].items()}
    if clip.startswith("return"):
        there = (frames - 1) // 2
        x = SCENE_CLIPS[clip]["translation_x"]
        ends = f"{2 * there}: ({-x:g}), {2 * there + 1}: (0)"
        moves["translation_x"] = f"0: ({x:g}), {there}: ({x:g}), {there + 1}: ({-x:g}), {ends}"
    seen = SEEN_IN_3D if clip.endswith("_own") else SCENE
    return {**seen, **moves, "translation_z": moves.get("translation_z", "0: (0)")}


def _estimated(frames: Sequence[Frame]) -> list[Depth]:
    """Return estimated depth for frames whose true depth is unknown, by the model that the camera uses."""
    estimator = make_estimator(DEPTH_MODEL, torch.device("cpu"))
    return [estimator.estimate(from_bytes(frame)) for frame in frames]


def planned_pairs(frames: Sequence[Frame], prepared: Prepared) -> list[Pair]:
    """Return each frame with the previous one and the planned motion between them, for 2D moves."""
    pairs = []
    for index in range(1, len(frames)):
        move = prepared.plan.moves[index]
        assert isinstance(move, Move2D), "only 2D clips have a motion that is known without depth"
        before, after = frames[index - 1], frames[index]
        moved = warp_2d(from_bytes(before), move.dst_from_src, "replicate")
        pairs.append(
            Pair(before, after, to_float(moved), *flat_motion(move, before.shape[1], before.shape[0]))
        )
    return pairs


def flat_motion(move: Move2D, width_px: int, height_px: int) -> tuple[Any, Any]:
    """Return the visible part of the previous frame after a 2D move, and the flow of the previous frame."""
    map_x, map_y = sampling_maps_2d((width_px, height_px), inverse(move.dst_from_src))
    seen = (map_x >= 0) & (map_x <= width_px - 1) & (map_y >= 0) & (map_y <= height_px - 1)
    to_x, to_y = sampling_maps_2d((width_px, height_px), move.dst_from_src)
    rows, columns = np.mgrid[:height_px, :width_px].astype(np.float32)
    return seen, np.stack([to_x - columns, to_y - rows]).astype(np.float32)


def to_float(image: Any) -> Any:
    """Return an image tensor (3, H, W) 0..1 as (H, W, 3) float32 in 8-bit levels."""
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy() * np.float32(255))


def text_to_image(engine: Engine, count: int, size_px: tuple[int, int]) -> tuple[Frame, ...]:
    """Return frames generated from the clips' prompt and noise alone."""
    request = GenerateRequest(
        prompt=PROMPT,
        negative_prompt="",
        width_px=size_px[0],
        height_px=size_px[1],
        seed=0,
        steps=COMMON["steps"],
        cfg_scale=5.0,
        sampler=COMMON["sampler"],
    )
    cancel = CancelToken()
    return tuple(
        to_bytes(engine.generate(replace(request, seed=seed), cancel)) for seed in range(100, 100 + count)
    )


def contact_sheet(frames: Sequence[Frame], columns: int = SHEET_COLUMNS) -> Frame:
    """Return the frames at half size, in rows."""
    small = [frame[::2, ::2] for frame in frames]
    small += [np.zeros_like(small[0])] * (-len(small) % columns)
    rows = [np.concatenate(small[i : i + columns], 1) for i in range(0, len(small), columns)]
    return np.concatenate(rows, 0)


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"{text:>9}" for text in texts)


def main() -> int:
    """Run the command line: render and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.picture", description=__doc__)
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--clips", default=",".join((*CLIPS, *SCENE_CLIPS)))
    parser.add_argument("--cadences", default="1,2")
    parser.add_argument("--set", action="append", default=[], metavar="name=value", help="of all variants")
    parser.add_argument("--engine", default="demo", help="null shows what the camera alone does")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--out", type=Path, default=Path("outputs") / "picture")
    flags = parser.parse_args()
    flags.out.mkdir(parents=True, exist_ok=True)
    changes = dict(text.split("=", 1) for text in flags.set)
    cadences = [int(text) for text in flags.cadences.split(",")]
    variants, clips = flags.variants.split(","), flags.clips.split(",")
    compare(variants, clips, cadences, flags.frames, flags.out, changes, flags.engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
