"""More frames for a video or for a row of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.interpolation.engines import make_interpolator
from deforum_helpers.models.interpolation.names import (
    EngineName,
    folder_name,
    frame_count,
    image_name,
    video_fps,
    video_name,
)
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.output.image_steps import interpolate_pictures as draw_between
from deforum_helpers.tools.checks import check_fps, check_frame_count, check_interpolation, size_of
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
    """Make a film with frames between the frames of a video; its sound is kept unless it is slowed down.

    Args:
        path: the video.
        work: where, how, and who is told.
        engine: of `ENGINES`.
        x_amount: how many times more frames.
        slow_mo_amount: how many times slower, 2..10; None = as fast as before.
        keep_imgs: whether the pictures stay.

    Raises:
        SettingsError: what was asked for cannot be done.
        RenderError: it failed; nothing is left behind.
        Cancelled, Parked: it was told to stop; nothing is left behind.
    """
    named = check_interpolation(engine, x_amount, slow_mo_amount)
    video = input_video(path, work)
    count, name = check_frame_count(video.frames, x_amount), name_of(path, work)
    require_room(work, video.width_px * video.height_px * (count + video.frames))
    with fresh_folder(work, FOLDER, name) as folder:
        work.shares("PREPARING", count, folder)(0.0)
        frames = extracted(video, folder, work)
        return _film(
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


def interpolate_pictures(
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
    """Make a film of pictures, in the order given, with frames between them.

    Args:
        paths: at least two pictures of one size.
        work: where, how, and who is told.
        fps: of the film, frames in between counted.
        engine, x_amount, slow_mo_amount, keep_imgs: as `interpolate_video`.
        soundtrack: sound of the film; left out where it is slowed down.

    Raises:
        SettingsError: what was asked for cannot be done.
        RenderError: it failed; nothing is left behind.
        Cancelled, Parked: it was told to stop; nothing is left behind.
    """
    named = check_interpolation(engine, x_amount, slow_mo_amount)
    check_fps(fps)
    paths = [path.resolve() for path in paths]
    count, (width_px, height_px) = check_frame_count(len(paths), x_amount), size_of(paths)
    require_room(work, width_px * height_px * (count + len(paths)))
    if soundtrack is not None:
        check_soundtrack(soundtrack, find_ffmpeg(work.options.deforum_ffmpeg_location))
    name = name_of(paths[0], work)
    with fresh_folder(work, FOLDER, name) as folder:
        return _film(
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


def _film(
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
    pictures = tuple(target / image_name(engine, number) for number in range(count))
    interpolator = make_interpolator(engine.name, work.device, work.cancel.check_cancel)
    report = work.shares("GENERATING", count, folder)
    draw_between(frames, pictures, interpolator, x_amount, work.cancel, report)
    film = folder / video_name(name, engine, x_amount, slow_mo_amount, upscaled=False)
    return filmed(
        pictures,
        film,
        work,
        fps=fps,
        sound=sound,
        sound_starts_s=sound_starts_s,
        keep_imgs=keep_imgs,
        warnings=warnings,
    )
