"""The plan: everything that can be known before the first frame, as plain frozen data.

Making it raises every error that settings can have; the loop that follows only reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.engines.base import FreeU, GenerateRequest
from deforum_helpers.engines.names import steps_run
from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.options import Options
from deforum_helpers.render.keyframes import place_key_frames
from deforum_helpers.render.limits import frame_problems
from deforum_helpers.render.moves import Move, plan_moves
from deforum_helpers.render.schedules import Schedules, compile_schedules
from deforum_helpers.schedule import KeySeeds, PromptSeries, Timeline, prompt_series, seed_series
from deforum_helpers.settings import FIELDS, Settings, flat_settings
from deforum_helpers.settings.tables import canonical_sampler, canonical_scheduler

Source = Literal["nothing", "init_image", "last_frame"]
Stage = Literal[
    "move", "take_reference", "match_color", "grayscale", "contrast", "sharpen", "noise", "redo", "diffuse"
]


@dataclass(frozen=True)
class Sharpening:
    """Unsharp mask: odd kernel in pixels, sigma in pixels, amount, threshold in 8-bit levels."""

    kernel: int
    sigma: float
    amount: float
    threshold: float


@dataclass(frozen=True)
class Noise:
    """Noise that is blended into the picture before it is diffused: kind, share 0..1, seed, Perlin's shape."""

    kind: str
    amount: float
    seed: int
    octaves: int
    persistence: float


@dataclass(frozen=True)
class KeyFrame:
    """One frame that is diffused, and the in-between frames up to the next one.

    Args:
        index: frame number.
        stop: first frame number after its in-between frames; the next key frame, or the end of the film.
        source: what its picture starts from.
        stages: what happens to the picture, in order; "diffuse" is where the engine is asked.
        contrast: factor around black, 1 = unchanged.
        sharpening, noise: their numbers.
        redo_seeds: seeds of the extra diffusions before the one that is kept.
        request: what the engine is asked for; the init image is filled in by the step.
    """

    index: int
    stop: int
    source: Source
    stages: tuple[Stage, ...]
    contrast: float
    sharpening: Sharpening
    noise: Noise
    redo_seeds: tuple[int, ...]
    request: GenerateRequest


@dataclass(frozen=True)
class Plan:
    """A film as data.

    Args:
        settings: the settings it was made of, seed resolved.
        frames: number of frames, all of which are written.
        fps: frames per second of the video.
        key_frames: the diffused frames in order; the first is frame 0, the last is the film's last frame.
        moves: one camera move per frame; move k leads from frame k-1 to frame k.
        schedules: one value per frame of every schedule.
        prompts: one prompt per frame.
        running_seeds: one per key frame and one more: the seed of each before a seed schedule overrides it, and the
            one that would come next.
        uses_depth: whether any frame needs a depth map.
        digest: hash of all that the frames depend on; equal settings give equal digests.
        warnings: what a person should know, as plain sentences.
    """

    settings: Settings
    frames: int
    fps: float
    key_frames: tuple[KeyFrame, ...]
    moves: tuple[Move, ...]
    schedules: Schedules
    prompts: PromptSeries
    running_seeds: tuple[int, ...]
    uses_depth: bool
    digest: str
    warnings: tuple[str, ...]

    @property
    def poses(self) -> NDArray[np.float64]:
        """(frames, 4, 4) `next_from_prev` of every frame; a 2D move is its homography in pixels."""
        return np.stack([move.pose() for move in self.moves])

    @cached_property
    def subtitle_heads(self) -> tuple[tuple[str, int], ...]:
        """What each frame's subtitle begins with: the cadence label and the seed.

        Without cadence the label is "false" and the seed the frame's own. With it the label says whether the frame
        is an in-between frame, and the seed is the one of the key frame that follows.
        """
        if len(self.key_frames) == self.frames and self.settings.diffusion_cadence == 1:
            return tuple(("false", seed) for seed in self.running_seeds[: self.frames])
        return tuple(
            ("True" if index + 1 < key.stop else "False", self.running_seeds[number + 1])
            for number, key in enumerate(self.key_frames)
            for index in range(key.index, key.stop)
        )

    @property
    def sampling_steps(self) -> int:
        """Sampling steps of the whole film, counted as the engines run them."""
        return sum(_steps_run(key) for key in self.key_frames)


def make_plan(settings: Settings, options: Options) -> Plan:
    """Plan the film of `settings`.

    Args:
        settings: checked settings with a resolved seed (>= 0).
        options: the host's options with the job's overrides applied.

    Raises:
        SettingsError: all problems of all schedules and prompts.
    """
    timeline = Timeline(settings.max_frames, settings.seed, settings.fps, settings.W, settings.H)
    problems: list[Problem] = []
    schedules = prompts = None
    try:
        schedules = compile_schedules(settings, timeline)
        problems.extend(frame_problems(settings, schedules))
    except SettingsError as error:
        problems.extend(error.problems)
    try:
        prompts = prompt_series(
            settings.prompts,
            timeline,
            settings.animation_prompts_positive,
            settings.animation_prompts_negative,
        )
    except SettingsError as error:
        problems.extend(error.problems)
    if schedules is None or prompts is None or problems:
        raise SettingsError(problems)
    places = place_key_frames(
        settings.keyframe_distribution, settings.max_frames, settings.diffusion_cadence, prompts.key_frames
    )
    seeds = _seeds(settings, schedules, places)
    key_frames = _key_frames(settings, options, schedules, prompts, places, seeds)
    moves = plan_moves(settings, schedules.values)
    return Plan(
        settings=settings,
        frames=settings.max_frames,
        fps=float(settings.fps),
        key_frames=key_frames,
        moves=moves,
        schedules=schedules,
        prompts=prompts,
        running_seeds=tuple(seed.noise_seed for seed in seeds),
        uses_depth=_uses_depth(settings, moves),
        digest=_digest(settings, schedules, prompts, key_frames),
        warnings=schedules.warnings + prompts.warnings,
    )


def _uses_depth(settings: Settings, moves: tuple[Move, ...]) -> bool:
    """Tell whether a depth map is ever looked at: a camera that stands still sees none."""
    warped = settings.animation_mode == "3D" and settings.use_depth_warping
    return settings.save_depth_maps or (warped and not all(move.still for move in moves[1:]))


def _key_frames(
    settings: Settings,
    options: Options,
    schedules: Schedules,
    prompts: PromptSeries,
    places: tuple[int, ...],
    seeds: tuple[KeySeeds, ...],
) -> tuple[KeyFrame, ...]:
    stages = _Stages(settings)
    stops = (*places[1:], settings.max_frames)
    return tuple(
        _key_frame(settings, options, schedules, prompts, stages, index, stop, seed)
        for index, stop, seed in zip(places, stops, seeds, strict=False)
    )


def _seeds(settings: Settings, schedules: Schedules, places: tuple[int, ...]) -> tuple[KeySeeds, ...]:
    """Return the seeds of all key frames, and those of one more that would follow."""
    frames = (*places, settings.max_frames)
    scheduled = None
    if settings.seed_behavior == "schedule":
        column = schedules.values["seed_schedule"]
        scheduled = [int(column[min(frame, settings.max_frames - 1)]) for frame in frames]
    return seed_series(
        settings.seed_behavior, settings.seed, len(frames), settings.seed_iter_N, scheduled, frames
    )


def _key_frame(
    settings: Settings,
    options: Options,
    schedules: Schedules,
    prompts: PromptSeries,
    stages: _Stages,
    index: int,
    stop: int,
    seeds: KeySeeds,
) -> KeyFrame:
    at = {name: float(values[index]) for name, values in schedules.values.items()}
    source: Source = "last_frame"
    if index == 0:
        source = "init_image" if settings.use_init else "nothing"
    strength = _strength(settings, at, index, prompts)
    noise = Noise(
        kind=settings.noise_type,
        amount=at["noise_schedule"],
        seed=seeds.noise_seed,
        octaves=settings.perlin_octaves,
        persistence=settings.perlin_persistence,
    )
    # Only odd kernels have a middle; a ramp from one odd number to another passes even ones.
    sharpening = Sharpening(
        int(at["kernel_schedule"]) | 1, at["sigma_schedule"], at["amount_schedule"], at["threshold_schedule"]
    )
    request = _request(settings, options, schedules, prompts, index, at, seeds)
    return KeyFrame(
        index=index,
        stop=stop,
        source=source,
        stages=stages.of(index, strength, at["contrast_schedule"], sharpening, noise),
        contrast=at["contrast_schedule"],
        sharpening=sharpening,
        noise=noise,
        redo_seeds=seeds.redo_seeds(settings.diffusion_redo),
        request=replace(request, denoising_strength=1.0 if source == "nothing" else 1.0 - strength),
    )


def _strength(settings: Settings, at: Mapping[str, float], index: int, prompts: PromptSeries) -> float:
    """Return how much of the last picture is kept, 0..1."""
    if index == 0:
        strength = settings.strength
    elif settings.keyframe_distribution != "Off" and index in prompts.key_frames:
        strength = at["keyframe_strength_schedule"]
    else:
        strength = at["strength_schedule"]
    return min(max(strength, 0.0), 1.0)


def _request(
    settings: Settings,
    options: Options,
    schedules: Schedules,
    prompts: PromptSeries,
    index: int,
    at: Mapping[str, float],
    seeds: KeySeeds,
) -> GenerateRequest:
    def text(switch: bool, schedule: str, otherwise: str) -> str:
        return schedules.texts[schedule][index] if switch else otherwise

    sampler = text(settings.enable_sampler_scheduling, "sampler_schedule", settings.sampler)
    scheduler = text(settings.enable_scheduler_scheduling, "scheduler_schedule", settings.scheduler)
    sampler, scheduler = canonical_sampler(sampler) or sampler, canonical_scheduler(scheduler) or scheduler
    checkpoint = text(
        settings.enable_checkpoint_scheduling, "checkpoint_schedule", options.sd_model_checkpoint
    )
    subseed = settings.enable_subseed_scheduling
    clip_skip = at["clipskip_schedule"] if settings.enable_clipskip_scheduling else None
    multiplier = at["noise_multiplier_schedule"] if settings.enable_noise_multiplier_scheduling else None
    steps = at["steps_schedule"] if settings.enable_steps_scheduling else settings.steps
    return GenerateRequest(
        prompt=prompts.positive[index],
        negative_prompt=prompts.negative[index],
        width_px=settings.W,
        height_px=settings.H,
        seed=seeds.seed if seeds.seed >= 0 else seeds.redo_seeds(1)[0],
        steps=max(1, int(steps)),
        cfg_scale=at["cfg_scale_schedule"],
        sampler=sampler,
        scheduler=scheduler,
        subseed=int(at["subseed_schedule"]) if subseed else -1,
        subseed_strength=at["subseed_strength_schedule"] if subseed else 0.0,
        seed_resize_from_px=(settings.seed_resize_from_w, settings.seed_resize_from_h),
        distilled_cfg_scale=at["distilled_cfg_scale_schedule"],
        clip_skip=max(1, int(clip_skip)) if clip_skip is not None else options.CLIP_stop_at_last_layers,
        noise_multiplier=multiplier if multiplier is not None else options.initial_noise_multiplier,
        eta=_eta(settings, options, at, sampler),
        tiling=settings.tiling,
        checkpoint=checkpoint or None,
        vae=None if options.sd_vae in ("", "Automatic") else options.sd_vae,
        freeu=_freeu(settings, at),
    )


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


class _Stages:
    """Lists the stages of key frames asked for in order; knows from when on there is a colour reference."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._matches = settings.color_coherence != "None"
        self._given = settings.color_coherence == "Image"
        self._referenced = self._given

    def of(
        self, index: int, strength: float, contrast: float, sharpening: Sharpening, noise: Noise
    ) -> tuple[Stage, ...]:
        before = self._before(contrast, sharpening, noise) if index else ()
        redone = index > 0 and strength > 0 and self._settings.diffusion_redo > 0
        redo: tuple[Stage, ...] = ("redo",) if redone else ()
        return (*before, *redo, "diffuse", *self._after(index, strength))

    def _before(self, contrast: float, sharpening: Sharpening, noise: Noise) -> tuple[Stage, ...]:
        stages: list[Stage] = ["move"]
        if self._matches:
            stages.append("match_color" if self._referenced else "take_reference")
            self._referenced = True
        if self._settings.color_force_grayscale:
            stages.append("grayscale")
        if contrast != 1:
            stages.append("contrast")
        if sharpening.amount > 0:
            stages.append("sharpen")
        if noise.amount > 0:
            stages.append("noise")
        return tuple(stages)

    def _after(self, index: int, strength: float) -> tuple[Stage, ...]:
        stages: list[Stage] = []
        legacy = self._settings.legacy_colormatch
        if self._referenced and (not legacy or (index == 0 and self._given)):
            stages.append("match_color")
        if self._settings.color_force_grayscale:
            stages.append("grayscale")
        fresh = strength == 0 if legacy else index == 0 and not self._settings.use_init
        if self._matches and not self._given and fresh:
            stages.append("take_reference")
            self._referenced = True
        return tuple(stages)


def _steps_run(key: KeyFrame) -> int:
    if key.source == "nothing":
        return steps_run(key.request.steps, None)
    once = steps_run(key.request.steps, key.request.denoising_strength)
    return once * (1 + key.stages.count("redo") * len(key.redo_seeds))


def _digest(
    settings: Settings, schedules: Schedules, prompts: PromptSeries, key_frames: tuple[KeyFrame, ...]
) -> str:
    """Hash what the frames depend on: not the names of files, nor what is made of the frames afterwards."""
    seen = {
        name: value
        for name, value in flat_settings(settings).items()
        if FIELDS[name].group not in ("DeforumOutputArgs", "metadata", "ui_only")
        and name not in ("batch_name", "resume_from_timestring", "resume_timestring")
    }
    digest = hashlib.sha256(json.dumps(seen, sort_keys=True).encode())
    for name in sorted(schedules.values):
        digest.update(name.encode() + schedules.values[name].tobytes())
    for key in key_frames:
        digest.update(repr(key).encode())
    return digest.hexdigest()
