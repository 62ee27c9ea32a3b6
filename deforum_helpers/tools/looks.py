"""What an uploaded video holds, told before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deforum_helpers.media.video import footage_of
from deforum_helpers.options import Options
from deforum_helpers.output.ffmpeg import find_ffmpeg


@dataclass(frozen=True)
class VideoFacts:
    """What a video holds.

    Args:
        frames: their number.
        fps: frames per second.
        width_px, height_px: of a frame as it is shown.
    """

    frames: int
    fps: float
    width_px: int
    height_px: int


def video_facts(path: Path, options: Options | None = None) -> VideoFacts:
    """Return what a video holds.

    Raises:
        SettingsError: it is missing, empty, no video or a playlist.
        MissingFeature: there is no ffmpeg.
    """
    ffmpeg = find_ffmpeg((options or Options()).deforum_ffmpeg_location)
    found = footage_of(path, ffmpeg, setting="The video", name=path.name)
    return VideoFacts(found.frames, found.fps, found.width_px, found.height_px)
