"""The degradation of images by a feedback loop of img2img, as an augmentation."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def spread(x, low, high):
    """One random number in low..high per image, [B, 1, 1, 1]."""
    return torch.empty(len(x), 1, 1, 1, device=x.device).uniform_(low, high)


def zoomed(x, factor):
    """Images zoomed by factor [B, 1, 1, 1] about their centres, bicubic."""
    theta = torch.zeros(len(x), 2, 3, device=x.device)
    theta[:, 0, 0], theta[:, 1, 1] = factor.view(-1), factor.view(-1)
    grid = F.affine_grid(theta, x.shape, align_corners=False)
    return F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def degrade(x, rng):
    """Soften, shift and disturb images [B, 3, H, W] in -1..1; `rng` is a numpy Generator."""
    zoom = spread(x, 0.97, 1.03)
    for _ in range(int(rng.integers(1, 4))):
        x = zoomed(zoomed(x, zoom), 1 / zoom)
    small = F.interpolate(x, scale_factor=0.5, mode="area")
    x = torch.lerp(x, F.interpolate(small, x.shape[2:], mode="bicubic"), spread(x, 0, 0.9))
    grey = x.mean(1, keepdim=True)
    x = torch.lerp(grey, x, spread(x, 0.82, 1.25)) * spread(x, 0.85, 1.2) + spread(x, -0.1, 0.1)
    return (x + torch.randn_like(x) * spread(x, 0, 0.08)).clamp(-1, 1)
