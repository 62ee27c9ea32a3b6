"""Pictures made of pictures, one file after the other: enlarged ones and ones in between; and films of pictures.

Every file appears whole, so that work that was stopped goes on behind the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from deforum_helpers.core.errors import VideoError
from deforum_helpers.core.files.atomic import disk_errors, require_space
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.interpolation.base import Interpolator
from deforum_helpers.models.interpolation.sequence import interpolated_sequence
from deforum_helpers.models.upscaling.models import Upscaler
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.settings.host_options import Options

Report = Callable[[float], None]


def enlarge_pictures(
    sources: Sequence[Path], targets: Sequence[Path], upscaler: Upscaler, cancel: CancelToken, report: Report
) -> None:
    """Write an enlarged picture of each source; targets that are there already are left as they are.

    Args:
        sources: pictures.
        targets: where their enlarged ones go, all in one folder, which is made.
        upscaler: enlarges.
        cancel: asked before each picture.
        report: is told the share that is done.

    Raises:
        DiskFull, RenderError: a picture cannot be read or written.
        Cancelled, Parked: the job was told to stop.
    """
    _make_folder(targets)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        cancel.check()
        if not target.exists():
            _write(target, upscaler.enlarged(from_bytes(read_frame(source))))
        report((number + 1) / len(sources))


def interpolate_pictures(
    sources: Sequence[Path],
    targets: Sequence[Path],
    interpolator: Interpolator,
    x_amount: int,
    cancel: CancelToken,
    report: Report,
) -> None:
    """Write the sources with pictures between them; goes on behind the targets that are there already.

    Args:
        sources: pictures of one size, at least two.
        targets: where the x_amount * (len(sources) - 1) + 1 pictures go, all in one folder, which is made.
        interpolator: draws.
        x_amount: how many times more pictures.
        cancel: asked before each picture.
        report: is told the share that is done.

    Raises:
        DiskFull, RenderError: a picture cannot be read or written.
        Cancelled, Parked: the job was told to stop.
    """
    _make_folder(targets)
    missing = next((number for number, target in enumerate(targets) if not target.exists()), len(targets))
    begin = max(missing - 1, 0) // x_amount
    made = interpolated_sequence(
        len(sources),
        lambda number: from_bytes(read_frame(sources[number])),
        interpolator,
        x_amount,
        begin=begin,
        beginning=from_bytes(read_frame(targets[begin * x_amount])) if begin else None,
    )
    cancel.check()
    for number, picture in made:
        if number >= missing:
            _write(targets[number], picture)
        report((number + 1) / len(targets))
        cancel.check()


def film_of(
    pictures: Sequence[Path],
    film: Path,
    *,
    fps: float,
    options: Options,
    cancel: CancelToken,
    report: Report,
    settings_json: str = "",
    audio: Path | None = None,
    audio_starts_s: float = 0.0,
    subtitles: Path | None = None,
) -> int:
    """Make a film of pictures and return its number of frames, counted in the file.

    Args:
        pictures: of one size, at least one.
        film: its file; it appears whole or not at all.
        fps: frames per second.
        options: encoder.
        cancel: asked before each picture.
        report: is told the share that is done.
        settings_json, audio, audio_starts_s, subtitles: as `VideoWriter` takes them.

    Raises:
        VideoError: ffmpeg failed, or a picture has another size than the first.
        DiskFull, RenderError, MissingFeature: as `VideoWriter`.
        Cancelled, Parked: the job was told to stop; there is no film then.
    """
    first = read_frame(pictures[0])
    with VideoWriter(
        film,
        width=first.shape[1],
        height=first.shape[0],
        fps=fps,
        crf=options.deforum_ffmpeg_crf,
        preset=options.deforum_ffmpeg_preset,
        ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
        settings_json=settings_json,
        audio=audio,
        audio_starts_s=audio_starts_s,
        subtitles=subtitles,
    ) as writer:
        for number, path in enumerate(pictures):
            cancel.check()
            picture = read_frame(path) if number else first
            if picture.shape != first.shape:
                raise VideoError(
                    f"The picture {path.name} has {picture.shape[1]}x{picture.shape[0]} pixels, but the first one "
                    f"{first.shape[1]}x{first.shape[0]}; all pictures of a film have one size."
                )
            writer.write(picture)
            report(0.95 * (number + 1) / len(pictures))
        counted = writer.finish()
    report(1.0)
    return counted


def _make_folder(targets: Sequence[Path]) -> None:
    folder = targets[0].parent
    with disk_errors(folder.name):
        make_folder(folder.absolute())


def _write(target: Path, picture: Image) -> None:
    pixels = to_bytes(picture)
    require_space(target.parent, pixels.nbytes)
    write_frame(target, pixels)
