"""Checks of a plan against the host that will render it: files, disk space, names, and features that it may lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deforum_helpers.controlnet.units import acting_units
from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.progress import distinct_messages
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines.diffusion.prompt_syntax import parse_prompt, unread_loras
from deforum_helpers.engines.names import split_sampler
from deforum_helpers.image.files import LARGEST_PIXELS, check_image_file
from deforum_helpers.models import flow, interpolation, segmentation, upscaling
from deforum_helpers.models.depth import available_families, depth_name, second_family, serve
from deforum_helpers.models.upscaling import available
from deforum_helpers.models.weights.checkpoints import LORA_FOLDER
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.pipeline.input_files import Downloads, Inputs
from deforum_helpers.render.key_frames import KeyFrame
from deforum_helpers.render.masks import wanted_finders
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import Settings
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.model import ControlNetUnit
from deforum_helpers.settings.modes import (
    detects_people,
    interpolates,
    interpolates_upscaled,
    reads_color_image,
    reads_end_image,
    reads_init_image,
    reads_mask_file,
    upscales,
)

# A PNG of a rendered frame takes about half of its raw size, the video a tenth of that in addition.
BYTES_PER_PIXEL = 1.7
# Frames are extracted from videos as JPEGs of the best quality.
EXTRACTED_BYTES_PER_PIXEL = 0.7

NO_NAME = "none"
FACES = "restore_faces"
MAX_NAMES_SHOWN = 40
# Making the request of a key frame takes longer than planning it; the engine sees all of them when the job begins.
MOST_REQUESTS = 200


def plan_problems(plan: Plan, facts: HostFacts, downloads: Downloads) -> list[Problem]:
    """Return a problem for each name, image, model or package that the plan needs and this host lacks."""
    return [
        *name_problems(plan, facts),
        *mask_problems(plan, downloads),
        *flow_problems(plan),
        *guide_problems(plan, downloads),
        *extra_output_problems(plan.settings),
    ]


def name_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return a problem for each sampler, scheduler, checkpoint and VAE that the host does not have."""
    problems = []
    for attribute, unscheduled, is_scheduled, allowed in _kinds_of_names(plan.settings, facts):
        unknown: dict[str, int] = {}
        for key in _keys_with_names(plan, attribute, is_scheduled):
            name = getattr(key.request, attribute)
            if name is not None and not _is_known(attribute, name, allowed):
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


def mask_problems(plan: Plan, downloads: Downloads) -> list[Problem]:
    """Return the problems of the plan's masks: unusable files, and segmentation models that are missing here."""
    problems = []
    setting = "mask_schedule" if plan.masks.repainted[0] is not None else "noise_mask_schedule"
    for leaf in plan.masks.leaves:
        if leaf.kind == "file":
            problems += image_problems(setting, leaf.text, downloads)
    if detects_people(plan.settings) and (missing := segmentation.missing_feature("people")) is not None:
        setting_of_people = "hybrid_generate_human_masks"
        found = plan.settings.hybrid_generate_human_masks
        message = messages.FEATURE_UNAVAILABLE(setting=setting_of_people, reason=missing)
        problems.append(Problem(message, setting_of_people, found=found))
    for purpose in wanted_finders(plan.masks.leaves):
        missing = segmentation.missing_feature(purpose)
        if missing is not None:
            message = messages.FEATURE_UNAVAILABLE(setting=setting, reason=missing)
            problems.append(Problem(message, setting=setting, found=segmentation.WRITTEN[purpose]))
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
        missing = flow.missing_feature(method)
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


def extra_output_problems(settings: Settings) -> list[Problem]:
    """Return a problem for each upscaled or interpolated video that cannot be made on this machine."""
    return [*_upscaling_problems(settings), *_interpolation_problems(settings)]


def extra_pixels(settings: Settings) -> int:
    """Return the number of pixels of all upscaled and interpolated frames."""
    frame, pixels = settings.W * settings.H, 0
    larger = upscaling.times_larger(settings.r_upscale_factor) ** 2
    if upscales(settings):
        pixels += frame * larger * settings.max_frames
    if interpolates(settings):
        count = interpolation.frame_count(settings.max_frames, settings.frame_interpolation_x_amount)
        pixels += frame * count * (larger if interpolates_upscaled(settings) else 1)
    return pixels


def missing_networks() -> dict[str, str]:
    """Return the reason for each engine and model that cannot run here, by setting and value."""
    engines = {
        f"frame_interpolation_engine {name}": interpolation.missing_feature(name)
        for name in interpolation.ENGINES
    }
    models = {
        f"r_upscale_model {model}": available.missing_feature(model, f"x{available.factors(model)[-1]}")
        for model in available.names()
    }
    return {feature: reason for feature, reason in (engines | models).items() if reason}


def ability_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    """Return a problem for each switch that is on and each ControlNet unit that the host of `facts` does not support.

    Face restoration is left to `face_problems`.
    """
    switches = [setting for setting in facts.lacks if setting != FACES]
    problems = _unavailable(settings, facts, switches)
    for number, unit in acting_units(settings):
        problems += _unit_problems(number, unit, facts.controlnet)
    return problems


def face_problems(settings: Settings, facts: HostFacts) -> list[Problem]:
    """Return a problem if restore_faces is on and the host cannot restore faces; the frames are rendered without it."""
    return _unavailable(settings, facts, [FACES])


def host_name_of(name: str, names: Sequence[str]) -> str | None:
    """Return the host's spelling of a name in a settings file, or None.

    Case is ignored, and so is the hash that hosts append to a model's name: "canny [1a2b3c4d]".
    """
    if name in names:
        return name
    by_plain_name = {_plain(known): known for known in reversed(names)}
    return by_plain_name.get(_plain(name))


def lora_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return a problem for each LoRA in the prompts that the host does not have, at the first frame that uses it."""
    if facts.loras is None:
        return []
    called: dict[str, int] = {}
    for text, frame in _with_tags(plan):
        for lora in parse_prompt(text).loras:
            called.setdefault(lora.name, frame)
    there = sorted(facts.loras()) if called else []
    allowed = ", ".join(there[:MAX_NAMES_SHOWN]) or "none"
    return [
        Problem(
            messages.LORA_UNKNOWN(frame=frame, name=name[:80], allowed=allowed, folder=LORA_FOLDER),
            "prompts",
            frame=frame,
            found=name[:80],
            allowed=allowed,
        )
        for name, frame in called.items()
        if name not in there
    ]


def lora_warnings(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """Return a warning for each malformed LoRA tag in the prompts; a WebUI, which parses tags itself, gets none."""
    if facts.loras is None:
        return ()
    return distinct_messages(
        messages.LORA_TAG_MALFORMED(frame=frame, tag=tag[:80])
        for text, frame in _with_tags(plan)
        for tag in unread_loras(text)
    )


def depth_warnings(plan: Plan) -> tuple[str, ...]:
    """Return warnings about a depth model that replaces the one in the settings, and about an unused midas_weight."""
    if not plan.uses_depth:
        return ()
    name, families = plan.settings.depth_algorithm, available_families()
    _, warning = serve(name, families)
    found = [warning] if warning else []
    if depth_name(name).raw and plan.settings.midas_weight < 1 and second_family(name, families) is None:
        found.append(messages.MIDAS_WEIGHT_UNUSED())
    return tuple(found)


def unread_warnings(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Yield a warning for each setting in use that the host's engine ignores, with what it does instead."""
    if all(source == "nothing" for source in plan.key_frames.sources):
        return
    asked = {
        "noise_source": plan.settings.noise_source == "inverted",
        "autoencoder_correction": plan.settings.autoencoder_correction,
    }
    yield from (reason for name, reason in facts.abilities.unread.items() if asked.get(name))


def prompt_warnings(plan: Plan, facts: HostFacts) -> Iterator[str]:
    """Return the engine's warnings about the prompts, such as words outside its vocabulary."""
    starts = [frame for frame in plan.prompts.key_frames if 0 <= frame < plan.frames]
    return facts.abilities.prompt_warnings(plan.prompts.positive[: plan.frames], starts)


def engine_warnings(plan: Plan, facts: HostFacts) -> tuple[str, ...]:
    """Return the engine's warnings about the plan's requests: of a long run, about some that are evenly spread."""
    stride = -(-len(plan.key_frames) // MOST_REQUESTS)
    requests = (key.request for key in plan.key_frames[::stride])
    return distinct_messages(facts.abilities.request_warnings(facts.model, requests))


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


def _is_known(attribute: str, name: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether the host has a name; "DPM++ 2M Karras" names a sampler together with its scheduler."""
    if attribute != "sampler" or name in allowed:
        return name in allowed
    try:
        return split_sampler(name)[0] in allowed
    except UnknownName:
        return False


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


def _amount(size_bytes: int) -> str:
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else "less than 1 MB"


def _included(settings: Settings, inputs: Inputs) -> str:
    parts = ["extracted frames of the input videos"] if inputs.extracted_pixels else []
    parts += ["upscaled and interpolated frames"] if extra_pixels(settings) else []
    return f" (with the {' and the '.join(parts)})" if parts else ""


def _unavailable(settings: Settings, facts: HostFacts, switches: Iterable[str]) -> list[Problem]:
    return [
        Problem(
            messages.SWITCH_UNAVAILABLE(setting=switch, reason=facts.lacks[switch]),
            switch,
            found="true",
            allowed="false",
        )
        for switch in switches
        if switch in facts.lacks and getattr(settings, switch)
    ]


def _unit_problems(number: int, unit: ControlNetUnit, facts: ControlNetFacts) -> Iterator[Problem]:
    if facts.missing is not None:
        setting = f"cn_{number}_enabled"
        message = messages.SWITCH_UNAVAILABLE(setting=setting, reason=facts.missing)
        yield Problem(message, setting, found="true", allowed="false")
        return
    module, model = f"cn_{number}_module", f"cn_{number}_model"
    if facts.modules and host_name_of(unit.module, facts.modules) is None:
        yield _unknown_unit_name(module, "preprocessor", unit.module, facts.modules)
    if _plain(unit.model) == NO_NAME:
        alone = host_name_of(unit.module, facts.modules_without_model) is not None
        if facts.models and not alone:
            yield _unknown_unit_name(model, "model", unit.model, facts.models)
    elif facts.models and host_name_of(unit.model, facts.models) is None:
        yield _unknown_unit_name(model, "model", unit.model, facts.models)


def _unknown_unit_name(setting: str, kind: str, found: str, names: Sequence[str]) -> Problem:
    others = [name for name in names if _plain(name) != NO_NAME or kind == "preprocessor"]
    allowed = ", ".join(others[:MAX_NAMES_SHOWN]) + (", ..." if len(others) > MAX_NAMES_SHOWN else "")
    allowed = allowed or "none, as there is no ControlNet model"
    message = messages.UNIT_NAME_UNKNOWN(setting=setting, kind=kind, found=found, allowed=allowed)
    return Problem(message, setting, found=found, allowed=allowed)


def _plain(name: str) -> str:
    return name.partition(" [")[0].strip().casefold()


def _with_tags(plan: Plan) -> list[tuple[str, int]]:
    """Return the distinct prompts that may contain tags, each with its first frame, sorted by frame."""
    first: dict[tuple[int, str], int] = {}
    for side, texts in enumerate((plan.prompts.positive, plan.prompts.negative)):
        for frame, text in enumerate(texts):
            if "<" in text:
                first.setdefault((side, text), frame)
    return sorted(((text, frame) for (_, text), frame in first.items()), key=lambda one: one[1])


def _upscaling_problems(settings: Settings) -> Iterator[Problem]:
    if not upscales(settings):
        return
    model, factor = settings.r_upscale_model, settings.r_upscale_factor
    times = upscaling.times_larger(factor)
    if settings.W * settings.H * times**2 > LARGEST_PIXELS:
        size = f"{settings.W * times}x{settings.H * times}"
        allowed = f"frames of at most {LARGEST_PIXELS // 1_000_000} million pixels"
        message = messages.UPSCALED_TOO_LARGE(factor=factor, size=size, allowed=allowed)
        yield Problem(message, "r_upscale_factor", found=factor, allowed=allowed)
    if times in available.factors(model) and (missing := available.missing_feature(model, factor)):
        message = messages.FEATURE_UNAVAILABLE(setting="r_upscale_model", reason=missing)
        yield Problem(message, "r_upscale_model", found=model, allowed="Lanczos")


def _interpolation_problems(settings: Settings) -> Iterator[Problem]:
    if not interpolates(settings):
        return
    name, setting = settings.frame_interpolation_engine, "frame_interpolation_engine"
    times = settings.frame_interpolation_x_amount
    count = interpolation.frame_count(settings.max_frames, times)
    if count > interpolation.MOST_FRAMES:
        allowed = f"at most {interpolation.MOST_FRAMES:,} frames"
        message = messages.INTERPOLATED_TOO_LONG(
            times=times, count=count, frames=settings.max_frames, allowed=allowed
        )
        yield Problem(message, "frame_interpolation_x_amount", found=str(times), allowed=allowed)
    if missing := interpolation.missing_feature(name):
        message = messages.FEATURE_UNAVAILABLE(setting=setting, reason=missing)
        yield Problem(message, setting, found=name, allowed="None, Flow")
