"""The whole extension in the fake host as a program, with the gradio there is: load, render, reload, cancel."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOGIN = "ann:pw"
WAIT_S = 120.0
JOB = {
    "W": 64,
    "H": 64,
    "max_frames": 5,
    "steps": 2,
    "seed": 3,
    "animation_mode": "2D",
    "diffusion_cadence": 1,
    "sampler": "Euler a",
    "prompts": {"0": "a lake"},
}

# Hosts have gradio 3 and 4; the newest is the standalone page's.
HOST_GRADIO = importlib.util.find_spec("gradio") is not None and metadata.version("gradio")[0] in "34"
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="frames need torch")


class Program:
    """The fake host, running."""

    def __init__(self, folder: Path, extension: Path, *flags: str) -> None:
        self.folder = folder
        self.log = folder / "host.log"
        command = [
            sys.executable,
            str(HERE / "fake_webui.py"),
            "--extension",
            str(extension),
            "--folder",
            str(folder),
        ]
        # As in a host: nothing of ours is on the path but what the host itself puts there.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"GRADIO_ANALYTICS_ENABLED": "False", "OMP_NUM_THREADS": "1"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *flags], cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        self.base = self.started(1)

    def started(self, times: int) -> str:
        """Wait until the host serves for the `times`-th time; return its address."""
        lines: list[str] = []

        def served() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            lines[:] = [
                line for line in self.log.read_text().splitlines() if line.startswith("Running on http")
            ]
            return len(lines) >= times

        wait_for(served, WAIT_S)
        return lines[-1].removeprefix("Running on ")

    def ask(self, method: str, path: str, body: Any = None, *, login: str | None = LOGIN) -> tuple[int, Any]:
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("Content-Type", "application/json")
        if login:
            request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())
        try:
            with urllib.request.urlopen(
                request, json.dumps(body).encode() if body else None, timeout=30
            ) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def submit(self, **changes: Any) -> str:
        code, answer = self.ask("POST", "/deforum_api/batches", {"deforum_settings": {**JOB, **changes}})
        assert code == 202, answer
        return str(answer["job_ids"][0])

    def job(self, job_id: str) -> Any:
        return self.ask("GET", f"/deforum_api/jobs/{job_id}")[1]

    def ended(self, job_id: str, status: str) -> Any:
        wait_for(lambda: self.job(job_id)["status"] != "ACCEPTED", WAIT_S)
        job = self.job(job_id)
        assert job["status"] == status, (job, self.log.read_text())
        return job

    def rendering(self, job_id: str) -> None:
        wait_for(lambda: self.job(job_id)["frame"] >= 1, WAIT_S)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_for(condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["pages", "api only"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The host with a symlink to this checkout among its extensions."""
    if request.param == "pages" and not HOST_GRADIO:
        pytest.skip("no gradio of a host is installed")
    folder = tmp_path_factory.mktemp("host")
    (folder / "extensions").mkdir()
    (folder / "extensions" / "deforum").symlink_to(ROOT)
    kind = "a1111" if HOST_GRADIO and metadata.version("gradio")[0] == "3" else "forge"
    flags = ["--deforum-api", "--api-auth", LOGIN, "--kind", kind, "--step-seconds", "0.03"]
    started = Program(
        folder,
        folder / "extensions" / "deforum",
        *flags,
        *(["--nowebui"] if request.param == "api only" else []),
    )
    started.pages = request.param == "pages"  # type: ignore[attr-defined]
    yield started
    started.stop()


def test_it_loads_without_a_word_of_complaint(program: Program) -> None:
    assert program.ask("GET", "/deforum_api/health")[1]["engine"] == "webui"
    said = program.log.read_text()
    assert "***" not in said
    assert "Traceback" not in said


def test_the_login_of_the_host_is_asked_for(program: Program) -> None:
    assert program.ask("GET", "/deforum_api/jobs", login=None)[0] == 401
    assert program.ask("POST", "/deforum/run", {}, login="ann:no")[0] == 401


def test_the_tab_is_there(program: Program) -> None:
    if not program.pages:  # type: ignore[attr-defined]
        pytest.skip("this host has no pages")
    components = program.ask("GET", "/config")[1]["components"]
    assert "Deforum" in [each["props"].get("label") for each in components if each["type"] == "tabitem"]
    assert any(each["props"].get("elem_id") == "deforum_field_zoom" for each in components)


def test_our_routes_are_there_before_the_port_opens(program: Program) -> None:
    if not program.pages:  # type: ignore[attr-defined]
        pytest.skip("this host tells of its app first")
    told = [line for line in program.log.read_text().splitlines() if line.startswith("Before app_started")]
    assert told
    assert {line.rpartition(" ")[2] for line in told} == {"401"}, "the login is asked for, nothing is unknown"


@needs_torch
def test_a_job_renders_where_the_host_keeps_its_images(program: Program) -> None:
    before = program.ask("GET", "/fake/seen")[1]["options"]
    job = program.ended(program.submit(batch_name="run"), "SUCCEEDED")
    outdir = Path(job["outdir"])
    assert outdir.parent == program.folder / "outputs" / "img2img-images"
    assert len(list(outdir.glob(f"{job['timestring']}_0*.png"))) == JOB["max_frames"]
    assert (outdir / f"{job['timestring']}.mp4").stat().st_size > 1000
    assert program.ask("GET", "/fake/seen")[1]["options"] == before


@needs_torch
def test_others_generate_between_our_frames(program: Program) -> None:
    job_id = program.submit(max_frames=2000)
    program.rendering(job_id)
    assert program.ask("POST", "/sdapi/v1/txt2img")[0] == 200

    def went_on() -> bool:
        prompts = program.ask("GET", "/fake/seen")[1]["prompts"]
        return "a lake" in prompts[prompts.index("theirs") :]

    wait_for(went_on, WAIT_S)
    program.ask("DELETE", f"/deforum_api/jobs/{job_id}")
    program.ended(job_id, "CANCELLED")


@needs_torch
@pytest.mark.parametrize("how", ["cancel", "interrupt"])
def test_a_stopped_job_keeps_its_frames_as_a_video(program: Program, how: str) -> None:
    job_id = program.submit(max_frames=60, steps=4)
    wait_for(lambda: program.job(job_id)["frame"] >= 2, WAIT_S)
    if how == "cancel":
        program.ask("DELETE", f"/deforum_api/jobs/{job_id}")
    else:
        program.ask("POST", "/sdapi/v1/interrupt")
    job = program.ended(job_id, "CANCELLED")
    outputs = program.ask("GET", f"/deforum_api/jobs/{job_id}/outputs")[1]
    assert [each["kind"] for each in outputs].count("frame") == job["frame"]
    assert "video" in [each["kind"] for each in outputs]


@needs_torch
def test_a_running_job_outlives_a_reload_of_the_pages(program: Program) -> None:
    if not program.pages:  # type: ignore[attr-defined]
        pytest.skip("this host has no pages")
    times = program.log.read_text().count("Running on http")
    job_id = program.submit(max_frames=8, steps=6)
    program.rendering(job_id)
    program.ask("POST", "/sdapi/v1/server-restart")
    program.started(times + 1)
    job = program.ended(job_id, "SUCCEEDED")
    assert job["frame"] == 8
    paths = program.ask("GET", "/openapi.json")[1]["paths"]
    assert "/deforum_api/jobs/{id}" in paths
    test_our_routes_are_there_before_the_port_opens(program)
    assert "***" not in program.log.read_text()


@needs_torch
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_running_job_goes_on_when_the_host_was_ended_and_started_again(tmp_path: Path, end: str) -> None:
    flags = ("--deforum-api", "--api-auth", LOGIN, "--nowebui", "--step-seconds", "0.03")
    first = Program(tmp_path, ROOT, *flags)
    try:
        job_id = first.submit(max_frames=12)
        first.rendering(job_id)
        if end == "stopped":
            first.ask("POST", "/sdapi/v1/server-stop")
            assert first.process.wait(20) == 0, "the host does not wait for the video"
    finally:
        first.stop()
    said = first.log.read_text()
    assert "Traceback" not in said
    assert "did not stop in time" not in said
    second = Program(tmp_path, ROOT, *flags)
    try:
        assert second.job(job_id)["status"] == "ACCEPTED"
        job = second.ended(job_id, "SUCCEEDED")
    finally:
        second.stop()
    frames = Path(job["outdir"]).glob(f"{job['timestring']}_0*.png")
    assert len(list(frames)) == 12
    assert len(list(Path(job["outdir"]).glob("*_settings.txt"))) == 1
    assert ("was interrupted" in second.log.read_text()) == (end == "killed"), "a parked job loses no attempt"


@needs_torch
def test_a_refused_job_says_what_this_host_has(program: Program) -> None:
    body = {"deforum_settings": JOB, "options_overrides": {"sd_model_checkpoint": "third"}}
    code, answer = program.ask("POST", "/deforum_api/batches", body)
    assert code == 400
    assert "second.safetensors" in answer["errors"][0]["message"]


@needs_torch
def test_files_given_on_the_command_line_are_rendered_once(tmp_path: Path) -> None:
    (tmp_path / "job.txt").write_text(json.dumps({**JOB, "max_frames": 2}))
    command = [
        sys.executable,
        str(HERE / "fake_webui.py"),
        "--extension",
        str(ROOT),
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, "--nowebui", "--deforum-run-now", "job.txt", "--deforum-terminate-after-run-now"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Video: " in done.stdout
    assert len(list((tmp_path / "outputs" / "img2img-images").glob("*/*.mp4"))) == 1


def test_a_damaged_database_does_not_keep_the_command_line_waiting(tmp_path: Path) -> None:
    (tmp_path / "deforum_jobs.sqlite3").write_bytes(b"not a database " * 1000)
    (tmp_path / "job.txt").write_text(json.dumps(JOB))
    command = [
        sys.executable,
        str(HERE / "fake_webui.py"),
        "--extension",
        str(ROOT),
        "--folder",
        str(tmp_path),
    ]
    command += [
        "--nowebui",
        "--deforum-api",
        "--deforum-run-now",
        "job.txt",
        "--deforum-terminate-after-run-now",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert "The settings files are not rendered" in done.stderr
    assert "Traceback" not in done.stderr
