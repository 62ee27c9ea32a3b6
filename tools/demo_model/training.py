"""What the training loops share: time budget, Muon, moving average, and degradation as in a feedback loop."""

from __future__ import annotations

import math
import time

import torch
import torch.nn.functional as F


class Clock:
    """Wall-clock budget: `fraction` runs from 0 to 1."""

    def __init__(self, seconds):
        self.start, self.seconds = time.monotonic(), seconds

    @property
    def elapsed(self):
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def fraction(self):
        """Used share of the budget, at most 1."""
        return min(1.0, self.elapsed / self.seconds)

    def rate(self, warm=0.03, floor=0.02):
        """Learning-rate factor: short warm-up, then cosine."""
        f = self.fraction
        if f < warm:
            return f / warm
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (f - warm) / (1 - warm)))


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration towards the nearest (semi-)orthogonal matrices of g [N, r, c]."""
    x = g.bfloat16() if g.is_cuda else g.float()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon:
    """Muon for weight matrices (convolutions flattened), Adam for everything else and for names in `skip`."""

    def __init__(self, named, lr, adam_lr, momentum=0.95, skip=("conv_in", "conv_out", "embed", "quant")):
        matrices, rest = {}, []
        for name, p in named:
            if p.ndim >= 2 and not any(s in name for s in skip):
                matrices.setdefault((p.shape[0], p[0].numel()), []).append(p)
            else:
                rest.append(p)
        self.groups, self.lr, self.momentum, self.adam_lr = matrices, lr, momentum, adam_lr
        self.buffers = {k: torch.zeros(len(v), *k, device=v[0].device) for k, v in matrices.items()}
        self.adam = torch.optim.AdamW(
            rest, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0, fused=rest[0].is_cuda
        )

    @torch.no_grad()
    def step(self, factor):
        """Move all parameters; `factor` scales both learning rates."""
        for group in self.adam.param_groups:
            group["lr"] = self.adam_lr * factor
        self.adam.step()
        for shape, params in self.groups.items():
            grad = torch.stack([p.grad.reshape(shape).float() for p in params])
            buffer = self.buffers[shape]
            buffer.lerp_(grad, 1 - self.momentum)
            update = orthogonalise(grad.lerp(buffer, self.momentum)) * max(1, shape[0] / shape[1]) ** 0.5
            moves = [u.view_as(p) for u, p in zip(update, params, strict=True)]
            torch._foreach_add_([p.data for p in params], moves, alpha=-self.lr * factor)

    def zero(self):
        """Forget all gradients."""
        self.adam.zero_grad(set_to_none=True)
        for params in self.groups.values():
            for p in params:
                p.grad = None


class Average:
    """Exponential moving average of a model's parameters."""

    def __init__(self, model, decay):
        self.decay, self.count = decay, 0
        self.source = list(model.parameters())
        self.shadow = [p.detach().clone() for p in self.source]

    @torch.no_grad()
    def update(self):
        """Add the current parameters to the average."""
        self.count += 1
        d = min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in self.source], 1 - d)

    @torch.no_grad()
    def copy_to(self, model):
        """Write the average into a model of the same shape."""
        for p, s in zip(model.parameters(), self.shadow, strict=True):
            p.copy_(s)


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
