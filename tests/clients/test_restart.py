"""Clients that follow a job while its server is killed and started again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deforum_api.client import Client
from deforum_api.http.routes.settings import SCRIPT
from tests.integration.server import SMALL, Server

WATCH = """import { Deforum } from "./client.mjs";
const [, , url, id] = process.argv;
const job = await new Deforum(url).wait(id, { pollMs: 100 });
process.stdout.write(`${job.status} ${job.frame} ${(await new Deforum(url).download(id)).size}`);
"""


def test_clients_outlive_a_crash_of_the_server(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the JavaScript client, is not installed")
    shutil.copy(SCRIPT, tmp_path / "client.mjs")
    (tmp_path / "watch.mjs").write_text(WATCH)
    first = Server(tmp_path / "outputs")
    client = Client(first.url)
    (job_id,) = client.submit({**SMALL, "max_frames": 120}, key="one video")["job_ids"]
    half_way = threading.Event()
    command = [node, "watch.mjs", first.url, job_id]
    script = subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE)
    frames: list[int] = []

    def watch() -> None:
        for job in client.watch(job_id, poll_every_s=0.1):
            frames.append(job["frame"])
            if job["frame"] >= 20:
                half_way.set()

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        assert half_way.wait(60)
        first.stop(signal.SIGKILL)
        assert frames[-1] < 120
    finally:
        first.close()
    second = Server(tmp_path / "outputs", port=int(urlsplit(first.url).port or 0))
    try:
        watching.join(60)
        told = script.communicate(timeout=60)[0].split()
        assert client.submit({**SMALL, "max_frames": 120}, key="one video")["job_ids"] == [job_id]
        video = client.download(job_id, tmp_path / "video.mp4")
        assert len(client.download_frames(job_id, tmp_path / "frames")) == 120
    finally:
        second.close()
        script.kill()
    assert frames[-1] == 120
    assert told == ["SUCCEEDED", "120", str(video.stat().st_size)]
