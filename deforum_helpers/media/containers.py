"""Media files opened and decoded by PyAV: which containers are opened, the streams inside one, their frames.

PyAV reads all videos; the program ffmpeg encodes them and reads the sound that it adds. Both open the same
containers.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from deforum_helpers.core.errors import RenderError, VideoError, exhausted_resource, no_resources
from deforum_helpers.core.files.regular import open_regular
from deforum_helpers.core.optional import require
from deforum_helpers.image.files import LARGEST_PIXELS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

OPEN_TIMEOUT_S = 60.0
INSTALL_LINE = "pip install av"

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

Check: TypeAlias = "Callable[[], None]"

_BUFFER_BYTES = 256 * 1024
# Each thread holds a frame more, and a check of settings has 1 GiB of memory for all of them.
_DECODER_THREADS = min(os.cpu_count() or 1, 4)
# Recordings and discs join pieces whose clocks begin anew, in containers that say so: a pause longer than this, or a
# step back.
_LONGEST_PAUSE_S = 10.0
_LONGEST_STEP_BACK_S = 0.1
# Of libav: a picture attached to a sound file, and a container whose clocks may begin anew.
_COVER = 0x400
_CLOCK_RESTARTS = 0x200


class UnknownContainer(VideoError):
    """A file that is no video or sound, or whose container is not in `CONTAINERS`."""


def user_file(path: Path) -> list[str]:
    """Return the arguments that make ffmpeg read the local file `path`, which a user has named.

    ffmpeg tells the container by its content and gives up before it opens one that is not in `CONTAINERS`; neither the
    file's name nor its content makes it open a second file or an address. Pictures that are too large are not decoded.
    """
    guard = ["-max_pixels", str(LARGEST_PIXELS), "-protocol_whitelist", "file"]
    return [*guard, "-format_whitelist", ",".join(CONTAINERS), "-i", f"file:{path.resolve()}"]


def reader() -> Any:
    """Return PyAV, the package that reads videos.

    Raises:
        MissingFeature: it is not installed.
    """
    return require("av", "Reading videos", INSTALL_LINE)


def time_limit(seconds: float, what: str) -> Check:
    """Return a check that fails `seconds` from now.

    Args:
        seconds: what the work may take.
        what: the work, as the subject of a sentence: "Decoding the video".
    """
    ends = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > ends:
            raise VideoError(f"{what} failed: it did not end within {seconds:g} seconds.")

    return check


@contextmanager
def opened(path: Path, check: Check | None = None) -> Iterator[InputContainer]:
    """Open the media file `path`, which a user may have named.

    The container is told by the content, its name deciding where that is unclear, and opened only if it is one of
    `CONTAINERS`. libav gets an open file and may open nothing itself: no second file, no address.

    Args:
        path: local file.
        check: called at each read; what it raises ends the reading. By default opening is limited in time.

    Raises:
        UnusableFile: no ordinary file is there.
        UnknownContainer: it is no video or sound, or a playlist.
        VideoError: its container is known but damaged, or cannot be read to the end.
        NoResources: the system has no memory or thread left.
        MissingFeature: PyAV is not installed.
    """
    av = reader()
    what = f"Looking into {path.name!r}"
    with open_regular(path) as file:
        source = _Source(file, path.name, check or time_limit(OPEN_TIMEOUT_S, what))
        try:
            container = av.open(source, "r", **_guarded(CONTAINERS))
        except av.error.FFmpegError as error:
            file.seek(0)
            damaged = error.errno != errno.EINVAL and _is_media(av, file)
            raise _failed(what, error, VideoError if damaged else UnknownContainer) from error
        with container:
            yield container


def picture_of(container: InputContainer) -> VideoStream | None:
    """Return the stream of moving pictures; a cover or thumbnail is none."""
    moving = [stream for stream in container.streams.video if not _number(stream.disposition) & _COVER]
    # An animated AVIF shows one picture on a clock of its own, one tick a second, before its moving ones.
    moving.sort(key=lambda stream: stream.time_base == 1)
    return moving[0] if moving else None


def has_sound(path: Path) -> bool:
    """Return whether the local file `path` has sound; nothing is decoded. Raises as `opened`."""
    with opened(path) as container:
        return bool(container.streams.audio)


def count_frames(video: Path) -> int:
    """Return the number of frames in the file `video`, by reading all of it; nothing is decoded.

    Raises:
        VideoError: it cannot be read.
    """
    with opened(video) as container:
        stream = picture_of(container)
        return sum(bool(packet.size) for packet in _packets(container, [stream])) if stream else 0


def decoded(
    container: InputContainer, stream: VideoStream, check: Check, *, with_sound: bool = False
) -> Iterator[tuple[float, float, VideoFrame | None]]:
    """Yield when each frame is shown, when it ends, and the frame, in the order they are shown.

    Times are seconds from the beginning of the file. What is damaged is left out.

    Args:
        container: from `opened`.
        stream: from `picture_of`.
        check: called all the while; what it raises ends the decoding.
        with_sound: whether times of the sound are told too, with None in the place of a frame.

    Raises:
        VideoError: more than two thirds cannot be decoded.
        NoResources: the system has no memory or thread left.
    """
    av = reader()
    if stream.codec_context is None:
        raise VideoError("Its codec is not supported.")
    stream.codec_context.options = {"max_pixels": str(LARGEST_PIXELS)}
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _DECODER_THREADS
    streams = [stream, *(container.streams.audio if with_sound else ())]
    rate = stream.guessed_rate or stream.average_rate
    began_s, length_s = (container.start_time or 0) / 1_000_000, float(1 / rate) if rate else 0.0
    clocks = {one.index: _Clock(one.time_base, began_s, length_s) for one in streams}
    joints = _Joints() if _number(container.format.flags) & _CLOCK_RESTARTS else None
    good = failed = 0
    for packet in _packets(container, streams):
        check()
        if joints is not None:
            joints.close(packet)
        clock = clocks[packet.stream.index]
        if packet.stream is not stream:
            if packet.size:
                yield *clock.span(packet.pts, packet.duration), None
            continue
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            if exhausted_resource(error):
                raise _failed("Decoding the video", error) from error
            failed += 1
            continue
        for frame in frames:
            good += 1
            yield *clock.span(frame.pts, frame.duration), frame
    if failed > 2 * good:
        raise VideoError("Most of it cannot be decoded.")


class _Source:
    """An open file as libav reads it: its name is a hint at the container, no path."""

    def __init__(self, file: BinaryIO, name: str, check: Check) -> None:
        self.name = name
        self.seek, self.tell = file.seek, file.tell
        self._file, self._check = file, check

    def read(self, count: int) -> bytes:
        self._check()
        return self._file.read(count)


class _Joints:
    """Where the clocks of a container begin anew: what comes after is moved behind what was before."""

    def __init__(self) -> None:
        self._moved_s = 0.0
        self._last_s: dict[int, tuple[float, float]] = {}

    def close(self, packet: Packet[Any]) -> None:
        """Move the times of a packet; packets come in the order of the file."""
        if packet.dts is None:
            return
        tick = float(packet.time_base)
        begin_s = packet.dts * tick + self._moved_s
        last_begin_s, last_end_s = self._last_s.get(packet.stream.index, (begin_s, begin_s))
        if not -_LONGEST_STEP_BACK_S <= begin_s - last_begin_s <= _LONGEST_PAUSE_S:
            self._moved_s += last_end_s - begin_s
            begin_s = last_end_s
        self._last_s[packet.stream.index] = begin_s, begin_s + (packet.duration or 0) * tick
        ticks = round(self._moved_s / tick)
        packet.dts += ticks
        if packet.pts is not None:
            packet.pts += ticks


class _Clock:
    """The time of one stream in seconds since the file began.

    Args:
        tick: seconds of one unit.
        began_s: the file's beginning on this clock.
        length_s: seconds of a frame that does not say how long it is, 0 = not known.
    """

    def __init__(self, tick: Fraction | None, began_s: float, length_s: float) -> None:
        self._tick = tick or Fraction(1)
        self._began_s, self._length_s, self._end_s = began_s, length_s, 0.0

    def span(self, pts: int | None, duration: int | None) -> tuple[float, float]:
        """Return when something begins and ends; without a time of its own it follows the one before."""
        begin_s = self._end_s if pts is None else float(pts * self._tick) - self._began_s
        length_s = float(duration * self._tick) if duration else 0.0
        self._end_s = begin_s + (length_s or self._length_s)
        return begin_s, begin_s + length_s


def _number(flags: Any) -> int:
    """Return flags of libav as a number; some versions of PyAV give them as members of an enumeration."""
    return int(getattr(flags, "value", flags))


def _guarded(containers: Sequence[str]) -> dict[str, Any]:
    options = {
        "format_whitelist": ",".join(containers),
        "protocol_whitelist": "none",
        "max_pixels": str(LARGEST_PIXELS),
    }
    # Given to the streams as well, options crash PyAV before 18 where a container tells its streams late, as MPEG's do.
    reaches = "options" if int(reader().__version__.partition(".")[0]) >= 18 else "container_options"
    return {reaches: options, "metadata_errors": "replace", "buffer_size": _BUFFER_BYTES}


def _is_media(av: Any, file: BinaryIO) -> bool:
    """Tell whether libav knows the container by its content alone: with none allowed the refusal is another one."""
    try:
        av.open(_Source(file, "", time_limit(OPEN_TIMEOUT_S, "Looking")), "r", **_guarded(["none"])).close()
    except av.error.FFmpegError as error:
        return bool(error.errno == errno.EINVAL)
    except VideoError:
        pass
    return False


def _packets(container: InputContainer, streams: Sequence[Any]) -> Iterator[Packet[Any]]:
    """Yield the packets of streams up to the end or where the file is damaged; the last, empty ones flush decoders."""
    av = reader()
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        if exhausted_resource(error):
            raise _failed("Reading the video", error) from error
        for stream in streams:
            packet = av.Packet()
            packet.stream = stream
            yield packet


def _failed(what: str, error: Exception, kind: type[VideoError] = VideoError) -> RenderError:
    if lack := exhausted_resource(error):
        return no_resources(f"{what} failed", lack)
    return kind(f"{what} failed: {getattr(error, 'strerror', None) or error}.")
