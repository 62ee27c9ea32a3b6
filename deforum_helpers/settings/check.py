"""Rules between settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from deforum_helpers.core.errors import Problem
from deforum_helpers.settings import messages
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
from deforum_helpers.settings.situations import HYBRID_VIDEO, SOUND_FROM_VIDEO, VIDEO_INPUT
from deforum_helpers.settings.tables import ANY_FACTOR, LARGEST_RIFE_X, UPSCALE_MODELS

MAX_BATCH_NAME = 300
_upscales = asks(is_on("r_upscale_video"))
_interpolates_by_rife = asks(one_of("frame_interpolation_engine", "RIFE v4.6"))
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_TIMESTRING = re.compile(r"[0-9]{14}")


def is_url(path: str) -> bool:
    """Return whether `path` is an http or https address."""
    return path[:8].casefold().startswith(("http://", "https://"))


_FILE = "a local file or an http(s) address"
_IMAGE = "a local file, an http(s) address or a data: URL"


def problems_of(settings: Settings) -> list[Problem]:
    """Return the contradictions between settings whose values are valid individually."""
    return [problem for rule in RULES for problem in rule(settings)]


def safe_batch_name(settings: Settings) -> Iterator[Problem]:
    """batch_name must be a folder name: no control characters, limited length, not only dots."""
    name = settings.batch_name
    allowed = ""
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        allowed = "text without line breaks and control characters"
    elif len(name) > MAX_BATCH_NAME:
        allowed = f"text of at most {MAX_BATCH_NAME} characters (it has {len(name)})"
    elif not name.strip(" ./\\"):
        allowed = "a name that is not only dots and slashes"
    if allowed:
        message = messages.INVALID_VALUE(setting="batch_name", found=shown(name), allowed=allowed, hint="")
        yield Problem(message, setting="batch_name", found=shown(name), allowed=allowed)


def resumable(settings: Settings) -> Iterator[Problem]:
    """resume_timestring must be 14 digits."""
    if settings.resume_from_timestring and not _TIMESTRING.fullmatch(settings.resume_timestring):
        found = shown(settings.resume_timestring)
        yield Problem(
            messages.INVALID_TIMESTRING(found=found),
            setting="resume_timestring",
            found=found,
            allowed="14 digits",
        )


class PathUse(NamedTuple):
    """A path setting, when it is needed, and whether an empty path is an error."""

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
    PathUse("audio_path", asks(is_set("audio_path")), "schedules follow it", _FILE, required=False),
    PathUse("video_init_path", asks(SOUND_FROM_VIDEO), "add_soundtrack is Init Video", _FILE, required=False),
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
    """Paths that are needed must be given, and use no protocol other than http(s) and data."""
    for use in PATHS:
        if not use.needed(settings):
            continue
        path = getattr(settings, use.setting)
        if not path and not use.required:
            continue
        if not path:
            message = messages.FILE_NOT_NAMED(setting=use.setting, reason=use.because)
        elif _foreign(path, use.allowed):
            message = messages.INVALID_VALUE(
                setting=use.setting, found=shown(path), allowed=use.allowed, hint=""
            )
        else:
            continue
        yield Problem(message, setting=use.setting, found=shown(path), allowed=use.allowed)


def control_paths(settings: Settings) -> Iterator[Problem]:
    """Paths of ControlNet units must use no protocol other than http(s) and data."""
    for number, unit in enumerate(settings.controlnet, start=1):
        named = {"vid_path": "" if unit.loopback_mode else unit.vid_path, "mask_vid_path": unit.mask_vid_path}
        for field, path in named.items():
            if unit.enabled and path and _foreign(path, _IMAGE):
                setting = f"cn_{number}_{field}"
                message = messages.INVALID_VALUE(setting=setting, found=shown(path), allowed=_IMAGE, hint="")
                yield Problem(message, setting, found=shown(path), allowed=_IMAGE)


def _foreign(path: str, allowed: str) -> bool:
    inline = allowed == _IMAGE and path[:5].casefold() == "data:"
    return bool(_SCHEME.match(path)) and not inline and not is_url(path)


def one_ending(settings: Settings) -> Iterator[Problem]:
    """A loop requires frames that follow from each other, and excludes an end image."""
    if not settings.seamless_loop:
        return
    message = None
    if not is_moved(settings):
        message = messages.LOOP_WITHOUT_MOTION(mode=settings.animation_mode)
    elif reads_end_image(settings):
        message = messages.LOOP_WITH_END_IMAGE()
    if message:
        yield Problem(message, setting="seamless_loop", found="true", allowed="false")


def one_direction(settings: Settings) -> Iterator[Problem]:
    """Reverse generation excludes inputs that must be read in order."""
    if not settings.reverse_generation:
        return
    units = (unit for unit in settings.controlnet if unit.enabled and not unit.loopback_mode)
    faults = {
        messages.REVERSED_VIDEO_INPUT(): uses_video(settings)
        or is_hybrid(settings)
        or settings.use_mask_video
        or any(unit.vid_path or unit.mask_vid_path for unit in units),
        messages.REVERSED_END_IMAGE(): reads_end_image(settings),
        messages.REVERSED_GUIDE_IMAGES(): settings.use_looper,
        messages.REVERSED_PROMPT_BLEND(): settings.prompt_interpolation != "hold",
    }
    for message, holds in faults.items():
        if holds:
            yield Problem(message, setting="reverse_generation", found="true", allowed="false")


def extraction_in_order(settings: Settings) -> Iterator[Problem]:
    """extract_to_frame must be after extract_from_frame."""
    last = settings.extract_to_frame
    if last != -1 and last <= settings.extract_from_frame:
        yield Problem(
            messages.EXTRACTION_ENDS_EARLY(found=last, first=settings.extract_from_frame),
            setting="extract_to_frame",
            found=str(last),
            allowed="-1, or a number above extract_from_frame",
        )


def factor_of_model(settings: Settings) -> Iterator[Problem]:
    """An upscaling network supports only the factor that it was trained for."""
    if (
        _upscales(settings)
        and settings.r_upscale_factor != "x4"
        and settings.r_upscale_model in UPSCALE_MODELS
        and settings.r_upscale_model not in ANY_FACTOR
    ):
        found = settings.r_upscale_factor
        yield Problem(
            messages.UPSCALE_FACTOR_UNSUPPORTED(
                found=found, model=settings.r_upscale_model, models=" or ".join(ANY_FACTOR)
            ),
            setting="r_upscale_factor",
            found=found,
            allowed="x4",
        )


def times_of_engine(settings: Settings) -> Iterator[Problem]:
    """RIFE supports only a limited factor."""
    times = settings.frame_interpolation_x_amount
    if _interpolates_by_rife(settings) and times > LARGEST_RIFE_X:
        yield Problem(
            messages.RIFE_FACTOR_TOO_LARGE(found=times, most=LARGEST_RIFE_X),
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
