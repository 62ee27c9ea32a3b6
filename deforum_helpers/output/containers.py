"""Media files that users name: the containers that ffmpeg may open, and the streams inside one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deforum_helpers.errors import VideoError
from deforum_helpers.image.files import LARGEST_PIXELS
from deforum_helpers.output.ffmpeg import failure, finished

PROBE_TIMEOUT_S = 60.0

# Names of ffmpeg's demuxers, every one of which finds all it shows inside the one file. What reads other files
# (hls, dash, imf, concat, image2, vobsub, mlv), runs scripts (avisynth, vapoursynth), listens or records (rtp, sdp,
# devices), or takes any text for pictures or sound (tty, bintext, sbg) is missing here and stays out.
_VIDEO = (
    *("mov", "matroska", "avi", "mpeg", "mpegts", "asf", "asf_o", "ogg", "flv", "mxf", "gxf", "nut", "nsv"),
    *("rm", "ivr", "dv", "wtv", "ivf", "swf", "dhav", "pva", "pmp", "cine", "bink", "smk", "roq", "flic"),
    *("h261", "h263", "h264", "hevc", "vvc", "evc", "av1", "obu", "m4v", "mpegvideo", "vc1", "vc1test"),
    *("mjpeg", "mjpeg_2000", "dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "yuv4mpegpipe"),
    *("gif", "apng", "webp_anim", "jpegxl_anim"),
)
_SOUND = (
    *(
        "mp3",
        "aac",
        "loas",
        "ac3",
        "eac3",
        "ac4",
        "dts",
        "dtshd",
        "truehd",
        "mlp",
        "spdif",
        "flac",
        "wav",
        "w64",
    ),
    *(
        "aiff",
        "caf",
        "au",
        "amr",
        "ape",
        "wv",
        "tta",
        "tak",
        "mpc",
        "mpc8",
        "shn",
        "voc",
        "xwma",
        "oma",
        "qcp",
    ),
    *("ircam", "nistsphere", "sox", "iff", "dsf", "ast", "bonk", "osq", "rka", "qoa", "wavarc", "wsd", "wve"),
)
CONTAINERS = (*_VIDEO, *_SOUND)
_COVER = "(attached pic)"
_STREAM = "Stream #0:"


@dataclass(frozen=True)
class Streams:
    """What a media file holds.

    Args:
        picture: number of the stream of moving pictures, None = there is none; a cover or thumbnail is none.
        has_sound: whether there is sound.
    """

    picture: int | None
    has_sound: bool


class UnknownContainer(VideoError):
    """A file that is no video or sound, or whose container is not in `CONTAINERS`."""


def user_file(path: Path) -> list[str]:
    """Return the arguments that make ffmpeg read the local file `path`, which a user has named.

    ffmpeg tells the container by its content and gives up before it opens one that is not in `CONTAINERS`; neither the
    file's name nor its content makes it open a second file or an address. Pictures that are too large are not decoded.
    """
    guard = ["-max_pixels", str(LARGEST_PIXELS), "-protocol_whitelist", "file"]
    return [*guard, "-format_whitelist", ",".join(CONTAINERS), "-i", f"file:{path.resolve()}"]


def streams_of(path: Path, ffmpeg: str) -> Streams:
    """Return what the local file `path` holds, told by its head; nothing is decoded.

    Raises:
        UnknownContainer: it is no video or sound, or a playlist.
        VideoError: its container is known but damaged.
        RenderError: ffmpeg failed for another reason; MissingFeature: it cannot be started.
    """
    what = f"Looking into {path.name!r}"
    loud = ["-hide_banner", "-nostdin", "-loglevel", "info"]
    done = finished(ffmpeg, [*loud, *user_file(path)], what, PROBE_TIMEOUT_S)
    said = done.stderr.decode("utf-8", "replace").splitlines()
    if not any(line.startswith("Input #0, ") for line in said):
        error = failure(what, done.returncode or 1, done.stderr)
        if isinstance(error, VideoError):
            raise VideoError("it is damaged or incomplete") if _complains(said) else UnknownContainer(what)
        raise error
    streams = [line.strip() for line in said if line.lstrip().startswith(_STREAM) and line.startswith("  ")]
    moving = [line for line in streams if ": Video: " in line and _COVER not in line]
    # An animated AVIF shows one picture on a clock of its own, one tick a second, before its moving ones.
    moving.sort(key=lambda line: ": Video: av1" in line and ", 1 tbn" in line)
    number = re.match(r"\d+", moving[0][len(_STREAM) :]) if moving else None
    return Streams(int(number[0]) if number else None, any(": Audio: " in line for line in streams))


def _complains(said: list[str]) -> bool:
    """Tell whether a container that was recognised is wrong inside; others are refused, or guessed by their name."""
    if any(words in line for line in said for words in ("not on whitelist", "misdetection possible")):
        return False
    return any(line.startswith("[") and " @ " in line and "] Error opening" not in line for line in said)
