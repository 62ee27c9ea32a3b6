"""The training data: images rendered once with their words and some depths, and their latents with captions."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from tools.demo_model.captions import caption
from tools.demo_model.drawings import OBJECTS
from tools.demo_model.models import tokenize
from tools.demo_model.render import render
from tools.demo_model.scene_parts import OBJECT_SLOTS
from tools.demo_model.scenes import collate, sample
from tools.demo_model.training import degrade

BUCKETS = ((512, 512), (384, 640), (640, 384), (256, 256))  # height, width in pixels
BUCKET_SHARES = (0.7, 0.1, 0.1, 0.1)
SEEN_PX = 52  # an object with fewer pixels of 512x512 is not named


class SceneBatches(torch.utils.data.IterableDataset):
    """Endless batches of random scenes: (params, words, bucket)."""

    def __init__(self, batch, seed, buckets=(0,), fixed=None):
        self.batch, self.seed, self.buckets, self.fixed = batch, seed, buckets, fixed

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        if worker:
            torch.set_num_threads(1)
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        shares = np.array([BUCKET_SHARES[b] for b in self.buckets])
        while True:
            bucket = int(rng.choice(self.buckets, p=shares / shares.sum()))
            scenes = [sample(rng, self.fixed) for _ in range(self.batch)]
            yield collate([params for params, _ in scenes]), [words for _, words in scenes], bucket


def scene_loader(batch, seed, buckets=(0,), workers=0, fixed=None):
    """Iterator over scene batches, made in worker processes if there are any."""
    extra = {"prefetch_factor": 4, "multiprocessing_context": "fork"} if workers else {}
    scenes = SceneBatches(batch, seed, buckets, fixed)
    return iter(torch.utils.data.DataLoader(scenes, batch_size=None, num_workers=workers, **extra))


def visible_words(words, params, seen):
    """Words of each scene without the objects that its image does not show.

    params: as from collate; seen: pixel counts of the object slots [B, slots] at 512x512.
    """
    kinds, on = ([params[f"o{k}_{key}"].tolist() for k in range(OBJECT_SLOTS)] for key in ("kind", "on"))
    counts, out = seen.float().tolist(), []
    for b, w in enumerate(words):
        slots = [k for k in range(OBJECT_SLOTS) if on[k][b] > 0 and counts[b][k] > SEEN_PX]
        shown = {OBJECTS[int(kinds[k][b])] for k in slots}
        out.append({**w, "objects": [o for o in w["objects"] if o in shown]})
    return out


@dataclass(frozen=True)
class Pool:
    """Rendered images.

    images: {bucket: uint8 [N, 3, H, W]}; words: {bucket: [N dicts]};
    depths: float16 [M, 1, H/2, W/2] in metres, of the first M images of bucket 0.
    """

    pictures: dict
    words: dict
    depths: torch.Tensor


def fill_pool(world, scenes, seconds, depths=12000, scale=1.0, log=print):
    """Render scenes for `seconds`; `scale` shrinks the buckets, the first `depths` of bucket 0 keep their depth."""
    pictures, words, depth, start, count = {}, {}, [], time.monotonic(), 0
    while time.monotonic() - start < seconds or 0 not in pictures:
        params, texts, bucket = next(scenes)
        height, width = (int(side * scale) // 16 * 16 for side in BUCKETS[bucket])
        on_device = {k: v.to(world.device, non_blocking=True) for k, v in params.items()}
        rgb, metres, seen = render(on_device, world, height, width)
        pictures.setdefault(bucket, []).append((rgb * 255 + 0.5).byte())
        shown = visible_words(texts, params, seen * (512 * 512 / (height * width)))
        words.setdefault(bucket, []).extend(shown)
        if bucket == 0 and sum(len(v) for v in depth) < depths:
            depth.append(F.interpolate(metres, scale_factor=0.5, mode="nearest").half())
        count += len(rgb)
    spent = time.monotonic() - start
    log(f"pool of {count} in {spent:.1f} s: {count / spent:.0f} per second")
    # popped one by one: lists and their concatenation together would not fit on the card
    joined = {b: torch.cat(pictures.pop(b)) for b in sorted(pictures)}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return Pool(joined, words, torch.cat(depth))


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
