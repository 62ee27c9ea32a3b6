"""The pages about clients: every example runs as it is written, and every name on them exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deforum_api.client import Client
from tests.clients.test_mcp import TOOLS
from tests.integration.server import Server

ROOT = Path(__file__).parents[2]
CLIENTS = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
MCP = (ROOT / "docs" / "MCP_INTEGRATION.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:7860"


def blocks(page: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found
    return "\n".join(found)


def run(deforum: Server, folder: Path, *command: str) -> str:
    """Run a page's example in a folder like the project's, against the server of the tests."""
    shutil.copytree(ROOT / "config", folder / "config", dirs_exist_ok=True)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DEFORUM_URL": deforum.url}
    told = [part.replace(ADDRESS, deforum.url) for part in command]
    done = subprocess.run(
        told, cwd=folder, env=environment, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_and_javascript(deforum: Server, tmp_path: Path) -> None:
    lines = run(deforum, tmp_path, "bash", "-euo", "pipefail", "-c", blocks(CLIENTS, "sh")).splitlines()
    first, long = lines[:2]
    assert lines[2:4] == [long, long]
    assert f"{first} SUCCEEDED" in lines
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the JavaScript example, is not installed")
    (tmp_path / "page.mjs").write_text(blocks(CLIENTS, "javascript").replace(ADDRESS, deforum.url))
    assert run(deforum, tmp_path, node, "page.mjs").startswith("video/mp4 ")


def test_python(deforum: Server, tmp_path: Path) -> None:
    printed = run(deforum, tmp_path, sys.executable, "-c", blocks(CLIENTS, "python"))
    assert "W W is 'wide'" in printed
    assert printed.splitlines()[-1].startswith("CANCELLED ")
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 2
    assert len(list((tmp_path / "videos").glob("*/*.png"))) == 12


def test_the_worked_example_of_the_assistant(deforum: Server, tmp_path: Path) -> None:
    printed = run(deforum, tmp_path, sys.executable, "-c", blocks(MCP, "python")).splitlines()
    assert printed[0].startswith("[] {'translation_z': [0.0, ")
    assert printed[-2] == "['image/jpeg', 'image/jpeg', 'image/jpeg']"
    assert "'kind': 'video'" in printed[-1]


def test_names_on_the_pages_exist() -> None:
    rows = re.findall(
        r"^\| (`[^|]*) \|", MCP.partition("## Tools")[2].partition("## Resources")[0], re.MULTILINE
    )
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == TOOLS
    methods = re.findall(r"`(\w+)\(", CLIENTS.partition("| method |")[2].partition("`Client(")[0])
    assert set(methods) == {name for name in vars(Client) if not name.startswith("_")}
    for page in re.findall(r"^```json\n(.*?)^```$", MCP, re.MULTILINE | re.DOTALL):
        json.loads(page)
