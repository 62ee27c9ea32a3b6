"""Conversion of a request to the host's processing object."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np
from PIL import Image as Pictures

from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.diffusion.conditioned import WeightedPrompts
from deforum_helpers.engines.diffusion.prompt_syntax import Lora
from deforum_helpers.image.convert import to_bytes
from deforum_helpers.schedule.prompt_text import weight_text
from deforum_helpers.webui.facts import sampler_fields

# Hosts silently round sizes down to this multiple; requests are padded up to it and the result is cropped.
MULTIPLE_PX = 8
FILLS = {"picture": 1, "noise": 2, "nothing": 3}
# Deforum handles steps and colours itself.
FIXED_OPTIONS = {
    "img2img_fix_steps": False,
    "img2img_color_correction": False,
    "save_init_img": False,
    "control_net_detectmap_autosaving": False,
}


def make_processing(request: GenerateRequest) -> Any:
    """Return the host's processing object for `request`; the caller closes it.

    Raises:
        ModelError: the host has no such sampler or scheduler.
    """
    from modules import processing

    if request.init_image is None:
        made = _made(processing.StableDiffusionProcessingTxt2Img, _common(request))
    else:
        made = _made(
            processing.StableDiffusionProcessingImg2Img, {**_common(request), **_init_fields(request)}
        )
    made.is_api = True
    return made


def host_options(request: GenerateRequest) -> dict[str, Any]:
    """Return the options of the host for `request`."""
    return {**FIXED_OPTIONS, "CLIP_stop_at_last_layers": request.clip_skip}


def padded_size(request: GenerateRequest) -> tuple[int, int]:
    """Return the padded (width, height) in pixels."""
    return _up(request.width_px), _up(request.height_px)


def _common(request: GenerateRequest) -> dict[str, Any]:
    width, height = padded_size(request)
    resize_width, resize_height = request.seed_resize_from_px
    return {
        "prompt": written_prompt(request),
        "negative_prompt": written_negative_prompt(request),
        "seed": request.seed,
        # The host would replace -1 by a random number, and the same request would give another image.
        "subseed": request.subseed % 2**32,
        "subseed_strength": request.subseed_strength,
        "seed_resize_from_w": resize_width,
        "seed_resize_from_h": resize_height,
        "steps": request.steps,
        "cfg_scale": request.cfg_scale,
        "distilled_cfg_scale": request.distilled_cfg_scale,
        "width": width,
        "height": height,
        "eta": request.eta,
        "tiling": request.tiling,
        "restore_faces": request.restore_faces,
        "do_not_save_samples": True,
        "do_not_save_grid": True,
        "override_settings": {},
        **sampler_fields(request.sampler, request.scheduler),
    }


def written_prompt(request: GenerateRequest) -> str:
    """Return the prompt as text; two blended prompts become weighted parts joined by AND."""
    if request.blend is None:
        return request.prompt
    read = WeightedPrompts.read(request.prompt, request.blend, "prompt")
    tags = "".join(_tag(lora) for lora in read.loras)
    return " AND ".join(f"{text} :{weight_text(weight)}" for text, weight in read.parts) + tags


def written_negative_prompt(request: GenerateRequest) -> str:
    """Return the negative prompt as text; of two blended ones the nearer, since hosts accept only one."""
    blend = request.blend
    return request.negative_prompt if blend is None or blend.share <= 0.5 else blend.negative_prompt


def _tag(lora: Lora) -> str:
    weights = [lora.weight] if lora.text_weight is None else [lora.text_weight, lora.weight]
    return f"<lora:{lora.name}:{':'.join(weight_text(weight) for weight in weights)}>"


def _init_fields(request: GenerateRequest) -> dict[str, Any]:
    assert request.init_image is not None
    fields = {
        "init_images": [Pictures.fromarray(_padded(to_bytes(request.init_image)))],
        "denoising_strength": request.denoising_strength,
        "image_cfg_scale": request.image_cfg_scale,
        "initial_noise_multiplier": request.noise_multiplier,
    }
    if request.mask is None:
        return fields
    levels = (request.mask.detach().cpu().numpy() * 255).round().astype(np.uint8)
    return {
        **fields,
        "mask": Pictures.fromarray(_padded(levels)),
        "mask_blur_x": 0,
        "mask_blur_y": 0,
        "mask_round": False,
        "inpaint_full_res": False,
        "inpainting_fill": FILLS[request.mask_content],
    }


def _made(kind: Any, fields: dict[str, Any]) -> Any:
    """Return a `kind` made from the fields that this host's version has."""
    declared: Collection[str] = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in fields.items() if name in declared})


def _up(size_px: int) -> int:
    return -(-size_px // MULTIPLE_PX) * MULTIPLE_PX


def _padded(levels: np.ndarray) -> np.ndarray:
    """Return (H, W[, 3]) uint8 with its last row and column repeated up to the multiple."""
    height, width = levels.shape[:2]
    edges = [(0, _up(height) - height), (0, _up(width) - width)] + [(0, 0)] * (levels.ndim - 2)
    return np.pad(levels, edges, mode="edge")
