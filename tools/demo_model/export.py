"""Assemble the model folder from the outputs of both stages."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from deforum_helpers.engines.demo.depth_net import DepthNet
from tools.demo_model.captions import content_words, other_words
from tools.demo_model.models import (
    SHIPPED,
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
    half,
    load_tokenizer,
    start_from,
)
from tools.demo_model.train_depth import FAR_M, NEAR_M

DEPTH_CONFIG = {
    "architecture": "DepthNet",
    "channels": [16, 24, 40, 64, 80],
    "input": "RGB in 0..1, sides multiples of 32, about 256 to 384 px",
    "size": 320,
    "output": "relative log-depth, larger = farther; metres ~ near * (far / near) ** y",
    "near": NEAR_M,
    "far": FAR_M,
}


def export(trained, out, tokenizer_from=SHIPPED):
    """Write the diffusers folder, depth/ and the lists of words into `out`, from the weights in folder `trained`."""
    tokenizer = load_tokenizer(tokenizer_from)
    vae = start_from(build_vae(), trained / "vae.safetensors")
    unet = start_from(build_unet(), trained / "unet.safetensors")
    text = start_from(build_text_encoder(len(tokenizer)), trained / "text.safetensors")
    parts = (vae.half(), text.half(), tokenizer, unet.half(), build_scheduler(), None, None)
    StableDiffusionPipeline(*parts, requires_safety_checker=False).save_pretrained(out)
    # loaders that take a text encoder's type from its config would mix half with the float32 of the others
    config = out / "text_encoder" / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float32"}
    config.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    for name in ("vocab.json", "merges.txt"):  # some versions of transformers write tokenizer.json alone
        target = out / "tokenizer" / name
        if not target.exists():
            shutil.copy(Path(tokenizer_from) / "tokenizer" / name, target)
    export_depth(trained / "depth.safetensors", out / "depth")
    for name, words in (("vocabulary.txt", content_words()), ("other_words.txt", other_words())):
        (out / name).write_text("\n".join(words) + "\n", encoding="utf-8")


def export_depth(weights, folder):
    """Weights and configuration of the depth network."""
    folder.mkdir(parents=True, exist_ok=True)
    state = load_file(weights)
    DepthNet(tuple(DEPTH_CONFIG["channels"])).load_state_dict(state)
    save_file(half(state), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(DEPTH_CONFIG, indent=2) + "\n", encoding="utf-8")


def main(arguments=None):
    """Command line of export()."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("trained", type=Path, help="folder with vae, unet, text and depth .safetensors")
    p.add_argument("out", type=Path, help="model folder to write")
    a = p.parse_args(arguments)
    export(a.trained, a.out)


if __name__ == "__main__":
    main()
