"""How much of the log is shown, and how a line of it looks."""

from __future__ import annotations

import logging
import os

PACKAGES = ("deforum_api", "deforum_helpers")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class OneLineFormatter(logging.Formatter):
    """Writes control characters of a message as escapes, so that no prompt can forge a line of the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = "".join(
            character if character.isprintable() else repr(character)[1:-1] for character in record.message
        )
        return super().formatMessage(record)


def log_level() -> str:
    """Return the log level that the environment asks for."""
    wanted = os.environ.get("DEFORUM_API_LOG_LEVEL") or os.environ.get("SD_WEBUI_LOG_LEVEL") or "INFO"
    known = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
    return wanted.upper() if wanted.upper() in known else "INFO"


def write_own_log() -> None:
    """Write the log of our modules, and of nobody else's, to standard error; a second call changes nothing."""
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(log_level())
        logger.propagate = False
        if not any(isinstance(writer.formatter, OneLineFormatter) for writer in logger.handlers):
            writer = logging.StreamHandler()
            writer.setFormatter(OneLineFormatter(FORMAT))
            logger.addHandler(writer)
