"""Tools as jobs of the queue: submitted over HTTP, run by the worker, cancelled, paused, kept over a restart."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue import sqlite
from deforum_api.queue.events import CancelRequested, Claimed, Failed, Interrupted, Parked, Reported, Resumed
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import MAX_ATTEMPTS, Job, after
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore
from deforum_api.queue.submission import Limits
from deforum_api.tab.service import QueueService
from deforum_helpers.core.errors import DeforumError, SettingsError
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.media.containers import count_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.output import image_steps
from deforum_helpers.output.frames import write_frame
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.tools.arguments import TOOLS
from deforum_helpers.ui import uploads
from deforum_helpers.ui.tool_answers import ToolAnswers
from tests.api.fake_renderer import WAIT_S, ended, serving, until
from tests.output.small_videos import chart

FRAMES, SIZE = 4, (48, 32)
CLIP = "CLIP"
LIMITS = Limits(retry_after_s=())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "my clip.mp4"
    with VideoWriter(path, width=48, height=32, fps=8, preset="ultrafast", ffmpeg=find_ffmpeg("")) as writer:
        for frame in range(FRAMES):
            writer.write(chart(*SIZE, 20 * frame))
        writer.finish()
    return path


def host_queue(root: Path) -> JobQueue:
    return make_queue(own_facts("null", None, root), NullEngine, limits=LIMITS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def queue(root: Path) -> Iterator[JobQueue]:
    made = host_queue(root)
    yield made
    assert made.close(WAIT_S)
    made.store.close()


@pytest.fixture
def server(queue: JobQueue) -> Iterator[TestClient]:
    with serving(queue) as made:
        yield made


def run(server: TestClient, tool: str, **arguments: Any) -> str:
    answer = server.post(f"/deforum_api/tools/{tool}", json=arguments)
    assert answer.status_code == 202, answer.text
    (job_id,) = answer.json()["job_ids"]
    return str(job_id)


def frames_of(server: TestClient, job_id: str, target: Path) -> int:
    answer = server.get(f"/deforum_api/jobs/{job_id}/video")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    target.write_bytes(answer.content)
    return count_frames(target)


@pytest.fixture
def shots(root: Path) -> str:
    folder = root / "shots"
    folder.mkdir(parents=True)
    for number in range(3):
        write_frame(folder / f"a_{number:04d}.png", chart(*SIZE, 30 * number))
    return "shots/a_%04d.png"


@pytest.mark.parametrize(
    ("tool", "arguments", "frames", "images"),
    [
        ("interpolate", {"times": 3, "keep_pictures": True}, 10, 10),
        ("upscale", {"factor": "x3"}, 4, 0),
        ("vid2depth", {"mode": "None (just grayscale)", "keep_pictures": True}, 4, 4),
    ],
)
def test_a_tool_goes_through_the_queue_to_its_video(
    server: TestClient,
    clip: Path,
    tmp_path: Path,
    tool: str,
    arguments: dict[str, Any],
    frames: int,
    images: int,
) -> None:
    job_id = run(server, tool, video=str(clip), **arguments)
    job = ended(server, job_id)
    assert (job["status"], job["phase"], job["phase_progress"]) == ("SUCCEEDED", "DONE", 1), job["message"]
    assert (job["kind"], job["frame"], job["max_frames"]) == (tool, frames, frames)
    assert job["deforum_settings"] == {"video": str(clip), **arguments}
    assert frames_of(server, job_id, tmp_path / "got.mp4") == frames
    listed = server.get(f"/deforum_api/jobs/{job_id}/outputs").json()
    assert [one["kind"] for one in listed] == ["video"] + ["frame"] * images
    for one in listed:
        assert len(server.get(one["link"]).content) == one["size"]
    assert Path(job["outdir"]).name == "my_clip"


def test_numbered_images_become_a_video_that_alone_is_listed(
    server: TestClient, shots: str, tmp_path: Path
) -> None:
    job_id = run(server, "stitch", pattern=shots, fps=12)
    job = ended(server, job_id)
    assert (job["status"], job["kind"], job["frame"]) == ("SUCCEEDED", "stitch", 3), job["message"]
    assert [one["kind"] for one in server.get(f"/deforum_api/jobs/{job_id}/outputs").json()] == ["video"]
    assert frames_of(server, job_id, tmp_path / "got.mp4") == 3


def test_jobs_of_both_kinds_wait_in_one_order(server: TestClient, clip: Path) -> None:
    settings = {"W": 64, "H": 64, "max_frames": 2, "prompts": {"0": "a"}}
    first = server.post("/deforum_api/batches", json={"deforum_settings": settings}).json()["job_ids"][0]
    second = run(server, "upscale", video=str(clip))
    assert [ended(server, job_id)["status"] for job_id in (first, second)] == ["SUCCEEDED"] * 2
    listed = server.get("/deforum_api/jobs").json()
    assert [(job["id"], job["kind"]) for job in listed.values()] == [
        (first, "animation"),
        (second, "upscale"),
    ]
    assert listed[first]["last_updated"] <= listed[second]["last_updated"]


def test_every_tool_is_listed_with_its_arguments(server: TestClient) -> None:
    listed = server.get("/deforum_api/tools").json()
    assert listed.keys() == TOOLS.keys()
    assert listed["upscale"]["required"] == ["video"]
    assert listed["upscale"]["properties"]["factor"]["enum"] == ["x2", "x3", "x4"]


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("interpolate", {"video": CLIP, "times": "many"}, {"times"}),
        ("interpolate", {"video": CLIP, "times": 1, "slower": 99}, {"times", "slower"}),
        ("interpolate", {"video": CLIP, "engine": "None"}, {"engine"}),
        ("interpolate", {"video": CLIP, "pictures": ["a.png"]}, {"video"}),
        ("interpolate", {}, {"video"}),
        ("upscale", {"video": CLIP, "factor": "x9"}, {"factor"}),
        ("upscale", {"video": CLIP, "modle": "Lanczos", "keep_pictures": 1}, {"modle", "keep_pictures"}),
        ("upscale", {"video": "nowhere.mp4"}, {"video"}),
        ("upscale", {"video": None}, {"video"}),
        ("upscale", {"video": "http://127.0.0.1:1/a.mp4"}, {"video"}),
        ("upscale", {"video": CLIP, "options_overrides": {"evil": 1}}, {"options_overrides.evil"}),
        ("vid2depth", {"video": CLIP, "block_size": 4, "blur": 300}, {"block_size", "blur"}),
        ("vid2depth", {"video": CLIP, "algorithm": "Sonar"}, {"algorithm"}),
        ("stitch", {"video": CLIP}, {"video", "pattern"}),
        ("stitch", {"pattern": "nowhere/%d.png"}, {"pattern"}),
        ("stitch", {"pattern": "nowhere/%d.png", "fps": 0}, {"fps"}),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    server: TestClient, clip: Path, tool: str, arguments: dict[str, Any], named: set[str]
) -> None:
    body = {name: str(clip) if value == CLIP else value for name, value in arguments.items()}
    answer = server.post(f"/deforum_api/tools/{tool}", json=body)
    assert answer.status_code == 400, answer.text
    told = answer.json()
    assert set(told) == {"id", "status", "message", "detail", "errors"}
    assert {one["setting"] for one in told["errors"]} == named
    assert all(one["job"] in (0, None) and one["message"] for one in told["errors"])
    assert server.get("/deforum_api/jobs").json() == {}


def test_an_unknown_tool_and_a_body_of_another_form_are_refused(server: TestClient) -> None:
    unknown = server.post("/deforum_api/tools/unfold", json={})
    assert unknown.status_code == 404
    assert "interpolate" in unknown.json()["message"]
    for body in ([], "text", 1, {"video": "a", "options_overrides": 1}):
        assert server.post("/deforum_api/tools/upscale", json=body).status_code == 422


def test_a_repeated_request_is_queued_once(server: TestClient, clip: Path) -> None:
    key = {"Idempotency-Key": "one"}
    url, body = "/deforum_api/tools/upscale", {"video": str(clip)}
    first, again = (server.post(url, json=body, headers=key) for _ in range(2))
    assert first.json() == again.json()
    assert len(server.get("/deforum_api/jobs").json()) == 1
    assert server.post("/deforum_api/tools/vid2depth", json=body, headers=key).status_code == 422
    ended(server, first.json()["job_ids"][0])


class Held:
    """Keeps interpolation at a frame until it is let go."""

    def __init__(self) -> None:
        self.started, self.going = threading.Event(), threading.Event()

    def draw(self, draw: Callable[..., None]) -> Callable[..., None]:
        def held(sources: Sequence[Path], targets: Sequence[Path], *more: Any) -> None:
            *others, cancel, report = more
            draw(sources, targets, *others, cancel, lambda share: self._wait(share, cancel, report))

        return held

    def _wait(self, share: float, cancel: Any, report: Callable[[float], None]) -> None:
        report(share)
        if share > 0.2:
            self.started.set()
            while not self.going.wait(0.005):
                cancel.check()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    made = Held()
    monkeypatch.setattr(image_steps, "interpolate_images", made.draw(image_steps.interpolate_images))
    return made


def files(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.suffix in (".png", ".mp4", ".jpg")]


def test_a_running_tool_is_cancelled_and_leaves_nothing(
    server: TestClient, clip: Path, root: Path, held: Held
) -> None:
    job_id = run(server, "interpolate", video=str(clip))
    assert held.started.wait(WAIT_S)
    job = until(server, job_id, lambda job: job["frame"] > 0)
    assert (job["phase"], job["max_frames"]) == ("GENERATING", 7)
    assert Path(job["outdir"]).is_dir()
    assert server.delete(f"/deforum_api/jobs/{job_id}").status_code == 200
    job = ended(server, job_id)
    assert (job["status"], job["outdir"]) == ("CANCELLED", None)
    assert files(root) == []
    held.going.set()
    assert server.post(f"/deforum_api/jobs/{job_id}/resume").status_code == 202
    assert ended(server, job_id)["status"] == "SUCCEEDED"


def test_a_paused_tool_starts_again(server: TestClient, queue: JobQueue, clip: Path, held: Held) -> None:
    job_id = run(server, "interpolate", video=str(clip))
    assert held.started.wait(WAIT_S)
    queue.pause(job_id)
    job = until(server, job_id, lambda job: job["phase"] == "QUEUED")
    assert (job["frame"], job["outdir"]) == (0, None)
    assert "start the tool again" in job["message"]
    held.going.set()
    queue.resume(job_id)
    assert ended(server, job_id)["status"] == "SUCCEEDED"


def test_tools_outlive_the_server(root: Path, clip: Path, held: Held, tmp_path: Path) -> None:
    first = host_queue(root)
    with serving(first) as server:
        running, waiting = (run(server, "interpolate", video=str(clip), times=times) for times in (2, 3))
        assert held.started.wait(WAIT_S)
        assert first.close(WAIT_S)
        first.store.close()
    assert files(root) == []
    held.going.set()
    second = host_queue(root)
    with serving(second) as server:
        for job_id, frames in ((running, 7), (waiting, 10)):
            job = ended(server, job_id)
            assert (job["status"], job["kind"], job["frame"]) == ("SUCCEEDED", "interpolate", frames)
            assert frames_of(server, job_id, tmp_path / f"{frames}.mp4") == frames
    assert second.close(WAIT_S)
    second.store.close()


def test_an_input_that_is_gone_fails_the_job_by_name(
    server: TestClient, queue: JobQueue, clip: Path, tmp_path: Path, held: Held
) -> None:
    copy = shutil.copy(clip, tmp_path / "copy.mp4")
    first = run(server, "interpolate", video=str(clip))
    assert held.started.wait(WAIT_S)
    job_id = run(server, "upscale", video=str(copy))
    Path(copy).unlink()
    held.going.set()
    job = ended(server, job_id)
    assert (job["status"], job["error_type"]) == ("FAILED", "TERMINAL")
    assert job["message"].startswith("invalid arguments: video names 'copy.mp4'")
    ended(server, first)


def test_a_tool_of_the_tab_is_a_job_with_a_copy_of_its_input(
    queue: JobQueue, server: TestClient, root: Path, clip: Path, tmp_path: Path, held: Held
) -> None:
    service = QueueService(queue, own_facts("null", None, root), keeps_options=True)
    answers = ToolAnswers(service, lambda path: f"file={path}")
    dropped = Path(shutil.copy(clip, tmp_path / "dropped.mp4"))
    service.submit_tool("interpolate", {}, {"video": [clip]})
    assert held.started.wait(WAIT_S)
    page = answers.upscale([dropped], "Lanczos", "x3", False)
    assert "dropped.mp4" in page
    assert "deforum-verdict bad" not in page
    dropped.unlink()  # the page was closed
    job_id = service.jobs(9)[0].id
    assert (service.job(job_id).tool, service.job(job_id).title) == ("upscale", "dropped.mp4")
    held.going.set()
    assert ended(server, job_id)["status"] == "SUCCEEDED"
    video = service.files(job_id).get("video")
    assert video
    assert video.name == "dropped_Upscaled_x3.mp4"
    assert f"file={video}" in answers.html(service.jobs(9))
    with pytest.raises(DeforumError, match="no settings"):
        service.settings(job_id)


def test_a_tool_that_the_queue_refuses_leaves_no_copy(queue: JobQueue, root: Path, clip: Path) -> None:
    service = QueueService(queue, own_facts("null", None, root), keeps_options=True)
    with pytest.raises(SettingsError, match="factor is 'x9'"):
        service.submit_tool("upscale", {"factor": "x9"}, {"video": [clip]})
    assert list((root / uploads.TOOL_INPUTS_FOLDER).iterdir()) == []


def test_copies_go_once_their_jobs_need_them_no_more(root: Path, clip: Path) -> None:
    copies = [uploads.keep_input(root, clip) for _ in range(3)]
    for copy in copies[:2]:
        os.utime(copy.parent, (0, 0))
    uploads.remove_unneeded(root, json.dumps({"video": str(copies[0])}))
    assert [copy.is_file() for copy in copies] == [True, False, True]


TOOL = Job("batch(1)-0", "batch(1)", 0, "{}", "null", 1.0, 1.0, kind="upscale")
AT_WORK = Reported("GENERATING", 0.5, 2, 4, "/out/frame-upscaling/a")


def moved(job: Job, *events: Any) -> Job:
    for number, event in enumerate(events):
        job = after(job, event, 10.0 + number)
    return job


def test_a_stopped_tool_has_no_files_and_starts_again() -> None:
    parked = moved(TOOL, Claimed(), AT_WORK, Parked())
    assert (parked.phase, parked.frame, parked.outdir) == ("QUEUED", 0, None)
    cancelled = moved(parked, CancelRequested())
    assert (cancelled.status, cancelled.cancel_requested) == ("CANCELLED", True)
    failed = moved(TOOL, Claimed(), AT_WORK, Failed("generation error: no", retryable=True))
    assert (failed.frame, failed.outdir, moved(failed, Resumed()).frame) == (2, None, 0)


def test_an_interrupted_tool_starts_again_or_ends() -> None:
    again = moved(TOOL, Claimed(), AT_WORK, Interrupted())
    assert (again.status, again.phase, again.frame) == ("ACCEPTED", "QUEUED", 0)
    assert moved(TOOL, Claimed(), AT_WORK, CancelRequested(), Interrupted()).status == "CANCELLED"
    for _ in range(MAX_ATTEMPTS - 1):
        again = moved(again, Claimed(), AT_WORK, Interrupted())
    assert (again.status, again.error_type) == ("FAILED", "RETRYABLE")


def test_jobs_of_an_old_database_are_animations(
    root: Path, monkeypatch: pytest.MonkeyPatch, clip: Path
) -> None:
    """Made by the script that version 1 had, and filled as it did."""
    root.mkdir(parents=True)
    path = root / FILE_NAME
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "MIGRATIONS", sqlite.MIGRATIONS[:1])
        for connection in sqlite.open_database(path):
            connection.close()
    old = {"id": "batch(7)-0", "batch_id": "batch(7)", "status": "SUCCEEDED", "phase": "DONE", "updates": 9}
    old |= {"started_at": 1.0, "last_updated": 2.0, "warnings": ["old"], "outdir": "/out/old"}
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        connection.execute(
            "INSERT INTO jobs (number, id, batch_id, updates, status, place, last_updated, record) "
            "VALUES (0, 'batch(7)-0', 'batch(7)', 9, 'SUCCEEDED', NULL, 2.0, ?)",
            [json.dumps(old)],
        )
        connection.execute("INSERT INTO submitted VALUES (0, '{\"W\": 64}', 'null')")
    connection.close()
    store = SqliteStore(path)
    (job,) = store.page()
    assert (job.id, job.kind, job.settings_json, job.warnings) == (
        "batch(7)-0",
        "animation",
        '{"W": 64}',
        ("old",),
    )
    store.add([replace(TOOL, order=1)])
    store.close()
    store = SqliteStore(path)
    assert [job.kind for job in store.page()] == ["animation", "upscale"]
    store.close()
