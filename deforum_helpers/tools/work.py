"""The work of a tool: its context, folder, input video, soundtrack and finished video."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from deforum_helpers.core.errors import DiskFull, MissingFeature, Problem, SettingsError, VideoError
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.locks import Locked, take
from deforum_helpers.core.files.no_links import is_file, make_folder
from deforum_helpers.core.progress import CancelToken, Phase, Progress
from deforum_helpers.core.spread import OpenPieceWorkers
from deforum_helpers.media.extraction import extract_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.settings.host_options import Options
from deforum_helpers.tools import messages


def _ignore(progress: Progress) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """The context in which a tool runs.

    Args:
        output_root: the output folder.
        options: options of the encoder, and the path of ffmpeg.
        cancel: checked at every image.
        report: called with the progress, on the calling thread.
        device: torch device for models.
        name: name for the outputs; by default that of the input file.
        workers: opens workers that share the images; None = they are made by this process.
    """

    output_root: Path
    options: Options = field(default_factory=Options)
    cancel: CancelToken = field(default_factory=CancelToken)
    report: Callable[[Progress], None] = _ignore
    device: str = "cpu"
    name: str = ""
    workers: OpenPieceWorkers | None = None

    def shares(self, phase: Phase, frames: int, outdir: Path) -> Callable[[float], None]:
        """Return a function that reports the progress of a phase, given the share 0..1 that is done.

        Args:
            phase: GENERATING writes `frames` image files, POST_PROCESSING encodes the video.
            frames: number of frames of the finished video.
            outdir: folder of the tool's files.
        """

        def report_share(share: float) -> None:
            done = {"PREPARING": 0, "GENERATING": round(share * frames)}.get(phase, frames)
            self.report(Progress(phase, share, done, frames, outdir=str(outdir)))

        return report_share


@dataclass(frozen=True)
class ToolResult:
    """The result of a tool.

    Args:
        video: the mp4 file.
        frames: number of frames, counted in the file.
        fps: frames per second.
        images: the kept images, in order; empty if they were not kept.
        warnings: messages for the user.
    """

    video: Path
    frames: int
    fps: float
    images: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


# Lock file of a folder in which a tool is working.
LOCK = ".working.lock"
INPUT_FOLDER = "tmp_input_frames"
LONGEST_NAME = 100
# Estimated disk space of an image as PNG, including its share of the video.
BYTES_PER_PIXEL = 1.7
_FORBIDDEN = re.compile(r'[/\\<>:"|?*.,\s\x00-\x1f\x7f]')


def clean_name(path: Path) -> str:
    """Return a name for the outputs of a file: its name without extension, special characters as underscores."""
    return _FORBIDDEN.sub("_", path.stem)[:LONGEST_NAME] or "video"


def name_of(path: Path, work: Work) -> str:
    """Return the name for the outputs of a tool that works on a file."""
    return clean_name(Path(work.name or path.name))


@contextmanager
def fresh_folder(work: Work, kind: str, name: str) -> Iterator[Path]:
    """Create a folder `name`, or `name`_1 ..., in the folder `kind` of the output root; remove it on an error.

    Folders that killed programs left behind are removed as well.

    Raises:
        SettingsError: the folder `kind` is a link that leads out of the output root.
        DiskFull, RenderError: the folder cannot be created.
    """
    root = work.output_root.resolve()
    parent = root / kind
    if not parent.resolve().is_relative_to(root):
        raise SettingsError([Problem(messages.FOLDER_LEADS_OUT(name=kind))])
    with disk_errors(kind):
        make_folder(parent)
        _remove_abandoned(parent)
        for number in count():
            folder = parent / (f"{name}_{number}" if number else name)
            try:
                folder.mkdir()
                break
            except FileExistsError:
                continue
        lock = take(folder / LOCK)
    finished = False
    try:
        yield folder
        finished = True
    finally:
        if lock is not None:
            lock.release()
        if not finished:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    """Remove folders in `parent` that have a lock file which no process holds: their program was killed."""
    for folder in os.scandir(parent):
        path = Path(folder.path, LOCK)
        if folder.is_dir(follow_symlinks=False) and is_file(path):
            with suppress(OSError, Locked):
                lock = take(path, make=False)
                if lock is not None:
                    lock.release()
                    shutil.rmtree(folder.path, ignore_errors=True)


def inspect_input(path: Path) -> VideoInfo:
    """Inspect an uploaded video.

    Raises:
        SettingsError: the file is missing, empty, not a video, or a playlist.
        MissingFeature: PyAV is not installed.
    """
    return inspect_video(path, setting="The video")


def input_video(path: Path, work: Work) -> VideoInfo:
    """Inspect the input video of a tool, after checking that ffmpeg is installed.

    Raises:
        SettingsError: as in `inspect_input`.
        MissingFeature: ffmpeg or PyAV is not installed.
    """
    find_ffmpeg(work.options.deforum_ffmpeg_location)
    return inspect_input(path)


def extracted(video: VideoInfo, folder: Path, work: Work) -> tuple[Path, ...]:
    """Extract all frames of a video into a subfolder of `folder`."""
    return extract_frames(video, folder / INPUT_FOLDER, Selection(), work.cancel)


def sound_of(path: Path, work: Work) -> Path | None:
    """Return the file if it has usable sound, else None."""
    try:
        check_soundtrack(path, find_ffmpeg(work.options.deforum_ffmpeg_location))
    except (VideoError, MissingFeature):
        return None
    return path


def notes_on(video: VideoInfo) -> tuple[str, ...]:
    """Return messages about how the frames of a video are converted."""
    note = video.note("The video")
    notes: list[str] = [note] if note else []
    if video.stills and not video.path.is_file():
        notes.append(messages.IMAGES_WITHOUT_RATE(fps=video.fps))
    return tuple(notes)


def require_room(work: Work, pixels: int) -> None:
    """Check, before work begins, that the disk has room for images of `pixels` pixels in all.

    Raises:
        DiskFull: the disk has too little space.
    """
    folder = work.output_root
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free, pixels * BYTES_PER_PIXEL
    if needed > free:
        raise DiskFull(messages.NOT_ENOUGH_SPACE(needed=needed / 1e9, free=free / 1e9))


def encode_images(
    images: Sequence[Path],
    video: Path,
    work: Work,
    *,
    fps: float,
    sound: Path | None,
    sound_starts_s: float = 0.0,
) -> int:
    """Encode images as a video, report the progress, and return how many were encoded; see `finish_video`."""
    from deforum_helpers.output.image_steps import encode_video  # torch, which checks do without

    return encode_video(
        images,
        video,
        fps=fps,
        options=work.options,
        cancel=work.cancel,
        report=work.shares("POST_PROCESSING", len(images), video.parent),
        audio=sound,
        audio_starts_s=sound_starts_s,
    )


def finish_video(
    images: Sequence[Path],
    video: Path,
    work: Work,
    *,
    fps: float,
    sound: Path | None,
    sound_starts_s: float = 0.0,
    keep_imgs: bool,
    warnings: tuple[str, ...] = (),
) -> ToolResult:
    """Encode the images that a tool made, and remove its extracted input frames.

    Args:
        images: image files in order, in a folder of their own.
        video: the mp4 file, in the tool's folder.
        work: context of the tool.
        fps: frames per second.
        sound: soundtrack, or None.
        sound_starts_s: position in the soundtrack, in seconds, that plays with the first frame.
        keep_imgs: whether the images are kept.
        warnings: warnings for the result.

    Raises:
        RenderError: the video cannot be encoded.
        Cancelled, Parked: the job was stopped.
    """
    counted = encode_images(images, video, work, fps=fps, sound=sound, sound_starts_s=sound_starts_s)
    shutil.rmtree(video.parent / INPUT_FOLDER, ignore_errors=True)
    if not keep_imgs:
        shutil.rmtree(images[0].parent, ignore_errors=True)
    return ToolResult(video, counted, fps, tuple(images) if keep_imgs else (), warnings)
