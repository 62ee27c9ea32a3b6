"""Opening and decoding media files with PyAV: the allowed containers, their streams, frames and upright images.

PyAV reads all videos; the program ffmpeg encodes them and reads the sound that it adds. Both accept the same
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

import numpy as np
from numpy.typing import NDArray

from deforum_helpers.core.errors import RenderError, VideoError, exhausted_resource, no_resources
from deforum_helpers.core.files.regular import open_regular
from deforum_helpers.core.optional import require
from deforum_helpers.image.files import LARGEST_PIXELS
from deforum_helpers.media import messages

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

OPEN_TIMEOUT_S = 60.0
INSTALL_LINE = "pip install av"

# Names of ffmpeg demuxers that read a single file only. For security this list excludes demuxers that open other files
# (hls, dash, imf, concat, image2, vobsub, mlv), run scripts (avisynth, vapoursynth), listen or record (rtp, sdp,
# devices), or render arbitrary text as images or sound (tty, bintext, sbg).
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
# Each thread holds one more frame in memory, and a check of settings is limited to 1 GiB.
_DECODER_THREADS = min(os.cpu_count() or 1, 4)
# Recordings and discs join pieces whose timestamps restart, in containers with a flag for that. A restart is a gap
# longer than this, or a step back.
_LONGEST_PAUSE_S = 10.0
_LONGEST_STEP_BACK_S = 0.1
_LONGEST_LATE_S = 3600.0  # a sound that begins later than this after its video has a damaged timestamp
# Flags of libav: an image attached to a sound file, and a container whose timestamps may restart.
_COVER = 0x400
_CLOCK_RESTARTS = 0x200

# libav's numbers of YCbCr matrices and level ranges -> the names that its scaler uses.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}

_RANGES = {1: "limited", 2: "full"}


class UnknownContainer(VideoError):
    """A file that is neither video nor sound, or whose container is not in `CONTAINERS`."""


def user_input(path: Path) -> list[str]:
    """Return ffmpeg's input arguments for a local file that a user named.

    ffmpeg detects the container by its content and refuses those not in `CONTAINERS`. Neither the name nor the content
    can make it open a second file or an address. Images that are too large are not decoded.
    """
    guard = ["-max_pixels", str(LARGEST_PIXELS), "-protocol_whitelist", "file"]
    return [*guard, "-format_whitelist", ",".join(CONTAINERS), "-i", f"file:{path.resolve()}"]


def pyav() -> Any:
    """Return the PyAV module.

    Raises:
        MissingFeature: PyAV is not installed.
    """
    return require("av", "Reading videos", INSTALL_LINE)


def time_limit(seconds: float, work: str) -> Check:
    """Return a function that raises `VideoError` once `seconds` have passed.

    Args:
        seconds: time limit.
        work: the work, as the subject of the message: "Decoding the video".
    """
    ends = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > ends:
            raise VideoError(messages.READING_TOO_SLOW(work=work, seconds=seconds))

    return check


@contextmanager
def open_media(path: Path, check: Check | None = None) -> Iterator[InputContainer]:
    """Open a media file, which a user may have named.

    The container is detected by content, in unclear cases by file name, and opened only if it is in `CONTAINERS`. libav
    receives an open file and cannot open anything itself: no second file, no address.

    Args:
        path: local file.
        check: called at each read, to raise an error that ends reading. By default opening has a time limit.

    Raises:
        UnusableFile: `path` is not a regular file.
        UnknownContainer: the file is neither video nor sound, or a playlist.
        VideoError: the container is known but damaged or truncated.
        NoResources: the system has no memory or threads left.
        MissingFeature: PyAV is not installed.
    """
    av = pyav()
    work = f"Opening {path.name!r}"
    with open_regular(path) as file:
        source = _Source(file, path.name, check or time_limit(OPEN_TIMEOUT_S, work))
        try:
            container = av.open(source, "r", **_open_options(CONTAINERS))
        except av.error.FFmpegError as error:
            file.seek(0)
            damaged = error.errno != errno.EINVAL and _is_media(av, file)
            raise _failed(work, error, VideoError if damaged else UnknownContainer) from error
        with container:
            yield container


def video_stream(container: InputContainer) -> VideoStream | None:
    """Return the video stream, or None if the file has only sound; covers and thumbnails are ignored."""
    moving = [stream for stream in container.streams.video if not _number(stream.disposition) & _COVER]
    # An animated AVIF has a still image, with one tick per second, before its animation.
    moving.sort(key=lambda stream: stream.time_base == 1)
    return moving[0] if moving else None


def has_sound(path: Path) -> bool:
    """Return whether a local file has sound, without decoding it. Raises as `open_media`."""
    with open_media(path) as container:
        return bool(container.streams.audio)


def count_frames(video: Path) -> int:
    """Return the number of frames in a video, by reading all packets without decoding them.

    Raises:
        VideoError: the file cannot be read.
    """
    with open_media(video) as container:
        stream = video_stream(container)
        return sum(bool(packet.size) for packet in _packets(container, [stream])) if stream else 0


def decode_frames(
    container: InputContainer, stream: VideoStream, check: Check, *, with_sound: bool = False
) -> Iterator[tuple[float, float, VideoFrame | None]]:
    """Yield (start, end, frame) in the order of display; damaged frames are skipped.

    Times are in seconds from the beginning of the file.

    Args:
        container: from `open_media`.
        stream: from `video_stream`.
        check: called at each packet, to raise an error that ends decoding.
        with_sound: whether packets of sound are yielded too, with None as their frame.

    Raises:
        VideoError: more than two thirds of the packets cannot be decoded.
        NoResources: the system has no memory or threads left.
    """
    av = pyav()
    if stream.codec_context is None:
        raise VideoError(messages.CODEC_UNSUPPORTED())
    stream.codec_context.options = {"max_pixels": str(LARGEST_PIXELS)}
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = _DECODER_THREADS
    streams = [stream, *(container.streams.audio if with_sound else ())]
    rate = stream.guessed_rate or stream.average_rate
    began_s, length_s = (container.start_time or 0) / 1_000_000, float(1 / rate) if rate else 0.0
    clocks = {one.index: _Clock(one.time_base, began_s, length_s) for one in streams}
    joiner = _TimestampJoiner() if _number(container.format.flags) & _CLOCK_RESTARTS else None
    good = failed = 0
    for packet in _packets(container, streams):
        check()
        if joiner is not None:
            joiner.shift(packet)
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
        raise VideoError(messages.MOSTLY_DAMAGED())


def shown_size(frame: VideoFrame) -> tuple[int, int]:
    """Return the width and height of a frame in pixels after rotation."""
    size = frame.width, frame.height
    return size[::-1] if _orientation(frame)[0] else size


class UprightConverter:
    """Converts the frames of one video to upright RGB images, all of the first frame's size."""

    def __init__(self) -> None:
        self._size_px: tuple[int, int] | None = None
        self._kind: tuple[Any, ...] = ()
        self._graph: Any = None

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return the image of a frame, (height, width, 3) RGB uint8."""
        if self._size_px is None:
            self._size_px = shown_size(frame)
        turned, mirrored, upside_down = _orientation(frame)
        size_px = self._size_px[::-1] if turned else self._size_px
        kind = size_px, frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        if kind != self._kind:
            self._kind, self._graph = kind, _scaler(frame, size_px)
        frame.pts = None
        self._graph.push(frame)
        image = self._graph.pull().to_ndarray()
        if turned:
            image = image.transpose(1, 0, 2)
        return image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def decode_sound(container: InputContainer, rate_hz: int, check: Check) -> Iterator[NDArray[np.float32]]:
    """Yield the first sound stream as blocks of mono samples, float32, from the beginning of the file on.

    A stream that begins late is preceded by silence. Damaged packets are skipped.

    Args:
        container: from `open_media`.
        rate_hz: sampling rate of the result.
        check: called at each packet, to raise an error that ends decoding.

    Raises:
        VideoError: the file has no sound, its codec is not supported, or more than two thirds cannot be decoded.
        NoResources: the system has no memory or threads left.
    """
    av = pyav()
    streams = container.streams.audio
    if not streams or streams[0].codec_context is None:
        raise VideoError(messages.SOUND_UNDECODABLE())
    stream = streams[0]
    resampler = av.AudioResampler(format="fltp", rate=rate_hz)
    begun = False
    good = failed = 0
    for packet in _packets(container, [stream]):
        check()
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            if exhausted_resource(error):
                raise _failed("Decoding the sound", error) from error
            failed += 1
            continue
        for frame in frames:
            good += 1
            if not begun and frame.pts is not None:
                late_s = float(frame.pts * (frame.time_base or 0)) - (container.start_time or 0) / 1_000_000
                silent = round(min(max(late_s, 0.0), _LONGEST_LATE_S) * rate_hz)
                if silent:
                    yield np.zeros(silent, np.float32)
            begun = True
            frame.pts = None  # the resampler would refuse a gap
            for piece in resampler.resample(frame):
                yield piece.to_ndarray().mean(axis=0)
    for piece in resampler.resample(None) if begun else ():
        yield piece.to_ndarray().mean(axis=0)
    if failed > 2 * good or not good:
        raise VideoError(messages.SOUND_UNDECODABLE())


class _Source:
    """An open file for libav; its name only serves to detect the container."""

    def __init__(self, file: BinaryIO, name: str, check: Check) -> None:
        self.name = name
        self.seek, self.tell = file.seek, file.tell
        self._file, self._check = file, check

    def read(self, count: int) -> bytes:
        self._check()
        return self._file.read(count)


class _TimestampJoiner:
    """Makes timestamps continuous in a container whose timestamps restart."""

    def __init__(self) -> None:
        self._moved_s = 0.0
        self._last_s: dict[int, tuple[float, float]] = {}

    def shift(self, packet: Packet[Any]) -> None:
        """Shift the timestamps of a packet; packets must come in the order of the file."""
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
    """Converts the timestamps of one stream to seconds since the beginning of the file.

    Args:
        tick: length of a timestamp unit in seconds.
        began_s: timestamp of the file's beginning, in seconds.
        length_s: duration of frames that have none of their own, 0 = unknown.
    """

    def __init__(self, tick: Fraction | None, began_s: float, length_s: float) -> None:
        self._tick = tick or Fraction(1)
        self._began_s, self._length_s, self._end_s = began_s, length_s, 0.0

    def span(self, pts: int | None, duration: int | None) -> tuple[float, float]:
        """Return start and end in seconds; without a timestamp, the start is the end of the frame before."""
        begin_s = self._end_s if pts is None else float(pts * self._tick) - self._began_s
        length_s = float(duration * self._tick) if duration else 0.0
        self._end_s = begin_s + (length_s or self._length_s)
        return begin_s, begin_s + length_s


def _number(flags: Any) -> int:
    """Return libav flags as a number; some versions of PyAV return members of an enumeration."""
    return int(getattr(flags, "value", flags))


def _open_options(containers: Sequence[str]) -> dict[str, Any]:
    options = {
        "format_whitelist": ",".join(containers),
        "protocol_whitelist": "none",
        "max_pixels": str(LARGEST_PIXELS),
    }
    # Before version 18, PyAV crashes on options for streams that appear late in a container, as in MPEG files.
    keyword = "options" if int(pyav().__version__.partition(".")[0]) >= 18 else "container_options"
    return {keyword: options, "metadata_errors": "replace", "buffer_size": _BUFFER_BYTES}


def _is_media(av: Any, file: BinaryIO) -> bool:
    """Return whether libav recognizes the content: with no container allowed, it then fails with EINVAL."""
    try:
        av.open(
            _Source(file, "", time_limit(OPEN_TIMEOUT_S, "Opening the file")), "r", **_open_options(["none"])
        ).close()
    except av.error.FFmpegError as error:
        return bool(error.errno == errno.EINVAL)
    except VideoError:
        pass
    return False


def _packets(container: InputContainer, streams: Sequence[Any]) -> Iterator[Packet[Any]]:
    """Yield the packets of streams up to the end or to damage, then empty ones, which flush the decoders."""
    av = pyav()
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        if exhausted_resource(error):
            raise _failed("Reading the video", error) from error
        for stream in streams:
            packet = av.Packet()
            packet.stream = stream
            yield packet


def _failed(work: str, error: Exception, kind: type[VideoError] = VideoError) -> RenderError:
    if lack := exhausted_resource(error):
        return no_resources(f"{work} failed", lack)
    return kind(messages.READING_FAILED(work=work, why=getattr(error, "strerror", None) or error))


def _scaler(frame: VideoFrame, size_px: tuple[int, int]) -> Any:
    """Return a libav filter graph that converts frames like this one to RGB of a given size.

    The default conversion of libav is less accurate.
    """
    graph = pyav().filter.Graph()
    options = [f"{size_px[0]}:{size_px[1]}:flags=bicubic+accurate_rnd+full_chroma_int"]
    if matrix := _MATRICES.get(int(frame.colorspace)):
        options.append(f"in_color_matrix={matrix}")
    if levels := _RANGES.get(int(frame.color_range)):
        options.append(f"in_range={levels}")
    nodes = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        graph.add("scale", ":".join(options)),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph


def _orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return whether a frame is transposed for display, and whether columns and rows are then mirrored.

    The display matrix maps coded coordinates to displayed ones: x' = a x + c y and y' = b x + d y. For a rotation by 90
    degrees to the left, a and d are 0, b is -1 and c is 1: a displayed row is a mirrored column.
    """
    beside: Any = frame.side_data
    matrix = next((one for one in beside if one.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if turned else (False, a < 0, d < 0)
