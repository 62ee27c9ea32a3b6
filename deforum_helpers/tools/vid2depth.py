"""A video of depth: each frame as a map of how near things are, or in grey, with hard edges where asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from deforum_helpers.depth import make_estimator
from deforum_helpers.depth.base import DepthEstimator
from deforum_helpers.depth.maps import depth_bytes
from deforum_helpers.depth.names import available_families, depth_name, serve
from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.image.convert import from_bytes
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.tools.anime import FigureFinder, load_finder, missing_feature
from deforum_helpers.tools.films import filmed
from deforum_helpers.tools.folders import (
    clean_name,
    extracted,
    fresh_folder,
    input_video,
    notes_on,
    require_room,
    sound_of,
)
from deforum_helpers.tools.names import MODES, THRESHOLDINGS
from deforum_helpers.tools.results import ToolResult, Work, part

FOLDER = "frame-depth"
# How classic wrote the first mode.
OTHER_SPELLINGS: Mapping[str, str] = {"Depth (Midas/Adabins)": "Depth"}
WITH_DEPTH = ("Depth", "Mixed")
WITH_FIGURES = ("Anime Remove Background", "Mixed")
BLUR_PX = 5
MIDDLE, WHITE = 127, 255

Grey: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DepthLook:
    """How a video of depth looks.

    Args:
        mode: of `MODES`.
        thresholding: of `THRESHOLDINGS`; Mixed, which shows what is near or a figure, needs one.
        lower, upper: 0..255; Simple makes what is above `lower` as bright as `upper`, the rest black. The others find
            the limit themselves.
        block_size: side in pixels of what Adaptive looks at around a pixel, odd, 3..255.
        c: how much brighter than its surroundings a pixel has to be with Adaptive, -255..255.
        invert: of depth and figures: closer is brighter; of grey: dark is bright.
        end_blur: deviation in pixels of a last blur, 0..255.
        algorithm: of depth_algorithm.
    """

    mode: str = "Depth"
    thresholding: str = "None"
    lower: int = 127
    upper: int = 255
    block_size: int = 11
    c: float = 2.0
    invert: bool = True
    end_blur: float = 0.0
    algorithm: str = "Depth-Anything-V2-Small"


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
    look = checked(look or DepthLook())
    video, warning = input_video(path, work), None
    require_room(work, video.width_px * video.height_px * video.frames)
    draws: list[Callable[[Grey], Grey]] = []
    if look.mode in WITH_DEPTH:
        _, warning = serve(look.algorithm, available_families())
        draws.append(_depth_of(look, estimator(look.algorithm, work.device), work.device))
    if look.mode in WITH_FIGURES:
        draws.append(finder().find)
    name = clean_name(path)
    with fresh_folder(work, FOLDER, name) as folder:
        frames = extracted(video, folder, work)
        work.report(0.1)
        pictures = tuple(
            folder / f"depth_frames_{name}" / f"{number:09d}.png" for number in range(len(frames))
        )
        pictures[0].parent.mkdir()
        report = part(work.report, 0.1, 0.85)
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


def checked(look: DepthLook) -> DepthLook:
    """Return a look with its mode in our spelling.

    Raises:
        SettingsError: something of it cannot be had; all of it is told.
    """
    look = replace(look, mode=OTHER_SPELLINGS.get(look.mode, look.mode))
    ranges = {
        "lower": (0, WHITE),
        "upper": (0, WHITE),
        "block_size": (3, 255),
        "c": (-255, 255),
        "end_blur": (0, 255),
    }
    wrong = {
        name: (getattr(look, name), f"{low} to {high}{' and odd' if name == 'block_size' else ''}")
        for name, (low, high) in ranges.items()
        if not low <= getattr(look, name) <= high or (name == "block_size" and look.block_size % 2 == 0)
    }
    if look.mode not in MODES:
        wrong["mode"] = look.mode, f"one of: {', '.join(MODES)}"
    if look.thresholding not in THRESHOLDINGS:
        wrong["thresholding"] = look.thresholding, f"one of: {', '.join(THRESHOLDINGS)}"
    problems = [
        Problem(f"{name} is {found!r}; allowed is {allowed}.", name, found=str(found)[:80], allowed=allowed)
        for name, (found, allowed) in wrong.items()
    ]
    if look.mode == "Mixed" and look.thresholding == "None":
        wanted = ", ".join(THRESHOLDINGS[1:])
        message = f"mode is Mixed, which needs a threshold; thresholding may be {wanted}."
        problems.append(Problem(message, "thresholding", found="None", allowed=wanted))
    if look.mode in WITH_FIGURES and (missing := missing_feature()):
        problems.append(Problem(f"mode is {look.mode}: {missing}.", "mode", found=look.mode, allowed="Depth"))
    if look.mode in WITH_DEPTH:
        try:
            depth_name(look.algorithm)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return look
