"""Finding and running ffmpeg, and turning its failures into errors."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import (
    DiskFull,
    MissingFeature,
    ProgramKilled,
    RenderError,
    VideoError,
    exhausted_resource,
    exhausted_resource_in,
    no_resources,
)
from deforum_helpers.core.files.regular import pasted_path
from deforum_helpers.media import messages

FINISH_TIMEOUT_S = 3600.0
INSTALL_LINE = "pip install imageio-ffmpeg"
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error", "-y")

# Flags of Windows' CreateProcess; `subprocess` names them on Windows only.
_NEW_PROCESS_GROUP = 0x00000200
_NO_WINDOW = 0x08000000

# Ctrl-C in a terminal must not reach the encoder, which still has frames to finish.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": _NEW_PROCESS_GROUP | _NO_WINDOW} if os.name == "nt" else {"start_new_session": True}
)


def find_ffmpeg(location: str | None) -> str:
    """Return the ffmpeg to run: `location` if given, else imageio-ffmpeg's own, else the one on PATH.

    Args:
        location: option deforum_ffmpeg_location: a path, its folder, a name on PATH, or None or "" to search. As it
            comes from a text box, it may have quotes and blanks around it.

    Raises:
        MissingFeature: ffmpeg was not found; the message contains the install command.
    """
    if named := os.path.expanduser(pasted_path(location or "")):
        found = shutil.which(named) or shutil.which("ffmpeg", path=named)
        if found is None:
            message = messages.FFMPEG_NOT_THERE(found=Path(named).name, install=INSTALL_LINE)
            raise MissingFeature(message)
        return found
    found = _bundled() or shutil.which("ffmpeg")
    if found is None:
        raise MissingFeature(messages.FFMPEG_MISSING(install=INSTALL_LINE))
    return found


def own_input(path: Path, demuxer: str) -> list[str]:
    """Return ffmpeg's input arguments for a file that this program wrote, to be read by `demuxer`.

    For files that users name, see `containers.user_input`.
    """
    return ["-protocol_whitelist", "file", "-f", demuxer, "-i", f"file:{path.resolve()}"]


def run_ffmpeg(ffmpeg: str, arguments: Sequence[str], work: str, timeout_s: float) -> str:
    """Run ffmpeg to its end and return its standard output.

    Args:
        ffmpeg: path of the program.
        arguments: arguments after the program's name, passed without a shell.
        work: what ffmpeg does, as the subject of messages: "Adding the soundtrack".
        timeout_s: seconds after which ffmpeg counts as hung and is killed.

    Raises:
        VideoError: ffmpeg failed or hung.
        ProgramKilled: ffmpeg was killed from outside.
        NoResources: the system has no file descriptors, processes or memory left.
        DiskFull: the disk has no space left.
        MissingFeature: ffmpeg cannot be started.
    """
    done = run_to_end(ffmpeg, [*QUIET, *arguments], work, timeout_s)
    if done.returncode:
        raise ffmpeg_error(work, done.returncode, done.stderr)
    return done.stdout.decode("utf-8", "replace")


def count_own_frames(video: Path, ffmpeg: str) -> int:
    """Return the number of frames in an mp4 file that this program wrote, by reading all of it without decoding.

    Raises: as `run_ffmpeg`.
    """
    arguments = [
        *own_input(video, "mov"),
        "-map",
        "0:v:0",
        "-c",
        "copy",
        "-f",
        "null",
        "-progress",
        "pipe:1",
        "-",
    ]
    progress = run_ffmpeg(ffmpeg, arguments, "Counting the video's frames", FINISH_TIMEOUT_S)
    counts = re.findall(r"^frame=\s*(\d+)", progress, re.MULTILINE)
    return int(counts[-1]) if counts else 0


def run_to_end(
    ffmpeg: str, arguments: Sequence[str], work: str, timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg with exactly these arguments and return its result, whatever the exit status; see `run_ffmpeg`."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(ffmpeg, arguments, **pipes)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise VideoError(messages.FFMPEG_TIMEOUT(work=work, seconds=timeout_s)) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start(ffmpeg: str, arguments: Sequence[str], **pipes: Any) -> subprocess.Popen[bytes]:
    """Start ffmpeg in a process group of its own.

    Raises:
        NoResources: the system has no processes, file descriptors or memory left.
        MissingFeature: ffmpeg cannot be started.
    """
    try:
        return subprocess.Popen([ffmpeg, *arguments], **_OWN_GROUP, **pipes)
    except OSError as error:
        if lack := exhausted_resource(error):
            raise no_resources("The ffmpeg program cannot be started", lack) from error
        message = messages.FFMPEG_NOT_STARTED(
            name=Path(ffmpeg).name, why=error.strerror, install=INSTALL_LINE
        )
        raise MissingFeature(message) from error


def ffmpeg_error(work: str, exit_status: int, stderr: bytes) -> RenderError:
    """Return the error for a ffmpeg_error of ffmpeg, with the last lines of its output."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return DiskFull(messages.FFMPEG_DISK_FULL(work=work))
    if (ended_by := _killed_by(exit_status, lines)) is not None:
        return ProgramKilled(messages.FFMPEG_KILLED(work=work, by=ended_by))
    if lack := exhausted_resource_in(" ".join(lines[-_LAST_LINES:])):
        return no_resources(f"{work} failed", lack)
    said = " / ".join(_without_folders(line) for line in lines[-_LAST_LINES:]) or "no output"
    return VideoError(messages.FFMPEG_FAILED(work=work, status=exit_status, said=said))


def _killed_by(exit_status: int, lines: Sequence[str]) -> str | None:
    """Return the name of the signal that ended ffmpeg, None if it was not killed.

    The system, a shell around ffmpeg, or ffmpeg itself reports the signal.
    """
    number = -exit_status if exit_status < 0 else exit_status - _SHELLS_OFFSET
    if exit_status < 0 or number in _ENDING:
        with suppress(ValueError):
            return signal.Signals(number).name
        return f"signal {number}"
    if (
        exit_status == _TOLD_TO_END and not lines
    ):  # ffmpeg handled SIGTERM or SIGINT; it logs the signal at a higher log level only
        return "by a signal"
    return None


def _without_folders(line: str) -> str:
    return " ".join(
        f"{word[: len(word) - len(word.lstrip(_QUOTES))]}{os.path.basename(word.lstrip(_QUOTES))}"
        if os.sep in word
        else word
        for word in line.split(" ")
    )[:300]


_QUOTES = "'\"(["
_LAST_LINES = 3
# A shell that starts ffmpeg exits with this plus the number of the signal.
_SHELLS_OFFSET = 128
_ENDING = (9, 15)
_TOLD_TO_END = 255


def _bundled() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None
