"""The line of a terminal that shows progress: drawn anew in place, while everything else is written above it."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:  # Python 3.10 takes no type there
    _StreamHandler = logging.StreamHandler

BAR_WIDTH = 24
LEAST_BAR = 6
ERASE_TO_END = "\x1b[K"

# A program has one terminal, whoever writes to it.
_lock = threading.RLock()
_drawn: list[ProgressLine] = []


class ProgressLine:
    """Shows progress: in place on a terminal, elsewhere as a line for each stage and each tenth of one.

    Args:
        out: where to.
        in_logs: show it also where `out` is no terminal.
    """

    def __init__(self, out: TextIO, *, in_logs: bool = True) -> None:
        self._out = out
        self._live = out.isatty()
        self._in_logs = in_logs
        self._text = ""
        self._stage: Hashable = None

    def show(self, label: str, words: str, share: float | None = None, stage: Hashable = "") -> None:
        """Show `label [###...] words`, or in a log `label 60 % words`.

        Args:
            label: what it is about.
            words: where that stands.
            share: 0..1, drawn as a bar; None draws none.
            stage: what it does; in a log, words are repeated only when it or the tenth of `share` changes.
        """
        label, words = (" ".join(text.split()) for text in (label, words))
        share = None if share is None else min(max(share, 0.0), 1.0)
        with _lock:
            if self._live:
                self._text = fitted(label, words, share, shutil.get_terminal_size().columns - 1)
                if self not in _drawn:
                    _drawn.append(self)
                self.draw()
            elif self._in_logs:
                now = label, stage or words, None if share is None else int(10 * share)
                if now != self._stage:
                    self._stage = now
                    percent = "" if share is None else f" {int(100 * share + 1e-9)} %"
                    self._write(f"{label}{percent} {words}\n")

    def draw(self) -> None:
        """Write the line over what the terminal's line holds."""
        self._write(f"\r{self._text}{ERASE_TO_END}")

    def erase(self) -> None:
        """Leave the terminal's line empty."""
        self._write(f"\r{ERASE_TO_END}")

    def end(self, *, keep: bool = True) -> None:
        """Show no more; what is written next begins a line of its own, below this one or, if not kept, in its place."""
        with _lock:
            if self in _drawn:
                _drawn.remove(self)
                if keep:
                    self._write("\n")
                else:
                    self.erase()

    def _write(self, text: str) -> None:
        """Write text, with escapes for what a terminal has no characters for."""
        encoding = self._out.encoding or "utf-8"
        self._out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._out.flush()


def fitted(label: str, words: str, share: float | None, columns: int) -> str:
    """Return a line of at most `columns` characters: the bar gives way first, then the label, then the words' end."""
    room = min(columns - len(label) - len(words) - 4, BAR_WIDTH)
    if share is not None and room >= LEAST_BAR:
        full = round(share * room)
        return f"{label} [{'#' * full}{'.' * (room - full)}] {words}"
    if len(label) + 1 + len(words) > columns:
        label = label[: max(0, columns - len(words) - 3)]
        label += ".." if label else ""
    return f"{label} {words}".strip()[:columns]


@contextmanager
def above_progress() -> Iterator[None]:
    """Let what is written inside stand above the line of progress, if one is drawn."""
    with _lock:
        lines = list(_drawn)
        for line in lines:
            line.erase()
        try:
            yield
        finally:
            for line in lines:
                line.draw()


class LogLines(_StreamHandler):
    """Writes the log to standard error, whole lines above the line of progress."""

    def emit(self, record: logging.LogRecord) -> None:
        with above_progress():
            super().emit(record)
