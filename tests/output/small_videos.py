"""Small videos and false ffmpegs for the tests of this folder."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.media.ffmpeg import find_ffmpeg

FFMPEG = find_ffmpeg(None)


def chart(width: int, height: int, frame: int = 0) -> NDArray[np.uint8]:
    """An image whose left half is red, right half blue, with a brightness that tells the frame."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200 - frame
    image[:, width // 2 :, 2] = 200 - frame
    return image


def decoded(video: Path, width: int, height: int) -> NDArray[np.uint8]:
    """All frames of `video`, as a player that honours its colour tags shows them."""
    scale = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int"
    raw = subprocess.run(
        [FFMPEG, "-loglevel", "error", "-i", video, "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        check=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def streams(video: Path) -> str:
    """What ffmpeg says about the streams and chapters of `video`."""
    said = subprocess.run(
        [FFMPEG, "-hide_banner", "-i", video], capture_output=True, stdin=subprocess.DEVNULL
    )
    return said.stderr.decode("utf-8", "replace")


def false_ffmpeg(folder: Path, body: str) -> str:
    """A program that stands in for ffmpeg: a Python script with `body`."""
    script = folder / "ffmpeg"
    script.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def nvenc_ffmpeg(folder: Path) -> str:
    """A program that stands in for an ffmpeg whose NVENC works: x264 encodes in its place.

    The file "calls" in `folder` gets a line with the arguments of each call that asks for NVENC.
    """
    return false_ffmpeg(
        folder,
        f"""
given = sys.argv[1:]
if "h264_nvenc" in given:
    with open({str(folder / "calls")!r}, "a") as calls:
        calls.write(" ".join(given) + "\\n")
    begin, end = given.index("-c:v"), given.index("-colorspace")
    given[begin:end] = ["-c:v", "libx264", "-crf", "20", "-preset", "ultrafast"]
os.execv({FFMPEG!r}, ["ffmpeg", *given])""",
    )


def sound(path: Path, seconds: float, *codec: str) -> Path:
    """A sine tone."""
    tone = f"sine=frequency=440:duration={seconds}"
    subprocess.run(
        [FFMPEG, "-loglevel", "error", "-y", "-f", "lavfi", "-i", tone, *codec, path],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path
