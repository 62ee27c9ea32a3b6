"""ControlNet units before the first frame: their checks, and the images, videos and masks that they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deforum_helpers.controlnet.model_files import check_fit, control_folders, control_model
from deforum_helpers.controlnet.units import (
    acting_units,
    follows_frames,
    module_fault,
    module_of,
    module_warning,
)
from deforum_helpers.core.errors import MissingFeature, ModelError, Problem, SettingsError
from deforum_helpers.core.files.regular import is_regular, pasted_path
from deforum_helpers.core.messages import Text
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.image.files import check_image_file
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video, selection_problem
from deforum_helpers.media.image_sequences import ENDINGS, is_animated, is_image_sequence
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import ControlNetUnit, Settings
from deforum_helpers.settings.modes import is_moved

if TYPE_CHECKING:
    from deforum_helpers.pipeline.input_files import Downloads

# With a shorter side below this, a control image hardly shows any edges.
COARSE_PX = 256


@dataclass(frozen=True)
class ControlMedia:
    """An image or a video that a unit reads.

    Args:
        setting: name of the setting that names it.
        image: path or data URL of an image; None for a video.
        footage: the video; None for an image.
        selection: the frames of the video that are used.
        width_px, height_px: size of a frame.
    """

    setting: str
    image: str | None
    footage: VideoInfo | None
    selection: Selection
    width_px: int
    height_px: int

    @property
    def frames(self) -> int:
        """Number of images that it provides."""
        return 1 if self.footage is None else self.selection.count(self.footage.frames)


@dataclass(frozen=True)
class ControlInput:
    """The media of one unit.

    Args:
        unit: number of the unit, 1..5.
        image: what the unit follows, or None.
        mask: limits where it steers, or None.
    """

    unit: int
    image: ControlMedia | None
    mask: ControlMedia | None

    @property
    def media(self) -> tuple[ControlMedia, ...]:
        """The image and the mask, as far as they are set."""
        return tuple(media for media in (self.image, self.mask) if media is not None)


@dataclass(frozen=True)
class FoundControls:
    """The inputs of all units, with the problems and warnings about them."""

    inputs: tuple[ControlInput, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def control_problems(plan: Plan, facts: HostFacts) -> list[Problem]:
    """Return the problems of a plan's units with the engine that generates its frames.

    An engine with ControlNets of its own checks the names of models and preprocessors itself.
    """
    abilities = facts.abilities
    problems: list[Problem] = []
    for number, unit in acting_units(plan.settings):
        if abilities.no_controlnet:
            problems.append(_refused(number, abilities.no_controlnet))
        if abilities.own_controlnet:
            problems += _name_problems(number, unit, facts.model)
    return problems


def blank_problems(plan: Plan) -> list[Problem]:
    """Return a problem for each unit without an image to follow at some frame; it is left out of that frame."""
    return [problem for number, unit in acting_units(plan.settings) for problem in _blank(plan, number, unit)]


def unread_numbers(settings: Settings) -> frozenset[str]:
    """Return the settings of the units that their preprocessors ignore; an unknown preprocessor may read all."""
    unread = set()
    for number, unit in enumerate(settings.controlnet, start=1):
        module = module_of(unit.module)
        if module is None:
            continue
        read = {
            "processor_res": module.sized and not unit.pixel_perfect,
            "threshold_a": module.a is not None,
            "threshold_b": module.b is not None,
        }
        unread |= {f"cn_{number}_{field}" for field, is_read in read.items() if not is_read}
    return frozenset(unread)


def control_warnings(plan: Plan, facts: HostFacts) -> list[str]:
    """Return warnings about the units of a plan, one sentence each."""
    warnings: list[str] = []
    for number, unit in acting_units(plan.settings):
        if not unit.loopback_mode and follows_frames(unit):
            warnings.append(messages.UNIT_FOLLOWS_FRAMES(unit=number))
        if not facts.abilities.own_controlnet:
            continue
        warning = module_warning(unit.module)
        if warning is not None:
            warnings.append(messages.UNIT_NOTE(setting=f"cn_{number}_module", note=warning))
        module = module_of(unit.module)
        if module is not None and module.sized and not unit.pixel_perfect:
            side_px = module.resolution_px(unit.processor_res)
            if side_px < COARSE_PX:
                warnings.append(messages.UNIT_TOO_COARSE(unit=number, side=side_px, module=module.name))
    return warnings


def find_controls(settings: Settings, downloads: Downloads) -> FoundControls:
    """Find the files that the units of `settings` read; problems are returned, not raised.

    Args:
        settings: checked, with the length of the video resolved.
        downloads: provides the local path of every file.
    """
    found: list[ControlInput] = []
    problems: list[Problem] = []
    warnings: list[str] = []
    for number, unit in acting_units(settings):
        named = {
            "vid_path": "" if follows_frames(unit) else unit.vid_path.strip(),
            "mask_vid_path": unit.mask_vid_path.strip(),
        }
        media: dict[str, ControlMedia | None] = dict.fromkeys(named)
        for field, text in named.items():
            if not text:
                continue
            setting = f"cn_{number}_{field}"
            try:
                one = _media(text, setting, selected_frames(settings), downloads)
            except SettingsError as error:
                problems += error.problems
                continue
            except MissingFeature as error:
                problems.append(Problem(Text(str(error), error.message_code).at(setting), setting))
                continue
            media[field] = one
            warnings += _media_warnings(one, settings.max_frames)
        found.append(ControlInput(number, media["vid_path"], media["mask_vid_path"]))
    return FoundControls(tuple(found), tuple(problems), tuple(warnings))


def selected_frames(settings: Settings) -> Selection:
    """Return the frames of units' videos that are used: those of the init video, else one for each frame."""
    if settings.animation_mode == "Video Input":
        return Selection(settings.extract_nth_frame, settings.extract_from_frame, settings.extract_to_frame)
    return Selection(last=settings.max_frames - 1)


def _blank(plan: Plan, number: int, unit: ControlNetUnit) -> Iterator[Problem]:
    """A unit without an image of its own follows init images; in loopback the first frame may lack one."""
    keys = plan.key_frames
    blank = [index for index, source in zip(keys.indices, keys.sources, strict=True) if source == "nothing"]
    waits = unit.loopback_mode and is_moved(plan.settings)
    if not follows_frames(unit) or not blank or waits:
        return
    setting = f"cn_{number}_loopback_mode" if unit.loopback_mode else f"cn_{number}_vid_path"
    state = "is on" if unit.loopback_mode else "is empty"
    message = messages.UNIT_WITHOUT_IMAGE(setting=setting, state=state, frame=blank[0], unit=number)
    yield Problem(message, setting, frame=blank[0], allowed="an image or a video")


def _refused(number: int, reason: str) -> Problem:
    setting = f"cn_{number}_enabled"
    message = messages.UNIT_REFUSED(setting=setting, reason=reason)
    return Problem(message, setting, found="true", allowed="false")


def _name_problems(number: int, unit: ControlNetUnit, checkpoint: str | None) -> Iterator[Problem]:
    fault = module_fault(unit.module)
    if fault is not None:
        setting = f"cn_{number}_module"
        message = messages.UNIT_VALUE_REFUSED(setting=setting, found=unit.module, reason=f"{fault}.")
        yield Problem(message, setting, found=unit.module)
    setting = f"cn_{number}_model"
    try:
        model = control_model(unit.model, control_folders(checkpoint))
        if checkpoint is not None:
            check_fit(model, checkpoint, allow_download=True)
    except ModelError as error:
        message = messages.UNIT_VALUE_REFUSED(setting=setting, found=unit.model, reason=error)
        yield Problem(message, setting, found=unit.model)


def _media(text: str, setting: str, selection: Selection, downloads: Downloads) -> ControlMedia:
    """Inspect the file that a setting names.

    Raises:
        SettingsError: it is missing, or neither an image nor a video.
        MissingFeature: PyAV is not installed.
    """
    name = pasted_path(text)
    path = _still(name, text, setting, downloads)
    if path is not None:
        return ControlMedia(setting, path, None, selection, *check_image_file(path, setting=setting))
    local = downloads.local(text, "image" if _named_as_image(name) else "video", setting=setting)
    footage = inspect_video(Path(local), setting=setting, name=name)
    media = ControlMedia(setting, None, footage, selection, footage.width_px, footage.height_px)
    if problem := selection_problem(footage, selection, setting):
        raise SettingsError([replace(problem, setting=setting)])
    return media


def _still(name: str, text: str, setting: str, downloads: Downloads) -> str | None:
    """Return the path or data URL of a still image; None for a video, an animation or an image sequence."""
    if name[:5].casefold() == "data:":
        return downloads.local(text, "image", setting=setting)
    if not _named_as_image(name):
        return None
    path = downloads.local(text, "image", setting=setting)
    if not is_url(name) and not is_regular(path) and is_image_sequence(Path(path)):
        return None
    return None if is_animated(path, setting=setting) else path


def _named_as_image(name: str) -> bool:
    """Tell whether a file or an address ends like an image."""
    bare = name.partition("?")[0].partition("#")[0] if is_url(name) else name
    return bare.casefold().endswith(ENDINGS)


def _media_warnings(media: ControlMedia, frames: int) -> Iterator[str]:
    if media.footage is None:
        return
    if note := media.footage.note(media.setting):
        yield note
    count = media.frames
    if count < frames:
        count_text = "1 frame" if count == 1 else f"{count} frames"
        yield messages.CONTROL_VIDEO_SHORT(setting=media.setting, count=count_text, frames=frames)
