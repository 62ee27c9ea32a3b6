"""Measure a model folder on the CPU: sizes, round trips, depth, prompt sheets."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from deforum_helpers.engines.demo.depth_net import load_depth_net, predict
from tools.demo_model.models import SHIPPED
from tools.demo_model.render import render
from tools.demo_model.scene_parts import SCENES
from tools.demo_model.scenes import collate, sample
from tools.demo_model.sheet import renders, tile
from tools.demo_model.train_depth import align, log_depth
from tools.demo_model.train_vae import cycles_psnr
from tools.demo_model.world import World

PROMPTS = (
    "mountains at sunset, highly detailed",
    "a lake in autumn, golden hour",
    "city skyline at night",
    "desert dunes with pyramids at noon",
    "enchanted forest, fog, morning",
    "volcano with glowing lava at night",
    "tropical beach with palm trees, sunset",
    "a castle in the mountains, oil painting",
    "alien planet with crystals, purple sky",
    "waterfall, watercolor",
    "coral reef underwater with fish",
    "village in winter, snowing",
    "synthwave mountains, neon grid",
    "lavender field, hot air balloons",
    "lighthouse on a rocky coast, storm",
    "aurora borealis over a snowy landscape",
    "canyon, pixel art",
    "sailboat on the ocean, stained glass",
    "river valley, spring blossom",
    "icebergs, blue hour",
    "meadow, low poly",
    "a pagoda by the lake, ink sketch",
    "desert canyon, teal and orange",
    "rolling hills, rainbow",
)


def load_pipeline(folder):
    """The folder as a plain diffusers pipeline, float32."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn(pipe, prompts, seed, steps=16, cfg=5.0, size=512):
    """Generated images [N, 3, size, size] in 0..1, one at a time, with ascending seeds."""
    out = []
    for k, prompt in enumerate(prompts):
        noise = torch.Generator().manual_seed(seed + k)
        options = {"num_inference_steps": steps, "guidance_scale": cfg, "height": size, "width": size}
        out.append(pipe(prompt, generator=noise, output_type="pt", **options).images)
    return torch.cat(out).float()


def sizes_mb(folder):
    """Megabytes of every weight file."""
    return {p.parent.name: p.stat().st_size / 1e6 for p in sorted(Path(folder).rglob("*.safetensors"))}


def depth_errors(net, size=384, seed=4321):
    """{scene: mean absolute error of log-depth 0..1 after scale and shift} on one fresh render per scene."""
    rng, world, out = np.random.default_rng(seed), World("cpu"), {}
    for name in SCENES:
        params, _ = sample(rng, {"scene": name, "style": "photo", "palette": ""})
        rgb, metres, _ = render(collate([params]), world, size, size)
        truth = log_depth(metres)
        out[name] = float((align(predict(net, rgb[0])[None, None], truth) - truth).abs().mean())
    return out


def main(arguments=None):
    """Print the measures and save one prompt sheet per seed."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("out", type=Path, help="folder for the sheets")
    p.add_argument("--model", type=Path, default=SHIPPED)
    p.add_argument("--seeds", type=int, nargs="*", default=[0])
    a = p.parse_args(arguments)
    sizes = sizes_mb(a.model)
    print("MB", {k: round(v, 2) for k, v in sizes.items()}, "in all", round(sum(sizes.values()), 2))
    pipe = load_pipeline(a.model)
    fresh = renders(99, [{}] * 12, 512) * 2 - 1
    print("dB after round trips", {k: round(v, 2) for k, v in cycles_psnr(pipe.vae, fresh).items()})
    errors = depth_errors(load_depth_net(a.model / "depth"))
    print("depth error, mean", round(float(np.mean(list(errors.values()))), 4), errors)
    a.out.mkdir(parents=True, exist_ok=True)
    for seed in a.seeds:
        tile(drawn(pipe, PROMPTS, seed), 6, 256).save(a.out / f"prompts_{seed}.png")


if __name__ == "__main__":
    main()
