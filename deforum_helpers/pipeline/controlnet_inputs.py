"""The images and videos of ControlNet units, extracted into the folder of a run before the first frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import torch

from deforum_helpers.core.files.atomic import disk_errors, write_whole
from deforum_helpers.core.files.no_links import is_file, make_folder
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.convert import read_image, to_bytes
from deforum_helpers.image.mask import Mask, luma
from deforum_helpers.image.types import Image
from deforum_helpers.media.extraction import extract_frames, extracted_paths, read_record, record_path
from deforum_helpers.pipeline.controlnet_files import ControlMedia
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.control_units import UnitImages

JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 99),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)


def unpacked_controls(
    prepared: Prepared, outdir: Path, device: torch.device, cancel: CancelToken
) -> dict[int, UnitImages]:
    """Extract the media of each unit and return readers of them, by the number of the unit.

    The folders are controlnet_N_inputframes and controlnet_N_maskframes; their files are numbered from 0.

    Args:
        prepared: from `prepare`.
        outdir: folder of the run.
        device: device of the images.
        cancel: checked between frames.

    Raises:
        SettingsError, VideoError, DiskFull, RenderError: a file cannot be read or written.
        Cancelled, Parked: the job was asked to stop.
    """
    units: dict[int, UnitImages] = {}
    for control in prepared.inputs.controls:
        image = mask = None
        if control.image is not None:
            paths = _unpacked(
                control.image, outdir / _image_folder(control.unit), control.unit, prepared, cancel
            )
            image = _images(paths, control.image.setting, device)
        if control.mask is not None:
            paths = _unpacked(
                control.mask, outdir / _mask_folder(control.unit), control.unit, prepared, cancel
            )
            mask = _masks(_images(paths, control.mask.setting, device))
        units[control.unit] = UnitImages(image, mask)
    return units


def unpacked_files(prepared: Prepared, outdir: Path) -> tuple[Path, ...]:
    """Return the paths of the files that `unpacked_controls` leaves in the folder of a run."""
    files: list[Path] = []
    for control in prepared.inputs.controls:
        folders = ((control.image, _image_folder), (control.mask, _mask_folder))
        for media, folder in folders:
            if media is not None:
                files += _files_of(media, outdir / folder(control.unit))
    return tuple(files)


def _image_folder(unit: int) -> str:
    return f"controlnet_{unit}_inputframes"


def _mask_folder(unit: int) -> str:
    return f"controlnet_{unit}_maskframes"


def _files_of(media: ControlMedia, folder: Path) -> tuple[Path, ...]:
    if media.footage is None:
        return (folder / f"{0:09d}.jpg",)
    return extracted_paths(replace(media.footage, name=""), folder, media.selection)


def _unpacked(
    media: ControlMedia, folder: Path, unit: int, prepared: Prepared, cancel: CancelToken
) -> tuple[Path, ...]:
    overwrite = prepared.settings.controlnet[unit - 1].overwrite_frames
    if media.footage is None:
        return (_written(media, folder, overwrite),)
    return extract_frames(
        replace(media.footage, name=""),
        folder,
        media.selection,
        cancel,
        overwrite=overwrite,
    )


def _written(media: ControlMedia, folder: Path, overwrite: bool) -> Path:
    """Write a still image as the first frame of a video, unless the same image is there already."""
    levels = to_bytes(read_image(media.image or "", setting=media.setting))
    record = json.dumps({"picture": hashlib.sha256(levels.tobytes()).hexdigest(), "size": levels.shape})
    path = folder / f"{0:09d}.jpg"
    if not overwrite and is_file(path) and read_record(record_path(folder, "")) == record:
        return path
    with disk_errors(folder.name):
        make_folder(folder)
    _, jpeg = cv2.imencode(".jpg", levels[..., ::-1], JPEG)
    write_whole(path, jpeg.tobytes())
    write_whole(record_path(folder, ""), record.encode())
    return path


def _images(paths: tuple[Path, ...], setting: str, device: torch.device) -> Callable[[int], Image]:
    """Return a function from the number of a frame to its image; the last image is repeated to the end."""
    read = lru_cache(maxsize=2)(lambda number: read_image(paths[number], setting=setting, device=device))
    return lambda frame: read(min(frame, len(paths) - 1))


def _masks(images: Callable[[int], Image]) -> Callable[[int], Mask]:
    return lambda frame: luma(images(frame)).clamp_(0, 1)
