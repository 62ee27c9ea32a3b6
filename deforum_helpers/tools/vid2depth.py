"""Depth videos: each frame as a depth map, a figure mask or gray levels, optionally thresholded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from deforum_helpers.core.spread import Done, kept, spread
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.models.depth import available_families, depth_name, serve
from deforum_helpers.models.depth.estimators import DepthEstimator, make_estimator
from deforum_helpers.models.depth.scene import depth_bytes
from deforum_helpers.models.segmentation.anime import FigureFinder, load_finder
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.output.image_steps import image_pieces
from deforum_helpers.tools.arguments import WITH_DEPTH, WITH_FIGURES
from deforum_helpers.tools.checks import DepthLook, check_depth_look
from deforum_helpers.tools.work import (
    ToolResult,
    Work,
    extracted,
    finish_video,
    fresh_folder,
    input_video,
    name_of,
    notes_on,
    require_room,
    sound_of,
)

FOLDER = "frame-depth"
BLUR_PX = 5
MIDDLE, WHITE = 127, 255

Gray: TypeAlias = npt.NDArray[np.uint8]


def video_to_depth(
    path: Path,
    work: Work,
    look: DepthLook | None = None,
    *,
    keep_imgs: bool = False,
    estimator: Callable[[str, str], DepthEstimator] = make_estimator,
    finder: Callable[[], FigureFinder] = load_finder,
) -> ToolResult:
    """Make a depth video of a video and keep its sound.

    Args:
        path: the video.
        work: context of the tool.
        look: appearance of the depth video.
        keep_imgs: whether the images are kept.
        estimator: loads a depth model by name onto a device.
        finder: loads the model that finds figures.

    Raises:
        SettingsError: an argument or the input cannot be used.
        RenderError: the tool failed; no files are left.
        Cancelled, Parked: the job was stopped; no files are left.
    """
    look = check_depth_look(look or DepthLook())
    video, warning = input_video(path, work), None
    require_room(work, video.width_px * video.height_px * video.frames)
    if look.mode in WITH_DEPTH:
        _, warning = serve(look.algorithm, available_families())
    layers = None if work.workers else _layers(look, work.device, estimator, finder)
    name = name_of(path, work)
    with fresh_folder(work, FOLDER, name) as folder:
        work.shares("PREPARING", video.frames, folder)(0.0)
        frames = extracted(video, folder, work)
        images = tuple(folder / f"depth_frames_{name}" / f"{number:09d}.png" for number in range(len(frames)))
        images[0].parent.mkdir()
        report = work.shares("GENERATING", len(frames), folder)
        if work.workers is not None:
            common = {"look": asdict(look), "device": work.device}
            pieces = image_pieces(f"{__name__}:depth_range", common, frames, images)
            with work.workers() as workers:
                spread(pieces, workers, work.cancel, report)
        for number, (frame, image) in enumerate(zip(frames, images, strict=True) if layers else ()):
            work.cancel.check()
            write_frame(image, _depth_image(read_frame(frame), layers or [], look))
            report((number + 1) / len(frames))
        video_path = folder / f"{name}_depth_{look.thresholding}.mp4"
        return finish_video(
            images,
            video_path,
            work,
            fps=video.fps,
            sound=sound_of(path, work),
            sound_starts_s=video.starts_s,
            keep_imgs=keep_imgs,
            warnings=(*notes_on(video), *((warning,) if warning else ())),
        )


def depth_range(arguments: Mapping[str, Any], done: Done) -> None:
    """Make a range of depth images: "sources", "targets", the fields of the "look", and the "device"."""
    look = DepthLook(**arguments["look"])
    device = arguments["device"]
    layers = kept((look, device), lambda: _layers(look, device, make_estimator, load_finder))
    files = zip(arguments["sources"], arguments["targets"], strict=True)
    for number, (source, target) in enumerate(files, start=1):
        write_frame(Path(target), _depth_image(read_frame(Path(source)), layers, look))
        done(number)


def _layers(
    look: DepthLook,
    device: str,
    estimator: Callable[[str, str], DepthEstimator],
    finder: Callable[[], FigureFinder],
) -> list[Callable[[Gray], Gray]]:
    """Return what makes the layers of a depth image."""
    layers: list[Callable[[Gray], Gray]] = []
    if look.mode in WITH_DEPTH:
        layers.append(_depth_of(look, estimator(look.algorithm, device), device))
    if look.mode in WITH_FIGURES:
        layers.append(finder().find)
    return layers or [_gray_levels]


def _depth_image(rgb_u8: Gray, layers: Sequence[Callable[[Gray], Gray]], look: DepthLook) -> Gray:
    """Return the finished image (H, W) of a frame: the maximum of its layers."""
    images = [thresholded(inverted(layer(rgb_u8), look), look) for layer in layers]
    return blurred(np.maximum.reduce(images), look)


def _gray_levels(rgb_u8: Gray) -> Gray:
    return np.asarray(cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2GRAY), np.uint8)


def _depth_of(look: DepthLook, model: DepthEstimator, device: str) -> Callable[[Gray], Gray]:
    far_is_bright = not depth_name(look.algorithm).near_is_bright

    def depth_map(rgb_u8: Gray) -> Gray:
        depth = depth_bytes(model.estimate(from_bytes(rgb_u8, device)), look.algorithm)
        return WHITE - depth if far_is_bright else depth

    return depth_map


def inverted(gray: Gray, look: DepthLook) -> Gray:
    """Return an image (H, W) uint8, inverted if `look` asks for it."""
    plain = look.mode in WITH_DEPTH + WITH_FIGURES
    return gray if look.invert == plain else np.asarray(WHITE - gray, np.uint8)


def blurred(gray: Gray, look: DepthLook) -> Gray:
    """Return an image (H, W) uint8 after the final blur, with hard edges if there is a threshold."""
    if look.end_blur > 0:
        gray = np.asarray(cv2.GaussianBlur(gray, (BLUR_PX, BLUR_PX), look.end_blur), np.uint8)
        if look.thresholding != "None":
            gray = np.asarray(cv2.threshold(gray, MIDDLE, WHITE, cv2.THRESH_BINARY)[1], np.uint8)
    return gray


def thresholded(gray: Gray, look: DepthLook) -> Gray:
    """Return an image (H, W) uint8 after the threshold of `look`."""
    if look.thresholding == "None":
        return gray
    if look.thresholding.startswith("Simple"):
        automatic = cv2.THRESH_OTSU if look.thresholding != "Simple" else 0
        return np.asarray(
            cv2.threshold(gray, look.lower, look.upper, cv2.THRESH_BINARY | automatic)[1], np.uint8
        )
    method = (
        cv2.ADAPTIVE_THRESH_MEAN_C
        if look.thresholding == "Adaptive (Mean)"
        else cv2.ADAPTIVE_THRESH_GAUSSIAN_C
    )
    image = cv2.adaptiveThreshold(gray, look.upper, method, cv2.THRESH_BINARY, look.block_size, look.c)
    return np.asarray(image, np.uint8)
