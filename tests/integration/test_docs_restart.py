"""The examples of docs/API.md go on where they were when their server is killed in the middle and started again."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.serving import FaultyServer
from tests.integration.server import WAIT_S
from tests.integration.test_docs import PAGE, node

LIMIT_S = 280


def blocks(language: str, *without: str) -> str:
    """Return the blocks of a language, one after another, without those that have one of the words `without`."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return "\n".join(one for one in found if not any(word in one for word in without))


EXAMPLES = {
    "python": blocks("python"),
    "javascript": blocks("javascript"),
    "javascript that follows events": blocks("javascript", "do {", "const video"),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_outlive_a_crash_of_the_server(example: str, tmp_path: Path, examples_port: int) -> None:
    command = [sys.executable, "-uc"] if example == "python" else [node(), "--input-type=module", "-e"]
    server = FaultyServer(tmp_path / "outputs", "hold", port=examples_port)
    client = subprocess.Popen(
        [*command, EXAMPLES[example]],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        first = submitted(server)
        server.kill()
        server = FaultyServer(tmp_path / "outputs", port=examples_port)
        told, _ = client.communicate(timeout=LIMIT_S)
        assert client.returncode == 0, told
        jobs = server.ask("GET", "/deforum_api/jobs?summary=true")[1]
    finally:
        client.kill()
        client.communicate()
        server.kill()
    assert [job["status"] for job in jobs.values()] == ["SUCCEEDED"] * (2 if example == "python" else 1)
    assert first in jobs
    assert "SUCCEEDED" in told or "DONE" in told
    assert len(list(tmp_path.glob("batch(*.mp4"))) == (2 if example == "python" else 0)


def submitted(server: FaultyServer) -> str:
    """Wait until a job has a frame, and return its id."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        jobs = server.ask("GET", "/deforum_api/jobs?summary=true")[1].values()
        if some := [job["id"] for job in jobs if job["frame"]]:
            return str(some[0])
        time.sleep(0.05)
    raise AssertionError("no job began")
