"""Problems and warnings found while a text is parsed, with their columns."""

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
    """Collects the problems and warnings of one text while it is parsed.

    Args:
        setting: name of the setting.
        text: the whole text; indices given to the methods are 0-based in it.
        part: the part of the setting that the text is, for messages; "" = all of it.
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
            frame: the frame concerned, for the message.
            advice: what to write instead.
        """
        where = f"column {index + 1}" if frame is None else f"frame {frame}, column {index + 1}"
        clause = message(found=found, allowed=allowed).at(f"{self._place}, {where}")
        text = Text(f"{clause}; {advice}." if advice else f"{clause}.", clause.code)
        return Problem(text, self.setting, frame, column=index + 1, found=found, allowed=allowed)

    def refuse(self, *problems: Problem) -> None:
        """Add problems.

        Raises:
            SettingsError: there are `MAX_PROBLEMS`; more would be of no use.
        """
        self._problems.extend(problems)
        if len(self._problems) >= MAX_PROBLEMS:
            self.finish()

    def warn(self, index: int | None, clause: Text, *, frame: int | None = None) -> None:
        """Add a warning about `index`, or about the whole text; `frame` is the frame concerned."""
        if len(self._warnings) >= MAX_WARNINGS:
            self._unsaid += 1
            return
        where = self._place if frame is None else f"{self._place}, frame {frame}"
        where = where if index is None else f"{where}, column {index + 1}"
        self._warnings.append(Text(f"{where}: {clause}.", clause.code))

    def finish(self) -> None:
        """Raise all problems, if there are any.

        Raises:
            SettingsError: with all problems.
        """
        if self._problems:
            raise SettingsError(self._problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems so far."""
        return tuple(self._problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings so far; beyond `MAX_WARNINGS` only their number."""
        if not self._unsaid:
            return tuple(self._warnings)
        return (*self._warnings, messages.MORE_WARNINGS(setting=self.setting, count=self._unsaid))
