"""The diffused frames: which they are, what happens to each in which order, and with which numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from deforum_helpers.controlnet.units import acting_units
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.names import steps_run
from deforum_helpers.render.controls import Steering, plan_controls
from deforum_helpers.render.guides import Guide, guide_at
from deforum_helpers.render.hybrid import Hybrid, plan_hybrid
from deforum_helpers.render.order import Stage, StageOrder
from deforum_helpers.render.placing import plan_fades
from deforum_helpers.render.requests import plan_request, repainting
from deforum_helpers.render.schedules import Schedules
from deforum_helpers.render.script import Script
from deforum_helpers.render.stability import References, Stability, plan_stability
from deforum_helpers.render.transitions import ending_share, transition_at
from deforum_helpers.schedule import KeySeeds, seed_series
from deforum_helpers.schedule.mask_grammar import MaskExpression
from deforum_helpers.schedule.seeds import derived_seed
from deforum_helpers.settings import ControlNetUnit, Settings
from deforum_helpers.settings.modes import (
    cadence,
    distribution,
    is_guided,
    is_interpolated,
    is_led_to_an_end,
    is_moved,
    starts_from_video,
)

Source = Literal["nothing", "init_image", "guide", "video", "last_frame"]


@dataclass(frozen=True, slots=True)
class Sharpening:
    """Unsharp mask: kernel, odd, and sigma in pixels, amount, threshold in 8-bit levels."""

    kernel: int
    sigma: float
    amount: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise that is blended into the picture before it is diffused: kind, share 0..1, seed, Perlin's shape."""

    kind: str
    amount: float
    seed: int
    octaves: int
    persistence: float


@dataclass(frozen=True, slots=True)
class FlowRedo:
    """A diffusion whose motion the picture is bent along before it is diffused again: its seed, how far it is bent."""

    seed: int
    factor: float


class _Shared(NamedTuple):
    """What the key frames of a film have in common, made once."""

    order: StageOrder
    references: References
    units: tuple[tuple[int, ControlNetUnit], ...]


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """One frame that is diffused, and the in-between frames up to the next one.

    Args:
        index: frame number.
        stop: first frame number after its in-between frames; the next key frame, or the end of the film.
        fade: over how many frames the picture before it fades out, >= stop - index.
        source: what its picture starts from.
        stages: what happens to the picture, in order; "diffuse" is where the engine is asked.
        contrast: factor around black, 1 = unchanged.
        sharpening, noise: their numbers.
        redo_seeds: seeds of the extra diffusions before the one that is kept.
        request: what the engine is asked for; the init image is filled in by the step.
        mask: where it is repainted, None = everywhere.
        noise_mask: where noise is added, None = everywhere.
        flow_redo: numbers of the diffusion that only tells where things go.
        retries: how often a black picture is drawn anew with the next seed; None = black pictures are kept.
        guide: what it takes of a guided image, or None.
        flow_factor: how far in-between frames follow the motion from the last picture to this one; None = not.
        hybrid: numbers of the video laid over and of its motion, or None.
        controls: what the ControlNet units do; their pictures are filled in by the step.
        dissolve: the frame at which the dissolve began that it lies in, or None.
        stability: the look that it is held to, or None.
        ending: how much of the end of the video it shows, 0..1.
        repaint: how what came into sight is painted before the frame is; None = not.
    """

    index: int
    stop: int
    fade: int
    source: Source
    stages: tuple[Stage, ...]
    contrast: float
    sharpening: Sharpening
    noise: Noise
    redo_seeds: tuple[int, ...]
    request: GenerateRequest
    mask: MaskExpression | None
    noise_mask: MaskExpression | None
    flow_redo: FlowRedo
    retries: int | None
    guide: Guide | None
    flow_factor: float | None
    hybrid: Hybrid | None
    controls: tuple[Steering, ...] = ()
    # Younger than runs that may still go on: left out of the text that their digests were made of.
    dissolve: int | None = field(default=None, repr=False)
    stability: Stability | None = field(default=None, repr=False)
    ending: float = field(default=0.0, repr=False)
    repaint: GenerateRequest | None = field(default=None, repr=False)

    @property
    def sampling_steps(self) -> int:
        """Sampling steps of this key frame, redo passes included, counted as the engines run them."""
        if self.source == "nothing":
            return steps_run(self.request.steps, None)
        once = steps_run(self.request.steps, self.request.denoising_strength)
        passes = 1 + self.stages.count("flow_redo") + self.stages.count("redo") * len(self.redo_seeds)
        return once * passes


def plan_key_frames(
    script: Script, places: tuple[int, ...], seeds: tuple[KeySeeds, ...]
) -> tuple[KeyFrame, ...]:
    """Return the diffused frames of a film.

    Args:
        script: the film as it was read.
        places: numbers of the diffused frames, ascending.
        seeds: at least one per place.
    """
    settings = script.settings
    shared = _Shared(StageOrder(settings), References(script), acting_units(settings))
    stops = (*places[1:], settings.max_frames)
    fades = plan_fades(places, settings.max_frames, cadence(settings))
    if is_led_to_an_end(settings):
        fades = (*fades[:-1], 1)  # nothing of the frame before it may show in the last one
    return tuple(
        _key_frame(script, shared, index, stop, fade, seed)
        for index, stop, fade, seed in zip(places, stops, fades, seeds, strict=False)
    )


def plan_seeds(
    settings: Settings, schedules: Schedules, places: tuple[int, ...], *, driven: bool
) -> tuple[KeySeeds, ...]:
    """Return the seeds of all key frames, and those of one more that would follow.

    Args:
        settings, schedules: of the film.
        places: numbers of the diffused frames, ascending.
        driven: whether a Parseq manifest gives the seeds, whatever seed_behavior says.
    """
    frames = (*places, settings.max_frames)
    scheduled = None
    behavior = "schedule" if is_guided(settings) else settings.seed_behavior
    if driven or behavior == "schedule":
        column = schedules.values["seed_schedule"]
        scheduled = [int(column[min(frame, settings.max_frames - 1)]) for frame in frames]
    return seed_series(behavior, settings.seed, frames, iter_n=settings.seed_iter_N, scheduled=scheduled)


def _key_frame(
    script: Script, shared: _Shared, index: int, stop: int, fade: int, seeds: KeySeeds
) -> KeyFrame:
    settings = script.settings
    at = script.schedules.numbers_at(index)
    change = transition_at(script, index)
    renewed = change is not None and change.renews and change.begun == index
    source = "nothing" if renewed else _source(settings, index)
    strength = 0.0 if source == "nothing" and settings.strength_0_no_init else _strength(script, at, index)
    strength *= 1.0 if change is None else change.strength_factor
    noise, sharpening = _noise(settings, at, seeds), _sharpening(at)
    contrast = at["contrast_schedule"]
    stability = plan_stability(settings, index, at["stability_schedule"], change, shared.references)
    ending = ending_share(settings, index)
    kept = 0.0 if source == "nothing" else strength
    request = plan_request(script, index, at, seeds, change, 1.0 - kept)
    stages = shared.order.of(
        index,
        strength,
        contrast=contrast != 1,
        sharpen=sharpening.amount > 0,
        noise=noise.amount > 0,
        renewed=renewed,
        held=stability is not None,
        ends=ending > 0,
    )
    return KeyFrame(
        index=index,
        stop=stop,
        fade=fade,
        source=source,
        stages=stages,
        contrast=contrast,
        sharpening=sharpening,
        noise=noise,
        redo_seeds=seeds.redo_seeds(settings.diffusion_redo),
        request=request,
        mask=script.masks.repainted[index] if source != "nothing" else None,
        noise_mask=script.masks.noised[index],
        flow_redo=FlowRedo(
            derived_seed("flow redo", seeds.noise_seed, index), at["redo_flow_factor_schedule"]
        ),
        retries=_retries(settings),
        guide=guide_at(script.guides, index, source == "guide", at),
        hybrid=plan_hybrid(settings, script.schedules.values, index, stop),
        flow_factor=_flow_factor(script, strength, index, stop, fade),
        controls=plan_controls(shared.units, at, starts_blank=source == "nothing"),
        dissolve=None if change is None else change.dissolve,
        stability=stability,
        ending=ending,
        repaint=repainting(request, index, at["revealed_strength_schedule"]) if "repaint" in stages else None,
    )


def _noise(settings: Settings, at: Mapping[str, float], seeds: KeySeeds) -> Noise:
    return Noise(
        kind=settings.noise_type,
        amount=at["noise_schedule"],
        seed=seeds.noise_seed,
        octaves=settings.perlin_octaves,
        persistence=settings.perlin_persistence,
    )


def _sharpening(at: Mapping[str, float]) -> Sharpening:
    # Only odd kernels have a middle; a ramp from one odd number to another passes even ones.
    kernel = int(at["kernel_schedule"]) | 1
    return Sharpening(kernel, at["sigma_schedule"], at["amount_schedule"], at["threshold_schedule"])


def _retries(settings: Settings) -> int | None:
    if settings.reroll_blank_frames == "ignore":
        return None
    return math.ceil(settings.reroll_patience) if settings.reroll_blank_frames == "reroll" else 0


def _flow_factor(script: Script, strength: float, index: int, stop: int, fade: int) -> float | None:
    """Return how far the motion between two key frames is followed, as it stands at the later one; None = not."""
    if script.settings.optical_flow_cadence == "None" or strength == 0 or index == 0 or fade == 1:
        return None
    factors = script.schedules.values["cadence_flow_factor_schedule"]
    return float(factors[min(stop, len(factors) - 1)])


def _source(settings: Settings, index: int) -> Source:
    if settings.animation_mode == "Video Input" or (index == 0 and starts_from_video(settings)):
        return "video"
    if index > 0 and is_moved(settings):
        return "last_frame"
    if settings.use_init:
        return "init_image"
    return "guide" if is_guided(settings) else "nothing"


def _strength(script: Script, at: Mapping[str, float], index: int) -> float:
    """Return how much of the last picture is kept, 0..1."""
    settings = script.settings
    guided = "image_" if is_guided(settings) else ""
    if is_interpolated(settings) or (index == 0 and is_moved(settings)):
        strength = settings.strength
    elif distribution(settings) != "Off" and script.prompts.begins_at(index):
        strength = at[f"{guided}keyframe_strength_schedule"]
    else:
        strength = at[f"{guided}strength_schedule"]
    return min(max(strength, 0.0), 1.0)
