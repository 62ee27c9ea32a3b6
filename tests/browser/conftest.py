"""The standalone page in a real browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)


def missing() -> str | None:
    """What keeps the browser tests from running, or None."""
    for module in ("playwright", "gradio"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    return None if CHROMIUM else "there is no Chromium on this machine"


@pytest.fixture(scope="session")
def outdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def url(outdir: Path) -> Iterator[str]:
    """The address of a server with the null engine, whose tab is ready."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--deforum-engine",
        "null",
        "--port",
        "0",
    ]
    with (outdir / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--deforum-outdir", str(outdir)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found, (outdir / "server.log").read_text()
        _wait(found[0])
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=60)


@pytest.fixture(autouse=True)
def no_job_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test leaves in the queue when it fails is no burden of the next."""
    yield
    if "url" not in request.fixturenames:
        return
    jobs = f"{request.getfixturevalue('url')}/deforum_api/jobs"
    with urllib.request.urlopen(f"{jobs}?status=ACCEPTED&summary=true", timeout=START_S) as answer:
        left = list(json.loads(answer.read()))
    for job in left:
        cancel = urllib.request.Request(f"{jobs}/{job}", method="DELETE")
        urllib.request.urlopen(cancel, timeout=START_S).close()


def _wait(address: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(address, timeout=30) as answer:
            if b"gradio_config" in answer.read():
                return
        time.sleep(0.2)
    raise AssertionError("The tab was not ready in time.")


@pytest.fixture(scope="session")
def browser(url: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()
