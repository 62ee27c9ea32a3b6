"""Losses of the autoencoder: differences of images, and the distribution of the latents."""

from __future__ import annotations

import torch.nn.functional as F


def gradient_loss(a, b):
    """L1 of finite differences and Laplacians over three scales: sharp edges without a pretrained network."""
    total = 0.0
    for k in range(3):
        d = a - b
        total = (
            total + (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
        )
        beside = d[..., 1:-1, 2:] + d[..., 1:-1, :-2]
        total = (
            total
            + 0.5 * (4 * d[..., 1:-1, 1:-1] - d[..., 2:, 1:-1] - d[..., :-2, 1:-1] - beside).abs().mean()
        )
        if k < 2:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total


def local_contrast(x):
    """Deviation of the high frequencies in 8x8 windows, [B, 3, H/4, W/4]."""
    high = x - F.avg_pool2d(F.pad(x, (2,) * 4, mode="replicate"), 5, 1)
    return (F.avg_pool2d(high * high, 8, 4) - F.avg_pool2d(high, 8, 4) ** 2).clamp_min(0).add(1e-4).sqrt()


def pyramid_loss(a, b):
    """L1 of the 4x, 16x and 32x reduced images: exact colours and large shapes."""
    total = 0.0
    for k in (4, 4, 2):
        a, b = F.avg_pool2d(a, k), F.avg_pool2d(b, k)
        total = total + (a - b).abs().mean()
    return total


def picture_loss(a, b):
    """Difference of images a and b, both float32 [B, 3, H, W] in -1..1."""
    near = (a - b).abs().mean() + F.mse_loss(a, b) + pyramid_loss(a, b)
    return near + 0.15 * gradient_loss(a, b) + 0.2 * (local_contrast(a) - local_contrast(b)).abs().mean()


def moments_loss(z):
    """Pulls every latent channel to zero mean and unit deviation over the batch."""
    return z.mean((0, 2, 3)).square().mean() + (z.std((0, 2, 3)) - 1).square().mean()
