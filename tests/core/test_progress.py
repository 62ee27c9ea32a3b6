"""Progress in words, and the line of a terminal that shows it."""

from __future__ import annotations

import io
import logging
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deforum_api.client.commands import job_words
from deforum_api.hosts.run_now import _show
from deforum_api.tab.service import _view
from deforum_helpers.cli.run import RunProgress
from deforum_helpers.core.progress import Pace, Progress, duration, frame_words, state_words
from deforum_helpers.core.progress_line import LogLines, ProgressLine, above_progress, fitted
from deforum_helpers.ui.panels import progress_html
from tests.clients.scripted import record

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    """What is written, and what a terminal of one line a row would show of it."""

    def isatty(self) -> bool:
        return True

    @property
    def rows(self) -> list[str]:
        shown = []
        for row in self.getvalue().split("\n"):
            last = ""
            for piece in row.split("\r"):
                last = piece.replace("\x1b[K", "") if "\x1b[K" in piece else piece + last[len(piece) :]
            shown.append(last)
        return shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than 1 s"),
        (42.0, "42 s"),
        (61.0, "1 min 1 s"),
        (150.0, "2 min 30 s"),
        (3480.0, "58 min"),
        (3599.0, "1 h 0 min"),
        (7260.0, "2 h 1 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_is_not_known_is_left_out() -> None:
    assert frame_words(0, 0) == ""
    assert frame_words(0, 12) == "frame 0 of 12"
    assert frame_words(5, 10, seconds_per_frame=2.4, eta_seconds=12.0) == (
        "frame 5 of 10, 2.40 s per frame, 12 s left"
    )
    assert frame_words(5, 10, seconds_per_frame=0.001) == "frame 5 of 10, less than 0.01 s per frame"
    assert frame_words(5, 10, seconds_per_frame=696.0) == "frame 5 of 10, 696 s per frame"
    assert state_words("NEW_PHASE") == "new_phase"


def test_a_job_that_works_pauses_after_its_frame() -> None:
    assert state_words("GENERATING", paused=True) == "pausing after this frame"
    assert state_words("QUEUED", paused=True) == "paused"
    assert state_words("GENERATING", paused=True, cancelling=True) == "cancelling"


def test_the_pace_is_that_of_this_attempt() -> None:
    seconds = iter([100.0, 104.0, 104.0])
    pace = Pace(lambda: next(seconds))
    assert pace.seconds_per_frame(Progress("PREPARING", 0.1, 0, 10)) == 0.0
    assert pace.seconds_per_frame(Progress("GENERATING", 0.5, 5, 10)) == 0.0
    assert pace.seconds_per_frame(Progress("GENERATING", 0.7, 7, 10)) == 2.0
    assert pace.seconds_per_frame(Progress("GENERATING", 0.7, 7, 10)) == 2.0
    assert pace.seconds_per_frame(Progress("POST_PROCESSING", 0.0, 10, 10)) == 0.0


def test_the_tab_and_the_three_commands_word_progress_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    from deforum_api.queue.record import Job

    monkeypatch.setenv("COLUMNS", "200")
    job = Job("batch(1)-0", "batch(1)", 1, "{}", "null", 0.0, 48.0, phase="GENERATING", phase_progress=0.5)
    job = Job(**{**vars(job), "frame": 6, "max_frames": 1006, "generating_since": 27.0, "frame_at": 48.0})
    words = "frame 6 of 1006, 3.50 s per frame, 58 min left"
    html = progress_html(_view(job, None, "", ()))
    assert f"<b>Generating</b> {words}" in html
    watched = record(1, frame=6, max_frames=1006, eta_seconds=3500.0)
    assert job_words(watched) == f"generating, {words}"
    out = Terminal()
    _show(job, None, "a.txt", ProgressLine(out))
    seconds = iter([27.0, 48.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    run = RunProgress("a.txt", ProgressLine(out))
    run._pace = Pace(time.monotonic)
    run.show(Progress("GENERATING", 0.0, 0, 1006))
    run.show(Progress("GENERATING", 0.5, 6, 1006))
    shown = [piece for piece in out.getvalue().split("\r") if words in piece]
    assert len(shown) == 2
    assert shown[0] == shown[1]


def test_a_narrow_terminal_keeps_the_words() -> None:
    words = "generating, frame 6 of 1006, 3.50 s per frame, 58 min left"
    assert fitted("a.txt", words, 0.5, 120) == f"a.txt [############............] {words}"
    assert fitted("a.txt", words, 0.5, 75) == f"a.txt [####....] {words}"
    assert fitted("a.txt", words, 0.5, 70) == f"a.txt {words}"
    assert fitted("a long name.txt", words, 0.5, 70) == f"a long na.. {words}"
    assert fitted("a.txt", words, 0.5, 20) == words[:20]


def test_log_lines_stand_above_the_line_of_progress() -> None:
    out = Terminal()
    line, log = ProgressLine(out), logging.Logger("test")
    log.addHandler(LogLines(out))
    line.show("a.txt", "generating, frame 1 of 2", 0.5)
    log.warning("The first.")
    with above_progress():
        out.write("The second.\n")
    line.show("a.txt", "making the video", 0.9)
    line.end()
    log.warning("The third.")
    first, second, progress, third, rest = out.rows
    assert (first, second, third, rest) == ("The first.", "The second.", "The third.", "")
    assert progress.startswith("a.txt [")
    assert progress.endswith("] making the video")


def test_many_threads_never_cut_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    line, log = ProgressLine(out), logging.Logger("test")
    log.addHandler(LogLines(out))
    threads = [threading.Thread(target=lambda: [log.warning("whole") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        line.show("a.txt", f"frame {number}")
    for thread in threads:
        thread.join()
    line.end()
    assert out.rows == [*["whole"] * 200, "a.txt frame 99", ""]


def test_a_stream_without_the_characters_gets_escapes() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    ProgressLine(out).show("\u6620\u50cf.txt", "waiting")
    assert raw.getvalue() == b"\\u6620\\u50cf.txt waiting\n".replace(b"\n", os.linesep.encode())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
def test_a_command_shows_life_before_it_loads_anything(tmp_path: Path) -> None:
    import pty

    settings = tmp_path / "a.txt"
    settings.write_text('{"W": 64, "H": 64, "max_frames": 2}')
    terminal, far = pty.openpty()
    command = [sys.executable, "-m", "deforum_helpers", "run", str(settings), "--engine", "null"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path)], cwd=ROOT, stdin=far, stdout=far, stderr=far
    ) as program:
        os.close(far)
        said = b""
        while select.select([terminal], [], [], 120)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            said += piece
    os.close(terminal)
    text = said.decode()
    assert program.returncode == 0, text
    assert text.index("Checking a.txt") < text.index("Loading ") < text.index("preparing")
    assert "frame 2 of 2" in text
    assert "0 s left" not in text
