"""What the tools check before they begin; imported without torch, so that a queue can check what it accepts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.no_links import is_file, is_folder, resolved
from deforum_helpers.image.files import LARGEST_PIXELS, check_image_file
from deforum_helpers.models.depth.names import depth_name
from deforum_helpers.models.interpolation import names as interpolation
from deforum_helpers.models.segmentation.anime import missing_feature as missing_finder
from deforum_helpers.models.upscaling import names as upscaling
from deforum_helpers.tools.names import (
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

PATTERN_ALLOWED = "the path of numbered pictures, as in frames/shot_%09d.png, or of one of them"
_NUMBER = re.compile(r"%0?(\d?)d")
_LAST_NUMBER = re.compile(r"\d{1,9}(?=\.\w+$)")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def check_fps(fps: float) -> None:
    """Check that a video can have this rate.

    Raises:
        SettingsError: it cannot.
    """
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        allowed = f"{LOWEST_FPS} to {HIGHEST_FPS}"
        message = f"fps is {fps:g}; allowed is {allowed}."
        raise SettingsError([Problem(message, "fps", found=f"{fps:g}", allowed=allowed)])


def check_interpolation(engine: str, times: int, slower: int | None) -> interpolation.EngineName:
    """Return the engine of this name.

    Raises:
        SettingsError: it is unknown or cannot run here, or a factor is out of its range; with all problems.
    """
    problems = []

    def wrong(argument: str, found: object, allowed: str) -> None:
        message = f"{argument} is {found!r}; allowed is {allowed}."
        problems.append(Problem(message, argument, found=str(found)[:80], allowed=allowed))

    named = interpolation.ENGINES.get(engine)
    if named is None:
        wrong("engine", engine, f"one of: {', '.join(interpolation.ENGINES)}")
    elif not _whole(times) or not 2 <= times <= named.most:
        wrong("times", times, f"2 to {named.most} with {engine}")
    if slower is not None and (not _whole(slower) or not 2 <= slower <= SLOWEST):
        wrong("slower", slower, f"2 to {SLOWEST}")
    if not problems and (missing := interpolation.missing_feature(engine)):
        problems.append(Problem(f"engine: {missing}.", "engine", found=engine, allowed="Flow"))
    if problems or named is None:
        raise SettingsError(problems)
    return named


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_frame_count(frames: int, times: int) -> int:
    """Return how many frames an interpolated video of `frames` frames has.

    Raises:
        SettingsError: there are too few or too many.
    """
    made, most = interpolation.frame_count(frames, times), interpolation.MOST_FRAMES
    if frames >= 2 and made <= most:
        return made
    found = f"{frames} frame{'' if frames == 1 else 's'}"
    allowed = f"at least 2 frames, and at most {most:,} with those in between"
    message = f"There is nothing to draw between: {found}; allowed are {allowed}."
    if made > most:
        message = f"times {times} makes {made:,} of {found}; allowed are {allowed}."
    raise SettingsError([Problem(message, "times", found=found, allowed=allowed)])


def size_of(paths: Sequence[Path]) -> tuple[int, int]:
    """Return the width and height of pictures in pixels.

    Raises:
        SettingsError: one cannot be read, or they are of several sizes.
    """
    first = (0, 0)
    for number, path in enumerate(paths):
        size = check_image_file(path, setting="The list of pictures")
        first = size if number == 0 else first
        if size != first:
            message = (
                f"The picture {path.name!r} has {size[0]}x{size[1]} pixels, but the first one {first[0]}x{first[1]}; "
                "give pictures of one size."
            )
            raise SettingsError(
                [Problem(message, "pictures", found=f"{size[0]}x{size[1]}", allowed=f"{first[0]}x{first[1]}")]
            )
    return first


def check_upscaling(model: str, factor: str) -> None:
    """Check that a model can run here and enlarge by this factor.

    Raises:
        SettingsError: it cannot.
    """
    factors = [f"x{times}" for times in upscaling.FACTORS.get(model, ())]
    problem = None
    if not factors:
        allowed = ", ".join(upscaling.FACTORS)
        message = f"model is {model!r}; allowed is one of: {allowed}."
        problem = Problem(message, "model", found=model[:80], allowed=allowed)
    elif factor not in factors:
        allowed = ", ".join(factors)
        message = f"factor is {factor!r}; with {model} it may be {allowed}."
        problem = Problem(message, "factor", found=factor[:80], allowed=allowed)
    elif missing := upscaling.missing_feature(model, factor):
        problem = Problem(f"model: {missing}.", "model", found=model, allowed="Lanczos")
    if problem is not None:
        raise SettingsError([problem])


def enlarged_size(width_px: int, height_px: int, factor: str) -> tuple[int, int]:
    """Return the width and height of a frame that is enlarged by `factor`, "x2" to "x4".

    Raises:
        SettingsError: it would be too large.
    """
    times = upscaling.times_larger(factor)
    width_px, height_px = width_px * times, height_px * times
    if width_px * height_px > LARGEST_PIXELS:
        found = f"{width_px}x{height_px}"
        allowed = f"frames of at most {LARGEST_PIXELS // 1_000_000} million pixels"
        message = f"factor {factor} makes frames of {found} pixels; allowed are {allowed}."
        raise SettingsError([Problem(message, "factor", found=found, allowed=allowed)])
    return width_px, height_px


@dataclass(frozen=True)
class DepthLook:
    """How a video of depth looks.

    Args:
        mode: of `MODES`.
        thresholding: of `THRESHOLDINGS`; Mixed, which shows what is near or a figure, needs one.
        lower, upper: 0..255; Simple makes what is above `lower` as bright as `upper`, the rest black. The others find
            the limit themselves.
        block_size: side in pixels of what Adaptive looks at around a pixel, odd, 3..255.
        c: how much brighter than its surroundings a pixel has to be with Adaptive, -255..255.
        invert: of depth and figures: closer is brighter; of grey: dark is bright.
        end_blur: deviation in pixels of a last blur, 0..255.
        algorithm: of depth_algorithm.
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


def checked_look(look: DepthLook) -> DepthLook:
    """Return a look with its mode in our spelling.

    Raises:
        SettingsError: something of it cannot be had; all of it is told.
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
        Problem(f"{name} is {found!r}; allowed is {allowed}.", name, found=str(found)[:80], allowed=allowed)
        for name, (found, allowed) in wrong.items()
    ]
    if look.mode == "Mixed" and look.thresholding == "None":
        wanted = ", ".join(THRESHOLDINGS[1:])
        message = f"mode is Mixed, which needs a threshold; thresholding may be {wanted}."
        problems.append(Problem(message, "thresholding", found="None", allowed=wanted))
    if look.mode in WITH_FIGURES and (missing := missing_finder()):
        problems.append(Problem(f"mode is {look.mode}: {missing}.", "mode", found=look.mode, allowed="Depth"))
    if look.mode in WITH_DEPTH:
        try:
            depth_name(look.algorithm)
        except SettingsError as error:
            problems += (replace(problem, setting="algorithm") for problem in error.problems)
    if problems:
        raise SettingsError(problems)
    return look


def numbered_pictures(pattern: str, below: Path | None) -> tuple[tuple[Path, ...], int]:
    """Return the pictures that a pattern names, from the smallest number up to the first gap, and how many follow it.

    Args:
        pattern: path with %09d, %04d or %d for the number, or the path of one of the pictures.
        below: the folder in which the pictures must lie, with no link on the way; a relative path begins there.

    Raises:
        SettingsError: there are no two pictures of this pattern.
    """
    path = Path(pattern.strip().strip('"'))
    if below is not None:
        path = _inside(below, path, pattern)
    if "%" not in path.name:  # one of the pictures
        path = path.parent / _LAST_NUMBER.sub(lambda found: f"%0{len(found[0])}d", path.name)
    places = list(_NUMBER.finditer(path.name))
    if len(places) != 1 or path.suffix.lower() not in _PICTURES or "\0" in pattern:
        raise _pattern_problem(pattern, "which is no such pattern")
    (place,) = places
    digits = rf"(\d{{{place[1]},}})" if place[1] else r"(\d+)"
    name = re.compile(re.escape(path.name[: place.start()]) + digits + re.escape(path.name[place.end() :]))
    try:
        found = {int(match[1]): one for one in path.parent.iterdir() if (match := name.fullmatch(one.name))}
    except OSError:
        raise _pattern_problem(pattern, "whose folder cannot be read") from None
    if not found:
        raise _pattern_problem(pattern, "which fits no file")
    first = min(found)
    row = []
    for number in count(first):
        if number not in found:
            break
        row.append(found[number] if below is not None else found[number].resolve())
    if below is not None and not all(is_file(one) for one in row):
        raise _pattern_problem(pattern, "of which some are links or no regular files")
    if len(row) < 2:
        raise _pattern_problem(pattern, f"which fits no two pictures in a row (the first number is {first})")
    check_image_file(row[0], setting="pattern")
    return tuple(row), len(found) - len(row)


def _inside(below: Path, path: Path, pattern: str) -> Path:
    try:
        place = resolved(below, below / path)
    except (OSError, ValueError):
        place = None
    if place is None or not is_folder(place.parent):
        raise _pattern_problem(pattern, "which is not inside the output folder, or behind a link")
    return place


def _pattern_problem(pattern: str, what: str) -> SettingsError:
    message = f"pattern is {pattern[:120]!r}, {what}; give {PATTERN_ALLOWED}."
    return SettingsError([Problem(message, "pattern", found=pattern[:120], allowed=PATTERN_ALLOWED)])
