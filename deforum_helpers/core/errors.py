"""Every error of the animation, in one tree.

DeforumError
├── SettingsError        one or more problems found before the first frame
├── Stopped              the job was told to end
│   ├── Cancelled        for good
│   └── Parked           for now; it continues from its checkpoint
└── RenderError          something failed while working
    ├── OutOfMemory      may succeed later
    ├── DiskFull         may succeed later
    ├── DownloadFailed   may succeed later
    ├── RunTaken         may succeed later
    ├── ProgramKilled    may succeed later
    ├── NoResources      may succeed later
    ├── ModelError       a model is missing, foreign or broken
    ├── MissingFeature   an optional package or program is not installed
    ├── NotFinite        a picture came out as NaN
    ├── BlankFrame       a frame came out black, and the settings end the run there
    ├── VideoError       ffmpeg failed, or made a film of another length
    └── CheckpointError  a run cannot be continued from what is on disk
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deforum_helpers.core.messages import Text, code_of


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a settings file, told so that a person can mend it.

    Args:
        message: one plain sentence that names the setting, what was found and what is allowed.
        setting: name of the setting, or None when the whole body is meant.
        frame: frame number at which a schedule fails, or None.
        column: 1-based column inside the setting's text, or None.
        found: what stands there.
        allowed: what may stand there.
        passing: nothing is wrong with the settings; the same may do later, as with a server that is not reached.
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
    """Return where a problem is, and what its message says that is the same at other places."""
    name = problem.setting or ""
    if not name or not problem.message.startswith(name):
        return name, problem.message
    place = _PLACE.match(problem.message, len(name))
    end = place.end() if place else len(name)
    key = _KEY.search(problem.message, end)
    where = problem.message[:end] + (f" at {key[1]}" if key else "")
    return where, _KEY.sub("the prompt", problem.message[end:], count=1)


def alike(problems: Iterable[Problem], *, of_one_setting: bool = False) -> list[tuple[Problem, ...]]:
    """Return the problems in groups that say the same of other settings, frames and columns, in order.

    With `of_one_setting` those of two settings are never in one group, so that each can be marked where it is.
    """
    groups: dict[tuple[str | None, str], list[Problem]] = {}
    for problem in problems:
        setting = problem.setting if of_one_setting else None
        groups.setdefault((setting, _place_and_rest(problem)[1]), []).append(problem)
    return [tuple(group) for group in groups.values()]


def told(group: Sequence[Problem]) -> str:
    """Return the sentence of problems that are alike: the first one's, and the places of the others."""
    first, *others = group
    places = dict.fromkeys(_place_and_rest(problem)[0] for problem in others)
    if not places:
        return first.message
    return Text(f"{first.message} The same: {'; '.join(places)}.", first.code)


class DeforumError(Exception):
    """Root of all errors of this package."""

    @property
    def message_code(self) -> str:
        """The stable code of the message that the error was raised with."""
        return code_of(self.args[0]) if self.args else ""


class SettingsError(DeforumError):
    """Settings that cannot be rendered; carries all problems found, never only the first.

    Args:
        problems: what is wrong.
        warnings: what a person should know beside that, as plain sentences.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[str] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(problems))
        self.warnings: tuple[str, ...] = tuple(dict.fromkeys(warnings))
        super().__init__(" ".join(map(told, alike(self.problems))))

    @property
    def retryable(self) -> bool:
        """Whether the same settings may do later."""
        return bool(self.problems) and all(problem.passing for problem in self.problems)


class Stopped(DeforumError):
    """The job was told to end; what was written stays."""


class Cancelled(Stopped):
    """The job was cancelled for good."""


class Parked(Stopped):
    """The job was stopped for now and can continue from its checkpoint."""


class RenderError(DeforumError):
    """Something failed while rendering. `retryable`: the same job may succeed later."""

    retryable = False


class OutOfMemory(RenderError):
    """The device's memory did not suffice."""

    retryable = True


class DiskFull(RenderError):
    """The output folder's disk is full."""

    retryable = True


class DownloadFailed(RenderError):
    """A model could not be fetched from the hub."""

    retryable = True


class RunTaken(RenderError):
    """The run that is to go on is being rendered by another program."""

    retryable = True


class ProgramKilled(RenderError):
    """ffmpeg, or another program that works for us, was ended from outside; what it read is still there."""

    retryable = True


class NoResources(RenderError):
    """The system had no more descriptors, processes or memory to give."""

    retryable = True


class ModelError(RenderError):
    """A model is missing, of a foreign kind, or broken."""


class MissingFeature(RenderError):
    """An optional package or program is not installed; the message has the line that installs it."""


class NotFinite(RenderError):
    """A picture came out as NaN or infinite."""


class BlankFrame(RenderError):
    """A frame came out black, and the settings end the run there; the frames before it are kept."""


class VideoError(RenderError):
    """ffmpeg failed, or its film has not the planned number of frames."""


class CheckpointError(RenderError):
    """A run cannot be continued from what is on disk."""


# What the system says when it has no more to give, in its numbers and in the words of libraries and programs.
_RAN_OUT: tuple[tuple[str, tuple[int, ...], tuple[str, ...]], ...] = (
    ("open files", (errno.EMFILE, errno.ENFILE), ("too many open files",)),
    ("processes or threads", (errno.EAGAIN,), ("resource temporarily unavailable", "can't start new thread")),
    ("memory", (errno.ENOMEM, errno.ENOBUFS), ("cannot allocate memory",)),
)


def lacking(error: BaseException | None) -> str | None:
    """Return what the system had no more of when `error`, or one that led to it, was met; None for another cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for what, numbers, words in _RAN_OUT:
            told = error.errno in numbers if isinstance(error, OSError) else _says(error, words)
            if told:
                return what
        error = error.__cause__ or error.__context__
    return None


def lacking_by_words(text: str) -> str | None:
    """Return what a program that says `text` had no more of, or None."""
    said = text.casefold()
    return next((what for what, _, words in _RAN_OUT if any(word in said for word in words)), None)


def no_resources(what: str, lack: str) -> NoResources:
    """Return the error of something that failed for want of `lack`: "Making the video failed"."""
    return NoResources(f"{what}: the system has no more {lack}; close other programs or raise its limit.")


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error).casefold() for word in words)
