"""The standalone program: what it prints, how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.server import ROOT, SMALL, WAIT_S, Server

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def make(*arguments: str) -> Server:
        servers.append(Server(tmp_path / "outputs", *arguments))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def test_the_first_line_names_the_address_once_it_answers(server: Server) -> None:
    assert server.lines[0].startswith("Running on http://127.0.0.1:")
    assert server.ask("GET", "/deforum/version") == (200, {"version": "6.5.0"})


def test_sigterm_parks_the_running_job_and_ends_in_order(start: Start, tmp_path: Path) -> None:
    server = start()
    (job_id,) = server.submit({**SMALL, "max_frames": 5000, "batch_name": "parked"})
    job = server.until(job_id, lambda job: job["frame"] >= 2)
    assert server.stop() == 0
    folder = tmp_path / "outputs" / "img2img-images" / "parked"
    assert (folder / f".{job['timestring']}.checkpoint").exists()
    assert not list(folder.glob("*.mp4"))
    assert not [line for line in server.errors if "Traceback" in line]


def test_an_interrupt_ends_it_too(start: Start) -> None:
    assert start("--deforum-simple-api").stop(signal.SIGINT) == 0


def test_what_is_parked_is_said_at_the_end_and_at_the_next_start(start: Start) -> None:
    server = start()
    long = {**SMALL, "max_frames": 5000, "batch_name": "parked"}
    first, second, third = server.submit(long, long, long)
    server.until(first, lambda job: job["frame"] >= 2)
    assert server.stop(signal.SIGINT) == 0
    assert until(server.errors, f"Parked {first} (parked) after ")
    assert until(server.errors, "2 jobs are left for the next start.")
    again = start()
    assert until(again.errors, f"Resuming {first} (parked) after ")
    assert until(again.errors, "2 jobs are queued.")
    for job_id in (third, second, first):
        again.ask("DELETE", f"/deforum_api/jobs/{job_id}")
    again.ended(first)
    assert again.stop(signal.SIGINT) == 0
    silent = start()
    silent.stop(signal.SIGINT)
    assert not [line for line in silent.errors if "Resuming" in line or "Parked" in line]


def until(lines: list[str], text: str) -> str:
    """Wait for a line that has the text, which another thread reads, and return it."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := [line for line in list(lines) if text in line]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(lines)


def test_the_simple_api_alone(start: Start) -> None:
    server = start("--deforum-simple-api")
    assert server.ask("GET", "/deforum/version")[0] == 200
    assert server.ask("GET", "/deforum_api/jobs")[0] == 404


def test_run_now_renders_its_files_and_ends(start: Start, tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in files:
        path.write_text(json.dumps({**SMALL, "batch_name": path.stem}))
    server = start(
        "--deforum-run-now", ",".join(map(str, files)), "--deforum-terminate-after-run-now", "--deforum-api"
    )
    assert server.process.wait(WAIT_S) == 0
    videos = [Path(line.removeprefix("Video: ")) for line in server.lines if line.startswith("Video: ")]
    assert [video.parent.name for video in videos] == ["a", "b"]
    assert all(video.stat().st_size > 0 for video in videos)
    assert any("100 %" in line for line in server.lines)


def test_run_now_ends_with_1_if_anything_failed(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(json.dumps({**SMALL, "zoom": "0:(1/0)"}))
    server = start("--deforum-run-now", str(path), "--deforum-terminate-after-run-now")
    assert server.process.wait(WAIT_S) == 1
    assert any("zoom" in line and "bad.txt" in line for line in server.lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen"], "--api-auth"),
        (["--deforum-engine", "diffusers", "--ckpt", "/no/such/model.ckpt"], "safetensors"),
        (["--deforum-engine", "diffusers"], "--ckpt"),
        (["--port", "70000"], "0 to 65535"),
    ],
)
def test_wrong_flags_end_with_2_and_one_sentence(arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", "deforum_api.hosts.standalone", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_told(server: Server) -> None:
    port = server.url.rsplit(":", 1)[1]
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--deforum-engine",
        "null",
        "--port",
        port,
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 2
    assert f"Port {port} cannot be used" in ended.stderr


def test_nothing_heavy_is_imported_before_the_first_answer() -> None:
    code = (
        "import sys; import deforum_api.hosts.standalone; "
        "print([name for name in ('torch', 'diffusers', 'transformers', 'cv2') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert ended.stdout.strip() == "[]"
