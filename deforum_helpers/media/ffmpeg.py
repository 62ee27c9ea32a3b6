"""Finding ffmpeg, running it, and its failures in plain words."""

from __future__ import annotations

import os
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

FINISH_TIMEOUT_S = 3600.0
INSTALL_LINE = "pip install imageio-ffmpeg"
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error", "-y")

# Flags of Windows' CreateProcess; `subprocess` names them on Windows only.
_NEW_PROCESS_GROUP = 0x00000200
_NO_WINDOW = 0x08000000

# Ctrl-C in a terminal is for us, not for an encoder that still has frames to finish.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": _NEW_PROCESS_GROUP | _NO_WINDOW} if os.name == "nt" else {"start_new_session": True}
)


def find_ffmpeg(location: str | None) -> str:
    """Return the ffmpeg to run: `location` if given, else imageio-ffmpeg's own, else the one on PATH.

    Args:
        location: the option deforum_ffmpeg_location: a path, a name on PATH, or None or "" for the search.

    Raises:
        MissingFeature: there is none; the message has the line that installs it.
    """
    if location:
        found = shutil.which(location)
        if found is None:
            raise MissingFeature(
                f"deforum_ffmpeg_location is {Path(location).name!r}, but no program is there; "
                f"empty the option, or install ffmpeg with: {INSTALL_LINE}"
            )
        return found
    found = _bundled() or shutil.which("ffmpeg")
    if found is None:
        raise MissingFeature(
            f"Making a film needs ffmpeg, which was not found; install it with: {INSTALL_LINE}"
        )
    return found


def input_file(path: Path, demuxer: str) -> list[str]:
    """Return the arguments that make ffmpeg read `path`, a file of our own making, as `demuxer` understands it.

    Files that users name are read by `containers.user_file`.
    """
    return ["-protocol_whitelist", "file", "-f", demuxer, "-i", f"file:{path.resolve()}"]


def run_ffmpeg(ffmpeg: str, arguments: Sequence[str], what: str, timeout_s: float) -> str:
    """Run ffmpeg to its end and return its standard output.

    Args:
        ffmpeg: program.
        arguments: after the program's name; no shell sees them.
        what: what it does, as the subject of a sentence: "Adding the soundtrack".
        timeout_s: seconds after which it counts as hung and is killed.

    Raises:
        VideoError: it failed or hung.
        ProgramKilled: it was killed.
        NoResources: it failed for want of descriptors, processes or memory.
        DiskFull: it failed for want of space.
        MissingFeature: it cannot be started.
    """
    done = finished(ffmpeg, [*QUIET, *arguments], what, timeout_s)
    if done.returncode:
        raise failure(what, done.returncode, done.stderr)
    return done.stdout.decode("utf-8", "replace")


def finished(
    ffmpeg: str, arguments: Sequence[str], what: str, timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Run ffmpeg to its end, whatever its exit status; arguments and errors as `run_ffmpeg`, but all are given."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(ffmpeg, arguments, **pipes)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise VideoError(f"{what} failed: ffmpeg did not end within {timeout_s:g} seconds.") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start(ffmpeg: str, arguments: Sequence[str], **pipes: Any) -> subprocess.Popen[bytes]:
    """Start ffmpeg in a process group of its own.

    Raises:
        NoResources: the system has no process, descriptor or memory left.
        MissingFeature: it cannot be started.
    """
    try:
        return subprocess.Popen([ffmpeg, *arguments], **_OWN_GROUP, **pipes)
    except OSError as error:
        if lack := exhausted_resource(error):
            raise no_resources("The ffmpeg program cannot be started", lack) from error
        raise MissingFeature(
            f"The ffmpeg program {Path(ffmpeg).name!r} cannot be started ({error.strerror}); "
            f"install it with: {INSTALL_LINE}"
        ) from error


def failure(what: str, exit_status: int, stderr: bytes) -> RenderError:
    """Return the error that tells why ffmpeg failed, with the last lines it said."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if any("No space left on device" in line for line in lines):
        return DiskFull(f"{what} failed: the disk is full; free some space and resume.")
    if (ended_by := _killed_by(exit_status, lines)) is not None:
        return ProgramKilled(
            f"{what} failed: ffmpeg was killed ({ended_by}); all frames are kept, and it can be tried again."
        )
    if lack := exhausted_resource_in(" ".join(lines[-_LAST_LINES:])):
        return no_resources(f"{what} failed", lack)
    said = " / ".join(_without_folders(line) for line in lines[-_LAST_LINES:]) or "it said nothing"
    return VideoError(f"{what} failed: ffmpeg ended with status {exit_status}: {said}")


def _killed_by(exit_status: int, lines: Sequence[str]) -> str | None:
    """Return what ended ffmpeg from outside, or None: a signal, told by the system, a shell around it, or itself."""
    number = -exit_status if exit_status < 0 else exit_status - _SHELLS_OFFSET
    if exit_status < 0 or number in _ENDING:
        with suppress(ValueError):
            return signal.Signals(number).name
        return f"signal {number}"
    if (
        exit_status == _TOLD_TO_END and not lines
    ):  # it stops in good order, and says why to those who want to know
        return "it was told to end"
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
# A shell that starts ffmpeg ends with this and the number of the signal that ended it.
_SHELLS_OFFSET = 128
_ENDING = (9, 15)
_TOLD_TO_END = 255


def _bundled() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None
