"""The input images of a run: init image, masks, guide images and videos, opened before the first frame."""

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
from deforum_helpers.core.spread import OpenPieceWorkers
from deforum_helpers.engines.base import Engine
from deforum_helpers.image.color import ColorReference
from deforum_helpers.image.convert import on_8_bit_grid, read_image, resized, to_bytes
from deforum_helpers.image.mask import Mask, luma, mask_of, read_alpha, read_mask
from deforum_helpers.image.types import Image
from deforum_helpers.media.extraction import extract_frames, extracted_paths, read_record, record_path
from deforum_helpers.media.footage import VideoInfo
from deforum_helpers.models.depth.estimators import DepthEstimator, kept_estimator, make_estimator
from deforum_helpers.models.flow.estimators import FlowEstimator, make_flow_estimator
from deforum_helpers.models.segmentation.models import make_finder
from deforum_helpers.pipeline.controlnet import ControlMedia
from deforum_helpers.pipeline.human_masks import write_human_masks
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.cached_depth import CachedDepth
from deforum_helpers.render.context import RenderContext
from deforum_helpers.render.control_units import UnitImages
from deforum_helpers.render.masks import Masks, wanted_finders
from deforum_helpers.render.plan import Plan
from deforum_helpers.render.state import State
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import (
    detects_people,
    is_hybrid,
    is_moved,
    overlays,
    reads_alpha,
    reads_color_image,
    reads_end_image,
    reads_init_image,
    reads_mask_file,
    starts_from_video,
)

INPUT_FOLDER = "inputframes"
MASK_FOLDER = "maskframes"

JPEG = (
    *(cv2.IMWRITE_JPEG_QUALITY, 99),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
)


def open_inputs(prepared: Prepared, engine: Engine, cancel: CancelToken) -> RenderContext:
    """Return the render context of a run with its images, masks and flow methods, on the engine's device.

    It lacks videos and ControlNet units, which `with_videos` adds, and depth.

    Args:
        prepared: from `prepare`.
        engine: generates the frames.
        cancel: token of the job.

    Raises:
        SettingsError: an image can no longer be read.
        MissingFeature, ModelError: a model that masks need is missing or broken.
    """
    settings, device = prepared.settings, engine.device
    init_image = None
    composites_init = is_hybrid(settings) and settings.hybrid_use_init_image
    if reads_init_image(settings):
        setting = init_setting(prepared)
        init_image = load_image(prepared, setting, getattr(settings, setting), device)
    backdrop = None
    if overlays(settings) and init_image is not None:
        backdrop = _always(init_image)
    guides = prepared.plan.guides
    return RenderContext(
        plan=prepared.plan,
        engine=engine,
        cached_depth=None,
        cancel=cancel,
        init_image=init_image,
        composite_source=_always(init_image) if composites_init and init_image is not None else None,
        masks=_masks(prepared, device),
        backdrop=backdrop,
        flow=_flow_methods(prepared.plan, device),
        end_image=(
            load_image(prepared, "end_image_path", settings.end_image_path, device)
            if reads_end_image(settings)
            else None
        ),
        guides=tuple(
            load_image(prepared, "init_images", source, device)
            for source in (guides.sources if guides else ())
        ),
    )


def _flow_methods(plan: Plan, device: torch.device) -> Callable[[str], FlowEstimator]:
    """Return a function from the name of a flow method to its estimator; those of the plan are loaded now."""
    made = {name: make_flow_estimator(name, device) for name in plan.flow_methods}
    return made.__getitem__


def with_videos(
    context: RenderContext, prepared: Prepared, outdir: Path, workers: OpenPieceWorkers | None = None
) -> RenderContext:
    """Return `context` with the frames of the videos and ControlNet units, extracted into folders of `outdir`.

    Args:
        context: the render context.
        prepared: the job.
        outdir: folder of the run.
        workers: opens workers that share the search for people; by default this process does it.

    Raises:
        VideoError, DiskFull, RenderError: a video cannot be extracted.
        Cancelled, Parked: the job was stopped.
    """
    device, cancel = context.engine.device, context.cancel
    inputs, settings = prepared.inputs, prepared.settings

    def extracted(footage: VideoInfo, folder: str) -> tuple[Path, ...]:
        return extract_frames(
            footage,
            outdir / folder,
            inputs.selection,
            cancel,
            overwrite=settings.overwrite_extracted_frames,
        )

    if inputs.video is not None:
        paths = extracted(inputs.video, INPUT_FOLDER)
        if detects_people(settings):
            kind, fps = settings.hybrid_generate_human_masks, inputs.video.fps / inputs.selection.step
            write_human_masks(
                paths,
                kind,
                outdir,
                fps=fps,
                options=prepared.options,
                finder=lambda: make_finder("people", device),
                device=device,
                cancel=cancel,
                workers=workers,
            )
        video = VideoFrames(paths, settings.W, settings.H, "video_init_path", device)
        context = replace(context, video=video, composite_source=context.composite_source or video)
        if context.masks is not None:
            context = replace(context, masks=replace(context.masks, people_in=video))
        if overlays(settings) and starts_from_video(settings):
            moves = is_moved(settings)
            context = replace(context, backdrop=_always(video(0)) if moves else video)
    if inputs.mask_video is not None and context.masks is not None:
        paths = extracted(inputs.mask_video, MASK_FOLDER)
        masks = VideoFrames(paths, settings.W, settings.H, "video_mask_path", device)
        context = replace(
            context,
            masks=replace(context.masks, video=lambda frame: _adjusted(masks(frame), settings)),
        )
    return replace(context, controls=unpacked_controls(prepared, outdir, device, cancel))


def with_depth(
    context: RenderContext,
    prepared: Prepared,
    estimator: Callable[..., DepthEstimator] = make_estimator,
) -> RenderContext:
    """Return `context` with the depth model, if the plan uses depth.

    Args:
        context: the render context.
        prepared: the job.
        estimator: makes a depth model from a name and a device.
    """
    if not prepared.plan.uses_depth:
        return context
    settings, engine = prepared.settings, context.engine
    keep = prepared.options.deforum_keep_3d_models_in_vram
    name, weight = settings.depth_algorithm, settings.midas_weight
    kept = kept_estimator(estimator, name, engine.device, keep=keep, weight=weight)
    return replace(context, cached_depth=CachedDepth(kept, engine))


def given_state(prepared: Prepared, device: torch.device) -> State:
    """Return the state that a run begins with: with the image that colors are matched to, if the settings name one."""
    if not reads_color_image(prepared.settings):
        return State()
    name = "color_coherence_image_path"
    picture = load_image(prepared, name, prepared.settings.color_coherence_image_path, device)
    return State(reference=ColorReference.of(picture, "Image"))


def extracted_files(prepared: Prepared, outdir: Path) -> tuple[Path, ...]:
    """Return the files extracted from videos and ControlNet units in a run's folder, by any attempt."""
    inputs = prepared.inputs
    files: list[Path] = []
    for footage, folder in ((inputs.video, INPUT_FOLDER), (inputs.mask_video, MASK_FOLDER)):
        if footage is not None:
            files += extracted_paths(footage, outdir / folder, inputs.selection)
    return (*files, *unpacked_files(prepared, outdir))


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
                control.image, outdir / _unit_image_folder(control.unit), control.unit, prepared, cancel
            )
            image = _control_images(paths, control.image.setting, device)
        if control.mask is not None:
            paths = _unpacked(
                control.mask, outdir / _unit_mask_folder(control.unit), control.unit, prepared, cancel
            )
            mask = _control_masks(_control_images(paths, control.mask.setting, device))
        units[control.unit] = UnitImages(image, mask)
    return units


def unpacked_files(prepared: Prepared, outdir: Path) -> tuple[Path, ...]:
    """Return the paths of the files that `unpacked_controls` leaves in the folder of a run."""
    files: list[Path] = []
    for control in prepared.inputs.controls:
        folders = ((control.image, _unit_image_folder), (control.mask, _unit_mask_folder))
        for media, folder in folders:
            if media is not None:
                files += _unit_files(media, outdir / folder(control.unit))
    return tuple(files)


def _adjusted(image: Image, settings: Settings) -> Mask:
    return mask_of(
        image,
        settings.W,
        settings.H,
        brightness=settings.mask_brightness_adjust,
        contrast=settings.mask_contrast_adjust,
    )


class VideoFrames:
    """The extracted frames of a video at the size of the run's frames; the last one is repeated after the end.

    Args:
        paths: JPEG files in order, at least one.
        width_px, height_px: size of the run's frames.
        setting: name of the setting that names the video, for errors.
        device: device of the images.
    """

    def __init__(
        self, paths: tuple[Path, ...], width_px: int, height_px: int, setting: str, device: torch.device
    ) -> None:
        self._paths = paths
        self._size = (width_px, height_px)
        self._setting = setting
        self._device = device
        self._read = lru_cache(maxsize=2)(self._image)

    def __call__(self, frame: int) -> Image:
        """Return the image (3, H, W) at a frame."""
        return self._read(min(frame, len(self._paths) - 1))

    def _image(self, number: int) -> Image:
        image = read_image(self._paths[number], setting=self._setting, device=self._device)
        return resized(image, *self._size)


def init_setting(prepared: Prepared) -> str:
    """Return the name of the setting that gives the init image."""
    return "init_image_box" if prepared.settings.init_image_box else "init_image"


def load_image(prepared: Prepared, setting: str, source: str, device: torch.device) -> Image:
    """Return the image that `setting` names by `source`, at the size of the run's frames, rounded to 8 bits."""
    settings = prepared.settings
    path = prepared.inputs.downloads.local(source, "image", setting=setting)
    image = read_image(path, setting=setting, device=device)
    return on_8_bit_grid(resized(image, settings.W, settings.H))


def _always(image: Image) -> Callable[[int], Image]:
    return lambda frame: image


def _masks(prepared: Prepared, device: torch.device) -> Masks | None:
    settings, leaves = prepared.settings, prepared.plan.masks.leaves
    if not leaves:
        return None
    alpha = None
    if reads_alpha(settings):
        setting = init_setting(prepared)
        source = prepared.inputs.downloads.local(getattr(settings, setting), "image", setting=setting)
        alpha = read_alpha(source, settings.W, settings.H, setting=setting, device=device)
    init = alpha
    if settings.mask_file and reads_mask_file(settings):
        init = _mask_of(prepared, settings.mask_file, "mask_file", device)
    files = {
        leaf.text: _mask_of(prepared, leaf.text, "mask_schedule", device)
        for leaf in leaves
        if leaf.kind == "file"
    }
    finder = None
    if wanted_finders(leaves):
        finder = lru_cache(maxsize=2)(lambda purpose: make_finder(purpose, device))
        for purpose in wanted_finders(leaves):
            finder(purpose)
    return Masks(settings.W, settings.H, init, alpha, files, finder=finder)


def _mask_of(prepared: Prepared, path: str, setting: str, device: torch.device) -> Mask:
    settings = prepared.settings
    return read_mask(
        prepared.inputs.downloads.local(path, "image", setting=setting),
        settings.W,
        settings.H,
        setting=setting,
        device=device,
        brightness=settings.mask_brightness_adjust,
        contrast=settings.mask_contrast_adjust,
    )


def _unit_image_folder(unit: int) -> str:
    return f"controlnet_{unit}_inputframes"


def _unit_mask_folder(unit: int) -> str:
    return f"controlnet_{unit}_maskframes"


def _unit_files(media: ControlMedia, folder: Path) -> tuple[Path, ...]:
    if media.footage is None:
        return (folder / f"{0:09d}.jpg",)
    return extracted_paths(replace(media.footage, name=""), folder, media.selection)


def _unpacked(
    media: ControlMedia, folder: Path, unit: int, prepared: Prepared, cancel: CancelToken
) -> tuple[Path, ...]:
    overwrite = prepared.settings.controlnet[unit - 1].overwrite_frames
    if media.footage is None:
        return (_write_still(media, folder, overwrite),)
    return extract_frames(
        replace(media.footage, name=""),
        folder,
        media.selection,
        cancel,
        overwrite=overwrite,
    )


def _write_still(media: ControlMedia, folder: Path, overwrite: bool) -> Path:
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


def _control_images(paths: tuple[Path, ...], setting: str, device: torch.device) -> Callable[[int], Image]:
    """Return a function from the number of a frame to its image; the last image is repeated to the end."""
    read = lru_cache(maxsize=2)(lambda number: read_image(paths[number], setting=setting, device=device))
    return lambda frame: read(min(frame, len(paths) - 1))


def _control_masks(images: Callable[[int], Image]) -> Callable[[int], Mask]:
    return lambda frame: luma(images(frame)).clamp_(0, 1)
