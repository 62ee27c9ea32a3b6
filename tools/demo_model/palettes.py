"""Colour palettes as image filters: RGB [B, 3, H, W] in 0..1 -> the same."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.scene_parts import PALETTES


def luma(x):
    """Luminance [B, 1, H, W]."""
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def blur(x, k):
    """Box blur with replicated border, odd size k."""
    return F.avg_pool2d(F.pad(x, (k // 2,) * 4, mode="replicate"), k, 1)


def saturate(x, k):
    """Colours k times as far from grey."""
    g = luma(x)
    return (g + (x - g) * k).clamp(0, 1)


def colour(x, *rgb):
    """One colour in the shape [1, 3, 1, 1] and on the device of x."""
    return torch.tensor(rgb, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)


def gradient_map(x, dark, mid, light):
    """Luminance mapped over three colours."""
    g = luma(x)
    a, b, c = (colour(x, *v) for v in (dark, mid, light))
    return torch.where(g < 0.5, a + (b - a) * g * 2, b + (c - b) * (g - 0.5) * 2)


TONES = {
    "golden": ((0.12, 0.05, 0.02), (0.80, 0.50, 0.18), (1.0, 0.93, 0.68), 0.5, 1.1),
    "pastel": ((0.42, 0.36, 0.50), (0.84, 0.70, 0.78), (1.0, 0.96, 0.90), 0.6, 0.8),
    "teal and orange": ((0.0, 0.10, 0.15), (0.34, 0.48, 0.50), (1.0, 0.80, 0.56), 0.5, 1.2),
    "crimson": ((0.08, 0.0, 0.02), (0.66, 0.10, 0.13), (1.0, 0.78, 0.66), 0.66, 1.0),
    "violet": ((0.07, 0.02, 0.16), (0.48, 0.28, 0.68), (0.98, 0.84, 1.0), 0.6, 1.0),
    "monochrome": ((0.02, 0.02, 0.02), (0.46, 0.46, 0.46), (0.97, 0.97, 0.97), 1.0, 1.0),
    "emerald": ((0.0, 0.07, 0.05), (0.16, 0.50, 0.36), (0.86, 1.0, 0.82), 0.58, 1.0),
    "sepia": ((0.10, 0.06, 0.03), (0.56, 0.42, 0.28), (0.98, 0.91, 0.76), 0.95, 1.0),
}


def apply_palette(x, index):
    """Grade each image with its palette (index [B])."""
    out = x
    for k, name in enumerate(PALETTES):
        pick = (index == k).view(-1, 1, 1, 1)
        if name == "vivid":
            graded = saturate(x, 1.6)
        elif name in TONES:
            dark, mid, light, amount, sat = TONES[name]
            graded = saturate(x + (gradient_map(x, dark, mid, light) - x) * amount, sat)
        else:
            continue
        out = torch.where(pick, graded, out)
    return out
