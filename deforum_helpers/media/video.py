"""The frames of a video as pictures in a folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from deforum_helpers.cancel import CancelToken
from deforum_helpers.errors import SettingsError, VideoError
from deforum_helpers.media.footage import Footage, Selection, footage_of, stem_of
from deforum_helpers.media.pictures import drawn, mark_of
from deforum_helpers.media.timing import each_once, picture_of
from deforum_helpers.nolinks import Folder, is_file, make_folder, read_file, remove_file
from deforum_helpers.output.containers import streams_of
from deforum_helpers.output.disk import disk_errors, write_whole
from deforum_helpers.output.ffmpeg import QUIET, failure, start
from deforum_helpers.regular_files import UnusableFile, check_regular

__all__ = ["Footage", "Selection", "extract_frames", "footage_of", "remove_extracted", "stem_of"]

RECORD_BYTES = 64 * 1024
LOOK_S = 0.1
# JPEG knows one way from RGB to luma and chroma; videos say which one is theirs.
_JPEG_COLORS = "scale=out_color_matrix=bt601:out_range=full"
_QUALITY = ("-c:v", "mjpeg", "-qmin", "1", "-q:v", "1", "-huffman", "optimal")


def extract_frames(
    footage: Footage,
    folder: Path,
    selection: Selection,
    ffmpeg: str,
    cancel: CancelToken,
    *,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Return the selected frames of a video as JPEG files in `folder`, named by the video and numbered from 0.

    Frames of the same file and selection that are already there are taken as they are, unless `overwrite`.

    Args:
        footage: the video.
        folder: is made where it is missing; other files in it stay.
        selection: which frames.
        ffmpeg: program.
        cancel: asked all the while.
        overwrite: whether frames are always extracted anew.

    Raises:
        VideoError: the video gives other frames than before.
        DiskFull, RenderError: they cannot be written.
        Cancelled, Parked: the job was told to stop; nothing half is left.
    """
    paths = extracted_paths(footage, folder, selection)
    count = len(paths)
    record = record_of(folder, footage.name)
    said = _record(footage, selection)
    if not overwrite and said_in(record) == said and all(is_file(path) for path in paths):
        return paths
    with disk_errors(folder.name):
        make_folder(folder)
        scratch = Path(tempfile.mkdtemp(prefix=".extracting-", dir=folder))
    try:
        if footage.stills:
            _draw(footage, scratch, selection, cancel)
        else:
            _run(footage, scratch, selection, ffmpeg, cancel)
        made = sorted(scratch.glob("*.jpg"))
        if len(made) != count:
            raise VideoError(
                f"The video {footage.path.name!r} gave {len(made)} frames where {count} were counted; "
                "the file is broken or was changed."
            )
        with disk_errors(folder.name), Folder(scratch) as there, Folder(folder) as here:
            for picture, path in zip(made, paths, strict=True):
                here.take(there, picture.name, path.name)
        write_whole(record, said.encode())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return paths


def _record(footage: Footage, selection: Selection) -> str:
    """Return what tells whether frames that are there were taken from the same video in the same way."""
    try:
        if footage.stills:
            source: dict[str, object] = {"pictures": mark_of(footage.stills)}
        else:
            source = {"bytes": footage.path.stat().st_size}
    except OSError as error:
        raise _gone(footage, f"cannot be read ({error.strerror})") from error
    rate = {"fps": footage.fps} if footage.uneven else {}
    return json.dumps({**source, "frames": footage.frames, **asdict(selection), **rate})


def _gone(footage: Footage, why: str) -> VideoError:
    return VideoError(f"The video {footage.path.name!r} {why}; put it back, or give another one.")


def extracted_paths(footage: Footage, folder: Path, selection: Selection) -> tuple[Path, ...]:
    """Return the files that the selected frames of a video have in `folder` once they are extracted."""
    count = selection.count(footage.frames)
    return tuple(folder / f"{footage.name}{number:09d}.jpg" for number in range(count))


def record_of(folder: Path, name: str) -> Path:
    """Return the file that says what the frames named `name` in a folder were extracted from."""
    return folder / f".{name}.json"


def remove_extracted(paths: Sequence[Path]) -> None:
    """Delete extracted frames, what says where they are from, and the folders that are empty then."""
    for path in paths:
        remove_file(path)
        remove_file(record_of(path.parent, path.name[: -len("000000000.jpg")]))
    for folder in dict.fromkeys(path.parent for path in paths):
        with suppress(OSError):  # other files in it stay
            folder.rmdir()


def said_in(record: Path) -> str | None:
    """Return the text of such a file, or None where it cannot be read."""
    try:
        return read_file(record, RECORD_BYTES).decode()
    except (OSError, ValueError):
        return None


def _draw(footage: Footage, folder: Path, selection: Selection, cancel: CancelToken) -> None:
    """Write the selected pictures of a row."""
    taken = footage.stills[selection.begin :: selection.step][: selection.count(footage.frames)]
    size = footage.width_px, footage.height_px
    try:
        for number, picture in enumerate(drawn(taken, size, setting=f"The video {footage.path.name!r}")):
            cancel.check()
            with disk_errors(folder.name):
                picture.save(folder / f"{number:09d}.jpg", quality=98, subsampling=0)
    except SettingsError as error:
        raise VideoError(str(error)) from error


def _run(footage: Footage, folder: Path, selection: Selection, ffmpeg: str, cancel: CancelToken) -> None:
    try:
        check_regular(footage.path)
        stream = streams_of(footage.path, ffmpeg).picture or 0
    except UnusableFile as error:
        raise _gone(footage, str(error)) from error
    pattern = str((folder / "%09d.jpg").resolve()).replace("%", "%%").replace("%%09d", "%09d")
    filters = f"{_evened(footage)}{selection.expression},{_JPEG_COLORS},setpts=round(N/FRAME_RATE/TB)"
    arguments = [
        *(*picture_of(footage.path, stream), "-vf", filters, *each_once(ffmpeg)),
        *("-frames:v", str(selection.count(footage.frames)), *_QUALITY, "-pix_fmt", "yuvj444p"),
        *("-f", "image2", "-start_number", "0", f"file:{pattern}"),
    ]
    _run_watched(ffmpeg, arguments, "Extracting the video's frames", cancel)


def _evened(footage: Footage) -> str:
    """Return the filters that resample a rate that varies; the last frame is held to the end of the file."""
    if not footage.uneven:
        return ""
    return f"fps=fps={footage.fps!r}:start_time=0,tpad=stop={footage.frames}:stop_mode=clone,"


def _run_watched(ffmpeg: str, arguments: Sequence[str], what: str, cancel: CancelToken) -> None:
    """Run ffmpeg to its end, and end it where the job is told to stop."""
    with tempfile.TemporaryFile() as said:
        process = start(
            ffmpeg, [*QUIET, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            ended = False
            while not ended:
                cancel.check()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_S)
                    ended = True
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if process.returncode:
            said.seek(0)
            raise failure(what, process.returncode, said.read())
