"""Sound and subtitles of a film."""

from __future__ import annotations

from pathlib import Path

from deforum_helpers.core.errors import VideoError
from deforum_helpers.core.files.atomic import appearing
from deforum_helpers.core.files.regular import UnusableFile
from deforum_helpers.media.containers import UnknownContainer, has_sound, user_file
from deforum_helpers.media.ffmpeg import FINISH_TIMEOUT_S, input_file, run_ffmpeg

GIVE = "give a local sound or video file"
ALLOWED = "allowed are mp3, wav, flac, ogg, m4a, mp4, mov, mkv and what else ffmpeg reads, but no playlists"
_PROBE_TIMEOUT_S = 30.0


def check_soundtrack(path: Path, ffmpeg: str) -> None:
    """See to it, before the first frame, that `path` has sound that ffmpeg can read.

    Raises:
        VideoError: it has not; the message says why, in one sentence.
    """
    try:
        heard = has_sound(path)
    except UnusableFile as error:
        raise _unusable(path, str(error)) from error
    except UnknownContainer:
        raise _unusable(path, "is neither a sound nor a video file", ALLOWED) from None
    except VideoError:
        raise _unusable(path, "is damaged or incomplete") from None
    if not heard:
        raise _unusable(path, "has no sound")
    what = f"Reading the soundtrack {path.name!r}"
    sound = [*user_file(path), "-map", "0:a:0", "-t", "0.1", "-f", "null", "-"]
    try:
        run_ffmpeg(ffmpeg, sound, what, _PROBE_TIMEOUT_S)
    except VideoError:
        raise _unusable(path, "has sound that cannot be decoded") from None


def _unusable(path: Path, why: str, remedy: str = GIVE) -> VideoError:
    return VideoError(f"soundtrack_path {path.name[:120]!r} {why}; {remedy}.")


def add_tracks(
    film: Path,
    duration_s: float,
    audio: Path | None,
    subtitles: Path | None,
    ffmpeg: str,
    *,
    audio_starts_s: float = 0.0,
) -> None:
    """Put sound and subtitles into the mp4 file `film`; its pictures stay as they are.

    Args:
        film: replaced when the tracks are in.
        duration_s: seconds of the film; longer sound is cut there.
        audio: soundtrack, or None.
        subtitles: srt file, or None; one without entries counts as None.
        ffmpeg: program.
        audio_starts_s: second of the soundtrack that is heard with the first frame.

    Raises:
        VideoError, DiskFull: ffmpeg failed.
    """
    if subtitles is not None and not subtitles.stat().st_size:
        subtitles = None
    arguments = input_file(film, "mov")
    tracks = ["-map", "0:v:0", "-map_metadata", "0", "-c:v", "copy"]
    if audio is not None:
        arguments += ["-t", repr(audio_starts_s + duration_s), *user_file(audio)]
        tracks += ["-map", "1:a:0", *_from(audio_starts_s), "-c:a", "aac", "-b:a", "192k"]
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


def _from(starts_s: float) -> list[str]:
    """Return the filter that drops the sound before a second; a sound that begins late is silence until then."""
    if not starts_s:
        return []
    return ["-af", f"aresample=async=1:first_pts=0,atrim=start={starts_s:.6f},asetpts=PTS-STARTPTS"]
