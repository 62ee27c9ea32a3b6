"""The plan: everything that can be computed before the first frame, as frozen data.

Planning raises every error that settings can have; the render loop only reads the plan.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.engines.names import steps_run
from deforum_helpers.render import messages
from deforum_helpers.render.guides import GuideImages, read_guides
from deforum_helpers.render.key_frames import KeyFrames, place_key_frames, plan_key_frames, plan_seeds
from deforum_helpers.render.masks import MaskPlan, mask_warnings, plan_masks
from deforum_helpers.render.moves import (
    Moves,
    SceneCamera,
    Tracks,
    plan_moves,
    scene_cameras,
    with_camera_path,
)
from deforum_helpers.render.schedules import (
    PlanInputs,
    Schedules,
    Values,
    compile_schedules,
    frame_problems,
    frame_warnings,
    in_render_order,
)
from deforum_helpers.render.segments import Segment, independent_segments
from deforum_helpers.render.transitions import transition_frames
from deforum_helpers.schedule import PromptSeries, Timeline, interpolated_prompt_series, prompt_series
from deforum_helpers.schedule.parseq import Manifest
from deforum_helpers.schedule.sound import Sound
from deforum_helpers.settings import FIELDS, Settings, flat_settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.modes import (
    blends_by_weights,
    cadence,
    distribution,
    is_hybrid,
    is_moved,
    is_reversed,
    reasons,
    shows_depth,
    uses_video,
    warps_by_depth,
)

# Our own settings do not change the digest at their defaults, so that runs older than a setting can be resumed.
# prompt_interpolation has been part of every digest.
_YOUNGER = frozenset(name for name, info in FIELDS.items() if info.since == "here") - {"prompt_interpolation"}


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Args:
        settings: checked settings, seed resolved.
        frames: number of frames, all of which are written.
        fps: frames per second of the video.
        key_frames: key frames in rendering order; the first is frame 0, the last the last frame.
        moves: one camera move per frame, in rendering order; move k leads from frame k-1 to frame k.
        schedules: one value per frame of every schedule, in the video's order.
        prompts: one prompt per frame, in the video's order.
        running_seeds: seed of each key frame before a seed schedule overrides it, and of one more after the last.
        masks: mask expressions, one per frame.
        guides: guide images, or None.
        timeline: the frames, and the variables of expressions.
        uses_depth: whether any frame needs a depth map.
        sound: digest of the sound that schedules and prompts read, "" = none.
        warnings: sentences for the user.
    """

    settings: Settings
    frames: int
    fps: float
    key_frames: KeyFrames
    moves: Moves
    schedules: Schedules
    prompts: PromptSeries
    running_seeds: tuple[int, ...]
    masks: MaskPlan
    guides: GuideImages | None
    timeline: Timeline = field(compare=False)
    uses_depth: bool
    sound: str
    warnings: tuple[str, ...]

    def video_index(self, frame: int) -> int:
        """Return the video's frame number of the frame rendered as number `frame`; the same mapping leads back."""
        return self.frames - 1 - frame if is_reversed(self.settings) else frame

    @cached_property
    def digest(self) -> str:
        """Hash of everything that the frames depend on; equal settings give equal digests."""
        backwards = slice(None, None, -1 if self.settings.reverse_generation else 1)
        series = {name: values[backwards] for name, values in self.schedules.values.items()}
        return _digest(self.settings, series, self.key_frames, self.sound)

    @property
    def poses(self) -> NDArray[np.float64]:
        """(frames, 4, 4) `next_from_prev` of every frame; a 2D move is its homography in pixels."""
        return self.moves.poses

    @cached_property
    def scene_cameras(self) -> tuple[SceneCamera, ...]:
        """Camera of each frame, in the space of the first frame's camera; only in 3D."""
        return scene_cameras(self.moves, (self.settings.W, self.settings.H))

    @cached_property
    def independent_segments(self) -> tuple[Segment, ...]:
        """Ranges of steps that several workers can render at the same time, in order; together all steps."""
        return independent_segments(self.key_frames, self.settings)

    @cached_property
    def subtitle_heads(self) -> tuple[tuple[str, int], ...]:
        """Beginning of each frame's subtitle: the cadence label and the seed.

        At cadence 1 the label is "false" and the seed the frame's own. Otherwise the label says whether the frame is an
        in-between frame, and the seed is that of the next key frame.
        """
        keys = self.key_frames
        if len(keys) == self.frames and cadence(self.settings) == 1:
            return tuple(("false", seed) for seed in self.running_seeds[: self.frames])
        return tuple(
            ("True" if index + 1 < stop else "False", self.running_seeds[number + 1])
            for number, (first, stop) in enumerate(zip(keys.indices, keys.stops, strict=True))
            for index in range(first, stop)
        )

    @property
    def flow_methods(self) -> dict[str, str]:
        """Flow methods that any frame needs, each with the setting that names it."""
        wanted: dict[str, str] = {}
        if self.key_frames.follow_flow:
            wanted[self.settings.optical_flow_cadence] = "optical_flow_cadence"
        if any("flow_redo" in stages for stages in set(self.key_frames.stages)):
            wanted[self.settings.optical_flow_redo_generation] = "optical_flow_redo_generation"
        if is_hybrid(self.settings) and self.settings.hybrid_motion == "Optical Flow":
            wanted[self.settings.hybrid_flow_method] = "hybrid_flow_method"
        return wanted

    @property
    def sampling_steps(self) -> int:
        """Sampling steps of the whole run, counted as the engines run them."""
        looks = sum(steps_run(request.steps, None) for request in self.key_frames.look_requests)
        return self.key_frames.sampling_steps + looks


def make_plan(
    settings: Settings,
    options: Options,
    manifest: Manifest | None = None,
    sound: Sound | None = None,
    tracks: Tracks = MappingProxyType({}),
) -> Plan:
    """Plan a run.

    Args:
        settings: checked settings with a resolved seed (>= 0).
        options: host options with the job's overrides applied.
        manifest: Parseq manifest whose fields replace the settings' schedules, or None.
        sound: the sound or the tempo that schedules and prompts may name, or None.
        tracks: the camera files that camera_path names.

    Raises:
        SettingsError: all problems of all schedules, prompts and masks.
    """
    timeline = Timeline(settings.max_frames, settings.seed, settings.fps, settings.W, settings.H, sound)
    read = _read_inputs(settings, options, manifest, timeline, tracks)
    inputs = in_render_order(read)
    schedules, prompts = inputs.schedules, inputs.prompts
    frame_numbers = place_key_frames(
        distribution(settings),
        settings.max_frames,
        cadence(settings),
        prompts.key_frames,
        transition_frames(settings, prompts.key_frames),
    )
    driven = manifest is not None and manifest.field_of("seed_schedule") is not None
    seeds = plan_seeds(settings, schedules, prompts, frame_numbers, driven=driven)
    key_frames = plan_key_frames(inputs, frame_numbers, seeds)
    moves = plan_moves(settings, read.schedules.values)
    if is_reversed(settings):
        moves = moves.in_render_order()
    return Plan(
        settings=settings,
        frames=settings.max_frames,
        fps=float(settings.fps),
        key_frames=key_frames,
        moves=moves,
        schedules=read.schedules,
        prompts=read.prompts,
        running_seeds=tuple(seed.noise_seed for seed in seeds),
        masks=inputs.masks,
        guides=inputs.guides,
        timeline=timeline,
        uses_depth=_uses_depth(settings, moves),
        sound=sound.digest if sound is not None else "",
        warnings=schedules.warnings
        + frame_warnings(read.schedules)
        + _prompt_warnings(settings, prompts)
        + (inputs.guides.warnings if inputs.guides is not None else ())
        + _color_warnings(settings)
        + _correction_warnings(settings, schedules)
        + _scene_warnings(settings)
        + mask_warnings(settings, inputs.masks)
        + (sound.warnings if sound is not None else ()),
    )


def _read_inputs(
    settings: Settings,
    options: Options,
    manifest: Manifest | None,
    timeline: Timeline,
    tracks: Tracks,
) -> PlanInputs:
    """Read schedules, prompts and masks; raises all their problems together."""
    problems: list[Problem] = []
    schedules = prompts = masks = guides = None
    try:
        schedules = compile_schedules(settings, timeline, manifest)
        schedules = with_camera_path(settings, schedules, timeline, tracks)
        problems.extend(frame_problems(schedules))
        masks = plan_masks(settings, schedules.texts)
    except SettingsError as error:
        problems.extend(error.problems)
    try:
        guides = read_guides(settings, timeline)
    except SettingsError as error:
        problems.extend(error.problems)
    try:
        prompts = manifest.prompts(timeline.frames) if manifest is not None else None
        prompts = prompts or _prompts(settings, timeline)
    except SettingsError as error:
        problems.extend(error.problems)
    if schedules is None or prompts is None or masks is None or problems:
        raise SettingsError(problems)
    return PlanInputs(settings, options, schedules, prompts, masks, guides)


def _prompts(settings: Settings, timeline: Timeline) -> PromptSeries:
    read = interpolated_prompt_series if blends_by_weights(settings) else prompt_series
    additions = (settings.animation_prompts_positive, settings.animation_prompts_negative)
    return read(settings.prompts, timeline, *additions)


def _prompt_warnings(settings: Settings, prompts: PromptSeries) -> tuple[str, ...]:
    """Return the warnings of prompts; none for the default prompts, whose last ones a short video need not reach."""
    untouched = settings.prompts == FIELDS["prompts"].default and not prompts.whole
    return () if untouched else prompts.warnings


def _color_warnings(settings: Settings) -> tuple[str, ...]:
    if settings.color_coherence != "Video Input" or not is_moved(settings) or uses_video(settings):
        return ()
    return (messages.COLORS_WITHOUT_VIDEO(),)


def _correction_warnings(settings: Settings, schedules: Schedules) -> tuple[str, ...]:
    if not settings.autoencoder_correction or not is_moved(settings):
        return ()
    if not schedules.values["noise_schedule"].any():
        return ()
    return (messages.CORRECTION_KEEPS_NOISE(),)


def _scene_warnings(settings: Settings) -> tuple[str, ...]:
    """Return warnings about settings of the exact camera that have no effect."""
    mode, warnings = settings.animation_mode, []
    if settings.depth_warp == "exact" and mode != "3D":
        warnings.append(messages.EXACT_WARP_WITHOUT_DEPTH(mode=mode))
    missing = reasons("scene_memory", flat_settings(settings)) if settings.scene_memory else ()
    if missing:
        warnings.append(messages.MEMORY_WITHOUT_DEPTH(missing=" and ".join(missing)))
    return tuple(warnings)


def _uses_depth(settings: Settings, moves: Moves) -> bool:
    """Tell whether any frame needs depth: warping by depth needs it only where the camera moves."""
    return shows_depth(settings) or (warps_by_depth(settings) and not moves[1:].still)


def _digest(settings: Settings, series: Values, key_frames: KeyFrames, sound: str) -> str:
    """Hash the inputs of all frames; names of outputs and settings of post-production are left out.

    Args:
        settings: checked settings.
        series: schedule name -> (frames,) values, in rendering order.
        key_frames: key frames of the run; their repr is hashed, so its text must never change.
        sound: digest of the sound that schedules and prompts read; empty without a sound.
    """
    flat = flat_settings(settings)
    unset = {name for name in _YOUNGER if flat[name] == FIELDS[name].default}
    left_out = {"batch_name", "resume_from_timestring", "resume_timestring"} | unset
    hashed = {
        name: value
        for name, value in flat.items()
        if FIELDS[name].group not in ("DeforumOutputArgs", "metadata", "ui_only") and name not in left_out
    }
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode() + sound.encode())
    for name in sorted(series.keys() - unset):
        digest.update(name.encode() + series[name].tobytes())
    for key in key_frames:
        digest.update(repr(key).encode())
    return digest.hexdigest()
