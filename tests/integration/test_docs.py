"""Every example of docs/API.md runs as it is written, against a server where the page says it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.scripted import DROPPED, NOT_YET, Scripted, record, told, unknown
from tests.integration.server import ROOT, Server

PAGE = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
LIMIT_S = 280
SHELL_HEAD = "set -euo pipefail\n"


def examples(language: str) -> str:
    """Return all blocks of a language, one after another as a reader runs them."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    return "\n".join(blocks)


def test_every_example_runs_unchanged(tmp_path: Path, examples_port: int) -> None:
    server = Server(tmp_path / "outputs", port=examples_port)
    try:
        run(["bash", "-c", SHELL_HEAD + examples("sh")], tmp_path / "sh")
        run([sys.executable, "-c", examples("python")], tmp_path / "python")
        run([node(), "--input-type=module", "-e", examples("javascript")], tmp_path / "javascript")
        jobs = server.ask("GET", "/deforum_api/jobs?summary=true")[1].values()
    finally:
        server.close()
    ends = [job["status"] for job in jobs]
    assert ends.count("SUCCEEDED") == 6
    assert ends.count("CANCELLED") == 2
    assert (tmp_path / "sh" / "first_video.mp4").read_bytes()[4:8] == b"ftyp"
    assert (tmp_path / "sh" / "stitched.mp4").read_bytes()[4:8] == b"ftyp"
    assert len(list((tmp_path / "python").glob("batch(*.mp4"))) == 2


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_examples_wait_for_a_host_that_has_not_loaded_deforum(language: str, tmp_path: Path) -> None:
    end, call, command = {
        "python": ("settings = {", 'print(ask("GET", "/jobs/x").text)', [sys.executable, "-c"]),
        "javascript": (
            "const { job_ids",
            'console.log(await (await ask("/jobs/x")).body.text());',
            [node(), "--input-type=module", "-e"],
        ),
    }[language]
    asking = examples(language).partition(end)[0]
    for number, last in enumerate([told(record(1, "SUCCEEDED")), unknown("There is no such job.")]):
        server = Scripted(DROPPED, NOT_YET, last)
        try:
            code = asking.replace("http://127.0.0.1:7860", server.url) + call
            assert run([*command, code], tmp_path / str(number)).strip().endswith(last.body.decode())
            assert server.left == 0
        finally:
            server.close()


def run(command: list[str], folder: Path) -> str:
    folder.mkdir()
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return ended.stdout


def node() -> str:
    found = shutil.which("node")
    if not found:
        pytest.skip("node, which runs the JavaScript examples, is not installed")
    return found


def test_every_json_example_is_json() -> None:
    import json

    for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        json.loads(block)


def test_the_page_names_every_route(server: Server) -> None:
    """Those of single files stand in the table of outputs, which the page leads to."""
    outputs = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
    assert "](outputs.md)" in PAGE
    for path in server.ask("GET", "/openapi.json")[1]["paths"]:
        last = path.rsplit("{id}", 1)[-1]
        assert path in PAGE or f"`{last}`" in PAGE + outputs, path


def test_the_page_names_every_field_of_a_job(server: Server) -> None:
    model = server.ask("GET", "/openapi.json")[1]["components"]["schemas"]["DeforumJobStatus"]
    missing = [name for name in model["properties"] if f"`{name}`" not in PAGE]
    assert missing == []
