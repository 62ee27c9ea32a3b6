"""A video of the frames so far that grows during a run; each frame is encoded once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import VideoError
from deforum_helpers.core.files.atomic import appearing, disk_errors
from deforum_helpers.core.files.scratch import VIDEO, ScratchFolder
from deforum_helpers.media.ffmpeg import FINISH_TIMEOUT_S, count_own_frames, run_ffmpeg
from deforum_helpers.output import messages
from deforum_helpers.output.audio import add_tracks
from deforum_helpers.output.video import VideoWriter

_WORK = "Encoding the preview video"


class PartialVideo:
    """The mp4 video `path`, replaced atomically each time frames are added.

    Its segments lie in a temporary folder and are concatenated without encoding.

    Args:
        path: the video; its folder exists.
        width_px, height_px: size of every frame.
        fps: frames per second.
        crf: x264 quality.
        ffmpeg: path of the program.
        audio: soundtrack, or None.
        audio_starts_s: position in the soundtrack, in seconds, where the video begins.
        backwards: whether new frames are shown before the earlier ones instead of after them.

    Raises:
        DiskFull, RenderError: the temporary folder cannot be created.
    """

    def __init__(
        self,
        path: Path,
        *,
        width_px: int,
        height_px: int,
        fps: float,
        crf: int,
        ffmpeg: str,
        audio: Path | None,
        audio_starts_s: float = 0.0,
        backwards: bool = False,
    ) -> None:
        self.path = path
        self.frames = 0
        self._size = (width_px, height_px)
        self._fps, self._crf, self._ffmpeg, self._backwards = fps, crf, ffmpeg, backwards
        self._audio, self._audio_starts_s = audio, audio_starts_s
        with disk_errors(path.name):
            self._scratch = ScratchFolder(VIDEO)
        self._parts: list[str] = []
        self._writer: VideoWriter | None = None
        self._aborted = False
        self._lock = threading.Lock()

    def extend(self, frames: Iterable[NDArray[np.uint8]]) -> None:
        """Add frames, (height, width, 3) RGB uint8, and replace the video.

        Raises:
            VideoError, DiskFull: ffmpeg failed, or the video was aborted.
        """
        part = self._scratch.path / f"{len(self._parts)}.mp4"
        with self._start_segment(part) as writer:
            for frame in frames:
                writer.write(frame)
            added = writer.finish()
        self._parts.insert(0 if self._backwards else len(self._parts), part.name)
        self.frames += added
        self._concatenate()

    def abort(self) -> None:
        """Stop a running `extend` at once and remove the segments; the video stays as it was last written.

        Callable from any thread.
        """
        with self._lock:
            self._aborted = True
            writer = self._writer
        if writer is not None:
            writer.abort()
        self._scratch.remove()

    def _start_segment(self, part: Path) -> VideoWriter:
        with self._lock:
            if self._aborted:
                raise VideoError(messages.VIDEO_ABORTED(work=_WORK))
            width_px, height_px = self._size
            self._writer = VideoWriter(
                part,
                width=width_px,
                height=height_px,
                fps=self._fps,
                crf=self._crf,
                preset="ultrafast",
                ffmpeg=self._ffmpeg,
            )
            return self._writer

    def _concatenate(self) -> None:
        with disk_errors(self.path.name):
            listed = self._scratch.path / "parts.txt"
            listed.write_text("".join(f"file {name}\n" for name in self._parts), encoding="ascii")
        with appearing(self.path) as joined:
            run_ffmpeg(self._ffmpeg, _concat_arguments(listed, joined), _WORK, FINISH_TIMEOUT_S)
            add_tracks(
                joined,
                self.frames / self._fps,
                self._audio,
                None,
                self._ffmpeg,
                audio_starts_s=self._audio_starts_s,
            )
            count = count_own_frames(joined, self._ffmpeg)
            if count != self.frames:
                message = messages.VIDEO_FRAMES_LOST(work=_WORK, written=self.frames, counted=count)
                raise VideoError(message)


def _concat_arguments(listed: Path, joined: Path) -> Sequence[str]:
    """Return ffmpeg's arguments that concatenate the listed files into one video."""
    source = ["-protocol_whitelist", "file", "-f", "concat", "-i", f"file:{listed}"]
    return [
        *source,
        *("-map", "0:v:0", "-c", "copy", "-movflags", "+faststart", "-f", "mp4"),
        f"file:{joined.resolve()}",
    ]
