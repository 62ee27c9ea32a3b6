"""What every tool gets and leaves: its input, its folder, its progress, its video."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from deforum_helpers.core.errors import DiskFull, MissingFeature, Problem, SettingsError, VideoError
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.locks import Locked, take
from deforum_helpers.core.files.no_links import is_file, make_folder
from deforum_helpers.core.progress import CancelToken, Phase, Progress
from deforum_helpers.media.extraction import extract_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import Footage, Selection, footage_of
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.settings.host_options import Options


def _nobody(progress: Progress) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """Where a tool writes, how it encodes, and who is told and asked on the way.

    Args:
        output_root: folder that holds everything the program writes.
        options: encoder and ffmpeg.
        cancel: asked at every picture.
        report: is told of every progress, on the calling thread.
        device: where models run.
        name: what the outputs are named by; by default the name of the file that the tool works on.
    """

    output_root: Path
    options: Options = field(default_factory=Options)
    cancel: CancelToken = field(default_factory=CancelToken)
    report: Callable[[Progress], None] = _nobody
    device: str = "cpu"
    name: str = ""

    def shares(self, phase: Phase, frames: int, outdir: Path) -> Callable[[float], None]:
        """Return what takes the share 0..1 of a phase that is done, and reports it.

        Args:
            phase: GENERATING makes `frames` frames in files of their own, POST_PROCESSING the video.
            frames: of the finished video.
            outdir: folder of the tool's files.
        """

        def told(share: float) -> None:
            done = {"PREPARING": 0, "GENERATING": round(share * frames)}.get(phase, frames)
            self.report(Progress(phase, share, done, frames, outdir=str(outdir)))

        return told


@dataclass(frozen=True)
class ToolResult:
    """What a tool has made.

    Args:
        video: the film.
        frames: its number of frames, counted in the file.
        fps: its frames per second.
        pictures: the kept pictures, in order; empty where they were not kept.
        warnings: what a person should know, as plain sentences.
    """

    video: Path
    frames: int
    fps: float
    pictures: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


# Held while a tool works in a folder.
LOCK = ".working.lock"
INPUT_FOLDER = "tmp_input_frames"
LONGEST_NAME = 100
# What a picture takes on the disk as PNG, with its share of the film.
BYTES_PER_PIXEL = 1.7
_FORBIDDEN = re.compile(r'[/\\<>:"|?*.,\s\x00-\x1f\x7f]')


def clean_name(path: Path) -> str:
    """Return what outputs of a file are named by: its name without extension, odd characters as underscores."""
    return _FORBIDDEN.sub("_", path.stem)[:LONGEST_NAME] or "video"


def name_of(path: Path, work: Work) -> str:
    """Return what the outputs of a tool that works on a file are named by."""
    return clean_name(Path(work.name or path.name))


@contextmanager
def fresh_folder(work: Work, kind: str, name: str) -> Iterator[Path]:
    """Give a new folder `name`, or `name`_1 ..., in the folder `kind` of the output root; it goes if work in it fails.

    What a program that was killed has left of such folders goes as well.

    Raises:
        SettingsError: the folder leads out of the output root through a link.
        DiskFull, RenderError: it cannot be made.
    """
    root = work.output_root.resolve()
    parent = root / kind
    if not parent.resolve().is_relative_to(root):
        message = f"The folder {kind!r} is a link that leads out of the output folder; remove the link."
        raise SettingsError([Problem(message)])
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
    """Remove the folders in `parent` in which a killed program was working: the system let go of their locks."""
    for folder in os.scandir(parent):
        path = Path(folder.path, LOCK)
        if folder.is_dir(follow_symlinks=False) and is_file(path):
            with suppress(OSError, Locked):
                lock = take(path, make=False)
                if lock is not None:
                    lock.release()
                    shutil.rmtree(folder.path, ignore_errors=True)


def footage(path: Path) -> Footage:
    """Return what an uploaded video holds.

    Raises:
        SettingsError: it is missing, empty, no video or a playlist.
        MissingFeature: PyAV is not installed.
    """
    return footage_of(path, setting="The video")


def input_video(path: Path, work: Work) -> Footage:
    """Return what the video that a tool works on holds, after seeing that its film can be encoded.

    Raises:
        SettingsError: as `footage`.
        MissingFeature: there is no ffmpeg, or PyAV is not installed.
    """
    find_ffmpeg(work.options.deforum_ffmpeg_location)
    return footage(path)


def extracted(video: Footage, folder: Path, work: Work) -> tuple[Path, ...]:
    """Return all frames of a video as pictures in a folder of `folder`."""
    return extract_frames(video, folder / INPUT_FOLDER, Selection(), work.cancel)


def sound_of(path: Path, work: Work) -> Path | None:
    """Return the file if it has sound that a film can carry, else None."""
    try:
        check_soundtrack(path, find_ffmpeg(work.options.deforum_ffmpeg_location))
    except (VideoError, MissingFeature):
        return None
    return path


def notes_on(video: Footage) -> tuple[str, ...]:
    """Return what a person should know of a video, as plain sentences."""
    notes = [f"The video {video.note}"] if video.note else []
    if video.stills and not video.path.is_file():
        notes.append(f"Pictures have no frame rate; {video.fps:g} frames per second are taken.")
    return tuple(notes)


def require_room(work: Work, pixels: int) -> None:
    """See before the work begins that the disk has room for pictures of so many pixels.

    Raises:
        DiskFull: it has not.
    """
    folder = work.output_root
    while not folder.exists():
        folder = folder.parent
    free, needed = shutil.disk_usage(folder).free, pixels * BYTES_PER_PIXEL
    if needed > free:
        raise DiskFull(
            f"This needs about {needed / 1e9:.1f} GB, but the output folder's disk has {free / 1e9:.1f} GB free; "
            "free some space, or make fewer or smaller pictures."
        )
