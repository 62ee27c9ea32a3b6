"""Train UNet and text encoder together on the latents of the first stage: v-prediction, min-SNR weights, Muon."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tools.demo_model.models import (
    SHIPPED,
    alphas_cumprod,
    build_text_encoder,
    build_unet,
    half,
    load_tokenizer,
    start_from,
    tokenize,
)
from tools.demo_model.pool import BUCKET_SHARES
from tools.demo_model.training import Average, Clock, Muon

WORN_SHARE, DROP_SHARE = 0.15, 0.1
WORN_TIMES = (200, 700)


def rate(f):
    """Learning-rate factor at training fraction f: warm-up, plateau, linear decay from 45 %."""
    if f < 0.01:
        return f / 0.01
    return 1.0 if f < 0.45 else max(0.01, (1 - f) / 0.55)


class Objective(torch.nn.Module):
    """v-prediction loss of UNet and text encoder for one batch."""

    def __init__(self, unet, text, empty):
        """empty: int64 [77], the tokens of the empty prompt."""
        super().__init__()
        self.unet, self.text = unet, text
        self.register_buffer("abar", alphas_cumprod().float())
        self.register_buffer("empty", empty)

    def forward(self, z_in, z_clean, tokens, t, noise, drop):
        """z_in, z_clean, noise [B, 12, h, w]; tokens [B, 77]; t [B] int64; drop [B] bool."""
        tokens = torch.where(drop[:, None], self.empty[None], tokens.long())
        context = self.text(tokens).last_hidden_state
        a, s = (v.sqrt().view(-1, 1, 1, 1) for v in (self.abar[t], 1 - self.abar[t]))
        x = (a * z_in + s * noise).contiguous(memory_format=torch.channels_last)
        target = (a * x - z_clean) / s
        v = self.unet(x, t, context, return_dict=False)[0].float()
        snr = (a / s).square().view(-1)
        weight = snr.clamp(max=5) / (snr + 1) + 0.12
        return ((v - target).square().mean((1, 2, 3)) * weight).mean()


def draw(rows, size, device):
    """Random rows of one bucket: (input latents, clean latents, tokens, times).

    Where the bucket has worn latents, a share of the inputs is worn, at middle noise, with the clean target.
    """
    i = torch.randint(len(rows["z"]), (size,), device=device)
    c = torch.randint(rows["tokens"].shape[1], (size,), device=device)
    z, tokens = rows["z"][i].float(), rows["tokens"][i, c]
    t = torch.randint(0, 1000, (size,), device=device)
    if "worn" not in rows:
        return z, z, tokens, t
    m = int(size * WORN_SHARE)
    j = torch.randint(len(rows["worn"]), (m,), device=device)
    source = torch.cat([rows["worn"][j].float(), z[m:]])
    z = torch.cat([rows["clean"][j].float(), z[m:]])
    tokens = torch.cat([rows["worn_tokens"][j, c[:m]], tokens[m:]])
    t[:m] = torch.randint(*WORN_TIMES, (m,), device=device)
    return source, z, tokens, t


def train(
    objective, latents, seconds, rng, log=print, batch=512, lr=2e-2, adam_lr=2e-3, save=None, every=150
):
    """Train on latents (as from encode_pool, on the objective's device) for `seconds`; returns the moving average.

    `save`, if given, is called with the average every `every` seconds.
    """
    device = objective.abar.device
    opt, ema = Muon(objective.named_parameters(), lr, adam_lr), Average(objective, 0.9995)
    buckets = list(latents)
    shares = np.array([BUCKET_SHARES[b] for b in buckets])
    clock, k, losses, saved = Clock(seconds), 0, [], 0.0
    while clock.fraction < 1:
        bucket = int(rng.choice(buckets, p=shares / shares.sum()))
        source, clean, tokens, t = draw(latents[bucket], batch, device)
        drop = torch.rand(len(t), device=device) < DROP_SHARE
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = objective(source, clean, tokens, t, torch.randn_like(clean), drop)
        loss.backward()
        opt.step(rate(clock.fraction))
        opt.zero()
        ema.update()
        k += 1
        losses = [*losses[-499:], loss.detach()]
        if k in (1, 20, 100) or k % 500 == 0:
            mean, speed = torch.stack(losses).mean().item(), k * batch / clock.elapsed
            log(f"unet step {k} loss {mean:.4f} {clock.elapsed:.0f} s, {speed:.0f} samples/s")
        if save and clock.elapsed > saved + every:
            saved = clock.elapsed
            save(ema)
    log(f"unet steps {k}, mean loss {torch.stack(losses).mean().item():.4f}")
    return ema


def networks(start, vocabulary):
    """UNet and text encoder, fresh or with the weights of model folder `start`."""
    unet, text = build_unet(), build_text_encoder(vocabulary)
    if start:
        start_from(unet, start / "unet" / "diffusion_pytorch_model.safetensors")
        start_from(text, start / "text_encoder" / "model.safetensors")
    return unet, text


def main(arguments=None):
    """Run the stage; reads latents.pt of `out`, writes unet.safetensors and text.safetensors there."""
    a = parser().parse_args(arguments)
    begin, device = time.monotonic(), torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def log(text):
        print(f"[{time.monotonic() - begin:.0f} s] {text}", flush=True)

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(a.seed)
    tokenizer = load_tokenizer(a.start or SHIPPED)
    unet, text = networks(a.start, len(tokenizer))
    unet = unet.to(device).to(memory_format=torch.channels_last)
    stored = torch.load(a.out / "latents.pt", weights_only=True)
    latents = {b: {k: v.to(device) for k, v in rows.items()} for b, rows in stored.items()}
    objective = Objective(unet, text.to(device), tokenize(tokenizer, [""])[0].long()).to(device)
    if a.compile:
        unet.compile(dynamic=False)

    def save(ema):
        averaged = dict(zip([n for n, _ in objective.named_parameters()], ema.shadow, strict=True))
        for name in ("unet", "text"):
            part = {k.removeprefix(f"{name}."): v for k, v in averaged.items() if k.startswith(f"{name}.")}
            save_file(half(part), a.out / f"{name}.safetensors")

    save(train(objective, latents, a.seconds, np.random.default_rng(a.seed), log, a.batch, save=save))


def parser():
    """Options of the stage."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("out", type=Path)
    p.add_argument("--start", type=Path, default=None, help="model folder to continue from")
    p.add_argument("--seconds", type=float, default=800)
    p.add_argument("--batch", type=int, default=512)
    p.add_argument("--compile", action="store_true", help="twice as fast after minutes of compiling")
    p.add_argument("--seed", type=int, default=0)
    return p


if __name__ == "__main__":
    main()
