"""Periodic gradient noise and a hash, used by all irregular textures and shapes."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tools.demo_model.fused import Fused

PERIOD = 32  # noise features per texture period


SIZE = 1024  # texels per period


def smoothstep(a, b, x):
    """Cubic step from 0 at `a` to 1 at `b` (a, b: numbers or broadcastable tensors)."""
    t = ((x - a) / (b - a)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def hash01(a, b, c):
    """Cheap hash of three tensors to [0, 1)."""
    v = torch.sin(a * 127.1 + b * 311.7 + c * 74.7) * 43758.5453
    return v - torch.floor(v)


def perlin_texture(seed):
    """Tileable Perlin noise, float32 [SIZE, SIZE], roughly in [-1, 1]."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (PERIOD, PERIOD))
    gx, gy = np.cos(angle), np.sin(angle)
    t = np.arange(SIZE) * PERIOD / SIZE
    i, f = t.astype(int), t - t.astype(int)
    fade = f**3 * (f * (f * 6 - 15) + 10)
    total = np.zeros((SIZE, SIZE))
    for dy in (0, 1):
        for dx in (0, 1):
            a = gx[np.ix_((i + dy) % PERIOD, (i + dx) % PERIOD)]
            b = gy[np.ix_((i + dy) % PERIOD, (i + dx) % PERIOD)]
            wy, wx = (fade if dy else 1 - fade), (fade if dx else 1 - fade)
            total += wy[:, None] * wx[None] * (a * (f - dx)[None] + b * (f - dy)[:, None])
    return (total * 1.45).astype(np.float32)


class Noise:
    """Callable 2-D noise: `noise(x, y)` with coordinates in features, any equal shapes.

    On a GPU the kernels of `fused` are used; with `fused` None, the formulas here. Both agree.
    """

    def __init__(self, device, seed=7):
        tex = torch.from_numpy(perlin_texture(seed))
        self.fused = Fused(tex.to(device)) if str(device).startswith("cuda") else None
        self.tex = F.pad(tex[None, None], (1, 1, 1, 1), mode="circular").to(device)

    def __call__(self, x, y):
        """Value in about [-1, 1], same shape as x."""
        if self.fused:
            return self.fused.fbm(x, y, 1, 1.0, 1.0)
        x, y = torch.broadcast_tensors(x, y)
        k = SIZE / PERIOD
        u, v = (x * k) % SIZE, (y * k) % SIZE
        scale = 2.0 / (SIZE + 2)
        grid = torch.stack([(u + 1.5) * scale - 1, (v + 1.5) * scale - 1], -1)
        out = F.grid_sample(
            self.tex,
            grid.reshape(1, -1, x.shape[-1], 2),
            mode="bilinear",
            padding_mode="border",
            align_corners=False,
        )
        return out.reshape(x.shape)

    def fbm(self, x, y, octaves, gain=0.5):
        """Fractal sum of `octaves`, about [-1, 1]."""
        if self.fused:
            return self.fused.fbm(x, y, octaves, gain)
        total, amp, norm = 0.0, 1.0, 0.0
        for k in range(octaves):
            total = total + amp * self(x + 17.3 * k, y - 9.1 * k)
            norm += amp
            amp *= gain
            x, y = 1.62 * x + 1.21 * y, -1.21 * x + 1.62 * y
        return total / norm * 1.5
