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
from pathlib import Path

from deforum_helpers.cancel import CancelToken
from deforum_helpers.errors import MissingFeature, Problem, RenderError, SettingsError, VideoError
from deforum_helpers.media.timing import MOST_FRAMES, each_once, picture_of, size_and_rate, timing_of
from deforum_helpers.nolinks import Folder, is_file, make_folder, read_file, remove_file
from deforum_helpers.output.containers import UnknownContainer, streams_of
from deforum_helpers.output.disk import disk_errors, write_whole
from deforum_helpers.output.ffmpeg import QUIET, failure, start
from deforum_helpers.regular_files import UnusableFile, check_regular

ALLOWED = "a video file: mp4, mov, webm, mkv, avi, gif or another one that ffmpeg reads"
RECORD_BYTES = 64 * 1024
LOOK_S = 0.1
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
        return len(range(self.begin, end, self.step))

    @property
    def begin(self) -> int:
        """The number of the first frame that is taken."""
        return -(-self.first // self.step) * self.step

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
        fps: frames per second, the same all along.
        frames: number of frames at that rate.
        starts_s: seconds from where the file's sound begins to frame 0.
        uneven: number of frames in the file if their rate varies, which is then resampled; else 0.
    """

    path: Path
    name: str
    width_px: int
    height_px: int
    fps: float
    frames: int
    starts_s: float = 0.0
    uneven: int = 0

    def second_of(self, selection: Selection) -> float:
        """Return the second of the video's sound at which the first frame of a selection is shown."""
        return self.starts_s + selection.begin / self.fps

    @property
    def note(self) -> str | None:
        """The predicate of a sentence about a frame rate that varies, or None."""
        if not self.uneven:
            return None
        return (
            f"has a variable frame rate, {self.uneven} frames in {self.frames / self.fps:.2f} s; it is resampled to "
            f"{self.fps:g} frames per second, which gives {self.frames} frames."
        )


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
        stream = streams_of(path, ffmpeg).picture
        if stream is None:
            raise _problem(setting, shown, "which has no picture")
        size, nominal_fps = size_and_rate(path, stream, ffmpeg)
        timing = timing_of(path, stream, ffmpeg, nominal_fps, status.st_size, status.st_mtime_ns)
    except UnusableFile as error:
        raise _problem(setting, shown, f"which {error}", passing=error.passing) from None
    except UnknownContainer:
        raise _problem(setting, shown, "which is no video that can be read; playlists are not") from None
    except VideoError as error:
        why = "which cannot be decoded: it is damaged, or its codec or size is not supported"
        raise _problem(setting, shown, why) from error
    except MissingFeature:
        raise
    except RenderError as error:
        raise _problem(
            setting, shown, f"which cannot be read now ({error})", passing=error.retryable
        ) from error
    if timing is None:
        raise _problem(setting, shown, "which has no frame")
    return Footage(path, stem_of(shown), *size, timing.fps, timing.frames, timing.starts_s, timing.uneven)


def selection_problem(footage: Footage, wanted: Selection, setting: str) -> Problem | None:
    """Return what is wrong with a selection that takes no frame of a video, or far too many; None = nothing.

    A last frame that is not behind the first one is told where settings are checked.
    """
    count = wanted.count(footage.frames)
    if 0 < count <= MOST_FRAMES or 0 <= wanted.last <= wanted.first:
        return None
    found = f"extract_from_frame {wanted.first}, extract_to_frame {wanted.last} and extract_nth_frame {wanted.every}"
    allowed = f"1 to {MOST_FRAMES} of its {footage.frames} frames"
    message = f"{setting}: {found} take {count} frames of the video; choose {allowed}."
    return Problem(message, "extract_from_frame", found=found, allowed=allowed)


def stem_of(name: str) -> str:
    """Return what frames of the video `name` are named by: its name without folder, extension and odd characters."""
    last = re.split(r"[/\\]", name.partition("?")[0])[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^\w .()-]", "_", stem)[:100].strip(" .") or "video"


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
    count = selection.count(footage.frames)
    paths = tuple(folder / f"{footage.name}{number:09d}.jpg" for number in range(count))
    record = record_of(folder, footage.name)
    status = footage.path.stat()
    about = {"bytes": status.st_size, "frames": footage.frames, **asdict(selection)}
    said = json.dumps(about | ({"fps": footage.fps} if footage.uneven else {}))
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
    try:
        check_regular(footage.path)
        stream = streams_of(footage.path, ffmpeg).picture or 0
    except UnusableFile as error:
        raise VideoError(
            f"The video {footage.path.name!r} {error}; put it back, or give another one."
        ) from error
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


def _problem(setting: str, name: str, what: str, *, passing: bool = False) -> SettingsError:
    message = f"{setting} names {name[:120]!r}, {what}; give {ALLOWED}."
    return SettingsError([Problem(message, setting, found=name[:120], allowed=ALLOWED, passing=passing)])
