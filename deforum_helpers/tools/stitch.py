"""A film of numbered pictures."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.image.files import check_picture
from deforum_helpers.nolinks import is_file, is_folder, make_folder, resolved
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.output.derived import film_of
from deforum_helpers.output.disk import disk_errors
from deforum_helpers.output.ffmpeg import find_ffmpeg
from deforum_helpers.tools.folders import clean_name
from deforum_helpers.tools.interpolate import check_fps
from deforum_helpers.tools.results import ToolResult, Work

FOLDER = "frames-to-video"
ALLOWED = "the path of numbered pictures, as in frames/shot_%09d.png, or of one of them"
_NUMBER = re.compile(r"%0?(\d?)d")
_LAST_NUMBER = re.compile(r"\d{1,9}(?=\.\w+$)")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def stitch_frames(
    pattern: str, work: Work, *, fps: float, soundtrack: Path | None = None, below: Path | None = None
) -> ToolResult:
    """Make a film of the pictures that a pattern names, from the smallest number up to the first gap.

    It is written beside the pictures and named by their folder, if they lie in the output root; else into its folder
    frames-to-video. A film that is there already stays: the new one is named with _1, _2 ...

    Args:
        pattern: path with %09d, %04d or %d for the number, or the path of one of the pictures.
        work: where, how, and who is told.
        fps: of the film.
        soundtrack: sound of the film.
        below: the folder in which the pictures must lie, with no link on the way; a relative path begins there.

    Raises:
        SettingsError: there are no two pictures of this pattern, or no such rate.
        RenderError: it failed; nothing is left behind.
        Cancelled, Parked: it was told to stop; nothing is left behind.
    """
    check_fps(fps)
    pictures, left_out = _numbered(pattern, below)
    check_picture(pictures[0], setting="image_path")
    if soundtrack is not None:
        check_soundtrack(soundtrack, find_ffmpeg(work.options.deforum_ffmpeg_location))
    film = _free_name(pictures[0].parent, work)
    counted = film_of(
        pictures,
        film,
        fps=fps,
        options=work.options,
        cancel=work.cancel,
        report=work.report,
        audio=soundtrack,
    )
    warnings: tuple[str, ...] = ()
    if left_out:
        warnings = (
            f"After {pictures[-1].name} numbers are missing; the {left_out} pictures behind the gap are left out.",
        )
    return ToolResult(film, counted, fps, pictures, warnings)


def _numbered(pattern: str, below: Path | None) -> tuple[tuple[Path, ...], int]:
    """Return the pictures up to the first gap, and how many there are behind it."""
    path = Path(pattern.strip().strip('"'))
    if below is not None:
        path = _inside(below, path, pattern)
    if "%" not in path.name:  # one of the pictures
        path = path.parent / _LAST_NUMBER.sub(lambda found: f"%0{len(found[0])}d", path.name)
    places = list(_NUMBER.finditer(path.name))
    if len(places) != 1 or path.suffix.lower() not in _PICTURES or "\0" in pattern:
        raise _problem(pattern, "which is no such pattern")
    (place,) = places
    digits = rf"(\d{{{place[1]},}})" if place[1] else r"(\d+)"
    name = re.compile(re.escape(path.name[: place.start()]) + digits + re.escape(path.name[place.end() :]))
    try:
        found = {int(match[1]): one for one in path.parent.iterdir() if (match := name.fullmatch(one.name))}
    except OSError:
        raise _problem(pattern, "whose folder cannot be read") from None
    if not found:
        raise _problem(pattern, "which fits no file")
    first = min(found)
    row = []
    for number in count(first):
        if number not in found:
            break
        row.append(found[number] if below is not None else found[number].resolve())
    if below is not None and not all(is_file(one) for one in row):
        raise _problem(pattern, "of which some are links or no regular files")
    if len(row) < 2:
        raise _problem(pattern, f"which fits no two pictures in a row (the first number is {first})")
    return tuple(row), len(found) - len(row)


def _inside(below: Path, path: Path, pattern: str) -> Path:
    try:
        place = resolved(below, below / path)
    except (OSError, ValueError):
        place = None
    if place is None or not is_folder(place.parent):
        raise _problem(pattern, "which is not inside the output folder, or behind a link")
    return place


def _free_name(folder: Path, work: Work) -> Path:
    here, root = folder.resolve(), work.output_root.resolve()
    target = here if here.is_relative_to(root) else root / FOLDER
    with disk_errors(target.name):
        make_folder(target)
    name = clean_name(here.with_name(here.name + ".mp4")) if here.name else "video"
    names = (f"{name}_{number}.mp4" if number else f"{name}.mp4" for number in count())
    return next(target / one for one in names if not (target / one).exists())


def _problem(pattern: str, what: str) -> SettingsError:
    message = f"image_path is {pattern[:120]!r}, {what}; give {ALLOWED}."
    return SettingsError([Problem(message, "image_path", found=pattern[:120], allowed=ALLOWED)])
