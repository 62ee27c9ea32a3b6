"""The sound and subtitle tracks of a video."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.core.errors import VideoError
from deforum_helpers.core.files.atomic import appearing
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.media.containers import UnknownContainer, has_sound, user_input
from deforum_helpers.media.ffmpeg import FINISH_TIMEOUT_S, own_input, run_ffmpeg
from deforum_helpers.output import messages

_PROBE_TIMEOUT_S = 30.0


def check_soundtrack(path: Path, ffmpeg: str, *, setting: str = "soundtrack_path") -> None:
    """Check, before the first frame, that `path` has sound that ffmpeg can decode.

    Args:
        path: local sound or video file.
        ffmpeg: path of the program.
        setting: name of the setting or argument that names the file, for the message.

    Raises:
        VideoError: the file has no sound, or none that can be decoded.
    """
    name = path.name[:120]
    try:
        audible = has_sound(path)
    except UnusableFile as error:
        message = messages.SOUNDTRACK_UNUSABLE(setting=setting, name=name, why=error)
        raise VideoError(message) from error
    except UnknownContainer:
        raise VideoError(messages.SOUNDTRACK_UNKNOWN_FORMAT(setting=setting, name=name)) from None
    except VideoError:
        raise VideoError(messages.SOUNDTRACK_DAMAGED(setting=setting, name=name)) from None
    if not audible:
        raise VideoError(messages.SOUNDTRACK_SILENT(setting=setting, name=name))
    probe = [*user_input(path), "-map", "0:a:0", "-t", "0.1", "-f", "null", "-"]
    try:
        run_ffmpeg(ffmpeg, probe, f"Reading the soundtrack {path.name!r}", _PROBE_TIMEOUT_S)
    except VideoError:
        raise VideoError(messages.SOUNDTRACK_UNDECODABLE(setting=setting, name=name)) from None


def add_tracks(
    video: Path,
    duration_s: float,
    audio: Path | None,
    subtitles: Path | None,
    ffmpeg: str,
    *,
    audio_starts_s: float = 0.0,
) -> None:
    """Add sound and subtitles to the mp4 file `video`; its images are copied without encoding.

    Args:
        video: replaced by the file with the tracks.
        duration_s: length of the video in seconds; longer sound is cut there.
        audio: soundtrack, or None.
        subtitles: srt file, or None; an empty file counts as None.
        ffmpeg: path of the program.
        audio_starts_s: position in the soundtrack, in seconds, that plays with the first frame.

    Raises:
        VideoError, DiskFull: ffmpeg failed.
    """
    if subtitles is not None and not subtitles.stat().st_size:
        subtitles = None
    arguments = own_input(video, "mov")
    tracks = ["-map", "0:v:0", "-map_metadata", "0", "-c:v", "copy"]
    if audio is not None:
        arguments += ["-t", repr(audio_starts_s + duration_s), *user_input(audio)]
        tracks += ["-map", "1:a:0", *_skip_filter(audio_starts_s), "-c:a", "aac", "-b:a", "192k"]
    if subtitles is not None:
        arguments += own_input(subtitles, "srt")
        tracks += ["-map", f"{1 + (audio is not None)}:s:0", "-c:s", "mov_text"]
        tracks += ["-metadata:s:s:0", "title=Deforum Data"]
    added = " and ".join(name for name, path in (("sound", audio), ("subtitles", subtitles)) if path)
    if audio is not None or subtitles is not None:
        with appearing(video) as complete:
            written = ["-movflags", "+faststart", "-f", "mp4", f"file:{complete.resolve()}"]
            run_ffmpeg(ffmpeg, [*arguments, *tracks, *written], f"Adding {added}", FINISH_TIMEOUT_S)


def _skip_filter(starts_s: float) -> list[str]:
    """Return the filter that drops the first `starts_s` seconds; a track that starts late is padded with silence."""
    if not starts_s:
        return []
    return ["-af", f"aresample=async=1:first_pts=0,atrim=start={starts_s:.6f},asetpts=PTS-STARTPTS"]
