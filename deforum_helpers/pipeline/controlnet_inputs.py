"""What ControlNet units read, unpacked into the folder of a run before the first frame."""

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
from deforum_helpers.media.extraction import extract_frames, extracted_paths, record_of, said_in
from deforum_helpers.pipeline.controlnet_files import Material
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.control_units import UnitImages

JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 99),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)


def unpacked_controls(
    prepared: Prepared, outdir: Path, device: torch.device, cancel: CancelToken
) -> dict[int, UnitImages]:
    """Return what each unit reads, by its number.

    The folders are controlnet_N_inputframes and controlnet_N_maskframes; their files are numbered from 0.

    Args:
        prepared: from `prepare`.
        outdir: folder of the run.
        device: where pictures shall live.
        cancel: asked all the while.

    Raises:
        SettingsError, VideoError, DiskFull, RenderError: something cannot be read or written.
        Cancelled, Parked: the job was told to stop.
    """
    units: dict[int, UnitImages] = {}
    for control in prepared.inputs.controls:
        picture = mask = None
        if control.picture is not None:
            paths = _unpacked(
                control.picture, outdir / _picture_folder(control.unit), control.unit, prepared, cancel
            )
            picture = _pictures(paths, control.picture.setting, device)
        if control.mask is not None:
            paths = _unpacked(
                control.mask, outdir / _mask_folder(control.unit), control.unit, prepared, cancel
            )
            mask = _masks(_pictures(paths, control.mask.setting, device))
        units[control.unit] = UnitImages(picture, mask)
    return units


def unpacked_files(prepared: Prepared, outdir: Path) -> tuple[Path, ...]:
    """Return the files that the units of a run have in its folder once they are unpacked."""
    files: list[Path] = []
    for control in prepared.inputs.controls:
        folders = ((control.picture, _picture_folder), (control.mask, _mask_folder))
        for material, folder in folders:
            if material is not None:
                files += _files_of(material, outdir / folder(control.unit))
    return tuple(files)


def _picture_folder(unit: int) -> str:
    return f"controlnet_{unit}_inputframes"


def _mask_folder(unit: int) -> str:
    return f"controlnet_{unit}_maskframes"


def _files_of(material: Material, folder: Path) -> tuple[Path, ...]:
    if material.footage is None:
        return (folder / f"{0:09d}.jpg",)
    return extracted_paths(replace(material.footage, name=""), folder, material.selection)


def _unpacked(
    material: Material, folder: Path, unit: int, prepared: Prepared, cancel: CancelToken
) -> tuple[Path, ...]:
    overwrite = prepared.settings.controlnet[unit - 1].overwrite_frames
    if material.footage is None:
        return (_written(material, folder, overwrite),)
    return extract_frames(
        replace(material.footage, name=""),
        folder,
        material.selection,
        cancel,
        overwrite=overwrite,
    )


def _written(material: Material, folder: Path, overwrite: bool) -> Path:
    """Write a picture where a video's first frame would be, unless that very picture lies there."""
    levels = to_bytes(read_image(material.picture or "", setting=material.setting))
    said = json.dumps({"picture": hashlib.sha256(levels.tobytes()).hexdigest(), "size": levels.shape})
    path = folder / f"{0:09d}.jpg"
    if not overwrite and is_file(path) and said_in(record_of(folder, "")) == said:
        return path
    with disk_errors(folder.name):
        make_folder(folder)
    _, jpeg = cv2.imencode(".jpg", levels[..., ::-1], JPEG)
    write_whole(path, jpeg.tobytes())
    write_whole(record_of(folder, ""), said.encode())
    return path


def _pictures(paths: tuple[Path, ...], setting: str, device: torch.device) -> Callable[[int], Image]:
    """Return what gives the picture at a frame; after the last one it is held."""
    read = lru_cache(maxsize=2)(lambda number: read_image(paths[number], setting=setting, device=device))
    return lambda frame: read(min(frame, len(paths) - 1))


def _masks(pictures: Callable[[int], Image]) -> Callable[[int], Mask]:
    return lambda frame: luma(pictures(frame)).clamp_(0, 1)
