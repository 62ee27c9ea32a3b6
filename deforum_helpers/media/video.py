"""Videos: what one holds, told by reading it; and its frames as pictures in a folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from deforum_helpers.cancel import CancelToken
from deforum_helpers.errors import MissingFeature, Problem, RenderError, SettingsError, VideoError
from deforum_helpers.image.files import LARGEST_PIXELS
from deforum_helpers.nolinks import Folder, is_file, make_folder, read_file, remove_file
from deforum_helpers.output.audio import HEAD_BYTES, container_kind
from deforum_helpers.output.disk import disk_errors, write_whole
from deforum_helpers.output.ffmpeg import QUIET, failure, input_file, run_ffmpeg, start
from deforum_helpers.regular_files import UnusableFile, check_regular, head_of

CONTAINERS = ("mov", "matroska", "avi", "mpeg", "mpegts", "asf", "ogg")
ALLOWED = "a video file: mp4, mov, m4v, webm, mkv, avi or mpeg"
MOST_FRAMES = 100_000
RECORD_BYTES = 64 * 1024
LOOK_S = 0.1
PROBE_TIMEOUT_S = 60.0
COUNT_TIMEOUT_S = 1800.0
# JPEG knows one way from RGB to luma and chroma; videos say which one is theirs.
_JPEG_COLORS = "scale=out_color_matrix=bt601:out_range=full"
_QUALITY = ("-c:v", "mjpeg", "-qmin", "1", "-q:v", "1", "-huffman", "optimal")


@dataclass(frozen=True)
class Selection:
    """Which frames of a video are taken: every `every`-th by its own number, from `first` to `last` (-1 = the end)."""

    every: int = 1
    first: int = 0
    last: int = -1

    def count(self, frames: int) -> int:
        """Return how many frames of a video of `frames` frames are taken."""
        end = frames if self.last < 0 else min(frames, self.last + 1)
        begin = -(-self.first // self.step) * self.step
        return len(range(begin, end, self.step))

    @property
    def step(self) -> int:
        return max(self.every, 1)

    @property
    def expression(self) -> str:
        """The selection in the words of ffmpeg's filter."""
        last = f"*lte(n,{self.last})" if self.last >= 0 else ""
        return f"select='not(mod(n,{self.step}))*gte(n,{self.first}){last}'"


@dataclass(frozen=True)
class Footage:
    """What a video holds.

    Args:
        path: the local file.
        name: what its frames are named by.
        width_px, height_px: of a frame as it is shown, after rotation.
        fps: frames per second as it says.
        frames: number of frames.
    """

    path: Path
    name: str
    width_px: int
    height_px: int
    fps: float
    frames: int


def footage_of(path: Path, ffmpeg: str, *, setting: str, name: str | None = None) -> Footage:
    """Return what the video `path` holds, seen by decoding it once; the answer is kept for the same file.

    Args:
        path: local file.
        ffmpeg: program.
        setting: name of the setting that names it, for the error.
        name: what it is called, by default after its file.

    Raises:
        SettingsError: it is missing, no video, broken, too large or without a frame.
        MissingFeature: ffmpeg cannot be started.
    """
    shown = name or path.name
    try:
        status = check_regular(path)
        demuxer = container_kind(head_of(path, HEAD_BYTES))
    except UnusableFile as error:
        raise _problem(setting, shown, f"which {error}", passing=error.passing) from None
    if demuxer not in CONTAINERS:
        raise _problem(setting, shown, "which is no video that can be read; playlists are not")
    try:
        size, fps = _look(path, demuxer, ffmpeg)
        frames = _counted(path, demuxer, ffmpeg, status.st_size, status.st_mtime_ns)
    except MissingFeature:
        raise
    except RenderError as error:
        why = f"which cannot be decoded ({_short(str(error))})"
        raise _problem(setting, shown, why, passing=error.retryable) from error
    if not frames:
        raise _problem(setting, shown, "which has no frame")
    return Footage(path, stem_of(shown), *size, fps, frames)


def stem_of(name: str) -> str:
    """Return what frames of the video `name` are named by: its name without folder, extension and odd characters."""
    last = re.split(r"[/\\]", name.partition("?")[0])[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^\w .()-]", "_", stem)[:100].strip(" .") or "video"


def _look(path: Path, demuxer: str, ffmpeg: str) -> tuple[tuple[int, int], float]:
    """Return the size and rate of the first frame."""
    arguments = [*_source(path, demuxer), "-frames:v", "1", "-f", "framecrc", "-"]
    said = run_ffmpeg(ffmpeg, arguments, "Looking at the video", PROBE_TIMEOUT_S)
    size = re.search(r"^#dimensions 0: (\d+)x(\d+)", said, re.MULTILINE)
    rate = re.search(r"^#tb 0: (\d+)/(\d+)", said, re.MULTILINE)
    if size is None or rate is None or not re.search(r"^0,", said, re.MULTILINE):
        raise VideoError("it has no picture")
    return (int(size[1]), int(size[2])), int(rate[2]) / int(rate[1])


@lru_cache(maxsize=64)
def _counted(path: Path, demuxer: str, ffmpeg: str, size: int, mtime_ns: int) -> int:
    """Return the number of frames that decoding gives; `size` and `mtime_ns` tell a changed file."""
    arguments = [
        *_source(path, demuxer),
        *_each_once(ffmpeg),
        *("-frames:v", str(MOST_FRAMES + 1), "-f", "null", "-progress", "pipe:1", "-"),
    ]
    said = run_ffmpeg(ffmpeg, arguments, "Counting the video's frames", COUNT_TIMEOUT_S)
    counts = re.findall(r"^frame=\s*(\d+)", said, re.MULTILINE)
    return int(counts[-1]) if counts else 0


def _source(path: Path, demuxer: str) -> list[str]:
    return [
        "-max_pixels",
        str(LARGEST_PIXELS),
        *input_file(path, demuxer),
        "-map",
        "0:v:0",
        "-an",
        "-sn",
        "-dn",
    ]


@lru_cache(maxsize=4)
def _each_once(ffmpeg: str) -> tuple[str, str]:
    """Return the option that neither repeats nor drops frames; before ffmpeg 5.1 it has another name."""
    said = run_ffmpeg(ffmpeg, ["-version"], "Asking for ffmpeg's version", PROBE_TIMEOUT_S)
    version = re.match(r"ffmpeg version n?(\d+)\.(\d+)", said)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 1)
    return ("-vsync", "0") if old else ("-fps_mode", "passthrough")


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
    status = footage.path.stat()
    said = json.dumps({"bytes": status.st_size, "frames": footage.frames, **asdict(selection)})
    if not overwrite and said_in(record) == said and all(is_file(path) for path in paths):
        return paths
    with disk_errors(folder.name):
        make_folder(folder)
        scratch = Path(tempfile.mkdtemp(prefix=".extracting-", dir=folder))
    try:
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


def _run(footage: Footage, folder: Path, selection: Selection, ffmpeg: str, cancel: CancelToken) -> None:
    demuxer = _demuxer(footage)
    pattern = str((folder / "%09d.jpg").resolve()).replace("%", "%%").replace("%%09d", "%09d")
    arguments = [
        *_source(footage.path, demuxer),
        *("-vf", f"{selection.expression},{_JPEG_COLORS},setpts=N/FRAME_RATE/TB", *_each_once(ffmpeg)),
        *("-frames:v", str(selection.count(footage.frames)), *_QUALITY, "-pix_fmt", "yuvj444p"),
        *("-f", "image2", "-start_number", "0", f"file:{pattern}"),
    ]
    _run_watched(ffmpeg, arguments, "Extracting the video's frames", cancel)


def _demuxer(footage: Footage) -> str:
    try:
        return container_kind(head_of(footage.path, HEAD_BYTES)) or "mov"
    except UnusableFile as error:
        raise VideoError(
            f"The video {footage.path.name!r} {error}; put it back, or give another one."
        ) from error


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


def _short(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "…"


def _problem(setting: str, name: str, what: str, *, passing: bool = False) -> SettingsError:
    message = f"{setting} names {name[:120]!r}, {what}; give {ALLOWED}."
    return SettingsError([Problem(message, setting, found=name[:120], allowed=ALLOWED, passing=passing)])
