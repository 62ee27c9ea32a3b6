"""From submitted settings to a plan, with every check that is possible before a job is accepted.

This module writes nothing, loads no model and does not import torch.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deforum_helpers.camera.path import SETTING as CAMERA_PATH
from deforum_helpers.core.errors import Problem, SettingsError, group_problems, summary_of
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.output.paths import IMAGES_FOLDER, SETTINGS_ENDING, resumed_run
from deforum_helpers.output.runs import resume_problems
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.checks import (
    ability_problems,
    depth_warnings,
    engine_warnings,
    face_problems,
    lora_problems,
    lora_warnings,
    prompt_warnings,
    unread_warnings,
)
from deforum_helpers.pipeline.controlnet import (
    blank_problems,
    control_problems,
    control_warnings,
    unread_numbers,
)
from deforum_helpers.pipeline.host_facts import (
    HostFacts,
    disk_bytes,
    disk_problems,
    file_problems,
    mask_warnings,
    plan_problems,
)
from deforum_helpers.pipeline.input_files import (
    Downloads,
    Inputs,
    find_inputs,
    speed_warnings,
    with_camera,
    with_controls,
)
from deforum_helpers.pipeline.overrides import (
    apply_parseq_manifest,
    parseq_warnings,
    replaced_setting_warnings,
)
from deforum_helpers.pipeline.sound import SOUND_SETTINGS, find_sound
from deforum_helpers.pipeline.wildcards import resolve_wildcards
from deforum_helpers.render.plan import Plan, make_plan
from deforum_helpers.schedule.parseq import Manifest
from deforum_helpers.schedule.sound import Sound
from deforum_helpers.settings import FIELDS, Settings, defaults, examine_settings, flat_settings
from deforum_helpers.settings.files import read_settings_file, typed_settings
from deforum_helpers.settings.host_options import Options, override, override_warnings
from deforum_helpers.settings.load import without_unused
from deforum_helpers.settings.modes import sets_length

__all__ = ["HostFacts", "Prepared", "prepare"]

MAX_SEED = 2**32 - 1


def _draw_seed() -> int:
    return random.SystemRandom().randint(0, MAX_SEED)


@dataclass(frozen=True)
class Prepared:
    """A job that can be rendered.

    Args:
        submitted: the settings as submitted, unknown ones included.
        settings: the checked settings, with the seed resolved.
        options: the host's options with the job's overrides.
        plan: the plan.
        warnings: sentences for the user.
        output_root: folder for all outputs.
        images_folder: folder inside `output_root` with the folders of runs.
        model: name of the host's checkpoint, or None.
        resume: timestring of the run that the job continues, or None.
        inputs: the input files that the settings name.
        missing: requested features that are unavailable and left out; `warnings` contains each as well.
    """

    submitted: dict[str, Any]
    settings: Settings
    options: Options
    plan: Plan
    warnings: tuple[str, ...]
    output_root: Path
    images_folder: str = IMAGES_FOLDER
    model: str | None = None
    resume: str | None = None
    inputs: Inputs = field(default_factory=lambda: Inputs(Downloads(Fetcher())))
    missing: tuple[Problem, ...] = ()

    @property
    def summary(self) -> dict[str, int]:
        """Size of the job: frames, diffused_frames (key frames), sampling_steps, disk_bytes (an estimate), segments.

        So many workers at most can render it together: the segments do not depend on each other.
        """
        return {
            "frames": self.plan.frames,
            "diffused_frames": len(self.plan.key_frames),
            "sampling_steps": self.plan.sampling_steps,
            "disk_bytes": disk_bytes(self.settings, self.inputs),
            "segments": len(self.plan.independent_segments),
        }

    @property
    def work(self) -> float:
        """Amount of work in megapixel sampling steps; each frame costs about half a step in addition."""
        steps = self.plan.sampling_steps + 0.5 * self.plan.frames
        return steps * self.settings.W * self.settings.H / 1e6


def prepare(
    submitted: Mapping[str, Any],
    facts: HostFacts,
    overrides: Mapping[str, Any] | None = None,
    *,
    resume: str | None = None,
    draw_seed: Callable[[], int] = _draw_seed,
) -> Prepared:
    """Check `submitted` settings and make the plan.

    Args:
        submitted: settings of any version and notation.
        facts: facts about the host that will render.
        overrides: `options_overrides` of the job.
        resume: timestring of a run of this job to continue; outranks the resume settings.
        draw_seed: returns the seed where the settings ask for a random one.

    Raises:
        SettingsError: with all problems that were found.
    """
    options, images_folder, option_problems = _options(facts, overrides)
    loaded, found = examine_settings(submitted, {"sampler": facts.samplers, "scheduler": facts.schedulers})
    settings = loaded.settings
    used, unread = without_unused(found, unread_numbers(settings))
    problems = [*option_problems, *used]
    known = (*loaded.warnings, *unread, *override_warnings(facts.options, overrides or {}))
    if settings.resume_from_timestring and resume is None:
        resume = settings.resume_timestring
    settings = _with_seed(settings, facts.output_root, images_folder, resume, draw_seed)
    settings, unresolved, about_wildcards = resolve_wildcards(settings, facts.wildcard_folders)
    asked = replace(settings, max_frames=settings.max_frames or FIELDS["max_frames"].default)
    inputs = find_inputs(settings, options, Downloads(facts.fetcher))
    settings = _with_length(settings, inputs)
    settings, manifest, broken = apply_parseq_manifest(settings, inputs.downloads)
    sound = find_sound(settings, inputs, lambda: facts.fetcher.cache.folder)
    settings, endless = _as_long_as_sound(settings, sound)
    inputs = with_camera(with_controls(inputs, settings), settings)
    later = [
        *unresolved,
        *endless,
        *inputs.problems,
        *broken,
        *file_problems(settings, inputs.downloads),
        *resume_problems(facts.output_root, settings, resume, images_folder),
        *disk_problems(settings, inputs, facts, _bytes_of_run(facts.output_root / images_folder, resume)),
        *ability_problems(settings, facts),
    ]
    plan, unplanned = _planned(settings, options, manifest, facts, inputs, sound)
    later += unplanned
    named = {problem.setting for problem in problems}
    problems += [problem for problem in later if problem.setting not in named]
    if plan is None or problems:
        raise SettingsError(problems, (*known, *inputs.warnings))
    warnings = (
        *known,
        *about_wildcards,
        *inputs.warnings,
        *_plan_warnings(plan, inputs, manifest, facts, asked),
    )
    return Prepared(
        submitted=dict(submitted),
        settings=settings,
        options=options,
        plan=plan,
        warnings=tuple(dict.fromkeys(warnings)),
        output_root=facts.output_root,
        images_folder=images_folder,
        model=facts.model,
        resume=resume,
        inputs=inputs,
        missing=_missing(plan, facts),
    )


def _planned(
    settings: Settings,
    options: Options,
    manifest: Manifest | None,
    facts: HostFacts,
    inputs: Inputs,
    sound: Sound | None,
) -> tuple[Plan | None, list[Problem]]:
    """Return the plan, or None, and all problems with it.

    Settings that prevent a plan are replaced by defaults, so that the others are checked as well.
    """
    problems: list[Problem] = []
    named: set[str | None] = set()
    if any(problem.setting == CAMERA_PATH for problem in inputs.problems):
        settings = replace(settings, camera_path="")  # without its files it cannot be planned
    while True:
        try:
            plan = make_plan(settings, options, manifest, sound, inputs.tracks)
        except SettingsError as error:
            new = [problem for problem in error.problems if problem.setting not in named]
            if not new:
                return None, problems
            problems += new
            named |= {problem.setting for problem in new}
            if "parseq_manifest" in named or named & SOUND_SETTINGS:  # what they drive is unknown
                return None, problems
            settings = _without(settings, named)
            continue
        found = _plan_problems(plan, facts, inputs)
        return plan, problems + [problem for problem in found if problem.setting not in named]


def _without(settings: Settings, names: Collection[str | None]) -> Settings:
    """Return the settings with valid values for those in `names`."""
    readable = defaults() | {"init_images": '{"0": "any.png"}'}  # its default is empty, which is invalid
    plain = {name: value for name, value in readable.items() if name in names}
    return typed_settings(flat_settings(settings) | plain)


def _plan_problems(plan: Plan, facts: HostFacts, inputs: Inputs) -> list[Problem]:
    return [*plan_problems(plan, facts, inputs.downloads), *control_problems(plan, facts)]


def _missing(plan: Plan, facts: HostFacts) -> tuple[Problem, ...]:
    """Return a problem for each requested feature that is unavailable and that the run can leave out."""
    return (*face_problems(plan.settings, facts), *lora_problems(plan, facts), *blank_problems(plan))


def _plan_warnings(
    plan: Plan, inputs: Inputs, manifest: Manifest | None, facts: HostFacts, asked: Settings
) -> tuple[str, ...]:
    of_manifest = parseq_warnings(manifest) if manifest is not None else ()
    left_out = (
        messages.LEFT_OUT(problem=summary_of(group)) for group in group_problems(_missing(plan, facts))
    )
    replaced = replaced_setting_warnings(asked, plan.settings, inputs.video_frames)
    of_sound = speed_warnings(inputs, plan.fps, plan.frames)
    of_files = (*of_sound, *_mask_video_warnings(plan, inputs), *mask_warnings(plan, inputs.downloads))
    of_prompts = (*lora_warnings(plan, facts), *prompt_warnings(plan, facts))
    of_engine = (*unread_warnings(plan, facts), *engine_warnings(plan, facts))
    of_models = (*control_warnings(plan, facts), *of_prompts, *of_engine)
    return (*left_out, *replaced, *plan.warnings, *of_manifest, *depth_warnings(plan), *of_files, *of_models)


def _with_length(settings: Settings, inputs: Inputs) -> Settings:
    """Return the settings with max_frames from the init video, in modes where it sets the length."""
    if sets_length(settings) and inputs.video_frames:
        return replace(settings, max_frames=inputs.video_frames)
    return settings


def _as_long_as_sound(settings: Settings, sound: Sound | None) -> tuple[Settings, list[Problem]]:
    """Return the settings with the length of the sound where max_frames is 0, and the problems with it.

    Where the length is unknown, it is the default, so that the other settings are checked.
    """
    if settings.max_frames:
        return settings, []
    usual, most = FIELDS["max_frames"].default, int(FIELDS["max_frames"].maximum or 0)
    if sets_length(settings):  # the problem is that of the video
        return replace(settings, max_frames=usual), []
    try:
        seconds = sound.duration_s if sound is not None else None
    except SettingsError as error:
        return replace(settings, max_frames=usual), list(error.problems)
    if seconds is None:
        allowed = "a number of frames, or a sound in audio_path"
        message = messages.LENGTH_WITHOUT_SOUND(allowed=allowed)
        return replace(settings, max_frames=usual), [
            Problem(message, "max_frames", found="0", allowed=allowed)
        ]
    frames = math.floor(seconds * settings.fps + 0.5)
    if frames > most:
        message = messages.LENGTH_OF_LONG_SOUND(
            seconds=seconds, frames=frames, fps=settings.fps, allowed=f"{most} frames"
        )
        found, allowed = f"{frames} frames", f"at most {most} frames"
        return replace(settings, max_frames=usual), [
            Problem(message, "max_frames", found=found, allowed=allowed)
        ]
    return replace(settings, max_frames=max(frames, 1)), []


def _mask_video_warnings(plan: Plan, inputs: Inputs) -> Iterator[str]:
    if inputs.mask_video is not None and inputs.mask_frames < plan.frames:
        yield messages.MASK_VIDEO_SHORT(count=inputs.mask_frames, frames=plan.frames)


def _options(facts: HostFacts, overrides: Mapping[str, Any] | None) -> tuple[Options, str, list[Problem]]:
    """Return the options with the job's overrides, the images folder that they name, and the problems with them."""
    try:
        options = override(facts.options, dict(overrides or {}))
    except SettingsError as error:
        return facts.options, IMAGES_FOLDER, list(error.problems)
    if not options.outdir_samples:
        return options, IMAGES_FOLDER, []
    root = facts.output_root.resolve()
    folder = (root / options.outdir_samples).resolve() if "\0" not in options.outdir_samples else None
    if folder is not None and folder.is_relative_to(root):
        return options, str(folder.relative_to(root)), []
    found = repr(options.outdir_samples)[:80]
    setting, allowed = "options_overrides.outdir_samples", "a folder inside the output folder"
    message = messages.OUTPUT_FOLDER_OUTSIDE(found=found, allowed=allowed)
    return options, IMAGES_FOLDER, [Problem(message, setting, found=found, allowed=allowed)]


def _with_seed(
    settings: Settings,
    output_root: Path,
    images_folder: str,
    resume: str | None,
    draw_seed: Callable[[], int],
) -> Settings:
    """Resolve a random seed; a resumed run keeps the seed that it was started with."""
    if settings.seed >= 0:
        return settings
    seed = _seed_of_run(settings, output_root, images_folder, resume) if resume else None
    return replace(settings, seed=draw_seed() if seed is None else seed)


def _seed_of_run(settings: Settings, output_root: Path, images_folder: str, timestring: str) -> int | None:
    """Return the seed in the settings file of a run, or None.

    Runs in several folders may have started in the same second; the right one is in the folder whose name follows from
    its seed. If the name depends on settings that are resolved later, the first settings file found is used.
    """
    others = []
    for path in sorted((output_root / images_folder).glob(f"*/{timestring}{SETTINGS_ENDING}")):
        seed = _saved_seed(path)
        if seed is None:
            continue
        with suppress(SettingsError):  # about the timestring; `resume_problems` reports it
            run = resumed_run(output_root, replace(settings, seed=seed), timestring, images_folder)
            if run.outdir.name == path.parent.name:
                return seed
        others.append(seed)
    return next(iter(others), None)


def _saved_seed(path: Path) -> int | None:
    try:
        seed = read_settings_file(path).get("seed")
    except SettingsError:
        return None
    return seed if isinstance(seed, int) and seed >= 0 else None


def _bytes_of_run(images: Path, timestring: str | None) -> int:
    """Return the size of the files of a run, in bytes."""
    sizes: list[int] = []
    for path in images.glob(f"*/{timestring}_*") if timestring else ():
        with suppress(OSError):
            sizes.append(path.stat().st_size)
    return sum(sizes)
