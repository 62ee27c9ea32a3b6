"""Masks of the people in a video: one image per frame, a video of the people on black, or both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import torch

from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import is_file, make_folder
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.convert import read_image, to_bytes
from deforum_helpers.image.files import check_image_file
from deforum_helpers.image.mask import as_image
from deforum_helpers.media.extraction import read_record, record_path
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.segmentation.models import Finder
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.settings.host_options import Options

FOLDER = "human_masks"
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

    Raises:
        VideoError, DiskFull, RenderError: a file cannot be written.
        Cancelled, Parked: the job was asked to stop.
    """
    folder = outdir / FOLDER
    with disk_errors(FOLDER):
        make_folder(folder)
    made = [folder / f"{path.stem}.png" for path in frames] if kind in ("PNGs", "Both") else []
    if kind in ("Video", "Both"):
        made.append(folder / VIDEO)
    record, content = record_path(folder, FOLDER), _record(frames, kind, fps, options)
    if read_record(record) == content and all(map(is_file, made)):
        return
    people = finder()
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
        for path in frames:
            cancel.check()
            image = read_image(path, setting="video_init_path", device=device)
            mask = people.find(image, "person")
            if kind in ("PNGs", "Both"):
                _write_mask(folder / f"{path.stem}.png", mask)
            if writer is not None:
                writer.write(to_bytes(image * mask[None]))
        if writer is not None:
            writer.finish()
        write_whole(record, content.encode())
    finally:
        if writer is not None:
            writer.abort()


def _record(frames: Sequence[Path], kind: str, fps: float, options: Options) -> str:
    """Return a record of everything the files depend on: names and sizes of the frames, kind, encoder."""
    sizes = [(path.name, path.stat().st_size) for path in frames]
    encoder = [fps, options.deforum_ffmpeg_crf, options.deforum_ffmpeg_preset]
    digest = hashlib.sha256(json.dumps(sizes).encode()).hexdigest()
    return json.dumps({"frames": digest, "kind": kind, "encoder": encoder})


def _write_mask(path: Path, mask: torch.Tensor) -> None:
    _, png = cv2.imencode(".png", to_bytes(as_image(mask)))
    write_whole(path, png.tobytes())
