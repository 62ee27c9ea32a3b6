"""Train UNet and text encoder on the latents of the first stage."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tools.demo_model.models import (
    SHIPPED,
    build_text_encoder,
    build_unet,
    half,
    load_tokenizer,
    start_from,
    tokenize,
)
from tools.demo_model.train_unet import Objective, train


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
