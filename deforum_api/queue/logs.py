"""The log: its level, the format of its lines, the limit on repeated lines, the log file."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from deforum_api.queue import messages
from deforum_helpers.core.progress_line import LogLines

log = logging.getLogger(__name__)

PACKAGES = ("deforum_api", "deforum_helpers")
FORMAT = "%(asctime)s %(levelname)s %(job)s %(name)s: %(message)s"
NO_JOB = "-"
LOG_NAME = "deforum.log"
LARGEST_LOG_BYTES = 5 * 2**20
KEPT_LOGS = 4
LINES_A_MINUTE = 100
MINUTE_S = 60.0
MOST_KINDS = 1000

_job: ContextVar[str] = ContextVar("job", default=NO_JOB)


@contextmanager
def job_in_log(job_id: str) -> Iterator[None]:
    """Name the job in every log line of this thread while the context lasts."""
    before = _job.set(job_id)
    try:
        yield
    finally:
        _job.reset(before)


class OneLineFormatter(logging.Formatter):
    """Escapes control characters and indents tracebacks, so that no prompt can forge a log line.

    `%(job)s` is the id of the current job, or "-".
    """

    def format(self, record: logging.LogRecord) -> str:
        record.message = printable(record.getMessage())
        if left_out := getattr(record, "left_out", 0):
            record.message = messages.LINES_OMITTED(line=record.message, count=left_out)
        record.job = _job.get()
        if self.usesTime():
            record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        if record.stack_info:
            lines += self.formatStack(record.stack_info).split("\n")
        return "\n  | ".join([lines[0], *map(printable, lines[1:])])


def printable(text: str) -> str:
    """Return `text` with every non-printable character escaped."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


class RepeatFilter(logging.Filter):
    """Limits lines with the same template to `most` per minute; the first line afterwards gives the number omitted.

    Without it, clients could fill the log by repeating a request.
    """

    def __init__(self, most: int = LINES_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most = most
        self._clock = clock
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = (record.name, str(record.msg)[:200]), self._clock()
        began, count = self._kinds.get(kind, (now, 0))
        record.left_out = 0
        if now - began >= MINUTE_S:
            record.left_out = max(0, count - self._most)
            began, count = now, 0
        if len(self._kinds) >= MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = began, count + 1
        return count < self._most


class LogFile(RotatingFileHandler):
    """A rotating log file; a symbolic link in its place is not followed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=LARGEST_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8")
        self.setFormatter(OneLineFormatter(FORMAT))
        self.addFilter(RepeatFilter())

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=_without_links)


def write_log_file(folder: Path, loggers: tuple[str, ...] = PACKAGES) -> LogFile | None:
    """Write the log to `deforum.log` in `folder` as well, in place of an earlier log file.

    Args:
        folder: created if it does not exist.
        loggers: names of the loggers; "" is the root logger.

    Returns:
        The handler; None, with a warning, if the file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = LogFile(folder / LOG_NAME)
    except OSError as error:
        log.warning("The log is not kept in a file: %s cannot be written (%s).", LOG_NAME, error.strerror)
        return None
    for name in loggers:
        logger = logging.getLogger(name)
        for earlier in [writer for writer in logger.handlers if isinstance(writer, LogFile)]:
            logger.removeHandler(earlier)
            earlier.close()
        logger.addHandler(written)
    return written


def log_level() -> str:
    """Return the log level set in the environment, INFO by default."""
    wanted = os.environ.get("DEFORUM_API_LOG_LEVEL") or os.environ.get("SD_WEBUI_LOG_LEVEL") or "INFO"
    known = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
    return wanted.upper() if wanted.upper() in known else "INFO"


def write_own_log() -> None:
    """Write the log of this project's modules to standard error; a second call has no effect."""
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(log_level())
        logger.propagate = False
        if not any(isinstance(writer.formatter, OneLineFormatter) for writer in logger.handlers):
            writer = LogLines()
            writer.setFormatter(OneLineFormatter(FORMAT))
            writer.addFilter(RepeatFilter())
            logger.addHandler(writer)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
