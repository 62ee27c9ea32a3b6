"""Render the pool, train the autoencoder and the depth network on it, store the latents for the second stage."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from deforum_helpers.engines.demo.depth_net import DepthNet
from tools.demo_model import train_depth, train_vae
from tools.demo_model.models import SHIPPED, build_vae, half, load_tokenizer, start_from
from tools.demo_model.pool import BUCKETS, encode_pool, fill_pool, scene_loader
from tools.demo_model.sheet import tile
from tools.demo_model.world import World


def main(arguments=None):
    """Run the stage; writes vae.safetensors, depth.safetensors, latents.pt and pool.jpg into `out`."""
    a = parser().parse_args(arguments)
    begin, device = time.monotonic(), "cuda" if torch.cuda.is_available() else "cpu"

    def log(text):
        print(f"[{time.monotonic() - begin:.0f} s] {text}", flush=True)

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    a.out.mkdir(parents=True, exist_ok=True)
    # the workers fork before anything touches the GPU
    scenes = scene_loader(a.render_batch, a.seed, tuple(range(len(BUCKETS))), a.workers)
    rng, world = np.random.default_rng(a.seed), World(device)
    pool = fill_pool(world, scenes, a.pool_seconds, scale=a.scale, log=log)
    del scenes
    square = pool.pictures[0]
    tile(square[:24].float().cpu() / 255, 6, 256).save(a.out / "pool.jpg", quality=90)
    vae, net = build_vae(), DepthNet()
    if a.start:
        start_from(vae, a.start / "vae" / "diffusion_pytorch_model.safetensors")
        start_from(net, a.start / "depth" / "model.safetensors")
    vae = train_vae.train(
        vae, square, a.vae_seconds, rng, log, a.batch, a.batch // 3, min(256, square.shape[2])
    )
    save_file(half(vae.state_dict()), a.out / "vae.safetensors")
    torch.save(encode_pool(vae, pool, load_tokenizer(a.start or SHIPPED), rng, log=log), a.out / "latents.pt")
    net = train_depth.train(net, square, pool.depths, vae, a.depth_seconds, rng, log, 2 * a.batch)
    save_file(half(net.state_dict()), a.out / "depth.safetensors")


def parser():
    """Options of the stage."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("out", type=Path)
    p.add_argument("--start", type=Path, default=None, help="model folder to continue from")
    p.add_argument("--pool-seconds", type=float, default=130)
    p.add_argument("--vae-seconds", type=float, default=430)
    p.add_argument("--depth-seconds", type=float, default=45)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--render-batch", type=int, default=64)
    p.add_argument("--workers", type=int, default=14)
    p.add_argument("--scale", type=float, default=1.0, help="of the picture sizes")
    p.add_argument("--seed", type=int, default=11)
    return p


if __name__ == "__main__":
    main()
