"""Frame interpolation of a video or an image sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.interpolation import (
    EngineName,
    folder_name,
    frame_count,
    image_name,
    video_fps,
    video_name,
)
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.output.image_steps import interpolate_by
from deforum_helpers.tools.checks import check_fps, check_frame_count, check_interpolation, common_size
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

FOLDER = "frame-interpolation"


def interpolate_video(
    path: Path,
    work: Work,
    *,
    engine: str = "Flow",
    x_amount: int = 2,
    slow_mo_amount: int | None = None,
    keep_imgs: bool = False,
) -> ToolResult:
    """Interpolate the frames of a video; its sound is kept unless the video is slowed down.

    Args:
        path: the video.
        work: context of the tool.
        engine: a name in `ENGINES`.
        x_amount: factor for the number of frames.
        slow_mo_amount: factor by which the video is slowed down, 2..10; None = original speed.
        keep_imgs: whether the images are kept.

    Raises:
        SettingsError: an argument or the input cannot be used.
        RenderError: the tool failed; no files are left.
        Cancelled, Parked: the job was stopped; no files are left.
    """
    named = check_interpolation(engine, x_amount, slow_mo_amount)
    video = input_video(path, work)
    count, name = check_frame_count(video.frames, x_amount), name_of(path, work)
    require_room(work, video.width_px * video.height_px * (count + video.frames))
    with fresh_folder(work, FOLDER, name) as folder:
        work.shares("PREPARING", count, folder)(0.0)
        frames = extracted(video, folder, work)
        return _interpolated(
            frames,
            folder,
            work,
            name=name,
            engine=named,
            x_amount=x_amount,
            slow_mo_amount=slow_mo_amount,
            fps=video_fps(video.fps, x_amount, slow_mo_amount),
            sound=None if slow_mo_amount else sound_of(path, work),
            sound_starts_s=video.starts_s,
            keep_imgs=keep_imgs,
            warnings=notes_on(video),
        )


def interpolate_image_sequence(
    paths: Sequence[Path],
    work: Work,
    *,
    fps: float,
    engine: str = "Flow",
    x_amount: int = 2,
    slow_mo_amount: int | None = None,
    keep_imgs: bool = False,
    soundtrack: Path | None = None,
) -> ToolResult:
    """Make a video of images, in the order given, with interpolated frames between them.

    Args:
        paths: at least two images of the same size.
        work: context of the tool.
        fps: frames per second of the video, interpolated ones included.
        engine, x_amount, slow_mo_amount, keep_imgs: as in `interpolate_video`.
        soundtrack: sound of the video; omitted if the video is slowed down.

    Raises:
        SettingsError: an argument or the input cannot be used.
        RenderError: the tool failed; no files are left.
        Cancelled, Parked: the job was stopped; no files are left.
    """
    named = check_interpolation(engine, x_amount, slow_mo_amount)
    check_fps(fps)
    paths = [path.resolve() for path in paths]
    count, (width_px, height_px) = check_frame_count(len(paths), x_amount), common_size(paths)
    require_room(work, width_px * height_px * (count + len(paths)))
    if soundtrack is not None:
        check_soundtrack(soundtrack, find_ffmpeg(work.options.deforum_ffmpeg_location))
    name = name_of(paths[0], work)
    with fresh_folder(work, FOLDER, name) as folder:
        return _interpolated(
            paths,
            folder,
            work,
            name=name,
            engine=named,
            x_amount=x_amount,
            slow_mo_amount=slow_mo_amount,
            fps=fps / (slow_mo_amount or 1),
            sound=None if slow_mo_amount else soundtrack,
            keep_imgs=keep_imgs,
        )


def _interpolated(
    frames: Sequence[Path],
    folder: Path,
    work: Work,
    *,
    name: str,
    engine: EngineName,
    x_amount: int,
    slow_mo_amount: int | None,
    fps: float,
    sound: Path | None,
    sound_starts_s: float = 0.0,
    keep_imgs: bool,
    warnings: tuple[str, ...] = (),
) -> ToolResult:
    target = folder / folder_name(name, engine)
    count = frame_count(len(frames), x_amount)
    images = tuple(target / image_name(engine, number) for number in range(count))
    report = work.shares("GENERATING", count, folder)
    interpolate_by(
        work.workers, frames, images, x_amount, work.cancel, report, engine=engine.name, device=work.device
    )
    video = folder / video_name(name, engine, x_amount, slow_mo_amount, upscaled=False)
    return finish_video(
        images,
        video,
        work,
        fps=fps,
        sound=sound,
        sound_starts_s=sound_starts_s,
        keep_imgs=keep_imgs,
        warnings=warnings,
    )
