"""When the frames of a video are shown, and the constant rate that an uneven one is resampled to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from deforum_helpers.core.errors import VideoError
from deforum_helpers.media.containers import decoded, opened, picture_of, time_limit
from deforum_helpers.media.upright import shown_size

MOST_FRAMES = 100_000
FASTEST_FPS = 120.0
# Sound that goes on for longer than this behind the last frame is kept, and the frame is held.
LONGEST_TAIL_S = 0.5
COUNT_TIMEOUT_S = 1800.0
# Of files that name no rate.
_NO_RATE_FPS = 25.0


@dataclass(frozen=True)
class Timing:
    """How the frames of a video follow each other.

    Args:
        fps: frames per second, the same all along.
        frames: number of frames at that rate.
        starts_s: seconds from the beginning of the file, where its sound begins, to frame 0.
        uneven: number of frames in the file where they follow each other unevenly and are resampled; else 0.
    """

    fps: float
    frames: int
    starts_s: float = 0.0
    uneven: int = 0


@dataclass(frozen=True)
class Reading:
    """What decoding a video once tells.

    Args:
        width_px, height_px: of the first frame as it is shown, after rotation.
        timing: of its frames.
    """

    width_px: int
    height_px: int
    timing: Timing


class NoPicture(VideoError):
    """A file without moving pictures."""


@lru_cache(maxsize=64)
def reading_of(path: Path, size: int, mtime_ns: int) -> Reading:
    """Return the size and the timing of a video, found by decoding it once.

    Args:
        path: local file.
        size, mtime_ns: of the file; they tell a changed file.

    Raises:
        NoPicture: there is no stream of pictures.
        VideoError: no frame can be decoded; see also `containers.opened`.
    """
    check = time_limit(COUNT_TIMEOUT_S, "Decoding the video")
    with opened(path, check) as container:
        stream = picture_of(container)
        if stream is None:
            raise NoPicture("It has no picture.")
        nominal_fps = float(stream.guessed_rate or stream.average_rate or _NO_RATE_FPS)
        spans: list[tuple[float, float]] = []
        ends_s, shown_px = 0.0, (0, 0)
        for begin_s, end_s, frame in decoded(container, stream, check, with_sound=True):
            if frame is None:
                ends_s = max(ends_s, end_s)
                continue
            if not spans:
                shown_px = shown_size(frame)
            spans.append((begin_s, end_s))
            if len(spans) > MOST_FRAMES:
                break
    if not spans:
        raise VideoError("No frame can be decoded.")
    spans.sort()
    times_s = [begin_s for begin_s, _ in spans]
    # The frames before the last one may claim any length: each is shown until the next one.
    last_s, ends_s = spans[-1][1] - spans[-1][0], max(ends_s, spans[-1][1])
    return Reading(*shown_px, _timing(times_s, last_s, ends_s, nominal_fps))


def _timing(times_s: Sequence[float], last_s: float, ends_s: float, nominal_fps: float) -> Timing:
    """Return the timing of frames.

    Args:
        times_s: when each frame is shown, ascending.
        last_s: how long the last one is shown; 0 = not known.
        ends_s: when picture and sound have ended; recorders send no frame while nothing moves.
        nominal_fps: frames per second as the file says.
    """
    starts_s = max(times_s[0], 0.0)
    fps = constant_rate(times_s, last_s, nominal_fps)
    if fps is None:
        fps = even_rate(times_s, ends_s, nominal_fps)
    elif ends_s - starts_s - len(times_s) / fps <= LONGEST_TAIL_S or ends_s * fps > MOST_FRAMES:
        return Timing(fps, len(times_s), starts_s)
    return Timing(fps, max(round(ends_s * fps), 1), uneven=len(times_s))


def constant_rate(times_s: Sequence[float], last_s: float, nominal_fps: float) -> float | None:
    """Return the rate of frames of which each is shown within half an interval of its place, or None if one is not.

    Args:
        times_s: when each frame is shown, ascending.
        last_s: how long the last one is shown; 0 = not known.
        nominal_fps: is the rate if it fits the length; else the measured one is.
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
    """Return the rate that uneven frames are resampled to: the nominal one where frames do follow each other so fast.

    Some files name the ticks of their clock as their rate, as browsers' recordings do with 1000; there it is the rate
    of the shorter intervals, and the average one where that would be too many frames.

    Args:
        times_s: when each frame is shown, ascending.
        ends_s: when the last one ends.
        nominal_fps: frames per second as the file says.
    """
    average = len(times_s) / ends_s
    intervals = sorted(after - before for before, after in pairwise(times_s))
    short_s = next((one for one in intervals[len(intervals) // 10 :] if one > 0), 1 / average)
    wanted = nominal_fps if average <= nominal_fps <= 1.25 / short_s else 1 / short_s
    fps = max(average, min(wanted, FASTEST_FPS))
    return fps if fps * ends_s <= MOST_FRAMES else average
