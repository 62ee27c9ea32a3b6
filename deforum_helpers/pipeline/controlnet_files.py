"""The pictures and videos that ControlNet units are steered by, and those that limit where: found and looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deforum_helpers.controlnet.units import acting_units, follows_frames
from deforum_helpers.core.errors import MissingFeature, Problem, SettingsError
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.image.files import check_image_file
from deforum_helpers.media.footage import Footage, Selection, footage_of, selection_problem
from deforum_helpers.media.image_sequences import ENDINGS, is_animated, is_row
from deforum_helpers.settings import Settings

if TYPE_CHECKING:
    from deforum_helpers.pipeline.input_files import Downloads


@dataclass(frozen=True)
class Material:
    """A picture or a video that a unit reads.

    Args:
        setting: name of the setting that names it.
        picture: path or data URL of a picture, or None.
        footage: a video, where it is no picture.
        selection: which of the video's frames are taken.
        width_px, height_px: size of a frame.
    """

    setting: str
    picture: str | None
    footage: Footage | None
    selection: Selection
    width_px: int
    height_px: int

    @property
    def frames(self) -> int:
        """Number of pictures that it gives."""
        return 1 if self.footage is None else self.selection.count(self.footage.frames)


@dataclass(frozen=True)
class ControlInput:
    """What one unit reads: its number, what it is steered by, and what limits where; None where there is none."""

    unit: int
    picture: Material | None
    mask: Material | None

    @property
    def materials(self) -> tuple[Material, ...]:
        """What there is of both."""
        return tuple(material for material in (self.picture, self.mask) if material is not None)


@dataclass(frozen=True)
class FoundControls:
    """The inputs of all units, what is wrong with them, and what a person should know."""

    inputs: tuple[ControlInput, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


def find_controls(settings: Settings, downloads: Downloads) -> FoundControls:
    """Find what the units of `settings` read; what is wrong is told in the answer.

    Args:
        settings: checked, with the film's length resolved.
        downloads: gives every file's local path.
    """
    found: list[ControlInput] = []
    problems: list[Problem] = []
    warnings: list[str] = []
    for number, unit in acting_units(settings):
        named = {
            "vid_path": "" if follows_frames(unit) else unit.vid_path.strip(),
            "mask_vid_path": unit.mask_vid_path.strip(),
        }
        materials: dict[str, Material | None] = dict.fromkeys(named)
        for field, text in named.items():
            if not text:
                continue
            setting = f"cn_{number}_{field}"
            try:
                material = _material(text, setting, selected_frames(settings), downloads)
            except SettingsError as error:
                problems += error.problems
                continue
            except MissingFeature as error:
                problems.append(Problem(f"{setting}: {error}", setting))
                continue
            materials[field] = material
            warnings += _warnings(material, settings.max_frames)
        found.append(ControlInput(number, materials["vid_path"], materials["mask_vid_path"]))
    return FoundControls(tuple(found), tuple(problems), tuple(warnings))


def selected_frames(settings: Settings) -> Selection:
    """Return which frames of units' videos are taken: as of the film's own video, else one for each frame."""
    if settings.animation_mode == "Video Input":
        return Selection(settings.extract_nth_frame, settings.extract_from_frame, settings.extract_to_frame)
    return Selection(last=settings.max_frames - 1)


def _material(text: str, setting: str, selection: Selection, downloads: Downloads) -> Material:
    """Look at what a setting names.

    Raises:
        SettingsError: it is missing, or neither a picture nor a video.
        MissingFeature: PyAV is not installed.
    """
    name = text.strip('"')
    path = _still(name, text, setting, downloads)
    if path is not None:
        return Material(setting, path, None, selection, *check_image_file(path, setting=setting))
    local = downloads.local(text, "image" if _named_as_picture(name) else "video", setting=setting)
    footage = footage_of(Path(local), setting=setting, name=name)
    material = Material(setting, None, footage, selection, footage.width_px, footage.height_px)
    if problem := selection_problem(footage, selection, setting):
        raise SettingsError([replace(problem, setting=setting)])
    return material


def _still(name: str, text: str, setting: str, downloads: Downloads) -> str | None:
    """Return the path or data URL of a picture that does not move; None where a setting names something else."""
    if name[:5].casefold() == "data:":
        return downloads.local(text, "image", setting=setting)
    if not _named_as_picture(name):
        return None
    path = downloads.local(text, "image", setting=setting)
    if not is_url(name) and not is_regular(path) and is_row(Path(path)):
        return None
    return None if is_animated(path, setting=setting) else path


def _named_as_picture(name: str) -> bool:
    """Tell whether a file or an address has the name of a picture."""
    bare = name.partition("?")[0].partition("#")[0] if is_url(name) else name
    return bare.casefold().endswith(ENDINGS)


def _warnings(material: Material, frames: int) -> Iterator[str]:
    if material.footage is None:
        return
    if material.footage.note:
        yield f"{material.setting} {material.footage.note}"
    count = material.frames
    if count < frames:
        there = "1 frame" if count == 1 else f"{count} frames"
        yield f"{material.setting} has {there}, the film {frames}; its last frame is held to the end."
