"""Encode the pool: latents with captions for the UNet, some of them worn."""

from __future__ import annotations

import copy
import time

import torch

from tools.demo_model.captions import caption
from tools.demo_model.models import tokenize
from tools.demo_model.wear import degrade

BAD_SHARE, WORN_SHARE, CAPTIONS = 0.04, 0.25, 3


def spoil(x, words, rng):
    """Degrade a few images strongly and mark their words, so that the model learns "blurry, low quality"."""
    x, words = x.clone(), list(words)
    for b in range(len(x)):
        if rng.random() < BAD_SHARE:
            words[b] = {**words[b], "bad": True}
            one = x[b : b + 1]
            for _ in range(3):
                one = degrade(one, rng)
            x[b : b + 1] = (one + 0.1 * rng.random() * torch.randn_like(one)).clamp(-1, 1)
    return x, words


@torch.no_grad()
def encode(vae, x):
    """Latent means float16 [B, 12, h, w] of images in -1..1."""
    return vae.encode(x.to(vae.dtype)).latent_dist.mean.half()


@torch.no_grad()
def worn(vae, x, rng):
    """Latents of images that were degraded, then encoded and decoded up to three times."""
    y = degrade(x, rng)
    for _ in range(int(rng.integers(0, 4))):
        y = vae.decode(vae.encode(y.to(vae.dtype)).latent_dist.mean).sample.float().clamp(-1, 1)
    return encode(vae, y)


def encode_pool(vae, pool, tokenizer, rng, batch=64, log=print):
    """Latents of all images and of their mirror images, as tensors on the CPU.

    Returns {bucket: {"z" [N, 12, h, w], "tokens" [N, CAPTIONS, 77]}}; bucket 0 also has "worn" with their clean
    twins "clean" and "worn_tokens".
    """
    vae = copy.deepcopy(vae).to(torch.bfloat16 if torch.cuda.is_available() else torch.float32)
    start, out, count = time.monotonic(), {}, 0
    for bucket, pictures in pool.pictures.items():
        rows = out[bucket] = {}
        for k in range(0, len(pictures), batch):
            for mirrored in (False, True):
                x = pictures[k : k + batch].float() / 127.5 - 1
                x, words = spoil(x.flip(3) if mirrored else x, pool.words[bucket][k : k + batch], rng)
                lines = [caption(rng, w) for w in words for _ in range(CAPTIONS)]
                new = {"z": encode(vae, x), "tokens": tokenize(tokenizer, lines).view(len(x), CAPTIONS, -1)}
                if bucket == 0 and ("worn" not in rows or rng.random() < WORN_SHARE):
                    new |= {"clean": new["z"], "worn": worn(vae, x, rng), "worn_tokens": new["tokens"]}
                for key, v in new.items():
                    rows.setdefault(key, []).append(v.cpu())
                count += len(x)
    spent = time.monotonic() - start
    log(f"latents: {count} in {spent:.0f} s ({count / spent:.0f} per second)")
    return {b: {k: torch.cat(v) for k, v in rows.items()} for b, rows in out.items()}
