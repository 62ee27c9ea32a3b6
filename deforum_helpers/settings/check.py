"""Rules that hold between settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from deforum_helpers.core.errors import Problem
from deforum_helpers.settings.messages import shown
from deforum_helpers.settings.model import Settings
from deforum_helpers.settings.modes import (
    asks,
    is_hybrid,
    is_moved,
    reads_color_image,
    reads_end_image,
    reads_mask_video,
    uses_video,
)
from deforum_helpers.settings.predicates import is_on, is_set, is_used, one_of
from deforum_helpers.settings.situations import HYBRID_VIDEO, PLAYS_VIDEO, VIDEO_INPUT
from deforum_helpers.settings.tables import ANY_FACTOR, LARGEST_RIFE_X

MAX_BATCH_NAME = 300
_upscales = asks(is_on("r_upscale_video"))
_interpolates_by_rife = asks(one_of("frame_interpolation_engine", "RIFE v4.6"))
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_TIMESTRING = re.compile(r"[0-9]{14}")


def is_url(path: str) -> bool:
    """Tell whether `path` is an address on the network."""
    return path[:8].casefold().startswith(("http://", "https://"))


_FILE = "a local file or an http(s) address"
_IMAGE = "a local file, an http(s) address or a data: URL"


def problems_of(settings: Settings) -> list[Problem]:
    """Return what is wrong with `settings` as a whole; each value is right by itself already."""
    return [problem for rule in RULES for problem in rule(settings)]


def safe_batch_name(settings: Settings) -> Iterator[Problem]:
    """A folder name has no control characters, ends, and is more than dots."""
    name = settings.batch_name
    allowed = ""
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        allowed = "text without line breaks and control characters"
    elif len(name) > MAX_BATCH_NAME:
        allowed = f"text of at most {MAX_BATCH_NAME} characters, not {len(name)}"
    elif not name.strip(" ./\\"):
        allowed = "a name, not only dots and slashes"
    if allowed:
        message = f"batch_name is {shown(name)}, but must be {allowed}."
        yield Problem(message, setting="batch_name", found=shown(name), allowed=allowed)


def resumable(settings: Settings) -> Iterator[Problem]:
    """A run to be continued is named by 14 digits."""
    if settings.resume_from_timestring and not _TIMESTRING.fullmatch(settings.resume_timestring):
        found = shown(settings.resume_timestring)
        yield Problem(
            f"resume_timestring is {found}, but must be the 14 digits that the run's file names begin with.",
            setting="resume_timestring",
            found=found,
            allowed="14 digits",
        )


class PathUse(NamedTuple):
    """A path setting, when it is needed, and whether the film cannot be made without it."""

    setting: str
    needed: Callable[[Settings], bool]
    because: str
    allowed: str = _IMAGE
    required: bool = True


PATHS = (
    PathUse(
        "init_image",
        asks(is_on("use_init") & is_used("init_image")),
        "use_init is on",
    ),
    PathUse(
        "init_image_box",
        asks(is_on("use_init") & is_set("init_image_box")),
        "use_init is on",
    ),
    PathUse(
        "color_coherence_image_path",
        reads_color_image,
        "color_coherence is Image",
    ),
    PathUse("end_image_path", reads_end_image, "the video ends with it"),
    PathUse(
        "soundtrack_path", asks(is_used("soundtrack_path")), "add_soundtrack is File", _FILE, required=False
    ),
    PathUse("video_init_path", asks(PLAYS_VIDEO), "add_soundtrack is Init Video", _FILE, required=False),
    PathUse(
        "video_init_path",
        asks(VIDEO_INPUT),
        "animation_mode is Video Input",
        _FILE,
    ),
    PathUse("video_init_path", asks(HYBRID_VIDEO), "hybrid video is on", _FILE),
    PathUse(
        "init_image",
        asks(is_on("hybrid_use_init_image") & ~is_on("use_init") & is_used("init_image")),
        "hybrid_use_init_image is on",
    ),
    PathUse("video_mask_path", reads_mask_video, "use_mask_video is on", _FILE),
)


def paths_given(settings: Settings) -> Iterator[Problem]:
    """A file that is needed is named, and not by a protocol of its own."""
    for use in PATHS:
        if not use.needed(settings):
            continue
        path = getattr(settings, use.setting)
        if not path and not use.required:
            continue
        if not path:
            message = f"{use.setting} is empty, but {use.because}; name a file."
        elif _foreign(path, use.allowed):
            message = f"{use.setting} is {shown(path)}, but must be {use.allowed}."
        else:
            continue
        yield Problem(message, setting=use.setting, found=shown(path), allowed=use.allowed)


def control_paths(settings: Settings) -> Iterator[Problem]:
    """What ControlNet units read is not named by a protocol of its own."""
    for number, unit in enumerate(settings.controlnet, start=1):
        named = {"vid_path": "" if unit.loopback_mode else unit.vid_path, "mask_vid_path": unit.mask_vid_path}
        for field, path in named.items():
            if unit.enabled and path and _foreign(path, _IMAGE):
                setting = f"cn_{number}_{field}"
                message = f"{setting} is {shown(path)}, but must be {_IMAGE}."
                yield Problem(message, setting, found=shown(path), allowed=_IMAGE)


def _foreign(path: str, allowed: str) -> bool:
    inline = allowed == _IMAGE and path[:5].casefold() == "data:"
    return bool(_SCHEME.match(path)) and not inline and not is_url(path)


def one_ending(settings: Settings) -> Iterator[Problem]:
    """A video repeats or ends with an image, and only one whose frames follow from each other can be led there."""
    if not settings.seamless_loop:
        return
    because = ""
    if not is_moved(settings):
        mode = settings.animation_mode
        because = f"the frames of animation_mode {mode} do not follow from each other; choose 2D or 3D."
    elif reads_end_image(settings):
        because = "end_image_path names another last frame; choose one of the two."
    if because:
        message = f"seamless_loop is true, but {because}"
        yield Problem(message, setting="seamless_loop", found="true", allowed="false")


def one_direction(settings: Settings) -> Iterator[Problem]:
    """What is shown from its first frame on cannot be rendered from its last."""
    if not settings.reverse_generation:
        return
    units = (unit for unit in settings.controlnet if unit.enabled and not unit.loopback_mode)
    reasons = {
        "a video is used, whose frames come in its own order": uses_video(settings)
        or is_hybrid(settings)
        or settings.use_mask_video
        or any(unit.vid_path or unit.mask_vid_path for unit in units),
        "end_image_path names a last frame; let use_init begin with that image": reads_end_image(settings),
        "use_looper leads from image to image": settings.use_looper,
        "prompt_interpolation mixes each prompt with the next": settings.prompt_interpolation != "hold",
    }
    for reason, holds in reasons.items():
        if holds:
            message = f"reverse_generation is true, but {reason}."
            yield Problem(message, setting="reverse_generation", found="true", allowed="false")


def extraction_in_order(settings: Settings) -> Iterator[Problem]:
    """The last extracted frame comes after the first."""
    last = settings.extract_to_frame
    if last != -1 and last <= settings.extract_from_frame:
        yield Problem(
            f"extract_to_frame is {last}, but must be -1 or above extract_from_frame, which is "
            f"{settings.extract_from_frame}.",
            setting="extract_to_frame",
            found=str(last),
            allowed="-1, or a number above extract_from_frame",
        )


def factor_of_model(settings: Settings) -> Iterator[Problem]:
    """A network enlarges as many times as it was trained for."""
    if (
        _upscales(settings)
        and settings.r_upscale_factor != "x4"
        and settings.r_upscale_model not in ANY_FACTOR
    ):
        found = settings.r_upscale_factor
        yield Problem(
            f"r_upscale_factor is {found}, but {settings.r_upscale_model} knows only x4; choose x4, or the model "
            f"{' or '.join(ANY_FACTOR)}.",
            setting="r_upscale_factor",
            found=found,
            allowed="x4",
        )


def times_of_engine(settings: Settings) -> Iterator[Problem]:
    """RIFE makes at most ten times more frames."""
    times = settings.frame_interpolation_x_amount
    if _interpolates_by_rife(settings) and times > LARGEST_RIFE_X:
        yield Problem(
            f"frame_interpolation_x_amount is {times}, but RIFE v4.6 makes at most {LARGEST_RIFE_X} times more "
            "frames; choose less, or the engine FILM or Flow.",
            setting="frame_interpolation_x_amount",
            found=str(times),
            allowed=f"2 to {LARGEST_RIFE_X}",
        )


RULES: tuple[Callable[[Settings], Iterator[Problem]], ...] = (
    safe_batch_name,
    resumable,
    paths_given,
    control_paths,
    one_ending,
    one_direction,
    extraction_in_order,
    factor_of_model,
    times_of_engine,
)
