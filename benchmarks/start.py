"""Start: import time that the extension adds to a host, first answer of the server, first line and frame of `run`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row

NAME = "start"
BAR = (
    "import of the extension's entry in a host <= 300 ms of processor time; first answer of the standalone server "
    "<= 8000 ms; `run` to its first line <= 1000 ms, to the first frame <= 6000 ms of processor time"
)
ROOT = Path(__file__).parents[1]
FAKES = ROOT / "tests" / "hosts"
# Programs find the bytecode of an earlier start here, as they do on a user's machine.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
# Stand-ins for a host's own packages, beside the extension's.
HOSTS = {"Forge": ("fake_forge", "fake"), "A1111": ("fake",)}
# A host has imported these long before it runs the script of an extension.
LOAD = """
import fastapi, numpy, PIL.Image, requests, sqlite3, uvicorn; from modules import script_callbacks, shared
import runpy, sys, time; began = time.process_time(); runpy.run_path("scripts/deforum.py")
print((time.process_time() - began) * 1000); assert "deforum_api.hosts.in_webui" in sys.modules
assert not {"torch", "diffusers", "transformers", "gradio", "cv2"} & set(sys.modules)
"""


def run() -> list[Row]:
    """Return the rows, each the best of three new processes."""
    return [
        *(
            Row(
                f"import of the entry in {host}, processor time", min(_load_ms(host) for _ in range(3)), 300.0
            )
            for host in HOSTS
        ),
        Row("standalone server, first answer", min(_answer_ms() for _ in range(3)), 8000.0),
        *_first_line_rows(),
        Row("run with the built-in model, processor time of one frame", _first_frame_ms(), 6000.0),
    ]


def _run_command(folder: str, engine: str) -> list[str]:
    changes = ("W=256", "H=256", "max_frames=1", "skip_video_creation=true")
    command = [sys.executable, "-m", "deforum_helpers", "run", str(ROOT / "config" / "quickstart.txt")]
    return [*command, "--engine", engine, "--out", folder, *(f"--set={change}" for change in changes)]


def _first_line_rows() -> list[Row]:
    """Return the time until `run` shows its first line in a terminal; nothing where there are no such terminals."""
    try:
        import pty
    except ImportError:
        return []

    def measured() -> float:
        terminal, programs_end = pty.openpty()
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            program = subprocess.Popen(
                _run_command(folder, "null"),
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=subprocess.DEVNULL,
                stderr=programs_end,
            )
            try:
                os.read(terminal, 1)
                return (time.perf_counter() - began) * 1000
            finally:
                program.kill()
                program.wait()
                os.close(programs_end)
                os.close(terminal)

    return [Row("run, first line in a terminal", min(measured() for _ in range(3)), 1000.0)]


def _first_frame_ms() -> float:
    """Return the least processor time of three new processes that render one frame of 256x256 and no video."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            before = os.times()
            command = _run_command(folder, "demo")
            subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True)
            after = os.times()
            times += [after.children_user + after.children_system]
            times[-1] -= before.children_user + before.children_system
    return min(times) * 1000


def _load_ms(host: str) -> float:
    """Return the processor time in which a host runs the extension's script, which loads neither torch nor gradio."""
    folders = [*(str(FAKES / name) for name in HOSTS[host]), str(ROOT)]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(folders), "FAKE_HOST_FOLDER": folder}
        said = subprocess.run(
            [sys.executable, "-c", LOAD],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
    return float(said.stdout)


def _answer_ms() -> float:
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "deforum_api.hosts.standalone", "--deforum-api", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("Running on "):
                return (time.perf_counter() - began) * 1000
        raise RuntimeError("the server ended without answering")
    finally:
        server.terminate()
        server.wait()
