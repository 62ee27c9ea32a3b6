"""Tools inside a WebUI: jobs of the queue that take the host's turn only where they run a network."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_api.hosts import in_webui
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.video import VideoWriter
from tests.hosts.test_loading import loaded, new_app

pytest.importorskip("torch")

WAIT_S = 120.0
__all__ = ["loaded"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, width=64, height=48, fps=8, preset="ultrafast", ffmpeg=find_ffmpeg("")) as writer:
        for frame in range(3):
            writer.write(np.full((48, 64, 3), 60 * frame, np.uint8))
        writer.finish()
    return path


@pytest.fixture
def asked(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if loaded.forge:
        memory = type("Memory", (), {"unload_all_models": lambda: None})
        monkeypatch.setitem(sys.modules, "backend.memory_management", memory)
    _, client = new_app(loaded)
    yield client
    assert in_webui.host_queue().close(WAIT_S)


def ended(client: Any, job_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        job = dict(client.get(f"/deforum_api/jobs/{job_id}").json())
        if job["status"] != "ACCEPTED":
            return job
        time.sleep(0.01)
    raise AssertionError(f"{job_id} did not end: {job}")


def run(client: Any, clip: Path, mode: str) -> str:
    answer = client.post("/deforum_api/tools/vid2depth", json={"video": str(clip), "mode": mode})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_ids"][0])


def test_only_a_network_waits_for_the_host_and_is_cancelled_meanwhile(
    asked: Any, host: Any, clip: Path
) -> None:
    with host.call_queue.queue_lock:
        grey = run(asked, clip, "None (just grayscale)")
        assert ended(asked, grey)["status"] == "SUCCEEDED"
        waiting = run(asked, clip, "Depth")
        while asked.get(f"/deforum_api/jobs/{waiting}").json()["phase"] == "QUEUED":
            time.sleep(0.01)
        asked.delete(f"/deforum_api/jobs/{waiting}")
        assert ended(asked, waiting)["status"] == "CANCELLED"
    job = ended(asked, run(asked, clip, "Depth"))
    assert (job["status"], job["frame"]) == ("SUCCEEDED", 3), job["message"]
    assert host.call_queue.queue_lock.acquire(False)
