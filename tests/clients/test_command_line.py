"""`python -m deforum_api` and the client behind it, against the real server with the null engine."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from deforum_api.__main__ import main
from deforum_api.client import Client
from deforum_api.client.commands import job_words, show
from deforum_helpers.__main__ import main as helpers_main
from deforum_helpers.core.progress_line import ProgressLine
from deforum_helpers.output.frames import read_frame
from tests.clients.scripted import Scripted, record, told
from tests.integration.server import SMALL, Server

LONG = {**SMALL, "max_frames": 900}


def test_a_video_from_file_to_file(
    deforum: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "run.txt"
    settings.write_text(json.dumps({**SMALL, "nonsense": 1}))
    command = ["submit", str(settings), "--set", "max_frames=3", "--save", str(tmp_path / "videos")]
    command += ["--priority", "7"]
    assert helpers_main([*command, "--url", deforum.url]) == 0
    printed = capsys.readouterr()
    job_id, video = printed.out.splitlines()
    assert video == str(tmp_path / "videos" / f"{job_id}.mp4")
    assert Path(video).read_bytes()[4:8] == b"ftyp"
    assert "nonsense" in printed.err
    assert f"{job_id} SUCCEEDED" in printed.err
    assert Client(deforum.url).job(job_id)["priority"] == 7
    frames = Client(deforum.url).download_frames(job_id, tmp_path / "frames")
    assert [read_frame(path).shape for path in frames] == [(64, 64, 3)] * 3
    assert main(["jobs", "--url", deforum.url, "--status", "SUCCEEDED"]) == 0
    assert f"{job_id} SUCCEEDED" in capsys.readouterr().out


def test_a_tool_makes_a_video_of_a_video(
    deforum: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client(deforum.url)
    (made,) = client.submit({**SMALL, "max_frames": 3})["job_ids"]
    client.wait(made)
    video = client.download(made, tmp_path / "clip.mp4")
    command = ["tool", "interpolate", f"video={video}", "times=4", "keep-pictures=true", "--url", deforum.url]
    assert helpers_main([*command, "--save", str(tmp_path / "videos")]) == 0
    job_id, video_path = capsys.readouterr().out.splitlines()
    assert video_path == str(tmp_path / "videos" / f"{job_id}.mp4")
    assert (client.job(job_id)["kind"], client.job(job_id)["frame"]) == ("interpolate", 9)
    assert len(client.download_frames(job_id, tmp_path / "frames")) == 9
    assert main(["tool", "upscale", "factor=x9", "--url", deforum.url]) == 2
    assert "video is missing" in capsys.readouterr().err
    assert main(["tool", "unfold", "--url", deforum.url]) == 2
    assert "vid2depth" in capsys.readouterr().err


def test_cancel_resume_and_cancel_the_batch(
    deforum: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "long.txt"
    settings.write_text(json.dumps(LONG))
    at = ["--url", deforum.url]
    assert main(["submit", str(settings), str(settings), "--key", str(tmp_path), *at]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert main(["cancel", second, *at]) == 0
    assert main(["watch", second, *at]) == 1
    assert "CANCELLED" in capsys.readouterr().err
    assert main(["resume", second, *at]) == 0
    assert Client(deforum.url).job(second)["status"] == "ACCEPTED"
    assert main(["resume", second, *at]) == 2
    assert main(["cancel", first.rpartition("-")[0], *at]) == 0
    assert capsys.readouterr().out.splitlines() == [second, first, second]


def test_cancel_waits_for_the_end_unless_told_not_to(
    scripted: Callable[..., Scripted], capsys: pytest.CaptureFixture[str]
) -> None:
    cancelled, ending = told({"id": "batch(1)-0"}), told(record(5, cancelling=True))
    server = scripted(cancelled, ending, ending, told(record(6, "CANCELLED")))
    assert main(["cancel", "batch(1)-0", "--url", server.url]) == 0
    assert server.left == 0
    assert main(["cancel", "batch(1)-0", "--no-wait", "--url", scripted(cancelled).url]) == 0
    assert capsys.readouterr() == ("batch(1)-0\nbatch(1)-0\n", "")
    server = scripted(cancelled, ending, ending)
    assert main(["cancel", "batch(1)-0", "--patience", "0", "--url", server.url]) == 0
    assert "has not ended yet" in capsys.readouterr().err


def test_what_is_wrong_is_said_once_and_in_full(
    deforum: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "wrong.txt"
    settings.write_text(json.dumps({**SMALL, "W": "wide", "zoom": "0:(1/0)"}))
    assert main(["submit", str(settings), "--url", deforum.url]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [text.split()[0] for text in told] == ["W", "zoom,"]
    assert main(["submit", str(tmp_path / "none.txt"), "--url", deforum.url]) == 2
    assert "none.txt" in capsys.readouterr().err
    assert main(["jobs", "--url", "http://127.0.0.1:9", "--patience", "0"]) == 2
    assert "does not respond" in capsys.readouterr().err


@pytest.mark.parametrize("start", [main, helpers_main])
def test_the_address_stands_before_or_after_the_command(
    deforum: Server, monkeypatch: pytest.MonkeyPatch, start: Callable[[list[str]], int]
) -> None:
    monkeypatch.setenv("DEFORUM_URL", "http://127.0.0.1:9")
    other = ["--patience", "0", "--url", deforum.url]
    for arguments in (
        ["jobs", *other],
        [*other, "jobs"],
        [f"--url={deforum.url}", "jobs", "--patience", "0"],
    ):
        assert start(arguments) == 0
    assert start(["--url", "http://127.0.0.1:9", "jobs", *other]) == 0
    assert start(["--patience", "0", "jobs"]) == 2


def test_an_unknown_setting_is_not_sent(
    deforum: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "run.txt"
    settings.write_text(json.dumps(SMALL))
    before = len(list(Client(deforum.url).jobs()))
    assert main(["submit", str(settings), "--set", "max_frame=3", "--url", deforum.url]) == 2
    assert "max_frames" in capsys.readouterr().err
    assert len(list(Client(deforum.url).jobs())) == before


def test_the_address_and_the_login_come_from_the_environment(
    deforum: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFORUM_URL", deforum.url)
    assert main(["jobs"]) == 0


def test_a_webhook_of_the_private_network_is_refused_by_the_server(
    deforum: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "run.txt"
    settings.write_text(json.dumps(SMALL))
    assert main(["submit", str(settings), "--webhook", "http://127.0.0.1:9/", "--url", deforum.url]) == 2
    assert "webhook_url" in capsys.readouterr().err


def test_workers_are_listed_drained_and_undrained(
    deforum: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = deforum.worker_id()
    assert main(["workers", "--drain", worker, "--url", deforum.url]) == 0
    assert re.match(rf"{worker} drain(ing|ed) ", capsys.readouterr().out)
    assert main(["workers", "--undrain", worker, "--url", deforum.url]) == 0
    assert re.match(rf"{worker} (idle|busy) ", capsys.readouterr().out)
    assert main(["workers", "--drain", "far", "--url", deforum.url]) == 2
    assert "'far'" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_in_place_on_a_terminal() -> None:
    out = Terminal()
    line = ProgressLine(out)
    show(record(1), line)
    show(record(2, "FAILED", message="no disk."), line)
    line.end()
    first, last = out.getvalue().split("\r")[1:]
    assert first.startswith("batch(1)-0 [")
    assert "generating, frame 3 of 6, 20.3 s per frame, 1 min 1 s left" in first
    assert last == "batch(1)-0 FAILED: no disk.\x1b[K\n"


def test_progress_in_a_log_is_a_line_per_tenth() -> None:
    out = io.StringIO()
    line = ProgressLine(out)
    for percent in range(0, 100, 5):
        show(record(percent, phase_progress=percent / 100), line)
    assert len(out.getvalue().splitlines()) == 10
    waiting = record(0, phase="QUEUED", queue_position=2, eta_seconds=0, frame=0, max_frames=0)
    assert job_words(waiting) == "number 3 in the queue"
    assert job_words({**waiting, "queue_position": None, "message": "Paused."}) == "waiting: Paused."
    assert job_words(record(0, eta_seconds=7260)).endswith("2 h 1 min left")
