"""The planned key frames: their positions, sources, stages, values and requests."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.controlnet.units import acting_units
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.names import steps_run
from deforum_helpers.render.control_units import Steering, plan_controls
from deforum_helpers.render.guides import Guide, guide_at
from deforum_helpers.render.hybrid import Hybrid, plan_hybrid
from deforum_helpers.render.requests import (
    LookReferences,
    Stability,
    plan_request,
    plan_stability,
    planned_steps,
    repaint_request,
)
from deforum_helpers.render.schedules import PlanInputs, Schedules
from deforum_helpers.render.stage_order import Stage, StageOrder, Traits
from deforum_helpers.render.transitions import Transition, ending_share, transitions_at
from deforum_helpers.schedule import KeySeeds, PromptSeries, seed_series
from deforum_helpers.schedule.mask_grammar import MaskExpression
from deforum_helpers.schedule.seeds import derived_seed
from deforum_helpers.settings import ControlNetUnit, Settings
from deforum_helpers.settings.modes import (
    cadence,
    distribution,
    has_ending,
    is_guided,
    is_interpolated,
    is_moved,
    starts_from_video,
)

Source = Literal["nothing", "init_image", "guide", "video", "last_frame"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tone:
    """Changes of light and color: exposure in stops, factor of the saturation, turn of the hue in degrees."""

    exposure_stops: float = 0.0
    saturation: float = 1.0
    hue_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Sharpening:
    """Unsharp mask: kernel, odd, and sigma in pixels, amount, threshold in 8-bit levels."""

    kernel: int
    sigma: float
    amount: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise that is mixed into the init image: kind, share 0..1, seed, shape of the Perlin noise."""

    kind: str
    amount: float
    seed: int
    octaves: int
    persistence: float


@dataclass(frozen=True, slots=True)
class FlowRedo:
    """A flow redo, a generation whose flow warps the image before the next one: its seed, and factor of the flow."""

    seed: int
    factor: float


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A planned key frame, and its in-between frames up to the next one.

    Args:
        index: frame number.
        stop: first frame number after its in-between frames: the next key frame, or the end of the run.
        fade: number of frames over which the image before it fades out, >= stop - index.
        source: kind of image that it starts from.
        stages: names of the stages, in order; "diffuse" generates the image.
        contrast: factor around black, 1 = unchanged.
        sharpening, noise: values of these stages.
        redo_seeds: seeds of the redo passes.
        request: request to the engine; the step fills in the init image.
        mask: where the image is repainted, None = everywhere.
        noise_mask: where noise is added, None = everywhere.
        flow_redo: values of the flow redo.
        retries: number of rerolls with the next seeds if the image comes out black; None = black images are kept.
        guide: share of a guide image, or None.
        flow_factor: factor of the flow that in-between frames follow to this image; None = they do not.
        hybrid: values of hybrid video, or None.
        controls: values of the ControlNet units; the step fills in their images.
        dissolve: frame at which the surrounding dissolve began, or None.
        stability: the look that it is held to, or None.
        ending: share of the end image, 0..1.
        repaint: request that generates revealed areas before the frame itself; None = they stay filled.
        tone: exposure, saturation and hue.
    """

    # The plan's digest is made of the repr of key frames, names of classes and fields included. Renaming any of them
    # would make every saved run impossible to resume.
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
    # Newer fields stay out of the repr, so that the digests of older runs do not change.
    dissolve: int | None = field(default=None, repr=False)
    stability: Stability | None = field(default=None, repr=False)
    ending: float = field(default=0.0, repr=False)
    repaint: GenerateRequest | None = field(default=None, repr=False)
    tone: Tone = field(default=Tone(), repr=False)


@dataclass(frozen=True)
class _Columns:
    """The values that key frames are made from; all but the first three have one value per key frame.

    Args:
        inputs: settings, schedules and prompts of the run.
        references: requests for the reference images of looks.
        units: enabled ControlNet units, each with its number.
        frame_numbers, stops, fades, sources, stages: as the fields of `KeyFrame`, in the order of the frames.
        seeds: at least one per key frame.
        changes: transitions between prompts, by position of the key frame.
        strengths: share of the previous frame that is kept, 0..1.
        denoising: denoising strength, 0..1.
    """

    inputs: PlanInputs
    references: LookReferences
    units: tuple[tuple[int, ControlNetUnit], ...]
    frame_numbers: tuple[int, ...]
    stops: tuple[int, ...]
    fades: tuple[int, ...]
    sources: tuple[Source, ...]
    stages: tuple[tuple[Stage, ...], ...]
    seeds: tuple[KeySeeds, ...]
    changes: Mapping[int, Transition]
    strengths: Sequence[float]
    denoising: Sequence[float]


class KeyFrames(Sequence[KeyFrame]):
    """The key frames of a run in order. Each object is made when it is accessed, as a long run has very many.

    Properties over all key frames read the columns instead.
    """

    def __init__(self, columns: _Columns, numbers: range | None = None) -> None:
        self._columns = columns
        self._numbers = range(len(columns.frame_numbers)) if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> KeyFrame: ...
    @overload
    def __getitem__(self, place: slice) -> KeyFrames: ...
    def __getitem__(self, place: int | slice) -> KeyFrame | KeyFrames:
        if isinstance(place, slice):
            return KeyFrames(self._columns, self._numbers[place])
        return _key_frame(self._columns, self._numbers[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyFrames) and list(self) == list(other)

    @property
    def indices(self) -> tuple[int, ...]:
        return self._of(self._columns.frame_numbers)

    @property
    def stops(self) -> tuple[int, ...]:
        return self._of(self._columns.stops)

    @property
    def sources(self) -> tuple[Source, ...]:
        return self._of(self._columns.sources)

    @property
    def stages(self) -> tuple[tuple[Stage, ...], ...]:
        return self._of(self._columns.stages)

    @property
    def dissolves(self) -> tuple[int | None, ...]:
        """Frame at which the dissolve around each key frame began, or None."""
        changes = self._columns.changes
        begun = {number: change.dissolve for number, change in changes.items()}
        return tuple(map(begun.get, self._numbers))

    @property
    def follow_flow(self) -> bool:
        """Whether the in-between frames of any key frame follow a flow."""
        return any(_follows_flow(self._columns, number) for number in self._numbers)

    @property
    def look_requests(self) -> frozenset[GenerateRequest]:
        """Requests for the reference images of all looks."""
        held = (_stability(self._columns, number) for number in self._numbers)
        # Key frames share these requests: by id first, as hashing a request is slow.
        shared = {id(request): request for look in held if look is not None for request in look.requests}
        return frozenset(shared.values())

    @property
    def sampling_steps(self) -> int:
        """Sampling steps of all key frames, redo passes included, counted as the engines run them."""
        inputs, denoising = self._columns.inputs, self._of(self._columns.denoising)
        steps = planned_steps(inputs, np.array(self.indices, np.int64))
        passes = {stages: 1 + stages.count("flow_redo") for stages in set(self.stages)}
        for stages in passes:
            passes[stages] += stages.count("redo") * inputs.settings.diffusion_redo
        rows = zip(self.sources, steps, denoising, self.stages, strict=True)
        return sum(
            steps_run(asked, None) if source == "nothing" else steps_run(asked, share) * passes[stages]
            for source, asked, share, stages in rows
        )

    def _of(self, column: Sequence[T]) -> tuple[T, ...]:
        numbers = self._numbers
        if numbers == range(len(column)):
            return tuple(column)
        return tuple(column[number] for number in numbers)


def plan_key_frames(
    inputs: PlanInputs, frame_numbers: tuple[int, ...], seeds: tuple[KeySeeds, ...]
) -> KeyFrames:
    """Plan the key frames of a run.

    Args:
        inputs: settings, schedules and prompts of the run.
        frame_numbers: numbers of the key frames, ascending.
        seeds: at least one per key frame.
    """
    settings, values = inputs.settings, inputs.schedules.values
    indices = np.array(frame_numbers, np.int64)
    fades = plan_fades(frame_numbers, settings.max_frames, cadence(settings))
    if has_ending(settings):
        fades = (*fades[:-1], 1)  # the last frame must show the end image alone
    changes = transitions_at(inputs, indices)
    renewed = np.zeros(len(frame_numbers), bool)
    renewed[[number for number, change in changes.items() if change.renews_at(frame_numbers[number])]] = True
    sources = _sources(settings, len(frame_numbers))
    for number in np.flatnonzero(renewed).tolist():
        sources[number] = "nothing"
    blank = np.array([source == "nothing" for source in sources])
    strengths = _strengths(inputs, indices, blank & settings.strength_0_no_init, changes)
    at_keys = {
        name: values[f"{name}_schedule"][indices]
        for name in ("contrast", "exposure", "saturation", "hue", "amount", "noise")
    }
    stages = StageOrder(settings).of(
        indices,
        Traits(
            first=indices == 0,
            keeps=strengths > 0,
            contrast=at_keys["contrast"] != 1,
            tone=(at_keys["exposure"] != 0) | (at_keys["saturation"] != 1) | (at_keys["hue"] % 360 != 0),
            sharpen=at_keys["amount"] > 0,
            noise=at_keys["noise"] > 0,
            renewed=renewed,
            held=(indices > 0) & (values["stability_schedule"][indices] > 0) & is_moved(settings),
            ends=_shows_end(settings, indices),
        ),
    )
    return KeyFrames(
        _Columns(
            inputs,
            LookReferences(inputs),
            acting_units(settings),
            frame_numbers,
            (*frame_numbers[1:], settings.max_frames),
            fades,
            tuple(sources),
            stages,
            seeds,
            changes,
            strengths.tolist(),
            np.where(blank, 1.0, 1.0 - strengths).tolist(),
        )
    )


def plan_seeds(
    settings: Settings,
    schedules: Schedules,
    prompts: PromptSeries,
    frame_numbers: tuple[int, ...],
    *,
    driven: bool,
) -> tuple[KeySeeds, ...]:
    """Return the seeds of all key frames, and of one more after the last.

    While a prompt with a seed of its own holds, the seeds begin there and go on by seed_behavior; a seed schedule does
    not act. The seeds of the other prompts are those of a run without it.

    Args:
        settings, schedules, prompts: settings, schedules and prompts of the run.
        frame_numbers: numbers of the key frames, ascending.
        driven: whether a Parseq manifest gives the seeds; seed_behavior is ignored then.
    """
    frames = (*frame_numbers, settings.max_frames)
    scheduled = None
    behavior = "schedule" if is_guided(settings) else settings.seed_behavior
    if driven or behavior == "schedule":
        column = schedules.values["seed_schedule"]
        scheduled = [int(column[min(frame, settings.max_frames - 1)]) for frame in frames]
    seeds = seed_series(behavior, settings.seed, frames, iter_n=settings.seed_iter_N, scheduled=scheduled)
    if not prompts.own:
        return seeds
    continued = "fixed" if scheduled is not None else behavior
    found: list[KeySeeds] = []
    last = settings.max_frames - 1
    for (_, own), held in groupby(
        seeds,
        lambda seed: (prompts.around(min(seed.frame, last))[0], prompts.own_at(min(seed.frame, last)).seed),
    ):
        stretch = list(held)
        if own is not None:
            numbers = [seed.frame for seed in stretch]
            stretch = list(seed_series(continued, own, numbers, iter_n=settings.seed_iter_N))
        found += stretch
    return tuple(found)


def place_key_frames(
    distribution: str, frames: int, cadence: int, prompt_frames: Sequence[int], needed: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return the frame numbers of the key frames, ascending, from 0 to `frames` - 1.

    Args:
        distribution: "Off" = every `cadence` frames; "Keyframes Only" = where a prompt begins; "Additive" = both;
            "Redistributed" = every `cadence` frames, with the nearest ones moved to where a prompt begins.
        frames: number of frames, >= 1.
        cadence: >= 1.
        prompt_frames: frame numbers at which prompts begin.
        needed: frame numbers that must be key frames.

    >>> place_key_frames("Off", 10, 3, (0, 5))
    (0, 3, 6, 9)
    >>> place_key_frames("Redistributed", 10, 3, (0, 5))
    (0, 3, 5, 9)
    """
    ends = {0, frames - 1}
    wanted = {frame for frame in prompt_frames if 0 <= frame < frames}
    uniform = set(range(0, frames, cadence))
    if distribution == "Off":
        chosen = uniform
    elif distribution == "Keyframes Only":
        chosen = wanted
    elif distribution == "Additive":
        chosen = uniform | wanted
    else:
        chosen = _redistributed(uniform, wanted)
    return tuple(sorted(chosen | ends | {frame for frame in needed if 0 <= frame < frames}))


def _redistributed(uniform: set[int], wanted: set[int]) -> set[int]:
    """Return `uniform` with the nearest free frame moved to each wanted one; the earlier of two."""
    free = sorted(uniform - wanted - {0})
    for frame in sorted(wanted - uniform):
        if free:
            place = bisect_left(free, frame)
            earlier = place > 0 and (place == len(free) or frame - free[place - 1] <= free[place] - frame)
            free.pop(place - 1 if earlier else place)
    return {0, *free, *wanted}


def plan_fades(frame_numbers: Sequence[int], frames: int, cadence: int) -> tuple[int, ...]:
    """Return the number of frames over which the image before each key frame fades out.

    A fade lasts up to the next key frame. Where the run ends before that one is due, the fade keeps its pace and ends
    unfinished, so that the video does not jump at its end.

    Args:
        frame_numbers: numbers of the key frames, ascending, the last one `frames` - 1.
        frames: number of frames.
        cadence: regular distance between key frames.

    >>> plan_fades((0, 4, 8, 9), 10, 4)
    (4, 4, 4, 4)
    >>> plan_fades((0, 30, 60, 89), 90, 1)
    (30, 30, 29, 29)
    """
    lengths = [stop - index for index, stop in zip(frame_numbers, (*frame_numbers[1:], frames), strict=True)]
    fades = list(lengths)
    if len(frame_numbers) > 1:
        fades[-2] = max(fades[-2], cadence)
        fades[-1] = max(fades[-2:])
    return tuple(fades)


def _key_frame(columns: _Columns, number: int) -> KeyFrame:
    inputs, index, source = columns.inputs, columns.frame_numbers[number], columns.sources[number]
    settings, seeds, stages = inputs.settings, columns.seeds[number], columns.stages[number]
    at = inputs.schedules.numbers_at(index)
    change = columns.changes.get(number)
    request = plan_request(inputs, index, at, seeds, change, columns.denoising[number])
    return KeyFrame(
        index=index,
        stop=columns.stops[number],
        fade=columns.fades[number],
        source=source,
        stages=stages,
        contrast=at["contrast_schedule"],
        sharpening=_sharpening(at),
        noise=_noise(settings, at, seeds),
        redo_seeds=seeds.redo_seeds(settings.diffusion_redo),
        request=request,
        mask=inputs.masks.repainted[index] if source != "nothing" else None,
        noise_mask=inputs.masks.noised[index],
        flow_redo=FlowRedo(
            derived_seed("flow redo", seeds.noise_seed, index), at["redo_flow_factor_schedule"]
        ),
        retries=_retries(settings),
        guide=guide_at(inputs.guides, index, source == "guide", at),
        hybrid=plan_hybrid(settings, inputs.schedules.values, index, columns.stops[number]),
        flow_factor=_flow_factor(columns, number),
        controls=plan_controls(columns.units, at, starts_blank=source == "nothing"),
        dissolve=None if change is None else change.dissolve,
        stability=_stability(columns, number),
        ending=ending_share(settings, index),
        repaint=repaint_request(request, index, at["revealed_strength_schedule"])
        if "repaint" in stages
        else None,
        tone=Tone(at["exposure_schedule"], at["saturation_schedule"], at["hue_schedule"]),
    )


def _stability(columns: _Columns, number: int) -> Stability | None:
    index, settings = columns.frame_numbers[number], columns.inputs.settings
    share = float(columns.inputs.schedules.values["stability_schedule"][index])
    return plan_stability(settings, index, share, columns.changes.get(number), columns.references)


def _noise(settings: Settings, at: Mapping[str, float], seeds: KeySeeds) -> Noise:
    return Noise(
        kind=settings.noise_type,
        amount=at["noise_schedule"],
        seed=seeds.noise_seed,
        octaves=settings.perlin_octaves,
        persistence=settings.perlin_persistence,
    )


def _sharpening(at: Mapping[str, float]) -> Sharpening:
    # A kernel must be odd to have a center; a schedule between two odd numbers passes even ones.
    kernel = int(at["kernel_schedule"]) | 1
    return Sharpening(kernel, at["sigma_schedule"], at["amount_schedule"], at["threshold_schedule"])


def _retries(settings: Settings) -> int | None:
    if settings.reroll_blank_frames == "ignore":
        return None
    return math.ceil(settings.reroll_patience) if settings.reroll_blank_frames == "reroll" else 0


def _flow_factor(columns: _Columns, number: int) -> float | None:
    """Return the factor of the flow to a key frame, the schedule's value at the next one; None = no flow."""
    if not _follows_flow(columns, number):
        return None
    factors = columns.inputs.schedules.values["cadence_flow_factor_schedule"]
    return float(factors[min(columns.stops[number], len(factors) - 1)])


def _follows_flow(columns: _Columns, number: int) -> bool:
    is_between = columns.frame_numbers[number] > 0 and columns.fades[number] != 1
    return (
        is_between
        and columns.inputs.settings.optical_flow_cadence != "None"
        and columns.strengths[number] != 0
    )


def _sources(settings: Settings, count: int) -> list[Source]:
    """Return the source of each of `count` key frames, before scene changes."""
    blank: Source = "guide" if is_guided(settings) else "nothing"
    first: Source = "init_image" if settings.use_init else blank
    others: Source = "last_frame" if is_moved(settings) else first
    if settings.animation_mode == "Video Input":
        first = others = "video"
    elif starts_from_video(settings):
        first = "video"
    return [first, *[others] * (count - 1)]


def _strengths(
    inputs: PlanInputs,
    indices: NDArray[np.int64],
    emptied: NDArray[np.bool_],
    changes: Mapping[int, Transition],
) -> NDArray[np.float64]:
    """Return the share of the previous image that each key frame keeps, (N,) 0..1.

    Args:
        inputs: settings, schedules and prompts of the run.
        indices: (N,) frame numbers.
        emptied: (N,) bool, key frames that keep nothing, whatever the schedules say.
        changes: transitions between prompts, by position of the key frame.
    """
    settings, values = inputs.settings, inputs.schedules.values
    guided = "image_" if is_guided(settings) else ""
    strengths = values[f"{guided}strength_schedule"][indices]
    if distribution(settings) != "Off":
        begins = np.isin(indices, inputs.prompts.key_frames)
        strengths[begins] = values[f"{guided}keyframe_strength_schedule"][indices][begins]
    if is_interpolated(settings):
        strengths[:] = settings.strength
    elif is_moved(settings):
        strengths[indices == 0] = settings.strength
    # Not clip, which may turn -0.0 into 0.0: the digest hashes the repr, where they differ.
    strengths[strengths < 0] = 0.0
    strengths[strengths > 1] = 1.0
    strengths[emptied] = 0.0
    for number, change in changes.items():
        strengths[number] *= change.strength_factor
    return strengths


def _shows_end(settings: Settings, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not has_ending(settings):
        return np.zeros(len(indices), bool)
    return np.array([ending_share(settings, index) > 0 for index in indices.tolist()])
