"""What a video holds, told by reading it, and which of its frames are taken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deforum_helpers.core.errors import MissingFeature, Problem, RenderError, SettingsError, VideoError
from deforum_helpers.core.files.regular import UnusableFile, check_regular
from deforum_helpers.image.files import check_image_file
from deforum_helpers.media.containers import UnknownContainer
from deforum_helpers.media.image_sequences import Row, Still, row_of, single_picture
from deforum_helpers.media.timing import MOST_FRAMES, NoPicture, reading_of

ALLOWED = "a video file: mp4, mov, webm, mkv, avi, gif or another that libav reads, or a folder of pictures"


@dataclass(frozen=True)
class Selection:
    """Which frames of a video are taken: every `every`-th by its own number, from `first` to `last` (-1 = the end)."""

    every: int = 1
    first: int = 0
    last: int = -1

    def count(self, frames: int) -> int:
        """Return how many frames of a video of `frames` frames are taken."""
        return len(self.numbers(frames))

    @property
    def begin(self) -> int:
        """The number of the first frame that is taken."""
        return -(-self.first // self.step) * self.step

    @property
    def step(self) -> int:
        return max(self.every, 1)

    def numbers(self, frames: int) -> range:
        """Return the numbers of the frames that are taken of a video of `frames` frames."""
        end = frames if self.last < 0 else min(frames, self.last + 1)
        return range(self.begin, end, self.step)


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
        stills: a picture for each frame where it is a row of pictures; else empty.
        mixed: whether pictures of other sizes are among them; they are scaled.
    """

    path: Path
    name: str
    width_px: int
    height_px: int
    fps: float
    frames: int
    starts_s: float = 0.0
    uneven: int = 0
    stills: tuple[Still, ...] = ()
    mixed: bool = False

    def second_of(self, selection: Selection) -> float:
        """Return the second of the video's sound at which the first frame of a selection is shown."""
        return self.starts_s + selection.begin / self.fps

    @property
    def note(self) -> str | None:
        """The predicate of a sentence about what is changed of the video, or None."""
        if self.mixed:
            size = f"{self.width_px}x{self.height_px}"
            return f"has pictures of several sizes; all are scaled to that of the first one, {size}."
        if not self.uneven:
            return None
        return (
            f"has a variable frame rate, {self.uneven} frames in {self.frames / self.fps:.2f} s; it is resampled to "
            f"{self.fps:g} frames per second, each frame held until the next one or the end, which gives {self.frames}."
        )


def footage_of(path: Path, *, setting: str, name: str | None = None) -> Footage:
    """Return what the video `path` holds, seen by decoding it once; the answer is kept for the same file.

    Args:
        path: local file, or pictures in the place of a video as `pictures.row_of` takes them.
        setting: name of the setting that names it, for the error.
        name: what it is called, by default after its file.

    Raises:
        SettingsError: it is missing, no video, broken, too large or without a frame.
        MissingFeature: PyAV is not installed.
    """
    shown = name or path.name
    try:
        if (row := row_of(path, setting=setting, name=shown)) is not None:
            return _of_row(path, stem_of(shown), row)
        status = check_regular(path)
        found = reading_of(path, status.st_size, status.st_mtime_ns)
    except UnusableFile as error:
        raise _problem(setting, shown, f"which {error}", passing=error.passing) from None
    except NoPicture:
        raise _problem(setting, shown, "which has no picture") from None
    except UnknownContainer:
        raise _no_video(path, setting, shown) from None
    except VideoError as error:
        why = "which cannot be decoded: it is damaged, or its codec or size is not supported"
        raise _problem(setting, shown, why) from error
    except MissingFeature:
        raise
    except RenderError as error:
        why = f"which cannot be read now ({error})"
        raise _problem(setting, shown, why, passing=error.retryable) from error
    size, timing = (found.width_px, found.height_px), found.timing
    return Footage(path, stem_of(shown), *size, timing.fps, timing.frames, timing.starts_s, timing.uneven)


def _of_row(path: Path, name: str, row: Row) -> Footage:
    width_px, height_px = row.size
    return Footage(
        path,
        name,
        width_px,
        height_px,
        row.fps,
        len(row.stills),
        uneven=row.uneven,
        stills=row.stills,
        mixed=row.mixed,
    )


def _no_video(path: Path, setting: str, shown: str) -> SettingsError:
    try:
        check_image_file(path, setting=setting)
    except SettingsError:
        return _problem(setting, shown, "which is no video that can be read; playlists are not")
    return SettingsError([single_picture(setting, shown)])


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
    last = re.split(r"[/\\]", name.partition("?")[0].rstrip("/\\"))[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^\w .()-]", "_", stem)[:100].strip(" .") or "video"


def _problem(setting: str, name: str, what: str, *, passing: bool = False) -> SettingsError:
    message = f"{setting} names {name[:120]!r}, {what}; give {ALLOWED}."
    return SettingsError([Problem(message, setting, found=name[:120], allowed=ALLOWED, passing=passing)])
