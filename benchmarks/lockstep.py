"""Eight jobs of one model in lockstep against one alone: whole jobs of a server with random weights.

On a GPU the network has the size of Stable Diffusion 1.5; without one it is tiny, which shows the mechanism alone.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.rows import Row
from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.jobs import JobQueue
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.demo.engine import MODEL_FOLDER
from deforum_helpers.pipeline.host_facts import own_facts

NAME = "gpu-batch"
BAR = "on a GPU, 8 jobs in lockstep have 3 times the frames per second of one"

JOBS = 8
GAIN = 3.0
REAL: dict[str, Any] = {
    "side": 512,
    "frames": 24,
    "unet": {"cross_attention_dim": 768},
    "text": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    },
    "vae": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2},
}
TINY: dict[str, Any] = {
    "side": 64,
    "frames": 6,
    "unet": {
        "cross_attention_dim": 32,
        "block_out_channels": (32, 64),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
    "text": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    "vae": {"block_out_channels": (8, 16, 16, 16), "layers_per_block": 1, "norm_num_groups": 4},
}


def run() -> list[Row]:
    """Return the time per written frame of one job and of eight."""
    has_gpu = torch.cuda.is_available()
    size = REAL if has_gpu else TINY
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        _save_model(model, size, "cuda" if has_gpu else "cpu")
        (one,) = _frame_ms(model, size, (1,))
        alone, eight = _frame_ms(model, size, (1, JOBS), in_lockstep=JOBS)
    words = f"{size['side']}x{size['side']}, 20 steps at strength 0.65"
    gain = one / eight
    return [
        Row(f"{words}, one job, per frame", one),
        Row("the same job on a server with lockstep", alone),
        Row(f"{JOBS} jobs, {gain:.1f} times the frames per second", eight, one / GAIN if has_gpu else None),
    ]


def _frame_ms(
    model: Path, size: dict[str, Any], counts: tuple[int, ...], in_lockstep: int = 1
) -> list[float]:
    """Return the time per frame of so many jobs, for each count; the same jobs have run before."""
    found = []
    with _serving(model, in_lockstep) as queue:
        for count in counts:
            _run(queue, count, size["side"], 2)
            began = time.perf_counter()
            _run(queue, count, size["side"], size["frames"])
            found.append((time.perf_counter() - began) * 1000 / (count * size["frames"]))
    return found


@contextmanager
def _serving(model: Path, in_lockstep: int) -> Iterator[JobQueue]:
    with tempfile.TemporaryDirectory() as folder:

        def flag(name: str, default: Any) -> Any:
            return in_lockstep if name == "deforum_lockstep" else default

        facts = own_facts("diffusers", str(model), Path(folder))
        queue = make_queue(facts, lambda: make_engine("diffusers", checkpoint=str(model)), flag=flag)
        try:
            yield queue
        finally:
            queue.close(60.0)
            queue.store.close()


def _run(queue: JobQueue, count: int, side: int, frames: int) -> None:
    settings = {
        "W": side,
        "H": side,
        "max_frames": frames,
        "diffusion_cadence": 1,
        "steps": 20,
        "strength_schedule": "0: (0.65)",
        "sampler": "Euler a",
        "animation_mode": "2D",
        "zoom": "0: (1.02)",
        "skip_video_creation": True,
    }
    jobs = queue.submit([{**settings, "seed": seed, "prompts": {"0": "a hill"}} for seed in range(count)])
    while not all(queue.job(job.id).finished for job in jobs):
        time.sleep(0.005)
    if failed := [queue.job(job.id).message for job in jobs if queue.job(job.id).status != "SUCCEEDED"]:
        raise RuntimeError(f"jobs failed: {failed[0]}")


def _save_model(folder: Path, size: dict[str, Any], device: str) -> None:
    """Make a diffusers folder of random weights; made on the device, as a CPU takes minutes to draw them."""
    import diffusers
    import transformers

    text = transformers.CLIPTextConfig(
        vocab_size=1606, bos_token_id=1604, eos_token_id=1605, pad_token_id=1605, **size["text"]
    )
    stages = len(size["vae"]["block_out_channels"])
    with torch.device(device):
        parts: dict[str, Any] = {
            "unet": diffusers.UNet2DConditionModel(**size["unet"]),
            "text_encoder": transformers.CLIPTextModel(text),
            "vae": diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * stages,
                up_block_types=("UpDecoderBlock2D",) * stages,
                latent_channels=4,
                **size["vae"],
            ),
        }
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionPipeline",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    for name, part in parts.items():
        part.half().save_pretrained(str(folder / name))
        index[name] = [type(part).__module__.partition(".")[0], type(part).__name__]
    tokenizer = MODEL_FOLDER / "tokenizer"
    transformers.CLIPTokenizer.from_pretrained(str(tokenizer), local_files_only=True).save_pretrained(
        str(folder / "tokenizer")
    )
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps({"beta_schedule": "scaled_linear"})
    )
    (folder / "model_index.json").write_text(json.dumps(index))
