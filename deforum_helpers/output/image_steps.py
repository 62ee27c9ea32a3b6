"""Steps of post-production on image files: upscaling, frame interpolation, encoding as a video.

Files are written atomically, one by one, so a step that was stopped continues after the last complete file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
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
from deforum_helpers.output import messages
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.settings.host_options import Options

Report = Callable[[float], None]


def upscale_images(
    sources: Sequence[Path], targets: Sequence[Path], upscaler: Upscaler, cancel: CancelToken, report: Report
) -> None:
    """Upscale each source image into its target; existing targets stay unchanged.

    Args:
        sources: image files.
        targets: one file per source, all in one folder, which is created.
        upscaler: the model, with its factor.
        cancel: checked before each image.
        report: called with the share that is done, 0..1.

    Raises:
        DiskFull, RenderError: an image cannot be read or written.
        Cancelled, Parked: the job was stopped.
    """
    make_folder_of(targets)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        cancel.check()
        if not target.exists():
            write_image(target, upscaler.enlarged(from_bytes(read_frame(source))))
        report((number + 1) / len(sources))


def interpolate_images(
    sources: Sequence[Path],
    targets: Sequence[Path],
    interpolator: Interpolator,
    x_amount: int,
    cancel: CancelToken,
    report: Report,
    *,
    after: Path | None = None,
) -> None:
    """Write the sources and interpolated images between them; continues after the existing targets.

    Args:
        sources: at least two image files of the same size.
        targets: x_amount * (len(sources) - 1) + 1 files, all in one folder, which is created.
        interpolator: the model.
        x_amount: factor for the number of images.
        cancel: checked before each image.
        report: called with the share that is done, 0..1.
        after: the image that follows the sources, if they are a part of a longer sequence.

    Raises:
        DiskFull, RenderError: an image cannot be read or written.
        Cancelled, Parked: the job was stopped.
    """
    make_folder_of(targets)
    seen = sources if after is None else [*sources, after]
    missing = next((number for number, target in enumerate(targets) if not target.exists()), len(targets))
    begin = max(missing - 1, 0) // x_amount
    made = interpolated_sequence(
        len(seen),
        lambda number: from_bytes(read_frame(seen[number])),
        interpolator,
        x_amount,
        begin=begin,
        beginning=from_bytes(read_frame(targets[begin * x_amount])) if missing else None,
    )
    cancel.check()
    for number, image in islice(made, len(targets) - begin * x_amount - (begin > 0)):
        if number >= missing:
            write_image(targets[number], image)
        report((number + 1) / len(targets))
        cancel.check()


def encode_video(
    images: Sequence[Path],
    video: Path,
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
    """Encode images as a video and return its number of frames, counted in the file.

    Args:
        images: at least one image file; all have the same size.
        video: the mp4 file, written atomically.
        fps: frames per second.
        options: options of the encoder.
        cancel: checked before each image.
        report: called with the share that is done, 0..1.
        settings_json, audio, audio_starts_s, subtitles: as in `VideoWriter`.

    Raises:
        VideoError: ffmpeg failed, or the size of an image differs from the first.
        DiskFull, RenderError, MissingFeature: as in `VideoWriter`.
        Cancelled, Parked: the job was stopped; no video is left.
    """
    first = read_frame(images[0])
    with VideoWriter(
        video,
        width=first.shape[1],
        height=first.shape[0],
        fps=fps,
        crf=options.deforum_ffmpeg_crf,
        preset=options.deforum_ffmpeg_preset,
        encoder=options.deforum_ffmpeg_encoder,
        ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
        settings_json=settings_json,
        audio=audio,
        audio_starts_s=audio_starts_s,
        subtitles=subtitles,
    ) as writer:
        for number, path in enumerate(images):
            cancel.check()
            image = read_frame(path) if number else first
            if image.shape != first.shape:
                found, expected = (f"{one.shape[1]} x {one.shape[0]}" for one in (image, first))
                message = messages.FRAME_SIZE_DIFFERS(name=path.name, found=found, expected=expected)
                raise VideoError(message)
            writer.write(image)
            report(0.95 * (number + 1) / len(images))
        counted = writer.finish()
    report(1.0)
    return counted


def make_folder_of(targets: Sequence[Path]) -> None:
    """Create the folder of image files."""
    folder = targets[0].parent
    with disk_errors(folder.name):
        make_folder(folder.absolute())


def write_image(target: Path, image: Image) -> None:
    """Write an image file. Raises `DiskFull` if the disk has no room for it."""
    pixels = to_bytes(image)
    require_space(target.parent, pixels.nbytes)
    write_frame(target, pixels)
