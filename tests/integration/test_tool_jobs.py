"""Tools on the real server: checked in a process of their own, run by the worker, left on disk as promised."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from deforum_helpers.media.containers import count_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output.video import VideoWriter
from tests.integration.server import SMALL, Client, Server


def clip(path: Path, frames: int, side: int = 64) -> Path:
    """A square that moves over a gradient."""
    with VideoWriter(
        path, width=side, height=side, fps=8, preset="ultrafast", ffmpeg=find_ffmpeg("")
    ) as writer:
        for frame in range(frames):
            image = np.tile(np.linspace(0, 200, side, dtype=np.uint8)[:, None, None], (1, side, 3))
            cv2.rectangle(image, (frame % 40, 20), (frame % 40 + 16, 36), (250, 240, 30), -1)
            writer.write(image)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("short") / "short.mp4", 4)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("long") / "long.mp4", 60, side=256)


def run(server: Client, tool: str, **arguments: Any) -> str:
    status, answer = server.ask("POST", f"/deforum_api/tools/{tool}", arguments)
    assert status == 202, answer
    return str(answer["job_ids"][0])


def frames_of(server: Client, job_id: str, target: Path) -> int:
    status, content = server.ask("GET", f"/deforum_api/jobs/{job_id}/video")
    assert status == 200
    target.write_bytes(content)
    return count_frames(target)


@pytest.mark.parametrize(
    ("tool", "arguments", "frames"),
    [
        ("interpolate", {"engine": "Flow", "times": 3}, 10),
        ("upscale", {"model": "Lanczos", "factor": "x2"}, 4),
        ("vid2depth", {"mode": "Depth", "algorithm": "Depth-Anything-V2-Small"}, 4),
    ],
)
def test_each_tool_makes_its_video(
    server: Server, short: Path, tmp_path: Path, tool: str, arguments: dict[str, Any], frames: int
) -> None:
    job_id = run(server, tool, video=str(short), **arguments)
    job = server.ended(job_id)
    assert (job["status"], job["kind"], job["frame"]) == ("SUCCEEDED", tool, frames), job["message"]
    assert frames_of(server, job_id, tmp_path / "got.mp4") == frames


def test_the_frames_of_a_job_are_stitched(server: Server, tmp_path: Path) -> None:
    (made,) = server.submit({**SMALL, "batch_name": "to stitch"})
    job = server.ended(made)
    before = len(server.ask("GET", f"/deforum_api/jobs/{made}/outputs")[1])
    pattern = f"img2img-images/to_stitch/{job['timestring']}_%09d.png"
    job_id = run(server, "stitch", pattern=pattern, fps=5)
    assert server.ended(job_id)["status"] == "SUCCEEDED"
    assert frames_of(server, job_id, tmp_path / "got.mp4") == 4
    assert len(server.ask("GET", f"/deforum_api/jobs/{made}/outputs")[1]) == before


def test_a_wrong_argument_is_refused_in_the_usual_shape(server: Server, short: Path) -> None:
    status, told = server.ask("POST", "/deforum_api/tools/upscale", {"video": str(short), "factor": "x9"})
    assert (status, told["status"], told["errors"][0]["setting"]) == (400, "BAD REQUEST", "factor")
    assert server.ask("POST", "/deforum_api/tools/unfold", {})[0] == 404


def test_events_tell_of_a_tool_until_its_end(server: Server, short: Path) -> None:
    job_id = run(server, "upscale", video=str(short))
    _, stream = server.ask("GET", f"/deforum_api/jobs/{job_id}/events")
    assert b'"kind": "upscale"' in stream
    assert b'"status": "SUCCEEDED"' in stream


def test_a_tool_is_cancelled_in_the_middle(server: Server, long: Path, outputs: Path) -> None:
    job_id = run(server, "interpolate", video=str(long), times=100)
    job = server.until(job_id, lambda job: job["frame"] >= 3)
    assert (job["phase"], job["max_frames"]) == ("GENERATING", 5901)
    folder = Path(job["outdir"])
    assert folder.is_relative_to(outputs.resolve())
    assert server.ask("DELETE", f"/deforum_api/jobs/{job_id}")[0] == 200
    job = server.ended(job_id)
    assert (job["status"], job["phase"]) == ("CANCELLED", "GENERATING")
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a program is killed otherwise on this system")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_tools_outlive_the_server(tmp_path: Path, short: Path, long: Path, how: str) -> None:
    outputs = tmp_path / "outputs"
    first = Server(outputs)
    try:
        running = run(first, "interpolate", video=str(long), times=100)
        waiting = run(first, "upscale", video=str(short))
        first.until(running, lambda job: job["frame"] >= 3)
        first.stop(getattr(signal, how))
    finally:
        first.close()
    second = Server(outputs)
    try:
        job = second.until(running, lambda job: job["frame"] >= 1)
        assert (job["kind"], job["max_frames"], job["frame"] < 5901) == ("interpolate", 5901, True)
        second.ask("DELETE", f"/deforum_api/jobs/{running}")
        assert second.ended(running)["status"] == "CANCELLED"
        assert second.ended(waiting)["status"] == "SUCCEEDED"
        assert frames_of(second, waiting, tmp_path / "got.mp4") == 4
        assert not list((outputs / "frame-interpolation").iterdir())
    finally:
        second.close()
