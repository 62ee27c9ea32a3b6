"""60 frames of 512x512 through the pipe into a video, compared with ffmpeg alone encoding a raw file.

The limit refers to ffmpeg with the colours of the project's videos: BT.709 gives green more weight than ffmpeg's
default, so that an eighth more of the frames' noise reaches the luma plane, and x264 takes longer.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Row, best_of
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.encoders import BT709_TAGS, TO_BT709, X264
from deforum_helpers.output.video import VideoWriter

NAME = "video"
BAR = "60 frames 512x512, crf 17, preset slow: within 10 % of ffmpeg alone"

FRAMES = 60
SIZE_PX = 512
FPS = 15
REPEATS = 3


def run() -> list[Row]:
    ffmpeg, frames = find_ffmpeg(None), moving_frames()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "frames.rgb")
        raw.write_bytes(b"".join(frame.tobytes() for frame in frames))
        alone = best_of(lambda: _ffmpeg_alone(ffmpeg, raw, "-vf", TO_BT709, *BT709_TAGS), REPEATS)
        plain = best_of(lambda: _ffmpeg_alone(ffmpeg, raw), REPEATS)
        ours = best_of(lambda: through_the_pipe(ffmpeg, Path(folder, "film.mp4"), frames), REPEATS)
    return [
        Row("ffmpeg alone, in its default colours, per frame", plain / FRAMES),
        Row("ffmpeg alone, per frame", alone / FRAMES),
        Row("through the pipe, counted, per frame", ours / FRAMES, 1.1 * alone / FRAMES),
    ]


def moving_frames() -> list[NDArray[np.uint8]]:
    """Return frames that pan over soft clouds with a little noise, like a rendered video."""
    rng = np.random.default_rng(1)
    clouds = cv2.GaussianBlur(rng.normal(size=(SIZE_PX + FRAMES, SIZE_PX + FRAMES, 3)), (0, 0), 6)
    clouds = 128 + 100 * clouds / np.abs(clouds).max()
    return [
        np.clip(
            clouds[k : k + SIZE_PX, k : k + SIZE_PX] + rng.normal(0, 3, (SIZE_PX, SIZE_PX, 3)), 0, 255
        ).astype(np.uint8)
        for k in range(FRAMES)
    ]


def through_the_pipe(
    ffmpeg: str, path: Path, frames: list[NDArray[np.uint8]], encoder: str = X264
) -> tuple[str, ...]:
    """Encode frames as jobs do; return the warnings about the encoder."""
    with VideoWriter(path, width=SIZE_PX, height=SIZE_PX, fps=FPS, ffmpeg=ffmpeg, encoder=encoder) as writer:
        for frame in frames:
            writer.write(frame)
        writer.finish()
    return writer.warnings


def _ffmpeg_alone(ffmpeg: str, raw: Path, *colours: str) -> None:
    source = f"-f rawvideo -pix_fmt rgb24 -s {SIZE_PX}x{SIZE_PX} -framerate {FPS} -i".split()
    encoder = [*colours, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "17", "-preset", "slow"]
    video = str(raw.with_suffix(".mp4"))
    subprocess.run(
        [ffmpeg, "-loglevel", "error", "-nostdin", "-y", *source, raw, *encoder, video], check=True
    )
