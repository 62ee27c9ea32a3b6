"""Start: what the import of our entry adds to a host, and how soon the standalone server answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.rows import Row

NAME = "start"
BAR = "import of the extension's entry <= 300 ms; first answer of the standalone server <= 8000 ms"
ROOT = Path(__file__).parents[1]
IMPORT = (
    "import time; t = time.perf_counter(); import deforum_api.app; print((time.perf_counter() - t) * 1000)"
)
# A host has imported these long before it loads an extension.
HOST_HAS = "import fastapi, numpy, PIL.Image, uvicorn;"


def run() -> list[Row]:
    """Return the two rows; each the best of three fresh processes."""
    return [
        Row("import of the entry inside a host", min(_import_ms() for _ in range(3)), 300.0),
        Row("standalone server, first answer", min(_answer_ms() for _ in range(3)), 8000.0),
    ]


def _import_ms() -> float:
    said = subprocess.run(
        [sys.executable, "-c", HOST_HAS + IMPORT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(said.stdout)


def _answer_ms() -> float:
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "deforum_api.standalone", "--deforum-api", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
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
