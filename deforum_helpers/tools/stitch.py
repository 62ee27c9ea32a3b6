"""Encodes numbered images as a video."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.tools import messages
from deforum_helpers.tools.checks import check_fps, numbered_images
from deforum_helpers.tools.work import ToolResult, Work, clean_name, encode_images

FOLDER = "frames-to-video"


def stitch_frames(
    pattern: str, work: Work, *, fps: float, soundtrack: Path | None = None, below: Path | None = None
) -> ToolResult:
    """Encode the images of a pattern, from the smallest number to the first gap, as a video.

    If the images are in the output root, the video is written beside them, else into the folder frames-to-video. It is
    named after the images' folder, with _1, _2 ... if that name is taken.

    Args:
        pattern: path with %09d, %04d or %d for the number, or the path of one of the images.
        work: context of the tool.
        fps: frames per second.
        soundtrack: sound of the video, or None.
        below: folder that must contain the images, with no link on the way; relative paths begin there.

    Raises:
        SettingsError: the pattern matches fewer than two consecutive images, or the rate is out of range.
        RenderError: the tool failed; no files are left.
        Cancelled, Parked: the job was stopped; no files are left.
    """
    check_fps(fps)
    images, left_out = numbered_images(pattern, below)
    if soundtrack is not None:
        check_soundtrack(soundtrack, find_ffmpeg(work.options.deforum_ffmpeg_location))
    video = _free_name(images[0].parent, work)
    counted = encode_images(images, video, work, fps=fps, sound=soundtrack)
    warnings: tuple[str, ...] = ()
    if left_out:
        warnings = (messages.NUMBERS_MISSING(name=images[-1].name, count=left_out),)
    return ToolResult(video, counted, fps, images, warnings)


def _free_name(folder: Path, work: Work) -> Path:
    here, root = folder.resolve(), work.output_root.resolve()
    target = here if here.is_relative_to(root) else root / FOLDER
    with disk_errors(target.name):
        make_folder(target)
    name = clean_name(here.with_name(here.name + ".mp4")) if here.name else "video"
    names = (f"{name}_{number}.mp4" if number else f"{name}.mp4" for number in count())
    return next(target / one for one in names if not (target / one).exists())
