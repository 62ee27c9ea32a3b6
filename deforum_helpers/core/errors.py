"""All errors of the project, in one tree.

DeforumError
├── SettingsError        one or more problems found before the first frame
├── Stopped              a job was asked to stop
│   ├── Cancelled        for good
│   └── Parked           for now; the run continues from its resume state
└── RenderError          a job failed while it ran
    ├── OutOfMemory      retryable: the device has too little memory
    ├── DiskFull         retryable: the disk or the quota is full
    ├── DownloadFailed   retryable: a model could not be downloaded
    ├── RunInUse         retryable: another process renders the run
    ├── ProgramKilled    retryable: ffmpeg or another program was killed
    ├── NoResources      retryable: no file descriptors, processes or memory left
    ├── ModelError       a model is missing, unsupported or broken
    ├── MissingFeature   an optional package or program is not installed
    ├── NotFinite        an image contains NaN or infinity
    ├── BlankFrame       a frame came out black, and the settings end the run there
    ├── VideoError       a video cannot be read or written, or has a wrong number of frames
    └── CheckpointError  the resume state of a run is missing, damaged or does not fit
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deforum_helpers.core import messages
from deforum_helpers.core.messages import Text, code_of


@dataclass(frozen=True)
class Problem:
    """One error in a settings file.

    Args:
        message: a sentence with the setting, the value found and the values expected.
        setting: name of the setting, or None for the file as a whole.
        frame: frame at which a schedule fails, or None.
        column: 1-based column in the text of the setting, or None.
        found: the value found.
        allowed: the values expected.
        passing: the settings are valid, but an outside cause, such as a server that is down, prevents the job.
    """

    message: str
    setting: str | None = None
    frame: int | None = None
    column: int | None = None
    found: str | None = None
    allowed: str | None = None
    passing: bool = False

    @property
    def code(self) -> str:
        """The stable code of the message."""
        return code_of(self.message)


_PLACE = re.compile(r"(?:, frame -?[0-9]+)?(?:, column [0-9]+)?")
_KEY = re.compile(r"the prompt at ('[^']*'|\"[^\"]*\")")


def _place_and_rest(problem: Problem) -> tuple[str, str]:
    """Split the message of a problem into its place (setting, frame, column, prompt) and the rest."""
    name = problem.setting or ""
    if not name or not problem.message.startswith(name):
        return name, problem.message
    place = _PLACE.match(problem.message, len(name))
    end = place.end() if place else len(name)
    key = _KEY.search(problem.message, end)
    where = problem.message[:end] + (f" at {key[1]}" if key else "")
    return where, _KEY.sub("the prompt", problem.message[end:], count=1)


def group_problems(problems: Iterable[Problem], *, per_setting: bool = False) -> list[tuple[Problem, ...]]:
    """Group problems whose messages differ only in setting, frame and column, in order.

    With `per_setting`, a group contains problems of one setting only.
    """
    groups: dict[tuple[str | None, str], list[Problem]] = {}
    for problem in problems:
        setting = problem.setting if per_setting else None
        groups.setdefault((setting, _place_and_rest(problem)[1]), []).append(problem)
    return [tuple(group) for group in groups.values()]


def summary_of(group: Sequence[Problem]) -> str:
    """Return one message for a group of problems: that of the first, followed by the places of the others."""
    first, *others = group
    places = dict.fromkeys(_place_and_rest(problem)[0] for problem in others)
    if not places:
        return first.message
    return Text(f"{first.message} The same applies to: {'; '.join(places)}.", first.code)


class DeforumError(Exception):
    """Base class of all errors of the project."""

    @property
    def message_code(self) -> str:
        """The stable code of the message that the error was raised with, or ""."""
        return code_of(self.args[0]) if self.args else ""


class SettingsError(DeforumError):
    """The settings cannot be rendered; carries all problems found, not only the first.

    Args:
        problems: the problems.
        warnings: warnings found in addition, one sentence each.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[str] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(problems))
        self.warnings: tuple[str, ...] = tuple(dict.fromkeys(warnings))
        super().__init__(" ".join(map(summary_of, group_problems(self.problems))))

    @property
    def message_code(self) -> str:
        """The code of its problems if all have the same, otherwise ""."""
        codes = {problem.code for problem in self.problems}
        return codes.pop() if len(codes) == 1 else ""

    @property
    def retryable(self) -> bool:
        """Whether the same settings may be accepted later."""
        return bool(self.problems) and all(problem.passing for problem in self.problems)


class Stopped(DeforumError):
    """The job was asked to stop; the files written so far stay."""


class Cancelled(Stopped):
    """The job was cancelled for good."""


class Parked(Stopped):
    """The job was stopped because the program ends; its run continues from the resume state."""


class RenderError(DeforumError):
    """A job failed while it ran. `retryable`: the same job may succeed later."""

    retryable = False


class OutOfMemory(RenderError):
    """The memory of the device was exhausted."""

    retryable = True


class DiskFull(RenderError):
    """A disk is full, or the quota of the user is used up."""

    retryable = True


class DownloadFailed(RenderError):
    """A model could not be downloaded from the hub."""

    retryable = True


class RunInUse(RenderError):
    """Another process is rendering the run that was to be resumed."""

    retryable = True


class ProgramKilled(RenderError):
    """ffmpeg or another child process was killed from outside; its input is unharmed."""

    retryable = True


class NoResources(RenderError):
    """The system has no more file descriptors, processes or memory."""

    retryable = True


class ModelError(RenderError):
    """A model (its weights or its checkpoint) is missing, unsupported or broken."""


class MissingFeature(RenderError):
    """An optional package or program is not installed; the message contains the command that installs it."""


class NotFinite(RenderError):
    """An image contains NaN or infinite values."""


class BlankFrame(RenderError):
    """A frame came out black and the settings end the run there; the frames before it are kept."""


class VideoError(RenderError):
    """A video cannot be read or written, or does not have the expected number of frames."""


class CheckpointError(RenderError):
    """A run cannot be resumed: its resume state is missing, damaged, or belongs to other settings."""


# Resource -> error numbers of the system, and phrases in the messages of libraries and programs.
_RAN_OUT: tuple[tuple[str, tuple[int, ...], tuple[str, ...]], ...] = (
    ("open files", (errno.EMFILE, errno.ENFILE), ("too many open files",)),
    ("processes or threads", (errno.EAGAIN,), ("resource temporarily unavailable", "can't start new thread")),
    ("memory", (errno.ENOMEM, errno.ENOBUFS), ("cannot allocate memory",)),
)


def exhausted_resource(error: BaseException | None) -> str | None:
    """Return the system resource whose exhaustion caused `error`, directly or through its causes; else None."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for resource, numbers, words in _RAN_OUT:
            if error.errno in numbers if isinstance(error, OSError) else _says(error, words):
                return resource
        error = error.__cause__ or error.__context__
    return None


def exhausted_resource_in(text: str) -> str | None:
    """Return the exhausted system resource that the output of a program names, or None."""
    lower = text.casefold()
    return next((resource for resource, _, words in _RAN_OUT if any(word in lower for word in words)), None)


def no_resources(failure: str, resource: str) -> NoResources:
    """Return the error for a `failure` ("Making the video failed") caused by an exhausted resource."""
    return NoResources(messages.NO_RESOURCES(failure=failure, resource=resource))


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error).casefold() for word in words)
