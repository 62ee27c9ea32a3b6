"""More frames for a video or for a row of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.errors import Problem, SettingsError
from deforum_helpers.image.files import check_picture
from deforum_helpers.interpolation.engines import make_interpolator
from deforum_helpers.interpolation.names import (
    ENGINES,
    MOST_FRAMES,
    EngineName,
    film_fps,
    film_name,
    folder_name,
    frame_count,
    missing_feature,
    picture_name,
)
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.output.derived import interpolate_pictures as draw_between
from deforum_helpers.output.ffmpeg import find_ffmpeg
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

FOLDER = "frame-interpolation"
SLOWEST = 10


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
    named = _checked(engine, x_amount, slow_mo_amount)
    video = input_video(path, work)
    size = video.width_px, video.height_px
    _check_size(video.frames, x_amount, size, work)
    with fresh_folder(work, FOLDER, clean_name(path)) as folder:
        frames = extracted(video, folder, work)
        work.report(0.1)
        return _film(
            frames,
            folder,
            work,
            name=clean_name(path),
            engine=named,
            x_amount=x_amount,
            slow_mo_amount=slow_mo_amount,
            fps=film_fps(video.fps, x_amount, slow_mo_amount),
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
    named = _checked(engine, x_amount, slow_mo_amount)
    check_fps(fps)
    paths = [path.resolve() for path in paths]
    _check_size(len(paths), x_amount, _size_of(paths), work)
    if soundtrack is not None:
        check_soundtrack(soundtrack, find_ffmpeg(work.options.deforum_ffmpeg_location))
    name = clean_name(paths[0])
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
    pictures = tuple(target / picture_name(engine, number) for number in range(count))
    interpolator = make_interpolator(engine.name, work.device, work.cancel.check_cancel)
    draw_between(frames, pictures, interpolator, x_amount, work.cancel, part(work.report, 0.1, 0.85))
    film = folder / film_name(name, engine, x_amount, slow_mo_amount, upscaled=False)
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


def _checked(engine: str, x_amount: int, slow_mo_amount: int | None) -> EngineName:
    problems = []

    def wrong(setting: str, found: object, allowed: str) -> None:
        message = f"{setting} is {found!r}; allowed is {allowed}."
        problems.append(Problem(message, setting, found=str(found)[:80], allowed=allowed))

    named = ENGINES.get(engine)
    if named is None:
        wrong("frame_interpolation_engine", engine, f"one of: {', '.join(ENGINES)}")
    elif not _whole(x_amount) or not 2 <= x_amount <= named.most:
        wrong("frame_interpolation_x_amount", x_amount, f"2 to {named.most} with {engine}")
    if slow_mo_amount is not None and (not _whole(slow_mo_amount) or not 2 <= slow_mo_amount <= SLOWEST):
        wrong("frame_interpolation_slow_mo_amount", slow_mo_amount, f"2 to {SLOWEST}")
    if not problems and (missing := missing_feature(engine)):
        setting = "frame_interpolation_engine"
        problems.append(Problem(f"{setting}: {missing}.", setting, found=engine, allowed="Flow"))
    if problems or named is None:
        raise SettingsError(problems)
    return named


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_fps(fps: float) -> None:
    """See that a film can have this rate.

    Raises:
        SettingsError: it cannot.
    """
    if not 1 <= fps <= 240:
        raise SettingsError([Problem(f"fps is {fps:g}; allowed is 1 to 240.", "fps", found=f"{fps:g}")])


def _check_size(frames: int, x_amount: int, size: tuple[int, int], work: Work) -> None:
    count = frame_count(frames, x_amount)
    if frames < 2 or count > MOST_FRAMES:
        found = f"{frames} frame{'' if frames == 1 else 's'}"
        allowed = f"at least 2 frames, and at most {MOST_FRAMES:,} with those in between"
        message = f"There is nothing to draw between: {found}; allowed are {allowed}."
        if count > MOST_FRAMES:
            message = (
                f"frame_interpolation_x_amount {x_amount} makes {count:,} of {found}; allowed are {allowed}."
            )
        raise SettingsError([Problem(message, "frame_interpolation_x_amount", found=found, allowed=allowed)])
    require_room(work, size[0] * size[1] * (count + frames))


def _size_of(paths: Sequence[Path]) -> tuple[int, int]:
    first = (0, 0)
    for number, path in enumerate(paths):
        size = check_picture(path, setting="The list of pictures")
        first = size if number == 0 else first
        if size != first:
            message = (
                f"The picture {path.name!r} has {size[0]}x{size[1]} pixels, but the first one {first[0]}x{first[1]}; "
                "give pictures of one size."
            )
            raise SettingsError(
                [Problem(message, found=f"{size[0]}x{size[1]}", allowed=f"{first[0]}x{first[1]}")]
            )
    return first
