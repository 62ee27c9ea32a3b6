"""Textures that all images share: noise, stars and rain, and all drawings in three degrees of blur."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F

from tools.demo_model.drawings import OBJECT_DRAW, PLANT_DRAW, Pen
from tools.demo_model.noise import Noise

CELL_W, CELL_H, VARIANTS, LEVELS = 96, 128, 6, 3


def build_atlas(table, width, height, seed, levels):
    """float32 [1, 5, rows * height, VARIANTS * width]; row = level * len(table) + index (levels: 1x, 3x, 9x blur)."""
    rows = []
    for index, draw in enumerate(table.values()):
        cells = []
        for variant in range(VARIANTS):
            pen, rng = Pen(width, height), random.Random(seed * 7919 + index * 101 + variant)
            draw(pen, rng)
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


class Tiles:
    """Small wrap-around images in pixel units: stars, snow flakes, rain, paper."""

    def __init__(self, device, seed=3, size=512):
        rng = np.random.default_rng(seed)
        self.size = size
        self.tex = {
            "stars": self.dots(rng, 420, (0.25, 0.62), 5),
            "flakes": self.dots(rng, 260, (0.7, 2.2), 1.5),
            "rain": self.streaks(rng),
        }
        self.tex = {k: torch.from_numpy(v.astype(np.float32)).to(device) for k, v in self.tex.items()}

    def dots(self, rng, n, radius, power):
        """n soft dots of random size and brightness, [size, size] in 0..1."""
        img = np.zeros((self.size, self.size))
        for _ in range(n):
            x, y, r, b = (
                rng.uniform(0, self.size),
                rng.uniform(0, self.size),
                rng.uniform(*radius),
                rng.random() ** power * 0.9 + 0.1,
            )
            k = np.arange(-6, 7)
            xs, ys = int(x) + k, int(y) + k
            g = np.exp(-(((xs - x)[None] ** 2 + (ys - y)[:, None] ** 2) / (2 * r * r)))
            img[np.ix_(ys % self.size, xs % self.size)] += b * g
        return np.clip(img, 0, 1)

    def streaks(self, rng):
        """Slanted streaks, [size, size] in 0..1."""
        img = np.zeros((self.size, self.size))
        for _ in range(900):
            x, y, n, b = (
                rng.integers(self.size),
                rng.integers(self.size),
                rng.integers(14, 40),
                rng.uniform(0.1, 0.5),
            )
            t = np.arange(n)
            img[(y + t) % self.size, (x - t // 5) % self.size] += b * np.sin(np.pi * t / n)
        return np.clip(img, 0, 1)

    def lookup(self, name, offset, H, W):
        """Crop [B, H, W] at per-image offsets (pixels, [B, 1, 1])."""
        off = offset.long()
        y = (torch.arange(H, device=offset.device).view(1, -1, 1) + off) % self.size
        x = (torch.arange(W, device=offset.device).view(1, 1, -1) + off * 3) % self.size
        return self.tex[name][y, x]


class World:
    """Textures that all images share."""

    def __init__(self, device):
        self.device = device
        self.noise, self.tiles = Noise(device), Tiles(device)
        self.plants = self.linear(build_atlas(PLANT_DRAW, CELL_W, CELL_H, 1, LEVELS)).to(device)
        self.objects = self.linear(build_atlas(OBJECT_DRAW, CELL_H, CELL_H, 2, LEVELS)).to(device)

    @staticmethod
    def linear(atlas):
        """The atlas with its colours in linear light."""
        atlas = atlas.clone()
        atlas[:, :3] = atlas[:, :3].clamp(0, 1) ** 2.2
        return atlas
