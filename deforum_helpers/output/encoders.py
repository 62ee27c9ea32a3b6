"""The encoders of H.264 videos: x264 on the processor, NVENC on an NVIDIA GPU, and whether NVENC works here."""

from __future__ import annotations

from collections.abc import Mapping

from deforum_helpers.core.errors import DeforumError
from deforum_helpers.media.ffmpeg import QUIET, run_to_end
from deforum_helpers.settings.host_options import VIDEO_ENCODERS, X264_PRESETS

X264, NVENC = VIDEO_ENCODERS
# A driver that does not answer must not hold up the job.
TRIAL_TIMEOUT_S = 20.0
TRIAL_FRAMES = 5

# NVENC's presets p1 (fast) to p7 (slow) in the place of x264's.
_NVENC_PRESETS: Mapping[str, str] = dict(
    zip(X264_PRESETS, ("p7", "p7", "p6", "p5", "p4", "p3", "p2", "p1", "p1"), strict=True)
)

# Players guess the color space of untagged videos by their size, which shifts colors.
BT709_TAGS = (
    *("-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
TO_BT709 = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"


def encoder_arguments(encoder: str, crf: int, preset: str) -> tuple[str, ...]:
    """Return ffmpeg's arguments that encode RGB frames.

    Args:
        encoder: one of `VIDEO_ENCODERS`.
        crf: quality, 0 (lossless) to 51; NVENC takes the same number as its constant quality.
        preset: one of `X264_PRESETS`.
    """
    color = ("-vf", TO_BT709, "-pix_fmt", "yuv420p")
    if encoder == X264:
        return (*color, "-c:v", "libx264", "-crf", str(crf), "-preset", preset, *BT709_TAGS)
    # A bit rate of 0 leaves the size to the quality.
    quality = ("-tune", "hq", "-rc", "vbr", "-cq", str(crf), "-b:v", "0") if crf else ("-tune", "lossless")
    return (*color, "-c:v", "h264_nvenc", "-preset", _NVENC_PRESETS[preset], *quality, *BT709_TAGS)


def nvenc_fault(ffmpeg: str, width: int, height: int, crf: int, preset: str) -> str | None:
    """Return why NVENC cannot encode such a video here, None if it can; a few frames are really encoded.

    A GPU encodes only a few videos at a time, of limited sizes, so each video is tried.

    Args:
        ffmpeg: path of the program.
        width, height: of its frames in pixels, even.
        crf, preset: see `encoder_arguments`.
    """
    gray = f"color=gray:size={width}x{height}:rate={TRIAL_FRAMES}:duration=1"
    arguments = ["-f", "lavfi", "-i", gray, *encoder_arguments(NVENC, crf, preset), "-f", "null", "-"]
    try:
        done = run_to_end(ffmpeg, [*QUIET, *arguments], "Trying NVENC", TRIAL_TIMEOUT_S)
    except DeforumError as error:
        return str(error)
    if not done.returncode:
        return None
    # The first line names the cause, such as a missing driver; those after it follow from it.
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
    part, _, cause = lines[0].partition("] ")
    return (cause if part.startswith("[") and cause else lines[0])[:300]
