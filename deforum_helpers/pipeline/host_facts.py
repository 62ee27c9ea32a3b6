"""What checks must know of a host, and the problems that only a host can have: files, disk space, names of models."""

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
from deforum_helpers.models.flow.names import missing_feature as missing_method
from deforum_helpers.models.segmentation.names import WRITTEN, missing_feature
from deforum_helpers.models.weights.checkpoints import (
    LORA_FOLDER,
    checkpoints_beside,
    describe_checkpoint,
    folders_beside,
    lora_files,
    vae_files,
)
from deforum_helpers.pipeline.extra_outputs import more_pixels, more_problems
from deforum_helpers.pipeline.input_files import Downloads, Inputs
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.masks import wanted_finders
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import Settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.modes import (
    finds_people,
    reads_color_image,
    reads_end_image,
    reads_init_image,
    reads_mask_file,
)

# A PNG of rendered pictures takes about half of its raw size, the film a tenth of that again.
BYTES_PER_PIXEL = 1.7
# A JPEG of the best quality, as frames are extracted from videos.
EXTRACTED_BYTES_PER_PIXEL = 0.7


def free_bytes(folder: Path) -> int:
    """Return the free space, in bytes, of the disk that holds `folder` or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class ControlNetFacts:
    """What is known of a host's ControlNet.

    Args:
        missing: why there is none, as one sentence that says what to do; None = it is there.
        modules: names of its preprocessors; empty = not known.
        models: names of its models; empty = not known.
        modules_without_model: preprocessors that steer by themselves.
    """

    missing: str | None = None
    modules: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    modules_without_model: tuple[str, ...] = ()


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
        fetcher: gets files from addresses.
        controlnet: of its ControlNet.
        lacks: switch of a feature that it does not have -> why not, as one sentence.
        loras: looks up the names of the LoRAs that prompts may call; None = nobody knows before the film.
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

    @property
    def abilities(self) -> Abilities:
        """What the engine declares of itself."""
        return declared(self.engine).abilities


def file_problems(settings: Settings, downloads: Downloads) -> list[Problem]:
    """Find pictures that the film reads and that are not there, are none or too large."""
    reads_init = reads_init_image(settings)
    pictures = {
        "init_image": settings.init_image if reads_init and not settings.init_image_box else "",
        "init_image_box": settings.init_image_box if reads_init else "",
        "color_coherence_image_path": (
            settings.color_coherence_image_path if reads_color_image(settings) else ""
        ),
        "end_image_path": settings.end_image_path if reads_end_image(settings) else "",
        "mask_file": settings.mask_file if reads_mask_file(settings) else "",
    }
    problems = []
    for setting, text in pictures.items():
        problems += picture_problems(setting, text, downloads)
    return problems or _end_problems(settings, downloads)


def _end_problems(settings: Settings, downloads: Downloads) -> list[Problem]:
    """The end image is shown as it is, so it cannot have another size than the video."""
    if not reads_end_image(settings):
        return []
    name = "end_image_path"
    width, height = check_image_file(
        downloads.local(settings.end_image_path, "image", setting=name), setting=name
    )
    if (width, height) == (settings.W, settings.H):
        return []
    found, wanted = f"{width}x{height} pixels", f"{settings.W}x{settings.H} pixels"
    return [Problem(f"{name}: the image has {found}, the video {wanted}.", name, found=found, allowed=wanted)]


def picture_problems(setting: str, text: str | None, downloads: Downloads) -> list[Problem]:
    """Return what is wrong with the picture that `setting` names, seen from its head; nothing if it is empty."""
    if not (text or "").strip():
        return []
    try:
        path = downloads.local(text or "", "image", setting=setting)
        check_image_file(path, setting=setting)
    except SettingsError as error:
        return list(error.problems)
    return []


def plan_problems(plan: Plan, facts: HostFacts, downloads: Downloads) -> list[Problem]:
    """Return what the plan asks for and this host or machine has not: names, pictures, models, packages."""
    return [
        *name_problems(plan, facts),
        *mask_problems(plan, downloads),
        *flow_problems(plan),
        *guide_problems(plan, downloads),
        *more_problems(plan.settings),
    ]


def mask_problems(plan: Plan, downloads: Downloads) -> list[Problem]:
    """Return what keeps the plan's masks from being put together on this machine."""
    problems = []
    setting = "mask_schedule" if plan.masks.repainted[0] is not None else "noise_mask_schedule"
    for leaf in plan.masks.leaves:
        if leaf.kind == "file":
            problems += picture_problems(setting, leaf.text, downloads)
    if finds_people(plan.settings) and (missing := missing_feature("people")) is not None:
        setting_of_people = "hybrid_generate_human_masks"
        found = plan.settings.hybrid_generate_human_masks
        problems.append(Problem(f"{setting_of_people}: {missing}.", setting_of_people, found=found))
    for purpose in wanted_finders(plan.masks.leaves):
        missing = missing_feature(purpose)
        if missing is not None:
            problems.append(Problem(f"{setting}: {missing}.", setting=setting, found=WRITTEN[purpose]))
    return problems


def mask_warnings(plan: Plan, downloads: Downloads) -> Iterator[str]:
    """Yield a sentence for every picture of a mask that has not the film's size; it is scaled."""
    pictures = {("mask_schedule", leaf.text) for leaf in plan.masks.leaves if leaf.kind == "file"}
    if plan.settings.mask_file and reads_mask_file(plan.settings):
        pictures.add(("mask_file", plan.settings.mask_file))
    for setting, text in sorted(pictures):
        width, height = check_image_file(downloads.local(text, "image", setting=setting), setting=setting)
        film = (plan.settings.W, plan.settings.H)
        if (width, height) != film:
            yield (
                f"{setting}: the mask is {width}x{height} pixels, the film {film[0]}x{film[1]}; it is scaled to "
                "fit. Give it the film's size to have it as it is."
            )


def guide_problems(plan: Plan, downloads: Downloads) -> list[Problem]:
    """Return what is wrong with the guided images, seen from their heads."""
    sources = plan.guides.sources if plan.guides is not None else ()
    return [problem for source in sources for problem in picture_problems("init_images", source, downloads)]


def flow_problems(plan: Plan) -> list[Problem]:
    """Return which ways to measure motion the plan needs and this machine has not."""
    problems = []
    for method, setting in plan.flow_methods.items():
        missing = missing_method(method)
        if missing is not None:
            problems.append(Problem(f"{setting}: {missing}.", setting, found=method, allowed="DIS Medium"))
    return problems


def disk_bytes(settings: Settings, inputs: Inputs) -> int:
    """Return about how many bytes the film of `settings` takes, the frames of its input videos included."""
    maps = 1.3 if settings.save_depth_maps else 1.0
    frames = settings.W * settings.H * settings.max_frames * BYTES_PER_PIXEL * maps
    more = more_pixels(settings) * BYTES_PER_PIXEL
    return int(frames + more + inputs.extracted_pixels * EXTRACTED_BYTES_PER_PIXEL)


def disk_problems(
    settings: Settings, inputs: Inputs, facts: HostFacts, written_bytes: int = 0
) -> list[Problem]:
    """Return what the disk lacks for a film of which so many bytes are there already."""
    needed, free = disk_bytes(settings, inputs), facts.free_disk(facts.output_root)
    if needed - written_bytes <= free:
        return []
    return [
        Problem(
            f"max_frames: {settings.max_frames} frames of {settings.W}x{settings.H} need about "
            f"{_amount(needed)}{_with_more(settings, inputs)}, but the output folder's disk has {_amount(free)} free; "
            "render fewer or smaller frames, or free some space.",
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


def _with_more(settings: Settings, inputs: Inputs) -> str:
    videos = " with the frames of the videos that are used" if inputs.extracted_pixels else ""
    return f"{videos} with the pictures that are made of them" if more_pixels(settings) else videos


def name_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Find samplers, schedulers, checkpoints and VAEs that the host does not have; each name is reported once."""
    problems = []
    for attribute, unscheduled, is_scheduled, allowed in _sorts_of_names(plan.settings, facts):
        unknown: dict[str, int] = {}
        for key in _keys_with_names(plan, attribute, is_scheduled):
            name = getattr(key.request, attribute)
            if name is not None and not _known(attribute, name, allowed):
                unknown.setdefault(name, key.index)
        for name, frame in unknown.items():
            setting = f"{attribute}_schedule" if is_scheduled else unscheduled
            asks = f"{setting} asks at frame {frame}" if is_scheduled else f"{setting} asks"
            choices = ", ".join(allowed) or f"none but the loaded {attribute}"
            problems.append(
                Problem(
                    f"{asks} for the {attribute} {shown(name)}, which this host does not have; "
                    f"allowed: {choices}.",
                    setting=setting,
                    frame=frame if is_scheduled else None,
                    found=name[:80],
                    allowed=choices,
                )
            )
    return problems


def _keys_with_names(plan: Plan, attribute: str, is_scheduled: bool) -> Iterator[KeyFrame]:
    """Yield the first key frame with each name; names change with the texts of their schedule alone."""
    numbers = {"": 0}
    if is_scheduled:
        texts = plan.schedules.texts[f"{attribute}_schedule"]
        numbers = {}
        for number, index in enumerate(plan.key_frames.indices):
            numbers.setdefault(texts[plan.video_index(index)], number)
    return map(plan.key_frames.__getitem__, numbers.values())


def _sorts_of_names(settings: Settings, facts: HostFacts) -> Iterator[tuple[str, str, bool, tuple[str, ...]]]:
    """Yield what a request names, what says so where no schedule does, whether one does, and what there is."""
    option = "options_overrides."
    yield "sampler", "sampler", settings.enable_sampler_scheduling, facts.samplers
    yield "scheduler", "scheduler", settings.enable_scheduler_scheduling, facts.schedulers
    is_scheduled = settings.enable_checkpoint_scheduling
    yield "checkpoint", f"{option}sd_model_checkpoint", is_scheduled, facts.checkpoints
    yield "vae", f"{option}sd_vae", False, facts.vaes


def _known(attribute: str, name: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether the host has a name; "DPM++ 2M Karras" is a sampler and its scheduler in one."""
    if attribute != "sampler" or name in allowed:
        return name in allowed
    try:
        return split_sampler(name)[0] in allowed
    except UnknownName:
        return False


def own_engine(asked: str | None, checkpoint: str | None) -> str:
    """Return the name of the engine: as asked for, else for a checkpoint where there is one, else the built-in."""
    return asked or default_engine(checkpoint)


def lacks_checkpoint(engine: str, checkpoint: str | None) -> bool:
    """Tell whether one of our own engines needs a checkpoint and has none."""
    return declared(engine).takes_checkpoint and not checkpoint


def check_checkpoint(engine: str, checkpoint: str, allow_download: bool) -> None:
    """Look at the checkpoint of one of our own engines, if it takes one, without loading it.

    Raises:
        ModelError: it cannot be used.
    """
    if declared(engine).takes_checkpoint:
        describe_checkpoint(checkpoint, allow_download)


def own_facts(engine: str, model: str | None, output_root: Path, name: str = "standalone") -> HostFacts:
    """Return what is known of a host that renders with one of our own engines.

    Args:
        engine: an engine of this program, of `engines.registry.ENGINES`.
        model: its checkpoint, or None.
        output_root: folder for everything that is written.
        name: the host's name.
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
        checkpoints=checkpoints_beside(checkpoint),
        vaes=tuple(sorted(vae_files(checkpoint))),
        lacks=about.abilities.lacks,
        loras=(lambda: lora_files(lora_folders)) if about.abilities.checks_loras else None,
    )
