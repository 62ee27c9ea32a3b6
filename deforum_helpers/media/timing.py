"""The timing of a video's frames, and the constant rate to which a variable frame rate is resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from deforum_helpers.core.errors import VideoError
from deforum_helpers.media import messages
from deforum_helpers.media.containers import decode_frames, open_media, shown_size, time_limit, video_stream

MOST_FRAMES = 100_000
FASTEST_FPS = 120.0
# If the sound continues longer than this after the last frame, the frame is held until the sound ends.
LONGEST_TAIL_S = 0.5
COUNT_TIMEOUT_S = 1800.0
# For files without a frame rate.
_NO_RATE_FPS = 25.0


@dataclass(frozen=True)
class Timing:
    """The timing of a video's frames.

    Args:
        fps: constant number of frames per second.
        frames: number of frames at that rate.
        starts_s: seconds from the beginning of the file, where its sound begins, to frame 0.
        uneven: number of frames in the file if its rate is variable and resampled; else 0.
    """

    fps: float
    frames: int
    starts_s: float = 0.0
    uneven: int = 0


@dataclass(frozen=True)
class VideoMeasure:
    """The size and timing of a decoded video.

    Args:
        width_px, height_px: size of the first frame after rotation.
        timing: timing of the frames.
    """

    width_px: int
    height_px: int
    timing: Timing


class NoVideoStream(VideoError):
    """A file without a video stream."""


@lru_cache(maxsize=64)
def measure_video(path: Path, size: int, mtime_ns: int) -> VideoMeasure:
    """Measure the size and timing of a video by decoding it once.

    Args:
        path: local file.
        size, mtime_ns: size in bytes and modification time; a changed file is decoded again.

    Raises:
        NoVideoStream: the file has no video stream.
        VideoError: no frame can be decoded; see also `containers.open_media`.
    """
    check = time_limit(COUNT_TIMEOUT_S, "Decoding the video")
    with open_media(path, check) as container:
        stream = video_stream(container)
        if stream is None:
            raise NoVideoStream(messages.NO_VIDEO_STREAM())
        nominal_fps = float(stream.guessed_rate or stream.average_rate or _NO_RATE_FPS)
        spans: list[tuple[float, float]] = []
        ends_s, shown_px = 0.0, (0, 0)
        for begin_s, end_s, frame in decode_frames(container, stream, check, with_sound=True):
            if frame is None:
                ends_s = max(ends_s, end_s)
                continue
            if not spans:
                shown_px = shown_size(frame)
            spans.append((begin_s, end_s))
            if len(spans) > MOST_FRAMES:
                break
    if not spans:
        raise VideoError(messages.NO_FRAME_DECODED())
    spans.sort()
    times_s = [begin_s for begin_s, _ in spans]
    # Durations before the last frame are ignored: each frame is shown until the next one.
    last_s, ends_s = spans[-1][1] - spans[-1][0], max(ends_s, spans[-1][1])
    return VideoMeasure(*shown_px, _timing(times_s, last_s, ends_s, nominal_fps))


def _timing(times_s: Sequence[float], last_s: float, ends_s: float, nominal_fps: float) -> Timing:
    """Return the timing of frames.

    Args:
        times_s: start times of the frames in seconds, ascending.
        last_s: duration of the last frame in seconds, 0 = unknown.
        ends_s: end of images and sound in seconds; recorders write no frames while nothing moves.
        nominal_fps: frames per second according to the file.
    """
    starts_s = max(times_s[0], 0.0)
    fps = constant_rate(times_s, last_s, nominal_fps)
    if fps is None:
        fps = even_rate(times_s, ends_s, nominal_fps)
    elif ends_s - starts_s - len(times_s) / fps <= LONGEST_TAIL_S or ends_s * fps > MOST_FRAMES:
        return Timing(fps, len(times_s), starts_s)
    return Timing(fps, max(round(ends_s * fps), 1), uneven=len(times_s))


def constant_rate(times_s: Sequence[float], last_s: float, nominal_fps: float) -> float | None:
    """Return the frame rate if every frame is within half an interval of its place at that rate, else None.

    Args:
        times_s: start times of the frames in seconds, ascending.
        last_s: duration of the last frame in seconds, 0 = unknown.
        nominal_fps: frames per second according to the file; returned if they fit the length, else the measured rate.
    """
    intervals = len(times_s) - 1
    span_s = times_s[-1] - times_s[0]
    if not intervals or span_s <= 0:
        return nominal_fps if last_s * nominal_fps <= 1.5 else None
    step_s = span_s / intervals
    uneven = max(abs(time - times_s[0] - number * step_s) for number, time in enumerate(times_s))
    if uneven > step_s / 2 or last_s > 1.5 * step_s:
        return None
    return nominal_fps if abs(intervals / nominal_fps - span_s) * nominal_fps <= 0.5 else 1 / step_s


def even_rate(times_s: Sequence[float], ends_s: float, nominal_fps: float) -> float:
    """Return the rate to which a variable frame rate is resampled: the nominal rate, if frames do come that fast.

    Some files give their clock rate as the frame rate, such as 1000 in recordings of browsers. For these the rate of
    the shorter intervals is used, or the average rate if that would give too many frames.

    Args:
        times_s: start times of the frames in seconds, ascending.
        ends_s: end of the last frame in seconds.
        nominal_fps: frames per second according to the file.
    """
    average = len(times_s) / ends_s
    intervals = sorted(after - before for before, after in pairwise(times_s))
    short_s = next((one for one in intervals[len(intervals) // 10 :] if one > 0), 1 / average)
    wanted = nominal_fps if average <= nominal_fps <= 1.25 / short_s else 1 / short_s
    fps = max(average, min(wanted, FASTEST_FPS))
    return fps if fps * ends_s <= MOST_FRAMES else average
