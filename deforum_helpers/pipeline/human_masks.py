"""Masks of the people in a video: one image per frame, a video of the people on black, or both."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import is_file, make_folder
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.core.spread import Done, OpenPieceWorkers, kept, spread
from deforum_helpers.image.convert import read_image, to_bytes
from deforum_helpers.image.files import check_image_file
from deforum_helpers.image.mask import as_image
from deforum_helpers.media.extraction import read_record, record_path
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.segmentation.models import PERSON, Finder, make_finder
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.image_steps import image_pieces
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.settings.host_options import Options

FOLDER = "human_masks"
PARTS = "people"
VIDEO = "human_masked_video.mp4"


def write_human_masks(
    frames: Sequence[Path],
    kind: str,
    outdir: Path,
    *,
    fps: float,
    options: Options,
    finder: Callable[[], Finder],
    device: torch.device,
    cancel: CancelToken,
    workers: OpenPieceWorkers | None = None,
) -> None:
    """Segment the people in every frame and write the results into the folder human_masks of `outdir`.

    Files that an earlier attempt finished from the same frames with the same settings are kept.

    Args:
        frames: extracted frames of the video in order, at least one.
        kind: "PNGs" writes one mask per frame, "Video" the people on black, "Both" both.
        outdir: folder of the run.
        fps: frame rate of the video that is written.
        options: with the settings of the encoder.
        finder: loads the segmentation model; called only when files are to be made.
        device: device of the images.
        cancel: checked between two frames.
        workers: opens workers that share the frames; None = this process finds all people, with `finder`.

    Raises:
        VideoError, DiskFull, RenderError: a file cannot be written.
        Cancelled, Parked: the job was asked to stop.
    """
    folder = outdir / FOLDER
    with disk_errors(FOLDER):
        make_folder(folder)
    made = _masks_of(frames, folder) if kind in ("PNGs", "Both") else []
    if kind in ("Video", "Both"):
        made.append(folder / VIDEO)
    record, content = record_path(folder, FOLDER), _record(frames, kind, fps, options)
    if read_record(record) == content and all(map(is_file, made)):
        return
    masks = _masks_of(frames, folder) if kind in ("PNGs", "Both") else [None] * len(frames)
    width_px, height_px = check_image_file(frames[0], setting="video_init_path")
    writer = None
    if kind in ("Video", "Both"):
        writer = VideoWriter(
            folder / VIDEO,
            width=width_px,
            height=height_px,
            fps=fps,
            crf=options.deforum_ffmpeg_crf,
            preset=options.deforum_ffmpeg_preset,
            ffmpeg=find_ffmpeg(options.deforum_ffmpeg_location),
        )
    try:
        if workers is None:
            people = _people(frames, masks, finder(), device, cancel)
        else:
            people = _shared_people(frames, masks, folder / PARTS, workers, device, cancel)
        for image in people:
            cancel.check()
            if writer is not None:
                writer.write(image)
        if writer is not None:
            writer.finish()
        write_whole(record, content.encode())
    finally:
        if writer is not None:
            writer.abort()


def _masks_of(frames: Sequence[Path], folder: Path) -> list[Path]:
    return [folder / f"{path.stem}.png" for path in frames]


def _people(
    frames: Sequence[Path],
    masks: Sequence[Path | None],
    finder: Finder,
    device: torch.device,
    cancel: CancelToken,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the people of each frame on black, (H, W, 3) uint8, and write its mask where one is asked for."""
    for path, mask_path in zip(frames, masks, strict=True):
        cancel.check()
        image = read_image(path, setting="video_init_path", device=device)
        mask = finder.find(image, PERSON)
        if mask_path is not None:
            _, png = cv2.imencode(".png", to_bytes(as_image(mask)))
            write_whole(mask_path, png.tobytes())
        yield to_bytes(image * mask[None])


def _shared_people(
    frames: Sequence[Path],
    masks: Sequence[Path | None],
    folder: Path,
    workers: OpenPieceWorkers,
    device: torch.device,
    cancel: CancelToken,
) -> Iterator[NDArray[np.uint8]]:
    """Yield what `_people` does, found by several workers, which write it into `folder`; the folder is removed."""
    targets = _masks_of(frames, folder)
    common = {"device": str(device), "masks": str(folder.parent.absolute()) if any(masks) else ""}
    pieces = image_pieces(f"{__name__}:people_range", common, frames, targets)
    make_folder(folder)
    try:
        with workers() as opened:
            spread(pieces, opened, cancel, lambda share: None)
        yield from map(read_frame, targets)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def people_range(arguments: Mapping[str, Any], done: Done) -> None:
    """Find the people in a range of frames: "sources", "targets", "masks" (a folder, or ""), and the "device"."""
    device = torch.device(arguments["device"])
    sources = [Path(text) for text in arguments["sources"]]
    masks = _masks_of(sources, Path(arguments["masks"])) if arguments["masks"] else [None] * len(sources)
    finder = kept(("people", device), lambda: make_finder("people", device))
    found = _people(sources, masks, finder, device, CancelToken())
    for number, (target, image) in enumerate(zip(arguments["targets"], found, strict=True), start=1):
        write_frame(Path(target), image)
        done(number)


def _record(frames: Sequence[Path], kind: str, fps: float, options: Options) -> str:
    """Return a record of everything the files depend on: names and sizes of the frames, kind, encoder."""
    sizes = [(path.name, path.stat().st_size) for path in frames]
    encoder = [fps, options.deforum_ffmpeg_crf, options.deforum_ffmpeg_preset]
    digest = hashlib.sha256(json.dumps(sizes).encode()).hexdigest()
    return json.dumps({"frames": digest, "kind": kind, "encoder": encoder})
