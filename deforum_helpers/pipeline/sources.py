"""What a film is made from: its init image, its masks, the pictures of its videos, opened before the first frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.image.convert import on_8_bit_grid, read_image, resized
from deforum_helpers.image.mask import Mask, mask_of, read_alpha, read_mask
from deforum_helpers.image.types import Image
from deforum_helpers.media.extraction import extract_frames, extracted_paths
from deforum_helpers.media.footage import Footage
from deforum_helpers.models.flow.estimators import FlowEstimator, make_flow_estimator
from deforum_helpers.models.segmentation.models import make_finder
from deforum_helpers.pipeline.controlnet_inputs import unpacked_controls, unpacked_files
from deforum_helpers.pipeline.human_masks import write_human_masks
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.render.control_units import UnitPictures
from deforum_helpers.render.masks import Masks, wanted_finders
from deforum_helpers.render.plan import Plan
from deforum_helpers.settings import Settings
from deforum_helpers.settings.modes import (
    detects_people,
    is_hybrid,
    is_moved,
    overlays,
    reads_alpha,
    reads_end_image,
    reads_init_image,
    reads_mask_file,
    starts_from_video,
)

INPUT_FOLDER = "inputframes"
MASK_FOLDER = "maskframes"


@dataclass(frozen=True)
class Sources:
    """What a film is made from.

    Args:
        init_image: (3, H, W) the picture that it starts from, or None.
        masks: what its masks are put together of, or None where it has none.
        backdrop: gives the original picture at a frame, which is put back outside of masks; None = nothing is.
        flow: gives the way to measure motion that a setting names; each is made once.
        guides: the guided images.
        video: gives the video's picture at a frame, or None where no video is used.
        laid_over: gives the picture that hybrid video lays over a frame, or None.
        controls: what the ControlNet units read, by their numbers.
        end_image: (3, H, W) the image that the last frame shows, or None.
    """

    init_image: Image | None = None
    masks: Masks | None = None
    backdrop: Callable[[int], Image] | None = None
    flow: Callable[[str], FlowEstimator] = make_flow_estimator
    guides: tuple[Image, ...] = ()
    video: Callable[[int], Image] | None = None
    laid_over: Callable[[int], Image] | None = None
    controls: Mapping[int, UnitPictures] = field(default_factory=dict)
    end_image: Image | None = None


def open_sources(prepared: Prepared, device: torch.device) -> Sources:
    """Open what the film of `prepared` is made from.

    Args:
        prepared: from `prepare`.
        device: where pictures shall live.

    Raises:
        SettingsError: a picture cannot be read any more.
        MissingFeature, ModelError: a model that masks need is missing or broken.
    """
    settings = prepared.settings
    init_image = None
    lays_init = is_hybrid(settings) and settings.hybrid_use_init_image
    if reads_init_image(settings):
        setting = init_setting(prepared)
        init_image = picture_of(prepared, setting, getattr(settings, setting), device)
    backdrop = None
    if overlays(settings) and init_image is not None:
        backdrop = _always(init_image)
    guides = prepared.plan.guides
    return Sources(
        init_image=init_image,
        laid_over=_always(init_image) if lays_init and init_image is not None else None,
        masks=_masks(prepared, device),
        backdrop=backdrop,
        flow=_flow_methods(prepared.plan, device),
        end_image=(
            picture_of(prepared, "end_image_path", settings.end_image_path, device)
            if reads_end_image(settings)
            else None
        ),
        guides=tuple(
            picture_of(prepared, "init_images", source, device)
            for source in (guides.sources if guides else ())
        ),
    )


def _flow_methods(plan: Plan, device: torch.device) -> Callable[[str], FlowEstimator]:
    """Return what gives the ways to measure motion; those that the film needs are made at once."""
    made = {name: make_flow_estimator(name, device) for name in plan.flow_methods}
    return made.__getitem__


def with_videos(
    sources: Sources, prepared: Prepared, outdir: Path, device: torch.device, cancel: CancelToken
) -> Sources:
    """Return `sources` with the pictures of the videos and ControlNet units, extracted into folders of `outdir`.

    Raises:
        VideoError, DiskFull, RenderError: they cannot be extracted.
        Cancelled, Parked: the job was told to stop.
    """
    inputs, settings = prepared.inputs, prepared.settings

    def extracted(footage: Footage, folder: str) -> tuple[Path, ...]:
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
            )
        video = VideoPictures(paths, settings.W, settings.H, "video_init_path", device)
        sources = replace(sources, video=video, laid_over=sources.laid_over or video)
        if sources.masks is not None:
            sources = replace(sources, masks=replace(sources.masks, people_in=video))
        if overlays(settings) and starts_from_video(settings):
            moves = is_moved(settings)
            sources = replace(sources, backdrop=_always(video(0)) if moves else video)
    if inputs.mask_video is not None and sources.masks is not None:
        paths = extracted(inputs.mask_video, MASK_FOLDER)
        masks = VideoPictures(paths, settings.W, settings.H, "video_mask_path", device)
        sources = replace(
            sources,
            masks=replace(sources.masks, video=lambda frame: _adjusted(masks(frame), settings)),
        )
    return replace(sources, controls=unpacked_controls(prepared, outdir, device, cancel))


def extracted_files(prepared: Prepared, outdir: Path) -> tuple[Path, ...]:
    """Return the files that a run has of its videos and ControlNet units in its folder, whichever attempt made them."""
    inputs = prepared.inputs
    files: list[Path] = []
    for footage, folder in ((inputs.video, INPUT_FOLDER), (inputs.mask_video, MASK_FOLDER)):
        if footage is not None:
            files += extracted_paths(footage, outdir / folder, inputs.selection)
    return (*files, *unpacked_files(prepared, outdir))


def _adjusted(picture: Image, settings: Settings) -> Mask:
    return mask_of(
        picture,
        settings.W,
        settings.H,
        brightness=settings.mask_brightness_adjust,
        contrast=settings.mask_contrast_adjust,
    )


class VideoPictures:
    """The extracted frames of a video at the size of the film; after the last one it is held.

    Args:
        paths: JPEG files in order, at least one.
        width_px, height_px: size of the film.
        setting: name of the setting that names the video, for errors.
        device: where pictures shall live.
    """

    def __init__(
        self, paths: tuple[Path, ...], width_px: int, height_px: int, setting: str, device: torch.device
    ) -> None:
        self._paths = paths
        self._size = (width_px, height_px)
        self._setting = setting
        self._device = device
        self._read = lru_cache(maxsize=2)(self._pictured)

    def __call__(self, frame: int) -> Image:
        """Return the picture (3, H, W) at a frame."""
        return self._read(min(frame, len(self._paths) - 1))

    def _pictured(self, number: int) -> Image:
        picture = read_image(self._paths[number], setting=self._setting, device=self._device)
        return resized(picture, *self._size)


def init_setting(prepared: Prepared) -> str:
    """Return which setting names the init image."""
    return "init_image_box" if prepared.settings.init_image_box else "init_image"


def picture_of(prepared: Prepared, setting: str, source: str, device: torch.device) -> Image:
    """Return the picture `source` that `setting` names, at the size of the film, on the grid of 8 bits."""
    settings = prepared.settings
    path = prepared.inputs.downloads.local(source, "image", setting=setting)
    picture = read_image(path, setting=setting, device=device)
    return on_8_bit_grid(resized(picture, settings.W, settings.H))


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
