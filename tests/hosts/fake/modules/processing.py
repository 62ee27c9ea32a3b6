"""Draws images out of everything that a request and the options say, one step after the other."""

import hashlib
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from modules import call_queue, rng, sd_models, sd_vae, shared

calls = []
# What a test wants to happen: seconds per step, an error, a NaN, black, nothing, something to run at a step, and
# something to run between the encoding of an init image and the sampling.
behaviour = SimpleNamespace(step_s=0.0, error=None, black=0, nothing=False, at_step=None, once_encoded=None)


@dataclass(repr=False)
class StableDiffusionProcessing:
    sd_model: object = None
    prompt: str = ""
    negative_prompt: str = ""
    seed: int = -1
    subseed: int = -1
    subseed_strength: float = 0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: str = None
    scheduler: str = None
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    restore_faces: bool = None
    tiling: bool = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float = None
    denoising_strength: float = None
    override_settings: dict = None
    if sd_models.FORGE:
        distilled_cfg_scale: float = 3.5
    is_api: bool = field(default=False, init=False)
    scripts: Any = field(default=None, init=False)
    script_args: Any = field(default=None, init=False)
    closed: bool = field(default=False, init=False)

    def close(self):
        self.closed = True


@dataclass(repr=False)
class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    enable_hr: bool = False


@dataclass(repr=False)
class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    init_images: list = None
    denoising_strength: float = 0.75
    initial_noise_multiplier: float = None
    image_cfg_scale: float = None
    mask: Any = None
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_round: bool = True
    inpainting_fill: int = 0
    inpaint_full_res: bool = True


def process_images(p):
    assert call_queue.queue_lock._held, "somebody draws without the lock"
    _load_model()
    if behaviour.error is not None:
        error, behaviour.error = behaviour.error, None
        raise error
    calls.append(_seen(p))
    state = shared.state
    if p.scripts is not None:
        p.scripts.call("process", p)
        p.scripts.call("process_before_every_sampling", p)
    state.job_count = 1
    state.sampling_steps = p.steps
    if state.interrupted or behaviour.nothing:
        return SimpleNamespace(images=[], info="")
    latent_noise = rng.global_noise() if getattr(p, "init_images", None) else 0
    model = shared.sd_model
    if behaviour.once_encoded is not None:
        behaviour.once_encoded()
    _load_model()  # another may have been chosen by now, and the sampler was made for the first one
    if shared.sd_model is not model:
        raise RuntimeError("Tensor on device meta is not on the expected device cpu!")
    rng.manual_seed(p.seed)
    picture = _finished(p, latent_noise + rng.global_noise())
    for step in range(p.steps):
        state.sampling_step = step
        if behaviour.at_step is not None:
            behaviour.at_step(step)
        time.sleep(behaviour.step_s)
        if state.interrupted or state.skipped:
            picture = Image.new("RGB", picture.size, (255, 0, 255))  # half-baked
            break
    state.nextjob()
    if behaviour.black:
        behaviour.black -= 1
        picture = Image.new("RGB", picture.size)
    if p.restore_faces:
        shared.face_restorers[0].restore(picture)
    if p.scripts is not None:
        p.scripts.call("postprocess", p)
    picture.info["parameters"] = p.prompt
    return SimpleNamespace(images=[picture], info="")


def _load_model():
    sd_models.forge_model_reload() if sd_models.FORGE else sd_models.reload_model_weights()


def _seen(p):
    values = {
        name: getattr(p, name)
        for name in p.__dataclass_fields__
        if name not in ("scripts", "script_args", "closed")
    }
    return {
        **values,
        "kind": type(p).__name__,
        "checkpoint": shared.sd_model.sd_checkpoint_info.name,
        "vae": sd_vae.loaded,
        "options": {name: getattr(shared.opts, name) for name in shared.opts.data_labels},
    }


def _finished(p, noise):
    told = (p.prompt, p.negative_prompt, p.seed, p.steps, p.cfg_scale, p.sampler_name, p.scheduler, p.eta)
    told += (p.subseed, p.subseed_strength, shared.sd_model.sd_checkpoint_info.name, sd_vae.loaded, p.tiling)
    told += (shared.opts.CLIP_stop_at_last_layers, shared.opts.img2img_extra_noise, noise)
    seed = int.from_bytes(hashlib.sha256(repr(told).encode()).digest()[:8], "big")
    width, height = p.width // 8 * 8, p.height // 8 * 8
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    drawn = np.asarray(Image.fromarray(small).resize((width, height), Image.BICUBIC), np.float32)
    if getattr(p, "init_images", None):
        init = np.asarray(p.init_images[0].resize((width, height)), np.float32)
        drawn = init + (drawn - init) * p.denoising_strength
    return Image.fromarray(drawn.round().clip(0, 255).astype(np.uint8))
