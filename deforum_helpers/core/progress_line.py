"""The progress line of a terminal: redrawn in place, while all other output is written above it."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:  # a StreamHandler cannot be subscripted in Python 3.10
    _StreamHandler = logging.StreamHandler

BAR_WIDTH = 24
LEAST_BAR = 6
ERASE_TO_END = "\x1b[K"

# Shared by the process, which has one terminal.
_lock = threading.RLock()
_drawn: list[ProgressLine] = []


class ProgressLine:
    """Shows progress: in place on a terminal, elsewhere as one line per stage and per 10 %.

    Args:
        out: output stream.
        in_logs: write lines if `out` is not a terminal.
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
            label: name of the job.
            words: its state.
            share: 0..1, shown as a bar; None = no bar.
            stage: current stage; a log gets a new line only when it, or the tenth of `share`, changes.
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
        """Overwrite the current line of the terminal."""
        self._write(f"\r{self._text}{ERASE_TO_END}")

    def erase(self) -> None:
        """Clear the current line of the terminal."""
        self._write(f"\r{ERASE_TO_END}")

    def end(self, *, keep: bool = True) -> None:
        """Stop showing progress; the next output goes below the line or, without `keep`, in its place."""
        with _lock:
            if self in _drawn:
                _drawn.remove(self)
                if keep:
                    self._write("\n")
                else:
                    self.erase()

    def _write(self, text: str) -> None:
        """Write text, with escapes for characters that the encoding of the stream lacks."""
        encoding = self._out.encoding or "utf-8"
        self._out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._out.flush()


def fitted(label: str, words: str, share: float | None, columns: int) -> str:
    """Return a line of at most `columns` characters: drops the bar first, then shortens the label, then the words."""
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
    """Context in which output is written above the progress lines."""
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
    """Log handler that writes whole lines above the progress lines."""

    def emit(self, record: logging.LogRecord) -> None:
        with above_progress():
            super().emit(record)
