"""Textures that all images share."""

from __future__ import annotations

import numpy as np
import torch

from tools.demo_model.atlas import CELL_H, CELL_W, LEVELS, OBJECTS, PLANTS, build_atlas
from tools.demo_model.noise import Noise
from tools.demo_model.objects import OBJECT_DRAW
from tools.demo_model.plants import PLANT_DRAW


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
        self.plants = self.linear(build_atlas(PLANTS, PLANT_DRAW, CELL_W, CELL_H, 1, LEVELS)).to(device)
        self.objects = self.linear(build_atlas(OBJECTS, OBJECT_DRAW, CELL_H, CELL_H, 2, LEVELS)).to(device)

    @staticmethod
    def linear(atlas):
        """The atlas with its colours in linear light."""
        atlas = atlas.clone()
        atlas[:, :3] = atlas[:, :3].clamp(0, 1) ** 2.2
        return atlas
