"""Contact sheets of renders for visual inspection."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tools.demo_model.render import render
from tools.demo_model.scene_parts import SCENES
from tools.demo_model.scenes import collate, sample
from tools.demo_model.world import World


def tile(images, columns, size):
    """Contact sheet of images [N, 3, H, W] in 0..1, each `size` pixels square, in rows of `columns`."""
    images = F.interpolate(images, (size, size), mode="area")
    rows = -(-len(images) // columns)
    out = torch.zeros(rows * columns, 3, size, size)
    out[: len(images)] = images
    grid = out.view(rows, columns, 3, size, size).permute(0, 3, 1, 4, 2)
    pixels = grid.reshape(rows * size, columns * size, 3).clamp(0, 1).numpy()
    return Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))


def renders(seed, wishes, size=384):
    """Renders [N, 3, size, size] of scenes with the given facts pinned (dicts for scenes.sample), on the CPU."""
    rng, world = np.random.default_rng(seed), World("cpu")
    return torch.cat([render(collate([sample(rng, wish)[0]]), world, size, size)[0] for wish in wishes])


def main(arguments=None):
    """One render of every scene, or twelve of one."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("path", type=Path)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--scene", choices=sorted(SCENES), default=None)
    a = p.parse_args(arguments)
    names = [a.scene] * 12 if a.scene else list(SCENES)
    tile(renders(a.seed, [{"scene": n, "style": "photo", "palette": ""} for n in names]), 5, 256).save(a.path)


if __name__ == "__main__":
    main()
