"""From submitted settings to a plan: every check that can be made before a job is accepted.

Nothing is written, no model is loaded, torch is not imported.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deforum_helpers.depth.names import available_families, serve
from deforum_helpers.engines.names import split_sampler
from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.options import Options, override
from deforum_helpers.output.names import IMAGES_FOLDER
from deforum_helpers.registry import UnknownName
from deforum_helpers.render.plan import Plan, make_plan
from deforum_helpers.settings import Settings, examine_settings

MAX_SEED = 2**32 - 1
# A PNG of rendered pictures takes about half of its raw size, the film a tenth of that again.
BYTES_PER_PIXEL = 1.7


def free_bytes(folder: Path) -> int:
    """Return the free space, in bytes, of the disk that holds `folder` or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _draw_seed() -> int:
    return random.SystemRandom().randint(0, MAX_SEED)


@dataclass(frozen=True)
class HostFacts:
    """What checks must know of the host that will render.

    Args:
        name: "standalone", "Forge", ...
        engine: name of its engine.
        model: name of its loaded or selected model, or None.
        output_root: folder that holds everything it writes.
        samplers, schedulers: names that its engine has.
        checkpoints, vaes: names that may be asked for; empty = only the one it was started with.
        options: its options.
        free_disk: free bytes of the disk that holds a folder.
        device: where it renders.
    """

    name: str
    engine: str
    model: str | None
    output_root: Path
    samplers: tuple[str, ...]
    schedulers: tuple[str, ...]
    checkpoints: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    free_disk: Callable[[Path], int] = free_bytes
    device: str = "cpu"


@dataclass(frozen=True)
class Prepared:
    """A job that can be rendered.

    Args:
        submitted: the settings as they came, unknown ones included.
        settings: the checked settings, seed resolved.
        options: the host's options with the job's overrides.
        plan: the film.
        warnings: what a person should know, as plain sentences.
        output_root: where its files go.
        images_folder: the folder inside `output_root` that holds the folders of runs.
        model: name of the host's model, or None.
        resume: timestring of the run that it continues, or None.
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

    @property
    def summary(self) -> dict[str, int]:
        """Size of the job: frames, diffused_frames, sampling_steps, disk_bytes (an estimate)."""
        return {
            "frames": self.plan.frames,
            "diffused_frames": len(self.plan.key_frames),
            "sampling_steps": self.plan.sampling_steps,
            "disk_bytes": _disk_bytes(self.settings),
        }


def prepare(
    submitted: Mapping[str, Any],
    facts: HostFacts,
    overrides: Mapping[str, Any] | None = None,
    *,
    resume: str | None = None,
    draw_seed: Callable[[], int] = _draw_seed,
) -> Prepared:
    """Check `submitted` and plan its film.

    Args:
        submitted: settings of any year and notation.
        facts: of the host that will render.
        overrides: `options_overrides` of the job.
        resume: timestring of a run of this very job to continue, whatever its settings say of resuming.
        draw_seed: gives the seed where the settings ask for a random one.

    Raises:
        SettingsError: all problems that could be found.
    """
    options, option_problems = _options(facts, overrides)
    loaded, found = examine_settings(submitted)
    settings, problems = loaded.settings, [*option_problems, *found]
    if settings.resume_from_timestring and resume is None:
        resume = settings.resume_timestring
    settings = _with_seed(settings, facts.output_root, resume, draw_seed)
    later = [*_file_problems(settings), *_disk_problems(settings, facts)]
    plan = None
    try:
        plan = make_plan(settings, options)
        later += _name_problems(plan, facts)
    except SettingsError as error:
        later += error.problems
    named = {problem.setting for problem in problems}
    problems += [problem for problem in later if problem.setting not in named]
    if plan is None or problems:
        raise SettingsError(problems)
    warnings = (*loaded.warnings, *plan.warnings, *_depth_warnings(plan))
    return Prepared(
        submitted=dict(submitted),
        settings=settings,
        options=options,
        plan=plan,
        warnings=tuple(dict.fromkeys(warnings)),
        output_root=facts.output_root,
        images_folder=_images_folder(options, facts),
        model=facts.model,
        resume=resume,
    )


def _options(facts: HostFacts, overrides: Mapping[str, Any] | None) -> tuple[Options, list[Problem]]:
    """Return the host's options with the job's overrides, and what is wrong with those."""
    try:
        options = override(facts.options, dict(overrides or {}))
    except SettingsError as error:
        return facts.options, list(error.problems)
    root = facts.output_root.resolve()
    folder = (root / options.outdir_samples).resolve() if "\0" not in options.outdir_samples else None
    if folder is not None and folder.is_relative_to(root):
        return options, []
    found = repr(options.outdir_samples)[:80]
    message = f"The option 'outdir_samples' is {found}, but must name a folder inside the output folder."
    setting = "options_overrides.outdir_samples"
    return options, [Problem(message, setting, found=found, allowed="a folder inside the output folder")]


def _images_folder(options: Options, facts: HostFacts) -> str:
    if not options.outdir_samples:
        return IMAGES_FOLDER
    root = facts.output_root.resolve()
    return str((root / options.outdir_samples).resolve().relative_to(root))


def _with_seed(
    settings: Settings, output_root: Path, resume: str | None, draw_seed: Callable[[], int]
) -> Settings:
    """Resolve a random seed; a resumed run keeps the one it was begun with."""
    if settings.seed >= 0:
        return settings
    seed = _seed_of_run(output_root, resume) if resume else None
    return replace(settings, seed=draw_seed() if seed is None else seed)


def _seed_of_run(output_root: Path, timestring: str) -> int | None:
    for path in sorted(output_root.glob(f"*/*/{timestring}_settings.txt")):
        try:
            seed = json.loads(path.read_text(encoding="utf-8")).get("seed")
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(seed, int) and seed >= 0:
            return seed
    return None


def _file_problems(settings: Settings) -> list[Problem]:
    """Find files that settings name and that are not there."""
    named = {
        "init_image": settings.init_image if settings.use_init and not settings.init_image_box else "",
        "color_coherence_image_path": (
            settings.color_coherence_image_path if settings.color_coherence == "Image" else ""
        ),
        "soundtrack_path": settings.soundtrack_path if _has_soundtrack(settings) else "",
    }
    problems = []
    for setting, text in named.items():
        path = (text or "").strip().strip('"')
        if path and not path.startswith("data:") and not _is_file(path):
            problems.append(
                Problem(
                    f"{setting} names a file that is not there or cannot be read: {path[:200]!r}; "
                    "give the path of an existing file.",
                    setting=setting,
                    found=path[:200],
                    allowed="path of an existing file",
                )
            )
    return problems


def _has_soundtrack(settings: Settings) -> bool:
    return settings.add_soundtrack == "File" and not settings.skip_video_creation


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _disk_bytes(settings: Settings) -> int:
    maps = 1.3 if settings.save_depth_maps else 1.0
    return int(settings.W * settings.H * settings.max_frames * BYTES_PER_PIXEL * maps)


def _disk_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    needed, free = _disk_bytes(settings), facts.free_disk(facts.output_root)
    if needed <= free:
        return []
    return [
        Problem(
            f"max_frames: {settings.max_frames} frames of {settings.W}x{settings.H} need about "
            f"{needed / 1e9:.1f} GB, but the output folder's disk has {free / 1e9:.1f} GB free; "
            "render fewer or smaller frames, or free some space.",
            setting="max_frames",
            found=f"{needed} bytes",
            allowed=f"{free} bytes",
        )
    ]


def _name_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Find samplers, schedulers, checkpoints and VAEs that the host does not have; each name is reported once."""
    scheduled = plan.settings
    kinds = (
        ("sampler", "sampler_schedule", scheduled.enable_sampler_scheduling, facts.samplers),
        ("scheduler", "scheduler_schedule", scheduled.enable_scheduler_scheduling, facts.schedulers),
        ("checkpoint", "checkpoint_schedule", scheduled.enable_checkpoint_scheduling, facts.checkpoints),
        ("vae", "options_overrides.sd_vae", False, facts.vaes),
    )
    problems = []
    for attribute, schedule, is_scheduled, allowed in kinds:
        unknown: dict[str, int] = {}
        for key in plan.key_frames:
            name = getattr(key.request, attribute)
            if name is not None and not _known(attribute, name, allowed):
                unknown.setdefault(name, key.index)
        for name, frame in unknown.items():
            setting = schedule if is_scheduled or attribute not in ("sampler", "scheduler") else attribute
            choices = ", ".join(allowed) or f"none but the loaded {attribute}"
            problems.append(
                Problem(
                    f"{setting} asks for the {attribute} {name!r}, which this host does not have; "
                    f"allowed: {choices}.",
                    setting=setting,
                    frame=frame if is_scheduled else None,
                    found=name,
                    allowed=choices,
                )
            )
    return problems


def _known(attribute: str, name: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether the host has a name; "DPM++ 2M Karras" is a sampler and its scheduler in one."""
    if attribute != "sampler" or name in allowed:
        return name in allowed
    try:
        return split_sampler(name)[0] in allowed
    except UnknownName:
        return False


def _depth_warnings(plan: Plan) -> tuple[str, ...]:
    if not plan.uses_depth:
        return ()
    _, warning = serve(plan.settings.depth_algorithm, available_families())
    return (warning,) if warning else ()
