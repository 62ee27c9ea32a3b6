"""Autoencoder training on rendered images, stable under repeated encoding and decoding, with its losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.models import LATENT
from tools.demo_model.training import Average, Clock, Muon

FACTOR_PX = 16


def crops(pictures, batch, size, rng):
    """Random crops [batch, 3, size, size] in -1..1 of uint8 images [N, 3, H, W], half of the batches mirrored.

    Corners lie on multiples of 16 pixels: the blocks of pixel art keep their place in the latent grid.
    """
    index = torch.randint(len(pictures), (batch,), device=pictures.device)
    y, x = (FACTOR_PX * int(rng.integers(0, (side - size) // FACTOR_PX + 1)) for side in pictures.shape[2:])
    out = pictures[index, :, y : y + size, x : x + size].float() / 127.5 - 1
    return out.flip(3) if rng.random() < 0.5 else out


def cycle(vae, x):
    """One encode and decode round trip."""
    return vae.decode(vae.encode(x).latent_dist.mean).sample


@torch.no_grad()
def cycles_psnr(vae, x, counts=(1, 5, 20)):
    """Mean PSNR (dB, peak 2) of images in -1..1 after the given numbers of round trips."""
    out, y = {}, x
    for k in range(1, max(counts) + 1):
        y = cycle(vae, y).float().clamp(-1, 1)
        if k in counts:
            out[k] = float((10 * torch.log10(4 / (y - x).square().mean((1, 2, 3)))).mean())
    return out


class Step(torch.nn.Module):
    """Loss and images of one batch: reconstruction and latent regularisers."""

    def __init__(self, vae):
        super().__init__()
        self.vae = vae

    def forward(self, source, target, noise):
        """source, target [B, 3, H, W] in -1..1; noise [B, 12, H/16, W/16]."""
        posterior = self.vae.encode(source).latent_dist
        z = posterior.mean.float()
        out = self.vae.decode((z + 0.06 * noise).to(source.dtype)).sample.float()
        variance = (posterior.logvar.float() + 6).square().mean()
        return picture_loss(out, target) + 0.1 * moments_loss(z) + 1e-4 * variance, out


def run_half(step, source, target, noise):
    """Loss and images with weights and activations in bfloat16 on a GPU; gradients reach the float32 weights."""
    if not source.is_cuda:
        return step(source, target, noise)
    weights = {name: p.bfloat16() for name, p in step.named_parameters()}
    return torch.func.functional_call(step, weights, (source.bfloat16(), target, noise.bfloat16()))


class Replay:
    """Crops that went through the autoencoder up to `oldest` times, with their clean originals."""

    def __init__(self, count, size, device, oldest=22):
        self.worn = torch.zeros(count, 3, size, size, device=device, dtype=torch.float16)
        self.clean = torch.zeros_like(self.worn)
        self.age, self.oldest = torch.full((count,), oldest, device=device), oldest

    def draw(self, fresh):
        """Slots, worn inputs and clean targets for len(fresh) crops; used-up slots start again from `fresh`."""
        slots = torch.randperm(len(self.age), device=fresh.device)[: len(fresh)]
        used_up = (self.age[slots] >= self.oldest) | (torch.rand(len(slots), device=fresh.device) < 0.04)
        restart = used_up.view(-1, 1, 1, 1)
        clean = torch.where(restart, fresh, self.clean[slots].float())
        self.clean[slots], self.age[slots] = clean.half(), torch.where(used_up, 0, self.age[slots])
        return slots, torch.where(restart, fresh, self.worn[slots].float()), clean

    def put(self, slots, pictures):
        """Store the autoencoder's outputs in the slots."""
        self.worn[slots] = pictures.detach().clamp(-1, 1).half()
        self.age[slots] += 1


def train(vae, pictures, seconds, rng, log=print, batch=32, worn=10, size=256, lr=1e-2, adam_lr=1.5e-3):
    """Train on uint8 images [N, 3, H, W] for `seconds`; returns the averaged VAE in eval mode.

    Of every `batch` crops `worn` come from the replay; every tenth step sees whole images instead.
    """
    device = pictures.device
    vae = vae.to(device).float().train()
    step, clock = Step(vae), Clock(seconds)
    opt, ema = Muon(vae.named_parameters(), lr, adam_lr), Average(vae, 0.999)
    replay, k, losses = Replay(12 * batch, size, device), 0, []
    while clock.fraction < 1:
        whole = k % 10 == 9
        x = crops(pictures, max(2, batch // 4) if whole else batch, pictures.shape[2] if whole else size, rng)
        slots, old, clean = replay.draw(x[: 0 if whole else worn])
        source, target = torch.cat([old, x[len(old) :]]), torch.cat([clean, x[len(old) :]])
        noise = torch.randn(len(x), LATENT, x.shape[2] // FACTOR_PX, x.shape[3] // FACTOR_PX, device=device)
        loss, out = run_half(step, source, target, noise)
        loss.backward()
        replay.put(slots, out[: len(slots)])
        torch.nn.utils.clip_grad_norm_(opt.adam.param_groups[0]["params"], 1.0)
        opt.step(clock.rate())
        opt.zero()
        ema.update()
        k += 1
        losses = [*losses[-399:], loss.detach()]
        if k in (1, 20, 100) or k % 400 == 0:
            log(f"vae step {k} loss {torch.stack(losses).mean().item():.4f} {clock.elapsed:.0f} s")
    ema.copy_to(vae)
    log(f"vae steps {k}")
    return vae.eval()


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
