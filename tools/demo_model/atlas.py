"""All drawings in one texture per kind, in three degrees of blur."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F

from tools.demo_model.pen import Pen

CELL_W, CELL_H, VARIANTS, LEVELS = 96, 128, 6, 3


PLANTS = [
    "conifer",
    "snowy_conifer",
    "broadleaf",
    "autumn",
    "blossom",
    "palm",
    "cactus",
    "dead_tree",
    "grass",
    "flowers",
    "house",
    "coral",
    "kelp",
    "mushroom",
    "crystal",
    "rock",
    "reeds",
    "cypress",
    "snowy_house",
    "poppies",
    "lavender",
    "wheat",
    "birch",
    "ice",
]


OBJECTS = [
    "lighthouse",
    "castle",
    "sailboat",
    "balloon",
    "birds",
    "windmill",
    "pagoda",
    "traveler",
    "fish",
    "ufo",
    "jellyfish",
    "tower",
    "ship",
    "whale",
    "lone_tree",
    "cherry_tree",
    "spire",
    "cabin",
    "palm_tree",
]


def build_atlas(names, table, width, height, seed, levels):
    """float32 [1, 5, rows * height, VARIANTS * width]; row = level * len(names) + index (levels: 1x, 3x, 9x blur)."""
    rows = []
    for index, name in enumerate(names):
        cells = []
        for variant in range(VARIANTS):
            pen, rng = Pen(width, height), random.Random(seed * 7919 + index * 101 + variant)
            table[name](pen, rng)
            t = pen.tensor()
            grain = torch.from_numpy(
                np.random.default_rng(seed * 997 + index * 31 + variant)
                .normal(0, 1, (1, 1, *t.shape[1:]))
                .astype(np.float32)
            )
            grain = (grain * 0.5 + F.avg_pool2d(grain, 3, 1, 1) * 1.2)[0]
            t[:3] = (t[:3] * (1 + 0.13 * grain)).clamp(0, 1)
            t[3:, :1] = 0
            t[3:, :, :1] = 0
            t[3:, :, -1:] = 0
            cells.append(t)
        rows.append(torch.cat(cells, 2))
    base, out = torch.stack(rows), []
    for level in range(levels):
        k = 3**level
        if level:
            a = base[:, 3:4]
            pre = torch.cat([base[:, :3] * a, a, base[:, 4:] * a], 1)
            pre = F.avg_pool2d(F.avg_pool2d(pre, k, 1, k // 2), k, 1, k // 2)
            b = pre[:, 3:4]
            lvl = torch.cat([pre[:, :3] / b.clamp_min(1e-3), b, pre[:, 4:] / b.clamp_min(1e-3)], 1)
        else:
            lvl = base
        out.append(lvl)
    full = torch.cat(out)
    return full.permute(1, 0, 2, 3).reshape(1, 5, -1, VARIANTS * width)
