"""A video of depth: each frame as a map of how near things are, or in grey, with hard edges where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from deforum_helpers.image.convert import from_bytes
from deforum_helpers.models.depth import make_estimator
from deforum_helpers.models.depth.base import DepthEstimator
from deforum_helpers.models.depth.maps import depth_bytes
from deforum_helpers.models.depth.names import available_families, depth_name, serve
from deforum_helpers.models.segmentation.anime import FigureFinder, load_finder
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.tools.checks import DepthLook, checked_look
from deforum_helpers.tools.finished_video import filmed
from deforum_helpers.tools.folders import (
    ToolResult,
    Work,
    extracted,
    fresh_folder,
    input_video,
    name_of,
    notes_on,
    require_room,
    sound_of,
)
from deforum_helpers.tools.names import WITH_DEPTH, WITH_FIGURES

FOLDER = "frame-depth"
BLUR_PX = 5
MIDDLE, WHITE = 127, 255

Grey: TypeAlias = npt.NDArray[np.uint8]


def video_to_depth(
    path: Path,
    work: Work,
    look: DepthLook | None = None,
    *,
    keep_imgs: bool = False,
    estimator: Callable[[str, str], DepthEstimator] = make_estimator,
    finder: Callable[[], FigureFinder] = load_finder,
) -> ToolResult:
    """Make a film of the depth of a video's frames, with its sound.

    Args:
        path: the video.
        work: where, how, and who is told.
        look: how it looks.
        keep_imgs: whether the pictures stay.
        estimator: makes the depth model of a name, on a device.
        finder: makes what finds figures.

    Raises:
        SettingsError: what was asked for cannot be done.
        RenderError: it failed; nothing is left behind.
        Cancelled, Parked: it was told to stop; nothing is left behind.
    """
    look = checked_look(look or DepthLook())
    video, warning = input_video(path, work), None
    require_room(work, video.width_px * video.height_px * video.frames)
    draws: list[Callable[[Grey], Grey]] = []
    if look.mode in WITH_DEPTH:
        _, warning = serve(look.algorithm, available_families())
        draws.append(_depth_of(look, estimator(look.algorithm, work.device), work.device))
    if look.mode in WITH_FIGURES:
        draws.append(finder().find)
    name = name_of(path, work)
    with fresh_folder(work, FOLDER, name) as folder:
        work.shares("PREPARING", video.frames, folder)(0.0)
        frames = extracted(video, folder, work)
        pictures = tuple(
            folder / f"depth_frames_{name}" / f"{number:09d}.png" for number in range(len(frames))
        )
        pictures[0].parent.mkdir()
        report = work.shares("GENERATING", len(frames), folder)
        for number, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
            work.cancel.check()
            write_frame(picture, _drawn(read_frame(frame), draws or [_grey], look))
            report((number + 1) / len(frames))
        film = folder / f"{name}_depth_{look.thresholding}.mp4"
        return filmed(
            pictures,
            film,
            work,
            fps=video.fps,
            sound=sound_of(path, work),
            sound_starts_s=video.starts_s,
            keep_imgs=keep_imgs,
            warnings=(*notes_on(video), *((warning,) if warning else ())),
        )


def _drawn(rgb_u8: Grey, draws: Sequence[Callable[[Grey], Grey]], look: DepthLook) -> Grey:
    """Return the finished picture (H, W) of a frame; of several the brightest."""
    pictures = [thresholded(inverted(draw(rgb_u8), look), look) for draw in draws]
    return blurred(np.maximum.reduce(pictures), look)


def _grey(rgb_u8: Grey) -> Grey:
    return np.asarray(cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2GRAY), np.uint8)


def _depth_of(look: DepthLook, model: DepthEstimator, device: str) -> Callable[[Grey], Grey]:
    far_is_bright = not depth_name(look.algorithm).near_is_bright

    def draw(rgb_u8: Grey) -> Grey:
        drawn = depth_bytes(model.estimate(from_bytes(rgb_u8, device)), look.algorithm)
        return WHITE - drawn if far_is_bright else drawn

    return draw


def inverted(grey: Grey, look: DepthLook) -> Grey:
    """Return a picture (H, W) uint8 in which near things or figures, or all, are bright as the look says."""
    plain = look.mode in WITH_DEPTH + WITH_FIGURES
    return grey if look.invert == plain else np.asarray(WHITE - grey, np.uint8)


def blurred(grey: Grey, look: DepthLook) -> Grey:
    """Return a picture (H, W) uint8 after the last blur, with hard edges where there is a threshold."""
    if look.end_blur > 0:
        grey = np.asarray(cv2.GaussianBlur(grey, (BLUR_PX, BLUR_PX), look.end_blur), np.uint8)
        if look.thresholding != "None":
            grey = np.asarray(cv2.threshold(grey, MIDDLE, WHITE, cv2.THRESH_BINARY)[1], np.uint8)
    return grey


def thresholded(grey: Grey, look: DepthLook) -> Grey:
    """Return a picture (H, W) uint8 with the look's threshold."""
    if look.thresholding == "None":
        return grey
    if look.thresholding.startswith("Simple"):
        automatic = cv2.THRESH_OTSU if look.thresholding != "Simple" else 0
        return np.asarray(
            cv2.threshold(grey, look.lower, look.upper, cv2.THRESH_BINARY | automatic)[1], np.uint8
        )
    around = (
        cv2.ADAPTIVE_THRESH_MEAN_C
        if look.thresholding == "Adaptive (Mean)"
        else cv2.ADAPTIVE_THRESH_GAUSSIAN_C
    )
    picture = cv2.adaptiveThreshold(grey, look.upper, around, cv2.THRESH_BINARY, look.block_size, look.c)
    return np.asarray(picture, np.uint8)
