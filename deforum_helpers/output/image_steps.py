"""Steps of post-production on image files: upscaling, frame interpolation, encoding as a video.

Files are written atomically, one by one, so a step that was stopped continues after the last complete file.

Several workers write the same files in ranges of images as one does. Upscaled images do not depend on each other.
Interpolated ones depend on two sources, but a source that repeats the one before it is replaced by an interpolation, on
which the next comparison is based. So the first image of each range is written beforehand, in order, which needs no
more than the comparisons and the replacements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import VideoError
from deforum_helpers.core.files.atomic import disk_errors, require_space
from deforum_helpers.core.files.no_links import make_folder
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import Done, OpenPieceWorkers, Piece, kept, spread
from deforum_helpers.image.convert import from_bytes, to_bytes
from deforum_helpers.image.types import Image
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.interpolation.engines import Interpolator, make_interpolator
from deforum_helpers.models.interpolation.sequence import interpolated_sequence, sources_without_repetition
from deforum_helpers.models.upscaling.models import Upscaler, make_upscaler
from deforum_helpers.output import messages
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.settings.host_options import Options

Report = Callable[[float], None]

# Enough that a worker's model is loaded only once, few enough that all workers end at about the same time.
IMAGES_PER_PIECE = 8


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


def upscale_by(
    workers: OpenPieceWorkers | None,
    sources: Sequence[Path],
    targets: Sequence[Path],
    cancel: CancelToken,
    report: Report,
    *,
    model: str,
    factor: str,
    device: str,
) -> None:
    """Upscale images, by this process if `workers` is None; the rest as in `upscale_images` and `make_upscaler`."""
    if workers is None:
        upscaler = make_upscaler(model, factor, device, cancel.check_cancel)
        return upscale_images(sources, targets, upscaler, cancel, report)
    make_folder_of(targets)
    common = {"model": model, "factor": factor, "device": device}
    pieces = image_pieces(f"{__name__}:upscale_range", common, sources, targets)
    with workers() as opened:
        spread(pieces, opened, cancel, report)
    return None


def interpolate_by(
    workers: OpenPieceWorkers | None,
    sources: Sequence[Path],
    targets: Sequence[Path],
    x_amount: int,
    cancel: CancelToken,
    report: Report,
    *,
    engine: str,
    device: str,
) -> None:
    """Interpolate images, by this process if `workers` is None.

    The other arguments and the errors are those of `interpolate_images` and `make_interpolator`.
    """
    if workers is None:
        own = make_interpolator(engine, device, cancel.check_cancel)
        return interpolate_images(sources, targets, own, x_amount, cancel, report)
    make_folder_of(targets)
    pairs = max(1, IMAGES_PER_PIECE // x_amount)
    begins = list(range(0, len(sources) - 1, pairs))
    interpolator = lru_cache(1)(lambda: make_interpolator(engine, device, cancel.check_cancel))
    _write_beginnings(sources, targets, x_amount, frozenset(begins), interpolator, cancel)
    pieces = []
    for begin in begins:
        end = min(begin + pairs, len(sources) - 1)
        part = targets[begin * x_amount : end * x_amount + 1]
        arguments = {
            "engine": engine,
            "device": device,
            "x_amount": x_amount,
            "sources": _texts(sources[begin : end + 1]),
            "after": _texts(sources[end + 1 : end + 2]),
            "targets": _texts(part),
        }
        pieces.append(Piece(f"{__name__}:interpolate_range", arguments, len(part) - 1))
    with workers() as opened:
        spread(pieces, opened, cancel, report)
    return None


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


def image_pieces(
    function: str, common: Mapping[str, Any], sources: Sequence[Path], targets: Sequence[Path]
) -> list[Piece]:
    """Return pieces of work that make one target of each source, by a function of this project.

    Args:
        function: "module:name"; its arguments are `common`, and the paths "sources" and "targets".
        common: arguments of all pieces.
        sources, targets: image files.
    """
    return [
        Piece(
            function,
            {
                **common,
                "sources": _texts(sources[begin : begin + IMAGES_PER_PIECE]),
                "targets": _texts(targets[begin : begin + IMAGES_PER_PIECE]),
            },
            len(targets[begin : begin + IMAGES_PER_PIECE]),
        )
        for begin in range(0, len(sources), IMAGES_PER_PIECE)
    ]


def upscale_range(arguments: Mapping[str, Any], done: Done) -> None:
    """Do a piece of `upscale_by`."""
    targets = _paths(arguments["targets"])
    upscaler = _upscaler(arguments["model"], arguments["factor"], arguments["device"])
    upscale_images(_paths(arguments["sources"]), targets, upscaler, CancelToken(), _counted(done, targets))


def interpolate_range(arguments: Mapping[str, Any], done: Done) -> None:
    """Do a piece of `interpolate_by`."""
    targets = _paths(arguments["targets"])
    interpolate_images(
        _paths(arguments["sources"]),
        targets,
        _interpolator(arguments["engine"], arguments["device"]),
        arguments["x_amount"],
        CancelToken(),
        _counted(done, targets[1:]),
        after=next(iter(_paths(arguments["after"])), None),
    )


def _write_beginnings(
    sources: Sequence[Path],
    targets: Sequence[Path],
    x_amount: int,
    begins: frozenset[int],
    interpolator: Callable[[], Interpolator],
    cancel: CancelToken,
) -> None:
    """Write the target of each source number in `begins`."""
    read = lru_cache(3)(lambda number: from_bytes(read_frame(sources[number])))
    for number, image in enumerate(sources_without_repetition(len(sources), read, interpolator)):
        cancel.check()
        if number in begins and not targets[number * x_amount].exists():
            write_image(targets[number * x_amount], image)


def _upscaler(model: str, factor: str, device: str) -> Upscaler:
    return kept(("upscaler", model, factor, device), lambda: make_upscaler(model, factor, device))


def _interpolator(engine: str, device: str) -> Interpolator:
    return kept(("interpolator", engine, device), lambda: make_interpolator(engine, device))


def _counted(done: Done, targets: Sequence[Path]) -> Report:
    return lambda share: done(round(share * len(targets)))


def _texts(files: Sequence[Path]) -> list[str]:
    return [str(path.absolute()) for path in files]


def _paths(texts: Sequence[str]) -> list[Path]:
    return [Path(text) for text in texts]
