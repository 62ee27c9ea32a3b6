"""A standalone server whose output folder holds traps, and a client that a hostile page would be."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECRET = f"secret-{secrets.token_hex(12)}"
PATIENCE_S = 120.0
SMALL = {"W": 64, "H": 64, "max_frames": 2, "batch_name": "small"}


@dataclass(frozen=True)
class Answer:
    code: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Tab:
    """What a client knows of the tab.

    Args:
        url: of the server.
        outdir: its output folder.
        traps: paths that no answer may have anything of.
        events: number -> the start values of its inputs, and their components.
    """

    url: str
    outdir: Path
    traps: tuple[Path, ...]
    events: dict[int, list[Any]] = field(default_factory=dict)
    inputs: dict[int, list[str]] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request; one that is not answered in two minutes is a fault."""
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def post(self, path: str, body: Any) -> Answer:
        return self.ask("POST", path, json.dumps(body).encode(), **{"Content-Type": "application/json"})

    def event(self, number: int, values: list[Any], **more: Any) -> Answer:
        return self.post("/gradio_api/run/predict", {"data": values, "fn_index": number, **more})

    def upload(self, name: str, content: bytes) -> Answer:
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        return self.ask("POST", "/gradio_api/upload", head + content + b"\r\n--x--\r\n", **kind)

    def numbered(self, *elem_ids: str) -> list[int]:
        """The events whose inputs begin with these elements."""
        return [number for number, names in self.inputs.items() if tuple(names[: len(elem_ids)]) == elem_ids]


def told(answer: Answer) -> str | None:
    """What is wrong with an answer, or None."""
    if answer.code >= 500:
        return f"it was answered {answer.code}: {answer.body[:300]!r}"
    if SECRET.encode() in answer.body:
        return f"it gave a secret away: {answer.body[:300]!r}"
    return None


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Tab]:
    """Serve a folder with traps until the context ends."""
    outdir = folder / "outputs"
    traps = _traps(folder, outdir)
    command = [
        sys.executable,
        "-m",
        "deforum_api.hosts.standalone",
        "--deforum-engine",
        "null",
        "--port",
        "0",
    ]
    with (folder / "stderr.txt").open("w") as log:
        server = subprocess.Popen(
            [*command, "--deforum-outdir", str(outdir), *flags],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found, (folder / "stderr.txt").read_text()
        tab = Tab(found[0], outdir, traps)
        _learn(tab)
        yield tab
    finally:
        server.terminate()
        try:
            server.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()
            raise


def _learn(tab: Tab) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while b"gradio_config" not in tab.ask("GET", "/").body:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    config = tab.ask("GET", "/config").json()
    parts = {part["id"]: part["props"] for part in config["components"]}
    for event in config["dependencies"]:
        if not event["backend_fn"]:
            continue
        props = [parts[one] for one in event["inputs"]]
        names = [str(one.get("elem_id")) for one in props]
        tab.inputs[event["id"]] = names
        tab.events[event["id"]] = [
            SMALL.get(name.replace("deforum_field_", ""), one.get("value"))
            for name, one in zip(names, props, strict=True)
        ]


def _traps(folder: Path, outdir: Path) -> tuple[Path, ...]:
    outdir.mkdir()
    run = outdir / "img2img-images" / "run"
    run.mkdir(parents=True)
    secret = folder / "secret.txt"
    secret.write_text(json.dumps({"prompts": {"0": SECRET}, "batch_name": SECRET}))
    inside = [outdir / ".secret.png", outdir / "deforum_options.txt", run / "20260102030405_settings.txt"]
    inside += [outdir / "secret.sqlite3", outdir / "secret.log", run / ".hidden.mp4"]
    for path in inside:
        path.write_text(SECRET)
    links = [outdir / "link.png", outdir / "link.txt", run / "link.mp4", outdir / "folder"]
    for link in links[:3]:
        link.symlink_to(secret)
    links[3].symlink_to(folder, target_is_directory=True)
    pipes = [outdir / "pipe.txt", outdir / "pipe.png"]
    for pipe in pipes:
        os.mkfifo(pipe)
    return (secret, *inside, *links, *pipes, Path("/dev/zero"), Path("/etc/hostname"))
