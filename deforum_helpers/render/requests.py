"""The requests to the engine: of each key frame, and of the reference images that its look is held to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.engines.base import FreeU, GenerateRequest, KohyaHRFix, MaskContent, PromptBlend
from deforum_helpers.render.schedules import PlanInputs
from deforum_helpers.render.transitions import Transition
from deforum_helpers.schedule import KeySeeds
from deforum_helpers.schedule.seeds import derived_seed
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import blends_embeddings, is_interpolated, is_moved
from deforum_helpers.settings.tables import canonical_sampler, canonical_scheduler

# Share of the sampling steps that generate revealed areas; few-step models use at least `FEWEST_STEPS`.
REPAINTING_SHARE = 0.5
FEWEST_STEPS = 4

# "fill" and "original" start from an image; for "fill" the caller smears the surroundings into the masked part.
_MASK_CONTENTS: Mapping[str, MaskContent] = {"latent noise": "noise", "latent nothing": "nothing"}


def plan_request(
    inputs: PlanInputs,
    index: int,
    at: Mapping[str, float],
    seeds: KeySeeds,
    change: Transition | None = None,
    denoising_strength: float = 1.0,
) -> GenerateRequest:
    """Return the request for the frame `index`, without its init image.

    Args:
        inputs: settings, schedules and prompts of the run.
        index: frame number.
        at: value of every numeric schedule at that frame.
        seeds: seeds of the key frame.
        change: transition between prompts that the frame lies in, or None.
        denoising_strength: share of the steps that run on an init image, 0..1.
    """
    settings, options, prompts = inputs.settings, inputs.options, inputs.prompts
    sampler, scheduler, checkpoint = _named(inputs, index)
    prompt_frame = index if change is None else change.new
    subseed = settings.enable_subseed_scheduling or is_interpolated(settings)
    clip_skip = at["clipskip_schedule"] if settings.enable_clipskip_scheduling else None
    multiplier = at["noise_multiplier_schedule"] if settings.enable_noise_multiplier_scheduling else None
    own = prompts.own_at(index)
    steps = own.steps or (at["steps_schedule"] if settings.enable_steps_scheduling else settings.steps)
    inverted = settings.noise_source == "inverted"
    new_noise = max(at["new_noise_schedule"], 0.0 if change is None else change.new_noise)
    return GenerateRequest(
        prompt=prompts.positive[prompt_frame],
        negative_prompt=prompts.negative[prompt_frame],
        width_px=settings.W,
        height_px=settings.H,
        seed=seeds.seed if seeds.seed >= 0 else seeds.redo_seeds(1)[0],
        steps=_steps(steps),
        cfg_scale=at["cfg_scale_schedule"] if own.cfg_scale is None else own.cfg_scale,
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
        blend=_blend(inputs, index, change),
        noise_source="inverted" if inverted else "new",
        new_noise_share=new_noise if inverted else 0.0,
        autoencoder_correction=settings.autoencoder_correction,
        mask_content=_MASK_CONTENTS.get(settings.fill, "picture"),
    )


def from_noise_alone(request: GenerateRequest) -> GenerateRequest:
    """Return `request` without the fields that act on an init image only, for comparing generations from noise."""
    return replace(request, noise_source="new", new_noise_share=0.0, autoencoder_correction=False)


def planned_steps(inputs: PlanInputs, frame_numbers: NDArray[np.int64]) -> list[int]:
    """Return the sampling steps of a full denoising at each of the frames `frame_numbers`, (N,)."""
    if inputs.settings.enable_steps_scheduling:
        steps = list(map(_steps, inputs.schedules.values["steps_schedule"][frame_numbers].tolist()))
    else:
        steps = [_steps(inputs.settings.steps)] * len(frame_numbers)
    if not inputs.prompts.own:
        return steps
    own = (inputs.prompts.own_at(frame).steps for frame in frame_numbers.tolist())
    return [number or planned for number, planned in zip(own, steps, strict=True)]


def _steps(steps: float) -> int:
    return max(1, int(steps))


def _named(inputs: PlanInputs, index: int) -> tuple[str, str, str]:
    """Return the names of sampler, scheduler and checkpoint at a frame."""
    settings = inputs.settings

    def text(switch: bool, schedule: str, otherwise: str) -> str:
        return inputs.schedules.texts[schedule][index] if switch else otherwise

    sampler = text(settings.enable_sampler_scheduling, "sampler_schedule", settings.sampler)
    scheduler = text(settings.enable_scheduler_scheduling, "scheduler_schedule", settings.scheduler)
    if settings.enable_sampler_scheduling:
        sampler = canonical_sampler(sampler) or sampler
    if settings.enable_scheduler_scheduling:
        scheduler = canonical_scheduler(scheduler) or scheduler
    host_checkpoint = inputs.options.sd_model_checkpoint
    return (
        sampler,
        scheduler,
        text(settings.enable_checkpoint_scheduling, "checkpoint_schedule", host_checkpoint),
    )


def repaint_request(request: GenerateRequest, index: int, strength: float) -> GenerateRequest | None:
    """Return the request that generates revealed areas before the frame itself; None at strength 0.

    Few steps suffice: the frame's own sampling refines the result, and every area is generated once.

    Args:
        request: request of the key frame.
        index: its frame number.
        strength: denoising strength, 0..1.
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


@dataclass(frozen=True, slots=True)
class Stability:
    """The look that a key frame is held to.

    Args:
        share: how far the frame is moved to the look, above 0 to 1.
        reference: request for the reference image.
        former: request for the previous prompt's reference image during a morph, else None.
        passed: progress of the morph, 0..1.
    """

    share: float
    reference: GenerateRequest
    former: GenerateRequest | None = None
    passed: float = 1.0

    @property
    def requests(self) -> tuple[GenerateRequest, ...]:
        return (self.reference,) if self.former is None else (self.reference, self.former)


class LookReferences:
    """The requests for reference images: one per prompt, made at its first frame."""

    def __init__(self, inputs: PlanInputs) -> None:
        self._inputs = inputs
        self._requests: dict[int, GenerateRequest] = {}

    def at(self, frame: int) -> GenerateRequest:
        """Return the request for the prompt at `frame`."""
        start, _ = self._inputs.prompts.around(frame)
        if start not in self._requests:
            self._requests[start] = self._reference(start)
        return self._requests[start]

    def _reference(self, start: int) -> GenerateRequest:
        inputs, seed = self._inputs, max(self._inputs.settings.seed, 0)
        numbers, seeds = inputs.schedules.numbers_at(start), KeySeeds(seed, seed, start)
        return replace(from_noise_alone(plan_request(inputs, start, numbers, seeds)), blend=None)


def plan_stability(
    settings: Settings, index: int, share: float, change: Transition | None, references: LookReferences
) -> Stability | None:
    """Return the look that the key frame `index` is held to; None = none.

    Args:
        settings: checked settings.
        index: frame number; the first frame is its own reference.
        share: value of stability_schedule.
        change: transition between prompts that the frame lies in, or None.
        references: reference images of the run.
    """
    if index == 0 or share <= 0 or not is_moved(settings):
        return None
    share = min(share, 1.0)
    if change is None or change.kind != "morph":
        return Stability(share, references.at(index))
    # An image of two blended prompts goes over from one to the other at once: only its look can change evenly.
    share += (1 - share) * change.intensity
    return Stability(share, references.at(change.new), references.at(change.old), change.share)


def _blend(inputs: PlanInputs, index: int, change: Transition | None) -> PromptBlend | None:
    """Return the second prompt of a frame, the previous or the next one, and its share; or None."""
    prompts = inputs.prompts
    if change is not None and change.kind == "morph" and change.share < 1:
        return PromptBlend(prompts.positive[change.old], prompts.negative[change.old], 1 - change.share)
    if prompts.whole or not blends_embeddings(inputs.settings):
        return None
    start, following = prompts.around(index)
    if following is None:
        return None
    share = (index - start) / (following - start)
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
