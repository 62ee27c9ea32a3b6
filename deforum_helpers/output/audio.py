"""Sound and subtitles of a film; a soundtrack is told by its first bytes and never by its name."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.errors import VideoError
from deforum_helpers.output.disk import appearing
from deforum_helpers.output.ffmpeg import FINISH_TIMEOUT_S, input_file, run_ffmpeg
from deforum_helpers.regular_files import UnusableFile, head_of

HEAD_BYTES = 512
_PROBE_TIMEOUT_S = 30.0
_TS_PACKET = 188

# (offset, bytes there) that must all stand in the head of a file -> ffmpeg's demuxer.
_KINDS: tuple[tuple[tuple[tuple[int, bytes], ...], str], ...] = (
    (((0, b"ID3"),), "mp3"),
    (((0, b"fLaC"),), "flac"),
    (((0, b"OggS"),), "ogg"),
    (((0, b"RIFF"), (8, b"WAVE")), "wav"),
    (((0, b"RIFF"), (8, b"AVI ")), "avi"),
    (((0, b"FORM"), (8, b"AIF")), "aiff"),
    (((4, b"ftyp"),), "mov"),
    (((4, b"moov"),), "mov"),
    (((4, b"wide"),), "mov"),
    (((0, b"\x1a\x45\xdf\xa3"),), "matroska"),
    (((0, b"\x30\x26\xb2\x75"),), "asf"),
    (((0, b"\x00\x00\x01\xba"),), "mpeg"),
    (((0, b"\x47"), (_TS_PACKET, b"\x47")), "mpegts"),
)


def soundtrack_kind(path: Path) -> str:
    """Return the ffmpeg demuxer that reads the soundtrack `path`.

    Raises:
        VideoError: the file is missing, or neither sound nor film; a playlist is neither, whatever its name.
    """
    try:
        head = head_of(path, HEAD_BYTES)
    except UnusableFile as error:
        raise VideoError(
            f"soundtrack_path {path.name[:120]!r} {error}; give a local sound or video file."
        ) from error
    demuxer = container_kind(head)
    if demuxer is not None:
        return demuxer
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG audio sync; layer 0 is AAC's
        return "mp3" if head[1] & 0x06 else "aac"
    raise VideoError(
        f"soundtrack_path {path.name!r} is neither a sound nor a video file that can be embedded; "
        "allowed are mp3, wav, flac, ogg, opus, aac, m4a, aiff, wma, mp4, mov, mkv, webm, avi and mpeg, "
        "no playlists."
    )


def container_kind(head: bytes) -> str | None:
    """Return the ffmpeg demuxer of the file that begins with `head` (about 512 bytes), or None for an unknown kind."""
    for marks, demuxer in _KINDS:
        if all(head[offset : offset + len(mark)] == mark for offset, mark in marks):
            return demuxer
    return None


def check_soundtrack(path: Path, ffmpeg: str) -> None:
    """See to it, before the first frame, that `path` has sound that ffmpeg can read.

    Raises:
        VideoError: it has not.
    """
    source = input_file(path, soundtrack_kind(path))
    what = f"Reading the soundtrack {path.name!r}"
    run_ffmpeg(ffmpeg, [*source, "-map", "0:a:0", "-t", "0.1", "-f", "null", "-"], what, _PROBE_TIMEOUT_S)


def add_tracks(
    film: Path, duration_s: float, audio: Path | None, subtitles: Path | None, ffmpeg: str
) -> None:
    """Put sound and subtitles into the mp4 file `film`; its pictures stay as they are.

    Args:
        film: replaced when the tracks are in.
        duration_s: seconds of the film; longer sound is cut there.
        audio: soundtrack, or None.
        subtitles: srt file, or None; one without entries counts as None.
        ffmpeg: program.

    Raises:
        VideoError, DiskFull: ffmpeg failed.
    """
    if subtitles is not None and not subtitles.stat().st_size:
        subtitles = None
    arguments = input_file(film, "mov")
    tracks = ["-map", "0:v:0", "-map_metadata", "0", "-c:v", "copy"]
    if audio is not None:
        arguments += ["-t", repr(duration_s), *input_file(audio, soundtrack_kind(audio))]
        tracks += ["-map", "1:a:0", "-c:a", "aac", "-b:a", "192k"]
    if subtitles is not None:
        arguments += input_file(subtitles, "srt")
        tracks += ["-map", f"{1 + (audio is not None)}:s:0", "-c:s", "mov_text"]
        tracks += ["-metadata:s:s:0", "title=Deforum Data"]
    what = (
        f"Adding {' and '.join(name for name, path in (('sound', audio), ('subtitles', subtitles)) if path)}"
    )
    if audio is not None or subtitles is not None:
        with appearing(film) as complete:
            written = ["-movflags", "+faststart", "-f", "mp4", f"file:{complete.resolve()}"]
            run_ffmpeg(ffmpeg, [*arguments, *tracks, *written], what, FINISH_TIMEOUT_S)
