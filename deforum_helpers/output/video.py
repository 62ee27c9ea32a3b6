"""Encoding videos: frames piped into ffmpeg, sound and subtitles added, frames counted in the finished file.

The video of a run is encoded while its frames are made; a preview, the video of the frames so far, grows with it.
"""

from __future__ import annotations

import math
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import RenderError, VideoError
from deforum_helpers.core.files.atomic import appearing, disk_errors, part_path, settle
from deforum_helpers.core.files.scratch import VIDEO, ScratchFolder
from deforum_helpers.media.ffmpeg import (
    FINISH_TIMEOUT_S,
    QUIET,
    count_own_frames,
    ffmpeg_error,
    own_input,
    run_ffmpeg,
    start,
)
from deforum_helpers.output import messages
from deforum_helpers.output.audio import add_tracks, check_soundtrack
from deforum_helpers.output.metadata import ffmetadata

WRITE_TIMEOUT_S = 300.0
# Interval at which the watchdog checks for a hung write.
WATCH_EVERY_S = 0.5

# Players guess the color space of untagged videos by their size, which shifts colors.
BT709_TAGS = (
    *("-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
TO_BT709 = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"
_WORK = "Encoding the video"
_PREVIEW_WORK = "Encoding the preview video"


class VideoWriter:
    """Encodes frames to an H.264 mp4 file as they arrive.

    ffmpeg runs in a process of its own; `write` returns as soon as the pipe has taken the frame, so the caller only
    waits when encoding is slower than rendering. `finish` completes and checks the file and gives it its name.

    Args:
        path: the video; its folder exists.
        width, height: size of every frame in pixels. The video of an odd size repeats the last column or row.
        fps: frames per second, > 0.
        crf: x264 quality, 0 (lossless) to 51.
        preset: x264 preset, ultrafast to veryslow.
        ffmpeg: path of the program, from `find_ffmpeg`.
        settings_json: settings to embed as the video's comment, "" = none.
        audio: local soundtrack; cut or padded with silence to the length of the video.
        audio_starts_s: position in the soundtrack, in seconds, that plays with the first frame.
        subtitles: srt file, which must be complete when `finish` is called.

    Raises:
        VideoError: the size or rate is invalid, or the soundtrack cannot be read.
        MissingFeature: ffmpeg cannot be started.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        fps: float,
        crf: int = 17,
        preset: str = "slow",
        ffmpeg: str,
        settings_json: str = "",
        audio: Path | None = None,
        audio_starts_s: float = 0.0,
        subtitles: Path | None = None,
    ) -> None:
        if width < 1 or height < 1 or not (math.isfinite(fps) and fps > 0):
            raise VideoError(messages.VIDEO_FORMAT(width=width, height=height, fps=fps))
        if audio is not None:
            check_soundtrack(audio, ffmpeg)
        self.path = path
        self._shape = (height, width, 3)
        self._fps = float(fps)
        self._ffmpeg = ffmpeg
        self._audio = audio
        self._audio_starts_s = audio_starts_s
        self._subtitles = subtitles
        self._written = 0
        self._ended = False
        self._hung_s = 0.0
        self._aborted = False
        self._part = part_path(path)
        self._scratch = ScratchFolder(VIDEO)
        with disk_errors(path.name):
            comment = self._scratch.path / "comment.txt"
            comment.write_text(ffmetadata(settings_json), encoding="utf-8")
            self._stderr: IO[bytes] = (self._scratch.path / "stderr.txt").open("w+b")
        self._process = self._start_ffmpeg(comment, crf, preset)
        # Monotonic time at which ffmpeg counts as hung, and the timeout in seconds; None = no call is pending.
        self._due: tuple[float, float] | None = None
        self._over = threading.Event()
        try:
            threading.Thread(target=self._watch, name="deforum-ffmpeg-watchdog", daemon=True).start()
        except BaseException:
            self.abort()
            raise

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._ended:
            self.finish()
        self.abort()

    def write(self, rgb_u8: NDArray[np.uint8]) -> None:
        """Add one frame.

        Args:
            rgb_u8: (height, width, 3) RGB uint8; not kept after the call.

        Raises:
            VideoError: ffmpeg ended or hung; the message contains its last lines of output.
            DiskFull: the disk has no space left.
            ValueError: the shape or dtype is another one.
        """
        if rgb_u8.shape != self._shape or rgb_u8.dtype != np.uint8:
            raise ValueError(f"Expected a uint8 frame {self._shape}; found {rgb_u8.dtype} {rgb_u8.shape}.")
        if self._ended:
            raise VideoError(messages.VIDEO_ENDED(work=_WORK, frames=self._written))
        frame = _pad_to_even(rgb_u8)
        assert self._process.stdin is not None
        try:
            with self._time_limit(WRITE_TIMEOUT_S):
                self._process.stdin.write(frame.data)
        except (OSError, ValueError) as error:
            raise self._failed() from error
        self._written += 1

    def finish(self) -> int:
        """Complete the video and return its number of frames, counted in the file.

        Raises:
            VideoError: ffmpeg failed or hung, no frame was written, or the file has another number of frames.
            DiskFull: the disk has no space left.
        """
        if self._ended:
            raise VideoError(messages.VIDEO_ENDED(work=_WORK, frames=self._written))
        try:
            if not self._written:
                raise VideoError(messages.VIDEO_WITHOUT_FRAMES(work=_WORK))
            self._close_input()
            length_s, starts_s = self._written / self._fps, self._audio_starts_s
            tracks = (self._audio, self._subtitles)
            add_tracks(self._part, length_s, *tracks, self._ffmpeg, audio_starts_s=starts_s)
            count = count_own_frames(self._part, self._ffmpeg)
            if count != self._written:
                message = messages.VIDEO_FRAMES_LOST(work=_WORK, written=self._written, counted=count)
                raise VideoError(message)
            settle(self._part, self.path)
        finally:
            self.abort()
        return count

    def abort(self) -> None:
        """Kill ffmpeg and remove temporary files; has no effect after `finish`. Callable from any thread."""
        if self._ended:
            return
        self._ended = self._aborted = True
        self._over.set()
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.close()
        self._stderr.close()
        self._scratch.remove()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _start_ffmpeg(self, comment: Path, crf: int, preset: str) -> subprocess.Popen[bytes]:
        height, width = _even(self._shape[0]), _even(self._shape[1])
        raw = [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{width}x{height}",
            "-framerate",
            repr(self._fps),
        ]
        faststart = [] if self._audio or self._subtitles else ["-movflags", "+faststart"]
        arguments = [
            *(option for option in QUIET if option != "-nostdin"),
            *own_input(comment, "ffmetadata"),
            *("-protocol_whitelist", "pipe", *raw, "-i", "pipe:0"),
            *("-map", "1:v:0", "-map_metadata", "0", "-vf", TO_BT709),
            *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(crf), "-preset", preset, *BT709_TAGS),
            *(*faststart, "-f", "mp4", f"file:{self._part.resolve()}"),
        ]
        try:
            return start(
                self._ffmpeg, arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._stderr
            )
        except RenderError:
            self._stderr.close()
            self._scratch.remove()
            raise

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._time_limit(FINISH_TIMEOUT_S):
                self._process.stdin.close()
                self._process.wait()
        except OSError as error:
            raise self._failed() from error
        if self._process.returncode:
            raise self._failed()

    @contextmanager
    def _time_limit(self, seconds: float) -> Iterator[None]:
        """Let the watchdog kill ffmpeg if the context lasts longer than `seconds`."""
        self._due = time.monotonic() + seconds, seconds
        try:
            yield
        finally:
            self._due = None

    def _watch(self) -> None:
        """Kill ffmpeg when it hangs; on every system this is the only way to end a blocked write."""
        while not self._over.wait(WATCH_EVERY_S):
            due = self._due
            if due is not None and time.monotonic() > due[0]:
                self._hung_s = due[1]
                self._process.kill()
                return

    def _failed(self) -> RenderError:
        if self._hung_s:
            return VideoError(messages.VIDEO_HUNG(work=_WORK, seconds=self._hung_s))
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        if self._aborted:  # another thread killed ffmpeg
            return VideoError(messages.VIDEO_ABORTED(work=_WORK))
        self._stderr.seek(0)
        return ffmpeg_error(_WORK, self._process.returncode or 0, self._stderr.read())


def write_gif(video: Path, path: Path, fps: float, ffmpeg: str) -> None:
    """Convert an mp4 video to an animated GIF with an optimized palette.

    Args:
        video: finished mp4 file.
        path: the GIF.
        fps: frames per second; the resolution of GIF timing is 1/100 s.
        ffmpeg: path of the program.

    Raises:
        VideoError, DiskFull: ffmpeg failed.
    """
    palette = f"[0:v]fps={float(fps)!r},split[a][b];[a]palettegen[p];[b][p]paletteuse"
    with appearing(path) as part:
        arguments = [
            *own_input(video, "mov"),
            "-filter_complex",
            palette,
            "-f",
            "gif",
            f"file:{part.resolve()}",
        ]
        run_ffmpeg(ffmpeg, arguments, "Making the GIF", FINISH_TIMEOUT_S)


def _even(size: int) -> int:
    return size + size % 2


def _pad_to_even(rgb_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    bottom, right = rgb_u8.shape[0] % 2, rgb_u8.shape[1] % 2
    if bottom or right:
        return np.asarray(
            cv2.copyMakeBorder(rgb_u8, 0, bottom, 0, right, cv2.BORDER_REPLICATE), dtype=np.uint8
        )
    return np.ascontiguousarray(rgb_u8)


class PartialVideo:
    """The video of the frames so far: the mp4 file `path`, replaced atomically each time frames are added.

    Each frame is encoded once: the segments lie in a temporary folder and are concatenated without encoding.

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
                raise VideoError(messages.VIDEO_ABORTED(work=_PREVIEW_WORK))
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
            run_ffmpeg(self._ffmpeg, _concat_arguments(listed, joined), _PREVIEW_WORK, FINISH_TIMEOUT_S)
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
                message = messages.VIDEO_FRAMES_LOST(work=_PREVIEW_WORK, written=self.frames, counted=count)
                raise VideoError(message)


def _concat_arguments(listed: Path, joined: Path) -> Sequence[str]:
    """Return ffmpeg's arguments that concatenate the listed files into one video."""
    source = ["-protocol_whitelist", "file", "-f", "concat", "-i", f"file:{listed}"]
    return [
        *source,
        *("-map", "0:v:0", "-c", "copy", "-movflags", "+faststart", "-f", "mp4"),
        f"file:{joined.resolve()}",
    ]
