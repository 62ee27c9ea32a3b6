"""Depth network training on rendered images with exact depth."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tools.demo_model.training import Average, Clock, degrade

NEAR_M, FAR_M = 1.5, 20000.0


def log_depth(metres):
    """Metres to 0..1 (larger = farther)."""
    return (metres.float().clamp(NEAR_M, FAR_M) / NEAR_M).log() / math.log(FAR_M / NEAR_M)


def align(y, t):
    """Least-squares scale and shift of y to t per image, both [B, 1, H, W]."""
    y0, t0 = y - y.mean((1, 2, 3), keepdim=True), t - t.mean((1, 2, 3), keepdim=True)
    k = (y0 * t0).mean((1, 2, 3), keepdim=True) / y0.square().mean((1, 2, 3), keepdim=True).add(1e-4)
    return k * y0 + t.mean((1, 2, 3), keepdim=True)


def depth_loss(y, t):
    """Scale-shift-invariant L1, a little absolute L1, gradients over four scales."""
    y = y.float()
    loss, a, b = (align(y, t) - t).abs().mean() + 0.4 * (y - t).abs().mean(), y, t
    for _ in range(4):
        d = a - b
        steps = (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
        loss = loss + 0.5 * steps
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return loss


@torch.no_grad()
def augment(x, vae, rng):
    """Colour jitter, blur, VAE round trips of images [B, 3, H, W] in 0..1; sides multiples of 16."""
    if rng.random() < 0.5:
        x = degrade(x * 2 - 1, rng) / 2 + 0.5
    if rng.random() < 0.5:
        x = vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample.float().clamp(-1, 1) / 2 + 0.5
    hue = torch.empty(len(x), 3, 1, 1, device=x.device).uniform_(0.75, 1.25)
    gamma = torch.empty(len(x), 1, 1, 1, device=x.device).uniform_(0.7, 1.4)
    x = (x * hue).clamp(1e-4, 1) ** gamma
    return x.mean(1, keepdim=True).expand(-1, 3, -1, -1) if rng.random() < 0.1 else x


def pairs(pictures, depths, batch, size, rng):
    """Random images [B, 3, size, size] in 0..1 with their log-depth [B, 1, size, size]."""
    index = torch.randint(len(depths), (batch,), device=pictures.device)
    x = F.interpolate(pictures[index].float() / 255, (size, size), mode="area")
    t = F.interpolate(log_depth(depths[index]), (size, size), mode="bilinear")
    return (x.flip(3), t.flip(3)) if rng.random() < 0.5 else (x, t)


def train(net, pictures, depths, vae, seconds, rng, log=print, batch=64, lr=2e-3, sizes=(256, 320, 320, 384)):
    """Train on uint8 images [N, 3, H, W] and depths [M, 1, h, w] in metres of the first M of them.

    Returns the averaged network in eval mode, its batch statistics taken anew.
    """
    device = pictures.device
    net = net.to(device).to(memory_format=torch.channels_last).train()
    opt = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-3)
    ema, clock, k = Average(net, 0.998), Clock(seconds), 0
    while clock.fraction < 1:
        x, t = pairs(pictures, depths, batch, int(rng.choice(sizes)), rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            y = net(augment(x, vae, rng).contiguous(memory_format=torch.channels_last))
        loss = depth_loss(y, t)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        for group in opt.param_groups:
            group["lr"] = lr * clock.rate()
        opt.step()
        ema.update()
        k += 1
        if k in (1, 50) or k % 250 == 0:
            log(f"depth step {k} loss {loss.item():.4f} {clock.elapsed:.0f} s")
    ema.copy_to(net)
    with torch.no_grad():
        for _ in range(20):
            net(
                pairs(pictures, depths, batch, sizes[0], rng)[0].contiguous(memory_format=torch.channels_last)
            )
    log(f"depth steps {k}")
    return net.eval()
