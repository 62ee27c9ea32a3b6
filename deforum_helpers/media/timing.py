"""When the frames of a video are shown, and the constant rate that an uneven one is resampled to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from deforum_helpers.errors import VideoError
from deforum_helpers.output.containers import PROBE_TIMEOUT_S, user_file
from deforum_helpers.output.ffmpeg import run_ffmpeg

MOST_FRAMES = 100_000
FASTEST_FPS = 120.0
# Sound that goes on for longer than this behind the last frame is kept, and the frame is held.
LONGEST_TAIL_S = 0.5
COUNT_TIMEOUT_S = 1800.0
_MICROSECONDS = 1_000_000


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


def size_and_rate(path: Path, stream: int, ffmpeg: str) -> tuple[tuple[int, int], float]:
    """Return the size (width, height) in pixels of the first frame as it is shown, and the nominal frame rate.

    Raises:
        VideoError: no frame can be decoded.
    """
    arguments = [*picture_of(path, stream), "-frames:v", "1", "-f", "framecrc", "-"]
    said = run_ffmpeg(ffmpeg, arguments, "Looking at the video", PROBE_TIMEOUT_S)
    size = re.search(r"^#dimensions 0: (\d+)x(\d+)", said, re.MULTILINE)
    rate = re.search(r"^#tb 0: (\d+)/(\d+)", said, re.MULTILINE)
    if size is None or rate is None or not re.search(r"^0,", said, re.MULTILINE):
        raise VideoError("No frame can be decoded.")
    return (int(size[1]), int(size[2])), int(rate[2]) / int(rate[1])


@lru_cache(maxsize=64)
def timing_of(
    path: Path, stream: int, ffmpeg: str, nominal_fps: float, size: int, mtime_ns: int
) -> Timing | None:
    """Return the timing of a video, seen by decoding it once; None where it has no frame.

    Args:
        path: local file.
        stream: number of its moving picture.
        ffmpeg: program.
        nominal_fps: frames per second as the file says.
        size, mtime_ns: of the file; they tell a changed file.

    Raises:
        VideoError: it cannot be decoded.
    """
    times_s, last_s = _shown_at(path, stream, ffmpeg)
    if not times_s:
        return None
    starts_s = max(times_s[0], 0.0)
    ends_s = max(times_s[-1] + last_s, _end_of(path, stream, ffmpeg))
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


def picture_of(path: Path, stream: int) -> list[str]:
    """Return ffmpeg's arguments that take one stream of pictures of a user's file, and nothing else of it."""
    return [*user_file(path), "-map", f"0:{stream}", "-an", "-sn", "-dn"]


@lru_cache(maxsize=4)
def each_once(ffmpeg: str) -> tuple[str, str]:
    """Return the option that neither repeats nor drops frames; before ffmpeg 5.1 it has another name."""
    said = run_ffmpeg(ffmpeg, ["-version"], "Asking for ffmpeg's version", PROBE_TIMEOUT_S)
    version = re.match(r"ffmpeg version n?(\d+)\.(\d+)", said)
    old = version is not None and (int(version[1]), int(version[2])) < (5, 1)
    return ("-vsync", "0") if old else ("-fps_mode", "passthrough")


def _shown_at(path: Path, stream: int, ffmpeg: str) -> tuple[list[float], float]:
    """Return when each decoded frame is shown, in seconds, and how long the last one is."""
    arguments = [
        *(*picture_of(path, stream), *each_once(ffmpeg), "-frames:v", str(MOST_FRAMES + 1)),
        *("-enc_time_base", f"1:{_MICROSECONDS}", "-c:v", "wrapped_avframe", "-f", "framecrc", "-"),
    ]
    said = run_ffmpeg(ffmpeg, arguments, "Decoding the video", COUNT_TIMEOUT_S)
    found = re.findall(r"^0, *-?\d+, *(-?\d+), *(\d+),", said, re.MULTILINE)
    shown = sorted((int(time), int(length)) for time, length in found)
    return [time / _MICROSECONDS for time, _ in shown], shown[-1][1] / _MICROSECONDS if shown else 0.0


def _end_of(path: Path, stream: int, ffmpeg: str) -> float:
    """Return when picture and sound have ended, in seconds; recorders send no frame while nothing moves."""
    tracks = ["-map", f"0:{stream}", "-map", "0:a?", "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"]
    said = run_ffmpeg(ffmpeg, [*user_file(path), *tracks], "Looking at the video", COUNT_TIMEOUT_S)
    ends = re.findall(r"^out_time_us=(\d+)", said, re.MULTILINE)
    return int(ends[-1]) / _MICROSECONDS if ends else 0.0
