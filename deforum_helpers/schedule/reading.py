"""What a reader of one text finds wrong or odd, collected with its columns."""

from __future__ import annotations

from typing import NamedTuple

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.messages import Message, Text
from deforum_helpers.schedule import messages

MAX_PROBLEMS = 20
MAX_WARNINGS = 20


class Span(NamedTuple):
    """A piece of the text, `text[start:end]`."""

    start: int
    end: int


def shown(text: str, limit: int = 40) -> str:
    """Return `text` quoted for a message: at most `limit` characters, control characters escaped."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


class Reading:
    """Problems and warnings of one text while it is read.

    Args:
        setting: name of the setting that holds the text.
        text: the whole text; every index given to the methods is 0-based in it.
        part: which part of the setting the text is, for messages; "" = all of it.
    """

    def __init__(self, setting: str, text: str, part: str = "") -> None:
        self.setting = setting
        self.text = text
        self._place = f"{setting}, {part}" if part else setting
        self._problems: list[Problem] = []
        self._warnings: list[str] = []
        self._unsaid = 0

    def problem(
        self,
        index: int,
        message: Message,
        *,
        found: str = "nothing",
        allowed: str,
        frame: int | None = None,
        advice: str = "",
    ) -> Problem:
        """Return the problem at `index`.

        Args:
            message: a clause with the names `found` and `allowed`.
            frame: the key frame or frame that it belongs to.
            advice: what to write instead.
        """
        where = f"column {index + 1}" if frame is None else f"frame {frame}, column {index + 1}"
        clause = message(found=found, allowed=allowed).at(f"{self._place}, {where}")
        text = Text(f"{clause}; {advice}." if advice else f"{clause}.", clause.code)
        return Problem(text, self.setting, frame, column=index + 1, found=found, allowed=allowed)

    def refuse(self, *problems: Problem) -> None:
        """Note problems; the reading ends here when there are too many to be of use.

        Raises:
            SettingsError: `MAX_PROBLEMS` are reached.
        """
        self._problems.extend(problems)
        if len(self._problems) >= MAX_PROBLEMS:
            self.finish()

    def warn(self, index: int | None, clause: Text, *, frame: int | None = None) -> None:
        """Note a lenient reading at `index`, or of the whole text; `frame` is the key frame it belongs to."""
        if len(self._warnings) >= MAX_WARNINGS:
            self._unsaid += 1
            return
        where = self._place if frame is None else f"{self._place}, frame {frame}"
        where = where if index is None else f"{where}, column {index + 1}"
        self._warnings.append(Text(f"{where}: {clause}.", clause.code))

    def finish(self) -> None:
        """Raise what was noted.

        Raises:
            SettingsError: with all problems, if there is any.
        """
        if self._problems:
            raise SettingsError(self._problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems noted so far."""
        return tuple(self._problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The sentences noted so far; beyond `MAX_WARNINGS` only their number."""
        if not self._unsaid:
            return tuple(self._warnings)
        return (*self._warnings, messages.MORE_WARNINGS(setting=self.setting, count=self._unsaid))
