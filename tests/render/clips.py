"""Small videos for the tests of videos that are made of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from deforum_helpers.media.ffmpeg import find_ffmpeg

FFMPEG = find_ffmpeg(None)


def clip(path: Path, images: np.ndarray, *, fps: int = 10, sound: bool = False) -> Path:
    """Write (N, H, W, 3) uint8 RGB images as a video of hardly any loss, with or without a tone."""
    count, height, width = images.shape[:3]
    raw = path.with_suffix(".raw")
    raw.write_bytes(np.ascontiguousarray(images).tobytes())
    shape = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps)]
    tone = ["-f", "lavfi", "-i", f"sine=d={count / fps}", "-shortest"] if sound else []
    to_444 = ["-crf", "1", "-pix_fmt", "yuv444p"]
    command = [FFMPEG, "-loglevel", "error", "-y", *shape, "-i", str(raw), *tone, *to_444, str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    raw.unlink()
    return path


def levels(count: int, *, height: int = 64, width: int = 64) -> np.ndarray:
    """Images whose number k has the level 10 + 20 k everywhere."""
    steps = (10 + 20 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(steps[:, None, None, None], (count, height, width, 3))


def said(image: np.ndarray) -> float:
    """The number that an image of `levels` says."""
    return (float(image.mean()) - 10) / 20
