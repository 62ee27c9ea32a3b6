"""Checks of the tools' arguments and inputs, made before a job is accepted; imported without torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.no_links import is_file, is_folder, resolved
from deforum_helpers.core.messages import Message
from deforum_helpers.image.files import LARGEST_PIXELS, check_image_file
from deforum_helpers.models import interpolation, upscaling
from deforum_helpers.models.depth import depth_name
from deforum_helpers.models.segmentation.anime import missing_feature as missing_finder
from deforum_helpers.models.upscaling import available
from deforum_helpers.tools import messages
from deforum_helpers.tools.arguments import (
    DEPTH_RANGES,
    HIGHEST_FPS,
    LOWEST_FPS,
    MODES,
    OTHER_SPELLINGS,
    SLOWEST,
    THRESHOLDINGS,
    WITH_DEPTH,
    WITH_FIGURES,
)

PATTERN_ALLOWED = "the path of numbered images, as in frames/shot_%09d.png, or of one of them"
_NUMBER = re.compile(r"%0?(\d?)d")
_LAST_NUMBER = re.compile(r"\d{1,9}(?=\.\w+$)")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def check_fps(fps: float) -> None:
    """Check the frame rate of a video.

    Raises:
        SettingsError: the rate is out of range.
    """
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        allowed = f"{LOWEST_FPS} to {HIGHEST_FPS}"
        message = messages.FPS_OUT_OF_RANGE(found=f"{fps:g}", allowed=allowed)
        raise SettingsError([Problem(message, "fps", found=f"{fps:g}", allowed=allowed)])


def check_interpolation(engine: str, times: int, slower: int | None) -> interpolation.EngineName:
    """Return the interpolation engine of this name.

    Raises:
        SettingsError: the engine is unknown or unavailable, or a factor is out of range; lists all problems.
    """
    problems = []

    def wrong(argument: str, found: object, allowed: str) -> None:
        message = messages.ARGUMENT_VALUE(name=argument, found=found, allowed=allowed)
        problems.append(Problem(message, argument, found=str(found)[:80], allowed=allowed))

    named = interpolation.ENGINES.get(engine)
    if named is None:
        wrong("engine", engine, f"one of: {', '.join(interpolation.ENGINES)}")
    elif not _whole(times) or not 2 <= times <= named.most:
        wrong("times", times, f"2 to {named.most} with {engine}")
    if slower is not None and (not _whole(slower) or not 2 <= slower <= SLOWEST):
        wrong("slower", slower, f"2 to {SLOWEST}")
    if not problems and (missing := interpolation.missing_feature(engine)):
        message = messages.FEATURE_MISSING(name="engine", found=engine, why=missing)
        problems.append(Problem(message, "engine", found=engine, allowed="Flow"))
    if problems or named is None:
        raise SettingsError(problems)
    return named


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_frame_count(frames: int, times: int) -> int:
    """Return the number of frames of the interpolated video.

    Raises:
        SettingsError: the number is too small or too large.
    """
    made, most = interpolation.frame_count(frames, times), interpolation.MOST_FRAMES
    if frames >= 2 and made <= most:
        return made
    found = f"{frames} frame{'' if frames == 1 else 's'}"
    allowed = f"at least 2 frames, and at most {most:,} with the interpolated ones"
    message = messages.TOO_FEW_FRAMES(found=found, allowed=allowed)
    if made > most:
        message = messages.TOO_MANY_FRAMES(times=times, made=made, found=found, allowed=allowed)
    raise SettingsError([Problem(message, "times", found=found, allowed=allowed)])


def common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Return the width and height in pixels that all images have.

    Raises:
        SettingsError: an image cannot be read, or the sizes differ.
    """
    first = (0, 0)
    for number, path in enumerate(paths):
        size = check_image_file(path, setting="The list of images")
        first = size if number == 0 else first
        if size != first:
            found, allowed = f"{size[0]}x{size[1]}", f"{first[0]}x{first[1]}"
            message = messages.IMAGE_SIZE_DIFFERS(name=path.name, found=found, expected=allowed)
            raise SettingsError([Problem(message, "pictures", found=found, allowed=allowed)])
    return first


def check_upscaling(model: str, factor: str) -> None:
    """Check that an upscaling model is available and has this factor.

    Raises:
        SettingsError: the model is unknown or unavailable, or lacks the factor.
    """
    factors = [f"x{times}" for times in available.factors(model)]
    problem = None
    if not factors:
        allowed = ", ".join(available.names())
        message = messages.ARGUMENT_VALUE(name="model", found=model, allowed=f"one of: {allowed}")
        problem = Problem(message, "model", found=model[:80], allowed=allowed)
    elif factor not in factors:
        allowed = ", ".join(factors)
        message = messages.FACTOR_OF_MODEL(factor=factor, model=model, allowed=allowed)
        problem = Problem(message, "factor", found=factor[:80], allowed=allowed)
    elif missing := available.missing_feature(model, factor):
        message = messages.FEATURE_MISSING(name="model", found=model, why=missing)
        problem = Problem(message, "model", found=model, allowed="Lanczos")
    if problem is not None:
        raise SettingsError([problem])


def upscaled_size(width_px: int, height_px: int, factor: str) -> tuple[int, int]:
    """Return the width and height in pixels of a frame upscaled by `factor`, "x2" to "x4".

    Raises:
        SettingsError: the upscaled frame is too large.
    """
    times = upscaling.times_larger(factor)
    width_px, height_px = width_px * times, height_px * times
    if width_px * height_px > LARGEST_PIXELS:
        found = f"{width_px}x{height_px}"
        allowed = f"frames of at most {LARGEST_PIXELS // 1_000_000} million pixels"
        message = messages.FRAMES_TOO_LARGE(factor=factor, found=found, allowed=allowed)
        raise SettingsError([Problem(message, "factor", found=found, allowed=allowed)])
    return width_px, height_px


@dataclass(frozen=True)
class DepthLook:
    """The appearance of a depth video.

    Args:
        mode: one of `MODES`.
        thresholding: one of `THRESHOLDINGS`; the mode Mixed needs a threshold.
        lower, upper: gray levels, 0..255; Simple sets pixels above `lower` to `upper` and the rest to black. The other
            thresholds are computed.
        block_size: side in pixels of the area that Adaptive averages, odd, 3..255.
        c: gray levels by which a pixel must exceed that average, -255..255.
        invert: whether near things and figures are bright; for gray levels whether they are inverted.
        end_blur: standard deviation of the final blur in pixels, 0..255.
        algorithm: a value of depth_algorithm.
    """

    mode: str = "Depth"
    thresholding: str = "None"
    lower: int = 127
    upper: int = 255
    block_size: int = 11
    c: float = 2.0
    invert: bool = True
    end_blur: float = 0.0
    algorithm: str = "Depth-Anything-V2-Small"


def check_depth_look(look: DepthLook) -> DepthLook:
    """Return `look` with the present spelling of its mode.

    Raises:
        SettingsError: a value is invalid or unavailable; lists all problems.
    """
    look = replace(look, mode=OTHER_SPELLINGS.get(look.mode, look.mode))
    numbers = {name: look.end_blur if name == "blur" else getattr(look, name) for name in DEPTH_RANGES}
    wrong: dict[str, tuple[object, str]] = {}
    for name, (low, high) in DEPTH_RANGES.items():
        odd = name == "block_size"
        if not low <= numbers[name] <= high or (odd and numbers[name] % 2 == 0):
            wrong[name] = numbers[name], f"{low} to {high}{' and odd' if odd else ''}"
    if look.mode not in MODES:
        wrong["mode"] = look.mode, f"one of: {', '.join(MODES)}"
    if look.thresholding not in THRESHOLDINGS:
        wrong["thresholding"] = look.thresholding, f"one of: {', '.join(THRESHOLDINGS)}"
    problems = [
        Problem(
            messages.ARGUMENT_VALUE(name=name, found=found, allowed=allowed),
            name,
            found=str(found)[:80],
            allowed=allowed,
        )
        for name, (found, allowed) in wrong.items()
    ]
    if look.mode == "Mixed" and look.thresholding == "None":
        wanted = ", ".join(THRESHOLDINGS[1:])
        message = messages.THRESHOLD_NEEDED(allowed=wanted)
        problems.append(Problem(message, "thresholding", found="None", allowed=wanted))
    if look.mode in WITH_FIGURES and (missing := missing_finder()):
        message = messages.FEATURE_MISSING(name="mode", found=look.mode, why=missing)
        problems.append(Problem(message, "mode", found=look.mode, allowed="Depth"))
    if look.mode in WITH_DEPTH:
        try:
            depth_name(look.algorithm)
        except SettingsError as error:
            problems += (replace(problem, setting="algorithm") for problem in error.problems)
    if problems:
        raise SettingsError(problems)
    return look


def numbered_images(pattern: str, below: Path | None) -> tuple[tuple[Path, ...], int]:
    """Return the images of a pattern from the smallest number to the first gap, and the number of images after it.

    Args:
        pattern: path with %09d, %04d or %d for the number, or the path of one of the images.
        below: folder that must contain the images, with no link on the way; relative paths begin there.

    Raises:
        SettingsError: the pattern matches fewer than two consecutive images.
    """
    path = Path(pattern.strip().strip('"'))
    if below is not None:
        path = _inside(below, path, pattern)
    if "%" not in path.name:  # the path of one image
        path = path.parent / _LAST_NUMBER.sub(lambda found: f"%0{len(found[0])}d", path.name)
    places = list(_NUMBER.finditer(path.name))
    if len(places) != 1 or path.suffix.lower() not in _IMAGE_SUFFIXES or "\0" in pattern:
        raise _pattern_problem(messages.PATTERN_INVALID, pattern)
    (place,) = places
    digits = rf"(\d{{{place[1]},}})" if place[1] else r"(\d+)"
    name = re.compile(re.escape(path.name[: place.start()]) + digits + re.escape(path.name[place.end() :]))
    try:
        found = {int(match[1]): one for one in path.parent.iterdir() if (match := name.fullmatch(one.name))}
    except OSError:
        raise _pattern_problem(messages.PATTERN_FOLDER_UNREADABLE, pattern) from None
    if not found:
        raise _pattern_problem(messages.PATTERN_MATCHES_NOTHING, pattern)
    first = min(found)
    images = []
    for number in count(first):
        if number not in found:
            break
        images.append(found[number] if below is not None else found[number].resolve())
    if below is not None and not all(is_file(one) for one in images):
        raise _pattern_problem(messages.PATTERN_MATCHES_LINKS, pattern)
    if len(images) < 2:
        raise _pattern_problem(messages.PATTERN_TOO_SHORT, pattern, first=first)
    check_image_file(images[0], setting="pattern")
    return tuple(images), len(found) - len(images)


def _inside(below: Path, path: Path, pattern: str) -> Path:
    try:
        place = resolved(below, below / path)
    except (OSError, ValueError):
        place = None
    if place is None or not is_folder(place.parent):
        raise _pattern_problem(messages.PATTERN_OUTSIDE, pattern)
    return place


def _pattern_problem(message: Message, pattern: str, **values: object) -> SettingsError:
    text = message(found=pattern[:120], allowed=PATTERN_ALLOWED, **values)
    return SettingsError([Problem(text, "pattern", found=pattern[:120], allowed=PATTERN_ALLOWED)])
