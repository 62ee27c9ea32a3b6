"""Upscaling of a video."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.models.upscaling import video_name
from deforum_helpers.output.image_steps import upscale_by
from deforum_helpers.tools.checks import check_upscaling, upscaled_size
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

FOLDER = "frame-upscaling"
IMAGES = "Upscaled_frames"


def upscale_video(
    path: Path, work: Work, *, model: str = "Lanczos", factor: str = "x2", keep_imgs: bool = False
) -> ToolResult:
    """Upscale the frames of a video and keep its sound.

    Args:
        path: the video.
        work: context of the tool.
        model: one of `available.names`.
        factor: "x2", "x3" or "x4", one of the model's factors.
        keep_imgs: whether the images are kept.

    Raises:
        SettingsError: an argument or the input cannot be used.
        RenderError: the tool failed; no files are left.
        Cancelled, Parked: the job was stopped; no files are left.
    """
    check_upscaling(model, factor)
    video, name = input_video(path, work), name_of(path, work)
    width_px, height_px = upscaled_size(video.width_px, video.height_px, factor)
    require_room(work, width_px * height_px * video.frames)
    with fresh_folder(work, FOLDER, name) as folder:
        work.shares("PREPARING", video.frames, folder)(0.0)
        frames = extracted(video, folder, work)
        images = tuple(folder / IMAGES / f"{number:09d}.png" for number in range(len(frames)))
        report = work.shares("GENERATING", len(frames), folder)
        upscale_by(
            work.workers, frames, images, work.cancel, report, model=model, factor=factor, device=work.device
        )
        video_path = folder / video_name(name, factor)
        return finish_video(
            images,
            video_path,
            work,
            fps=video.fps,
            sound=sound_of(path, work),
            sound_starts_s=video.starts_s,
            keep_imgs=keep_imgs,
            warnings=notes_on(video),
        )
