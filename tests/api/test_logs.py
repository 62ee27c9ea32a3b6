"""The log: one line per entry, the job on each, a file that does not grow without end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deforum_api.queue import logs
from deforum_api.queue.logs import LOG_NAME, OneLineFormatter, RepeatFilter, job_in_log, write_log_file

NAME = "deforum_api.test"
FORGED = "2026-01-01 00:00:00 INFO - deforum_api: all is well"


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    assert write_log_file(tmp_path / "outputs", (NAME,)) is not None
    yield tmp_path / "outputs" / LOG_NAME
    for writer in list(logging.getLogger(NAME).handlers):
        logging.getLogger(NAME).removeHandler(writer)
        writer.close()


def entry(message: str, error: BaseException | None = None) -> str:
    about = (type(error), error, None) if error else None
    made = logging.LogRecord(NAME, logging.WARNING, "", 0, "%s", (message,), about)
    return OneLineFormatter("%(levelname)s: %(message)s").format(made)


@pytest.mark.parametrize(
    "evil", ["\n", "\r\n", "\r", "\x1b[2J", "\x9b2J", "\u2028", "\x85", "\u202e", "\x00"]
)
def test_no_character_of_a_prompt_begins_a_line_or_speaks_to_the_terminal(evil: str) -> None:
    line = entry(f"a{evil}{FORGED}")
    assert line.isprintable()
    assert line == f"WARNING: a{repr(evil)[1:-1]}{FORGED}"


def test_no_exception_forges_a_line() -> None:
    lines = entry("it failed", ValueError(f"a\n{FORGED}\x1b[2J")).split("\n")
    assert lines[0] == "WARNING: it failed"
    assert all(line.startswith("  | ") and line.isprintable() for line in lines[1:])
    assert f"  | {FORGED}\\x1b[2J" in lines


def test_each_line_names_its_job(written: Path) -> None:
    log = logging.getLogger(NAME)
    log.warning("before")
    with job_in_log("batch(1)-0"):
        log.warning("during")
        thread = threading.Thread(target=log.warning, args=("elsewhere",))
        thread.start()
        thread.join()
    log.warning("after")
    named = [line.split(" ")[3] for line in written.read_text(encoding="utf-8").splitlines()]
    assert named == ["-", "batch(1)-0", "-", "-"]


def test_a_later_file_takes_the_place_of_an_earlier_one(written: Path, tmp_path: Path) -> None:
    later = write_log_file(tmp_path / "later", (NAME,))
    logging.getLogger(NAME).warning("once")
    assert written.read_text(encoding="utf-8") == ""
    assert logging.getLogger(NAME).handlers == [later]
    assert "once" in (tmp_path / "later" / LOG_NAME).read_text(encoding="utf-8")


def test_the_file_begins_anew_when_it_is_full(written: Path) -> None:
    log = logging.getLogger(NAME)
    (writer,) = log.handlers
    assert isinstance(writer, logs.LogFile)
    assert (writer.maxBytes, writer.backupCount) == (5 * 2**20, 4)
    writer.maxBytes = 300
    for number in range(40):
        log.warning("line %d", number)
    files = sorted(written.parent.iterdir())
    assert [file.name for file in files] == [LOG_NAME] + [f"{LOG_NAME}.{n}" for n in range(1, 5)]
    assert all(file.stat().st_size <= 300 for file in files)
    assert "line 39" in written.read_text(encoding="utf-8")


def test_a_link_in_the_place_of_the_log_is_not_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("untouched")
    (tmp_path / LOG_NAME).symlink_to(foreign)
    assert write_log_file(tmp_path, (NAME,)) is None
    assert foreign.read_text() == "untouched"
    assert "deforum.log cannot be written" in caplog.text


def test_a_folder_that_cannot_be_made_costs_only_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert write_log_file(tmp_path / "file", (NAME,)) is None


def test_a_line_that_comes_too_often_is_counted_in_place_of_written(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    (writer,) = logging.getLogger(NAME).handlers
    monkeypatch.setattr(writer, "filters", [RepeatFilter(most=3, clock=lambda: now)])
    log = logging.getLogger(NAME)
    for number in range(10):
        log.warning("The client %s knocks.", number)
    log.warning("Something else.")
    now = 61.0
    log.warning("The client %s knocks.", "x")
    lines = [line.partition("test: ")[2] for line in written.read_text(encoding="utf-8").splitlines()]
    assert lines == [
        *(f"The client {number} knocks." for number in range(3)),
        "Something else.",
        "The client x knocks. (7 more like this were omitted.)",
    ]
