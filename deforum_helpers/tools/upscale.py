"""A larger video."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.models.upscaling.models import make_upscaler
from deforum_helpers.models.upscaling.names import video_name
from deforum_helpers.output.image_steps import enlarge_pictures
from deforum_helpers.tools.checks import check_upscaling, enlarged_size
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

FOLDER = "frame-upscaling"
PICTURES = "Upscaled_frames"


def upscale_video(
    path: Path, work: Work, *, model: str = "Lanczos", factor: str = "x2", keep_imgs: bool = False
) -> ToolResult:
    """Make a film whose frames are the enlarged ones of a video, with its sound.

    Args:
        path: the video.
        work: where, how, and who is told.
        model: of `upscaling.names.FACTORS`.
        factor: "x2", "x3" or "x4", one that the model has.
        keep_imgs: whether the pictures stay.

    Raises:
        SettingsError: what was asked for cannot be done.
        RenderError: it failed; nothing is left behind.
        Cancelled, Parked: it was told to stop; nothing is left behind.
    """
    check_upscaling(model, factor)
    video, name = input_video(path, work), name_of(path, work)
    width_px, height_px = enlarged_size(video.width_px, video.height_px, factor)
    require_room(work, width_px * height_px * video.frames)
    with fresh_folder(work, FOLDER, name) as folder:
        work.shares("PREPARING", video.frames, folder)(0.0)
        frames = extracted(video, folder, work)
        pictures = tuple(folder / PICTURES / f"{number:09d}.png" for number in range(len(frames)))
        upscaler = make_upscaler(model, factor, work.device, work.cancel.check_cancel)
        report = work.shares("GENERATING", len(frames), folder)
        enlarge_pictures(frames, pictures, upscaler, work.cancel, report)
        film = folder / video_name(name, factor)
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
