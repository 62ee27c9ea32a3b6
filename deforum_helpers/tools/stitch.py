"""A film of numbered pictures."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.output.image_steps import film_of
from deforum_helpers.tools.checks import check_fps, numbered_pictures
from deforum_helpers.tools.folders import ToolResult, Work, clean_name

FOLDER = "frames-to-video"


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
    pictures, left_out = numbered_pictures(pattern, below)
    if soundtrack is not None:
        check_soundtrack(soundtrack, find_ffmpeg(work.options.deforum_ffmpeg_location))
    film = _free_name(pictures[0].parent, work)
    counted = film_of(
        pictures,
        film,
        fps=fps,
        options=work.options,
        cancel=work.cancel,
        report=work.shares("POST_PROCESSING", len(pictures), film.parent),
        audio=soundtrack,
    )
    warnings: tuple[str, ...] = ()
    if left_out:
        warnings = (
            f"After {pictures[-1].name} numbers are missing; the {left_out} pictures behind the gap are left out.",
        )
    return ToolResult(film, counted, fps, pictures, warnings)


def _free_name(folder: Path, work: Work) -> Path:
    here, root = folder.resolve(), work.output_root.resolve()
    target = here if here.is_relative_to(root) else root / FOLDER
    with disk_errors(target.name):
        make_folder(target)
    name = clean_name(here.with_name(here.name + ".mp4")) if here.name else "video"
    names = (f"{name}_{number}.mp4" if number else f"{name}.mp4" for number in count())
    return next(target / one for one in names if not (target / one).exists())
