"""A larger video."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.image.files import LARGEST_PIXELS
from deforum_helpers.output.derived import enlarge_pictures
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
from deforum_helpers.tools.results import ToolResult, Work, part
from deforum_helpers.upscaling.models import make_upscaler
from deforum_helpers.upscaling.names import FACTORS, film_name, missing_feature, times_larger

FOLDER = "frame-upscaling"
PICTURES = "Upscaled_frames"


def upscale_video(
    path: Path, work: Work, *, model: str = "Lanczos", factor: str = "x2", keep_imgs: bool = False
) -> ToolResult:
    """Make a film whose frames are the enlarged ones of a video, with its sound.

    Args:
        path: the video.
        work: where, how, and who is told.
        model: of `FACTORS`.
        factor: "x2", "x3" or "x4", one that the model has.
        keep_imgs: whether the pictures stay.

    Raises:
        SettingsError: what was asked for cannot be done.
        RenderError: it failed; nothing is left behind.
        Cancelled, Parked: it was told to stop; nothing is left behind.
    """
    _check(model, factor)
    video, times = input_video(path, work), times_larger(factor)
    width_px, height_px = video.width_px * times, video.height_px * times
    if width_px * height_px > LARGEST_PIXELS:
        found = f"{width_px}x{height_px}"
        allowed = f"frames of at most {LARGEST_PIXELS // 1_000_000} million pixels"
        message = f"r_upscale_factor {factor} makes frames of {found} pixels; allowed are {allowed}."
        raise SettingsError([Problem(message, "r_upscale_factor", found=found, allowed=allowed)])
    require_room(work, width_px * height_px * video.frames)
    with fresh_folder(work, FOLDER, clean_name(path)) as folder:
        frames = extracted(video, folder, work)
        work.report(0.1)
        pictures = tuple(folder / PICTURES / f"{number:09d}.png" for number in range(len(frames)))
        upscaler = make_upscaler(model, factor, work.device, work.cancel.check_cancel)
        enlarge_pictures(frames, pictures, upscaler, work.cancel, part(work.report, 0.1, 0.85))
        film = folder / film_name(clean_name(path), factor)
        return filmed(
            pictures,
            film,
            work,
            fps=video.fps,
            sound=sound_of(path, work),
            sound_starts_s=video.starts_s,
            keep_imgs=keep_imgs,
            warnings=notes_on(video),
        )


def _check(model: str, factor: str) -> None:
    factors = [f"x{times}" for times in FACTORS.get(model, ())]
    problem = None
    if not factors:
        allowed = ", ".join(FACTORS)
        message = f"r_upscale_model is {model!r}; allowed is one of: {allowed}."
        problem = Problem(message, "r_upscale_model", found=model[:80], allowed=allowed)
    elif factor not in factors:
        allowed = ", ".join(factors)
        message = f"r_upscale_factor is {factor!r}; with {model} it may be {allowed}."
        problem = Problem(message, "r_upscale_factor", found=factor[:80], allowed=allowed)
    elif missing := missing_feature(model, factor):
        problem = Problem(f"r_upscale_model: {missing}.", "r_upscale_model", found=model, allowed="Lanczos")
    if problem is not None:
        raise SettingsError([problem])
