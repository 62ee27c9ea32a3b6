"""Inspection of input videos, and the selection of their frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deforum_helpers.core.errors import MissingFeature, Problem, RenderError, SettingsError, VideoError
from deforum_helpers.core.files.regular import UnusableFile, check_regular
from deforum_helpers.core.messages import Message, Text
from deforum_helpers.image.files import check_image_file
from deforum_helpers.media import messages
from deforum_helpers.media.containers import UnknownContainer
from deforum_helpers.media.image_sequences import ImageSequence, Still, read_image_sequence, single_image
from deforum_helpers.media.timing import MOST_FRAMES, NoVideoStream, measure_video

ALLOWED = (
    "a video file (mp4, mov, webm, mkv, avi, gif or another format that libav reads) or a folder of images"
)


@dataclass(frozen=True)
class Selection:
    """A selection of frames: the multiples of `every` from `first` to `last` (-1 = the end)."""

    every: int = 1
    first: int = 0
    last: int = -1

    def count(self, frames: int) -> int:
        """Return the number of selected frames in a video of `frames` frames."""
        return len(self.numbers(frames))

    @property
    def begin(self) -> int:
        """The number of the first selected frame."""
        return -(-self.first // self.step) * self.step

    @property
    def step(self) -> int:
        return max(self.every, 1)

    def numbers(self, frames: int) -> range:
        """Return the numbers of the selected frames in a video of `frames` frames."""
        end = frames if self.last < 0 else min(frames, self.last + 1)
        return range(self.begin, end, self.step)


@dataclass(frozen=True)
class VideoInfo:
    """An inspected video or image sequence.

    Args:
        path: local file, folder or pattern.
        name: prefix for the names of extracted frames.
        width_px, height_px: size of a frame after rotation.
        fps: constant number of frames per second.
        frames: number of frames at that rate.
        starts_s: seconds from the beginning of the file's sound to frame 0.
        uneven: number of frames in the file if its rate is variable and resampled; else 0.
        stills: one image per frame if this is an image sequence; else empty.
        mixed: whether the images have different sizes; they are scaled to the first one's.
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
        """Return the position in the video's sound, in seconds, of the first selected frame."""
        return self.starts_s + selection.begin / self.fps

    def note(self, subject: str) -> Text | None:
        """Return a message about how the frames are converted, None if they are used unchanged.

        Args:
            subject: name of the setting or video, as the subject of the message.
        """
        if self.mixed:
            return messages.MIXED_SIZES(subject=subject, size=f"{self.width_px} x {self.height_px} pixels")
        if not self.uneven:
            return None
        seconds = self.frames / self.fps
        return messages.VARIABLE_RATE(
            subject=subject, found=self.uneven, seconds=seconds, fps=self.fps, frames=self.frames
        )


def inspect_video(path: Path, *, setting: str, name: str | None = None) -> VideoInfo:
    """Inspect a video by decoding it once; the result is cached as long as the file does not change.

    Args:
        path: local video file, or an image sequence as in `read_image_sequence`.
        setting: name of the setting or argument that names the video, for messages.
        name: name of the video, by default the file's.

    Raises:
        SettingsError: the file is missing, not a video, damaged, too large, or has no frames.
        MissingFeature: PyAV is not installed.
    """
    shown = name or path.name
    try:
        if (sequence := read_image_sequence(path, setting=setting, name=shown)) is not None:
            return _from_sequence(path, stem_of(shown), sequence)
        status = check_regular(path)
        found = measure_video(path, status.st_size, status.st_mtime_ns)
    except UnusableFile as error:
        raise _refused(messages.INPUT_UNUSABLE, setting, shown, error.passing, why=error) from None
    except NoVideoStream:
        raise _refused(messages.INPUT_WITHOUT_IMAGES, setting, shown) from None
    except UnknownContainer:
        raise _no_video(path, setting, shown) from None
    except VideoError as error:
        raise _refused(messages.INPUT_UNDECODABLE, setting, shown) from error
    except MissingFeature:
        raise
    except RenderError as error:
        raise _refused(messages.INPUT_UNREADABLE_NOW, setting, shown, error.retryable, why=error) from error
    size, timing = (found.width_px, found.height_px), found.timing
    return VideoInfo(path, stem_of(shown), *size, timing.fps, timing.frames, timing.starts_s, timing.uneven)


def _from_sequence(path: Path, name: str, sequence: ImageSequence) -> VideoInfo:
    width_px, height_px = sequence.size
    return VideoInfo(
        path,
        name,
        width_px,
        height_px,
        sequence.fps,
        len(sequence.stills),
        uneven=sequence.uneven,
        stills=sequence.stills,
        mixed=sequence.mixed,
    )


def _no_video(path: Path, setting: str, shown: str) -> SettingsError:
    try:
        check_image_file(path, setting=setting)
    except SettingsError:
        return _refused(messages.INPUT_NOT_VIDEO, setting, shown)
    return SettingsError([single_image(setting, shown)])


def selection_problem(footage: VideoInfo, wanted: Selection, setting: str) -> Problem | None:
    """Return the problem of a selection with no frames or too many; None = no problem.

    A last frame before the first one is reported by the check of the settings instead.
    """
    count = wanted.count(footage.frames)
    if 0 < count <= MOST_FRAMES or 0 <= wanted.last <= wanted.first:
        return None
    found = f"extract_from_frame {wanted.first}, extract_to_frame {wanted.last} and extract_nth_frame {wanted.every}"
    allowed = f"1 to {MOST_FRAMES} of its {footage.frames} frames"
    message = messages.SELECTION_LENGTH(setting=setting, found=found, count=count, allowed=allowed)
    return Problem(message, "extract_from_frame", found=found, allowed=allowed)


def stem_of(name: str) -> str:
    """Return a prefix for frame names: the video's name without folder, extension and special characters."""
    last = re.split(r"[/\\]", name.partition("?")[0].rstrip("/\\"))[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^\w .()-]", "_", stem)[:100].strip(" .") or "video"


def _refused(
    message: Message, setting: str, name: str, passing: bool = False, **values: object
) -> SettingsError:
    text = message(setting=setting, name=name[:120], allowed=ALLOWED, **values)
    return SettingsError([Problem(text, setting, found=name[:120], allowed=ALLOWED, passing=passing)])
