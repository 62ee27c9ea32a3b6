"""The control images, videos and masks that ControlNet units name: found and checked before the first frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deforum_helpers.controlnet.units import acting_units, follows_frames
from deforum_helpers.core.errors import MissingFeature, Problem, SettingsError
from deforum_helpers.core.files.regular import is_regular
from deforum_helpers.core.messages import Text
from deforum_helpers.core.net.fetch import is_url
from deforum_helpers.image.files import check_image_file
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video, selection_problem
from deforum_helpers.media.image_sequences import ENDINGS, is_animated, is_image_sequence
from deforum_helpers.pipeline import messages
from deforum_helpers.settings import Settings

if TYPE_CHECKING:
    from deforum_helpers.pipeline.input_files import Downloads


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
            warnings += _warnings(one, settings.max_frames)
        found.append(ControlInput(number, media["vid_path"], media["mask_vid_path"]))
    return FoundControls(tuple(found), tuple(problems), tuple(warnings))


def selected_frames(settings: Settings) -> Selection:
    """Return the frames of units' videos that are used: those of the init video, else one for each frame."""
    if settings.animation_mode == "Video Input":
        return Selection(settings.extract_nth_frame, settings.extract_from_frame, settings.extract_to_frame)
    return Selection(last=settings.max_frames - 1)


def _media(text: str, setting: str, selection: Selection, downloads: Downloads) -> ControlMedia:
    """Inspect the file that a setting names.

    Raises:
        SettingsError: it is missing, or neither an image nor a video.
        MissingFeature: PyAV is not installed.
    """
    name = text.strip('"')
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


def _warnings(media: ControlMedia, frames: int) -> Iterator[str]:
    if media.footage is None:
        return
    if note := media.footage.note(media.setting):
        yield note
    count = media.frames
    if count < frames:
        count_text = "1 frame" if count == 1 else f"{count} frames"
        yield messages.CONTROL_VIDEO_SHORT(setting=media.setting, count=count_text, frames=frames)
