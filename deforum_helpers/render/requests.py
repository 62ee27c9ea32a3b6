"""The request to the engine that each key frame makes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.engines.base import FreeU, GenerateRequest, KohyaHRFix, MaskContent, PromptBlend
from deforum_helpers.render.schedules import Script
from deforum_helpers.render.transitions import Transition
from deforum_helpers.schedule import KeySeeds
from deforum_helpers.schedule.seeds import derived_seed
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import blends_embeddings, is_interpolated
from deforum_helpers.settings.tables import canonical_sampler, canonical_scheduler

# Of a full denoising's steps, those that paint what came into sight; of few-step models all.
REPAINTING_SHARE = 0.5
FEWEST_STEPS = 4

# "fill" and "original" begin from a picture; who asks the engine smears the surroundings in.
_MASK_CONTENTS: Mapping[str, MaskContent] = {"latent noise": "noise", "latent nothing": "nothing"}


def plan_request(
    script: Script,
    index: int,
    at: Mapping[str, float],
    seeds: KeySeeds,
    change: Transition | None = None,
    denoising_strength: float = 1.0,
) -> GenerateRequest:
    """Return what the engine is asked for at the frame `index`, the init image left open.

    Args:
        script: the film as it was read.
        index: frame number.
        at: value of each schedule of numbers at that frame.
        seeds: of the key frame.
        change: of prompts, that the frame lies in, or None.
        denoising_strength: share of the noise schedule that is run, 0..1.
    """
    settings, options, prompts = script.settings, script.options, script.prompts
    sampler, scheduler, checkpoint = _named(script, index)
    shown = index if change is None else change.new
    subseed = settings.enable_subseed_scheduling or is_interpolated(settings)
    clip_skip = at["clipskip_schedule"] if settings.enable_clipskip_scheduling else None
    multiplier = at["noise_multiplier_schedule"] if settings.enable_noise_multiplier_scheduling else None
    steps = at["steps_schedule"] if settings.enable_steps_scheduling else settings.steps
    inverted = settings.noise_source == "inverted"
    new_noise = max(at["new_noise_schedule"], 0.0 if change is None else change.new_noise)
    return GenerateRequest(
        prompt=prompts.positive[shown],
        negative_prompt=prompts.negative[shown],
        width_px=settings.W,
        height_px=settings.H,
        seed=seeds.seed if seeds.seed >= 0 else seeds.redo_seeds(1)[0],
        steps=_steps(steps),
        cfg_scale=at["cfg_scale_schedule"],
        sampler=sampler,
        scheduler=scheduler,
        denoising_strength=denoising_strength,
        subseed=int(at["subseed_schedule"]) if subseed else -1,
        subseed_strength=at["subseed_strength_schedule"] if subseed else 0.0,
        seed_resize_from_px=(settings.seed_resize_from_w, settings.seed_resize_from_h),
        distilled_cfg_scale=at["distilled_cfg_scale_schedule"],
        image_cfg_scale=at["pix2pix_img_cfg_scale_schedule"],
        clip_skip=max(1, int(clip_skip)) if clip_skip is not None else options.CLIP_stop_at_last_layers,
        noise_multiplier=multiplier if multiplier is not None else options.initial_noise_multiplier,
        eta=_eta(settings, options, at, sampler),
        tiling=settings.tiling,
        checkpoint=checkpoint or None,
        vae=None if options.sd_vae in ("", "Automatic") else options.sd_vae,
        freeu=_freeu(settings, at),
        kohya_hrfix=_kohya_hrfix(settings, at),
        restore_faces=settings.restore_faces,
        blend=_blend(script, index, change),
        noise_source="inverted" if inverted else "new",
        new_noise_share=new_noise if inverted else 0.0,
        autoencoder_correction=settings.autoencoder_correction,
        mask_content=_MASK_CONTENTS.get(settings.fill, "picture"),
    )


def from_noise_alone(request: GenerateRequest) -> GenerateRequest:
    """Return `request` without what acts on an init image alone: the same image where there is none."""
    return replace(request, noise_source="new", new_noise_share=0.0, autoencoder_correction=False)


def planned_steps(script: Script, places: NDArray[np.int64]) -> list[int]:
    """Return the steps of a full denoising that are asked for at each of the frames `places`, (N,)."""
    if not script.settings.enable_steps_scheduling:
        return [_steps(script.settings.steps)] * len(places)
    return list(map(_steps, script.schedules.values["steps_schedule"][places].tolist()))


def _steps(steps: float) -> int:
    return max(1, int(steps))


def _named(script: Script, index: int) -> tuple[str, str, str]:
    """Return the names of the sampler, the scheduler and the checkpoint at a frame."""
    settings = script.settings

    def text(switch: bool, schedule: str, otherwise: str) -> str:
        return script.schedules.texts[schedule][index] if switch else otherwise

    sampler = text(settings.enable_sampler_scheduling, "sampler_schedule", settings.sampler)
    scheduler = text(settings.enable_scheduler_scheduling, "scheduler_schedule", settings.scheduler)
    if settings.enable_sampler_scheduling:
        sampler = canonical_sampler(sampler) or sampler
    if settings.enable_scheduler_scheduling:
        scheduler = canonical_scheduler(scheduler) or scheduler
    own = script.options.sd_model_checkpoint
    return sampler, scheduler, text(settings.enable_checkpoint_scheduling, "checkpoint_schedule", own)


def repainting(request: GenerateRequest, index: int, strength: float) -> GenerateRequest | None:
    """Return what paints the areas that came into sight, before the frame itself is sampled; None = nothing does.

    A few steps do: the frame's own sampling refines what they begin, and every area is painted once.

    Args:
        request: of the key frame.
        index: its number.
        strength: share of the noise schedule, 0..1.
    """
    if strength <= 0:
        return None
    return replace(
        request,
        seed=derived_seed("revealed", request.seed, index),
        subseed=-1,
        subseed_strength=0.0,
        steps=max(math.ceil(request.steps * REPAINTING_SHARE), min(request.steps, FEWEST_STEPS)),
        denoising_strength=min(strength, 1.0),
        noise_source="new",
        new_noise_share=0.0,
        autoencoder_correction=False,
        mask_content="picture",
    )


def _blend(script: Script, index: int, change: Transition | None) -> PromptBlend | None:
    """Return the other prompt that a frame shows and how much of it: the one before or the one after; or None."""
    prompts = script.prompts
    if change is not None and change.kind == "morph" and change.share < 1:
        return PromptBlend(prompts.positive[change.old], prompts.negative[change.old], 1 - change.share)
    if prompts.whole or not blends_embeddings(script.settings):
        return None
    begun, following = prompts.around(index)
    if following is None:
        return None
    share = (index - begun) / (following - begun)
    return PromptBlend(prompts.positive[following], prompts.negative[following], share) if share else None


def _eta(settings: Settings, options: Options, at: Mapping[str, float], sampler: str) -> float | None:
    name = sampler.lower()
    if name.startswith("ddim"):
        return at["ddim_eta_schedule"] if settings.enable_ddim_eta_scheduling else options.eta_ddim
    if " a " in f"{name} ":
        return (
            at["ancestral_eta_schedule"]
            if settings.enable_ancestral_eta_scheduling
            else options.eta_ancestral
        )
    return None


def _freeu(settings: Settings, at: Mapping[str, float]) -> FreeU | None:
    if not settings.freeu_enabled:
        return None
    return FreeU(at["freeu_b1"], at["freeu_b2"], at["freeu_s1"], at["freeu_s2"])


def _kohya_hrfix(settings: Settings, at: Mapping[str, float]) -> KohyaHRFix | None:
    if not settings.kohya_hrfix_enabled:
        return None
    return KohyaHRFix(
        block_number=max(1, int(at["kohya_hrfix_block_number"])),
        downscale_factor=at["kohya_hrfix_downscale_factor"],
        start=at["kohya_hrfix_start_percent"],
        end=at["kohya_hrfix_end_percent"],
        downscale_after_skip=settings.kohya_hrfix_downscale_after_skip,
        downscale_method=settings.kohya_hrfix_downscale_method,
        upscale_method=settings.kohya_hrfix_upscale_method,
    )
