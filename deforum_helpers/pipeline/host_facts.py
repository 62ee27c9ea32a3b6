"""Facts about a host, and the checks that depend on it: files, disk space, names of models and samplers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines.base import Abilities
from deforum_helpers.engines.names import samplers, schedulers, split_sampler
from deforum_helpers.engines.registry import declared, default_engine
from deforum_helpers.image.files import check_image_file
from deforum_helpers.models.flow import missing_feature as missing_method
from deforum_helpers.models.segmentation import WRITTEN, missing_feature
from deforum_helpers.models.weights.checkpoints import (
    LORA_FOLDER,
    NO_PARTS,
    ModelParts,
    checkpoints_beside,
    describe_checkpoint,
    folders_beside,
    lora_files,
    vae_files,
)
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.extra_outputs import extra_output_problems, extra_pixels
from deforum_helpers.pipeline.input_files import Downloads, Inputs
from deforum_helpers.pipeline.wildcards import FOLDER, HERE
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.masks import wanted_finders
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.modes import (
    detects_people,
    reads_color_image,
    reads_end_image,
    reads_init_image,
    reads_mask_file,
)

# A PNG of a rendered frame takes about half of its raw size, the video a tenth of that in addition.
BYTES_PER_PIXEL = 1.7
# Frames are extracted from videos as JPEGs of the best quality.
EXTRACTED_BYTES_PER_PIXEL = 0.7


def free_bytes(folder: Path) -> int:
    """Return the free space, in bytes, of the disk that holds `folder` or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class ControlNetFacts:
    """Facts about a host's ControlNet.

    Args:
        missing: why the host has none, as a sentence with advice; None = it has one.
        modules: names of its preprocessors; empty = unknown.
        models: names of its models; empty = unknown.
        modules_without_model: preprocessors that work without a model.
    """

    missing: str | None = None
    modules: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    modules_without_model: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostFacts:
    """Facts about the host that will render.

    Args:
        name: "standalone", "Forge", ...
        engine: name of its engine.
        model: name of its loaded or selected checkpoint, or None.
        output_root: folder for all of its outputs.
        samplers, schedulers: names that its engine offers.
        checkpoints, vaes: names that a job may use; empty = only the one that the host was started with.
        options: its options.
        free_disk: returns the free bytes of the disk that holds a folder.
        device: device that it renders on.
        fetcher: fetches files from http(s) addresses.
        controlnet: facts about its ControlNet.
        lacks: setting that switches on an unsupported feature -> the reason, as a sentence.
        loras: returns the names of the available LoRAs; None = they cannot be listed before the run.
        wildcard_folders: folders with the files that wildcards of prompts name.
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
    fetcher: Fetcher = field(default_factory=Fetcher)
    controlnet: ControlNetFacts = field(default_factory=ControlNetFacts)
    lacks: Mapping[str, str] = field(default_factory=dict)
    loras: Callable[[], Collection[str]] | None = None
    wildcard_folders: tuple[Path, ...] = ()

    @property
    def abilities(self) -> Abilities:
        """The declared abilities of the engine."""
        return declared(self.engine).abilities


def file_problems(settings: Settings, downloads: Downloads) -> list[Problem]:
    """Return a problem for each input image in use that is missing, is not an image or is too large."""
    reads_init = reads_init_image(settings)
    images = {
        "init_image": settings.init_image if reads_init and not settings.init_image_box else "",
        "init_image_box": settings.init_image_box if reads_init else "",
        "color_coherence_image_path": (
            settings.color_coherence_image_path if reads_color_image(settings) else ""
        ),
        "end_image_path": settings.end_image_path if reads_end_image(settings) else "",
        "mask_file": settings.mask_file if reads_mask_file(settings) else "",
    }
    problems = []
    for setting, text in images.items():
        problems += image_problems(setting, text, downloads)
    return problems or _end_problems(settings, downloads)


def _end_problems(settings: Settings, downloads: Downloads) -> list[Problem]:
    """Return a problem if the end image, which is shown unchanged, does not have the size of the video."""
    if not reads_end_image(settings):
        return []
    name = "end_image_path"
    width, height = check_image_file(
        downloads.local(settings.end_image_path, "image", setting=name), setting=name
    )
    if (width, height) == (settings.W, settings.H):
        return []
    found, wanted = f"{width}x{height} pixels", f"{settings.W}x{settings.H} pixels"
    message = messages.END_IMAGE_SIZE(setting=name, found=found, allowed=wanted)
    return [Problem(message, name, found=found, allowed=wanted)]


def image_problems(setting: str, text: str | None, downloads: Downloads) -> list[Problem]:
    """Return the problems of the image that `setting` names; none if the setting is empty."""
    if not (text or "").strip():
        return []
    try:
        path = downloads.local(text or "", "image", setting=setting)
        check_image_file(path, setting=setting)
    except SettingsError as error:
        return list(error.problems)
    return []


def plan_problems(plan: Plan, facts: HostFacts, downloads: Downloads) -> list[Problem]:
    """Return a problem for each name, image, model or package that the plan needs and this host lacks."""
    return [
        *name_problems(plan, facts),
        *mask_problems(plan, downloads),
        *flow_problems(plan),
        *guide_problems(plan, downloads),
        *extra_output_problems(plan.settings),
    ]


def mask_problems(plan: Plan, downloads: Downloads) -> list[Problem]:
    """Return the problems of the plan's masks: unusable files, and segmentation models that are missing here."""
    problems = []
    setting = "mask_schedule" if plan.masks.repainted[0] is not None else "noise_mask_schedule"
    for leaf in plan.masks.leaves:
        if leaf.kind == "file":
            problems += image_problems(setting, leaf.text, downloads)
    if detects_people(plan.settings) and (missing := missing_feature("people")) is not None:
        setting_of_people = "hybrid_generate_human_masks"
        found = plan.settings.hybrid_generate_human_masks
        message = messages.FEATURE_UNAVAILABLE(setting=setting_of_people, reason=missing)
        problems.append(Problem(message, setting_of_people, found=found))
    for purpose in wanted_finders(plan.masks.leaves):
        missing = missing_feature(purpose)
        if missing is not None:
            message = messages.FEATURE_UNAVAILABLE(setting=setting, reason=missing)
            problems.append(Problem(message, setting=setting, found=WRITTEN[purpose]))
    return problems


def mask_warnings(plan: Plan, downloads: Downloads) -> Iterator[str]:
    """Yield a warning for each mask image of another size than the video; it is scaled."""
    images = {("mask_schedule", leaf.text) for leaf in plan.masks.leaves if leaf.kind == "file"}
    if plan.settings.mask_file and reads_mask_file(plan.settings):
        images.add(("mask_file", plan.settings.mask_file))
    for setting, text in sorted(images):
        width, height = check_image_file(downloads.local(text, "image", setting=setting), setting=setting)
        if (width, height) != (plan.settings.W, plan.settings.H):
            size = f"{plan.settings.W}x{plan.settings.H}"
            yield messages.MASK_IS_SCALED(setting=setting, found=f"{width}x{height}", size=size)


def guide_problems(plan: Plan, downloads: Downloads) -> list[Problem]:
    """Return the problems of the guide images."""
    sources = plan.guides.sources if plan.guides is not None else ()
    return [problem for source in sources for problem in image_problems("init_images", source, downloads)]


def flow_problems(plan: Plan) -> list[Problem]:
    """Return a problem for each flow method that the plan uses and this machine lacks."""
    problems = []
    for method, setting in plan.flow_methods.items():
        missing = missing_method(method)
        if missing is not None:
            message = messages.FEATURE_UNAVAILABLE(setting=setting, reason=missing)
            problems.append(Problem(message, setting, found=method, allowed="DIS Medium"))
    return problems


def disk_bytes(settings: Settings, inputs: Inputs) -> int:
    """Return an estimate of the disk space for a run, in bytes, with the extracted frames of its input videos."""
    maps = 1.3 if settings.save_depth_maps else 1.0
    frames = settings.W * settings.H * settings.max_frames * BYTES_PER_PIXEL * maps
    more = extra_pixels(settings) * BYTES_PER_PIXEL
    return int(frames + more + inputs.extracted_pixels * EXTRACTED_BYTES_PER_PIXEL)


def disk_problems(
    settings: Settings, inputs: Inputs, facts: HostFacts, written_bytes: int = 0
) -> list[Problem]:
    """Return a problem if the disk is too small for a run of which `written_bytes` exist already."""
    needed, free = disk_bytes(settings, inputs), facts.free_disk(facts.output_root)
    if needed - written_bytes <= free:
        return []
    return [
        Problem(
            messages.DISK_TOO_SMALL(
                frames=settings.max_frames,
                width=settings.W,
                height=settings.H,
                needed=_amount(needed),
                included=_included(settings, inputs),
                free=_amount(free),
            ),
            setting="max_frames",
            found=f"{needed} bytes",
            allowed=f"{free} bytes",
            passing=True,
        )
    ]


def _amount(size_bytes: int) -> str:
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else "less than 1 MB"


def _included(settings: Settings, inputs: Inputs) -> str:
    parts = ["extracted frames of the input videos"] if inputs.extracted_pixels else []
    parts += ["upscaled and interpolated frames"] if extra_pixels(settings) else []
    return f" (with the {' and the '.join(parts)})" if parts else ""


def name_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return a problem for each sampler, scheduler, checkpoint and VAE that the host does not have."""
    problems = []
    for attribute, unscheduled, is_scheduled, allowed in _kinds_of_names(plan.settings, facts):
        unknown: dict[str, int] = {}
        for key in _keys_with_names(plan, attribute, is_scheduled):
            name = getattr(key.request, attribute)
            if name is not None and not _known(attribute, name, allowed):
                unknown.setdefault(name, key.index)
        for name, frame in unknown.items():
            setting = f"{attribute}_schedule" if is_scheduled else unscheduled
            place = f"{setting}, frame {frame}," if is_scheduled else setting
            choices = ", ".join(allowed) or f"none but the loaded {attribute}"
            problems.append(
                Problem(
                    messages.UNKNOWN_HOST_NAME(
                        place=place, found=shown(name), kind=attribute, allowed=choices
                    ),
                    setting=setting,
                    frame=frame if is_scheduled else None,
                    found=name[:80],
                    allowed=choices,
                )
            )
    return problems


def _keys_with_names(plan: Plan, attribute: str, is_scheduled: bool) -> Iterator[KeyFrame]:
    """Yield the first key frame of each distinct name in a schedule; without a schedule, the first key frame."""
    numbers = {"": 0}
    if is_scheduled:
        texts = plan.schedules.texts[f"{attribute}_schedule"]
        numbers = {}
        for number, index in enumerate(plan.key_frames.indices):
            numbers.setdefault(texts[plan.video_index(index)], number)
    return map(plan.key_frames.__getitem__, numbers.values())


def _kinds_of_names(settings: Settings, facts: HostFacts) -> Iterator[tuple[str, str, bool, tuple[str, ...]]]:
    """Yield (attribute of a request, setting without a schedule, whether a schedule is on, available names)."""
    option = "options_overrides."
    yield "sampler", "sampler", settings.enable_sampler_scheduling, facts.samplers
    yield "scheduler", "scheduler", settings.enable_scheduler_scheduling, facts.schedulers
    is_scheduled = settings.enable_checkpoint_scheduling
    yield "checkpoint", f"{option}sd_model_checkpoint", is_scheduled, facts.checkpoints
    yield "vae", f"{option}sd_vae", False, facts.vaes


def _known(attribute: str, name: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether the host has a name; "DPM++ 2M Karras" names a sampler together with its scheduler."""
    if attribute != "sampler" or name in allowed:
        return name in allowed
    try:
        return split_sampler(name)[0] in allowed
    except UnknownName:
        return False


def own_engine(requested: str | None, checkpoint: str | None) -> str:
    """Return the engine to use: the one requested, else the one for a checkpoint, else the built-in one."""
    return requested or default_engine(checkpoint)


def check_checkpoint(
    engine: str, checkpoint: str, allow_download: bool, parts: ModelParts = NO_PARTS
) -> None:
    """Check the checkpoint of one of the project's own engines, if it takes one, without loading it.

    Raises:
        ModelError: the checkpoint cannot be used.
    """
    if declared(engine).takes_checkpoint:
        describe_checkpoint(checkpoint, allow_download, parts)


def own_facts(
    engine: str,
    model: str | None,
    output_root: Path,
    name: str = "standalone",
    parts: ModelParts = NO_PARTS,
) -> HostFacts:
    """Return the facts about a host that renders with one of the project's own engines.

    Args:
        engine: a name in `engines.registry.ENGINES`.
        model: its checkpoint, or None.
        output_root: folder for all outputs.
        name: name of the host.
        parts: components that replace those of the checkpoint, or complete it.
    """
    about = declared(engine)
    checkpoint = model if about.takes_checkpoint else None
    lora_folders = folders_beside(checkpoint, LORA_FOLDER)
    return HostFacts(
        name=name,
        engine=engine,
        model=model,
        output_root=output_root.resolve(),
        samplers=samplers(),
        schedulers=schedulers(),
        checkpoints=checkpoints_beside(checkpoint, parts),
        vaes=tuple(sorted(vae_files(checkpoint))),
        lacks=about.abilities.lacks,
        loras=(lambda: lora_files(lora_folders)) if about.abilities.checks_loras else None,
        wildcard_folders=(output_root.resolve() / FOLDER, HERE / FOLDER),
    )
