"""The JavaScript client, run by Node against the real server and against one that fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deforum_api.http.routes.settings import SCRIPT
from tests.clients.scripted import DROPPED, NOT_YET, Answer, Scripted, events, record, told
from tests.integration.server import Server

Make = Callable[..., Scripted]
STORIES = Path(__file__).with_name("client_script.mjs")
DONE = record(9, "SUCCEEDED")
BUSY = told({"message": "stopping"}, 503)


def tell(story: str, url: str, *more: str) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the JavaScript client, is not installed")
    with tempfile.TemporaryDirectory() as folder:  # where its name says that it is a module
        module = shutil.copy(SCRIPT, Path(folder, "client.mjs"))
        done = subprocess.run(
            [node, str(STORIES), str(module), url, story, *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_server_sends_the_script(deforum: Server) -> None:
    with urllib.request.urlopen(f"{deforum.url}/deforum_api/client.js") as answer:
        assert answer.headers.get_content_type() == "text/javascript"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.read() == SCRIPT.read_bytes()


def test_a_video_from_settings_to_bytes(deforum: Server) -> None:
    told = tell("run", deforum.url)
    assert (told["errors"], told["plan"]["frames"]) == ([], 4)
    numbers = [updates for _, updates in told["seen"]]
    assert numbers == sorted(set(numbers))
    assert [status for status, _ in told["seen"]].index("SUCCEEDED") == len(told["seen"]) - 1
    assert told["type"] == "video/mp4"
    assert [told["size"]] == told["sizes"]
    assert told["cancelled"] == [told["other"]]
    assert "CANCELLED" in told["ended"]["message"]
    assert told["resumed"] == "ACCEPTED"
    assert {told["id"], told["other"]} <= set(told["listed"])
    assert told["forgotten"] == 404
    assert told["refused"]["status"] == 400
    assert [one["setting"] for one in told["refused"]["errors"]] == ["W"]


def test_workers_are_drained_and_listed(deforum: Server) -> None:
    worker = deforum.worker_id()
    told_back = tell("workers", deforum.url, worker)
    assert worker in told_back["ids"]
    assert told_back["states"][0] in ("draining", "drained")
    assert told_back["states"][1] in ("busy", "idle")


def test_a_submission_is_repeated_with_one_key(scripted: Make) -> None:
    server = scripted(DROPPED, BUSY, told({"job_ids": ["batch(1)-0"]}, 202))
    assert tell("submit", server.url) == {"job_ids": ["batch(1)-0"]}
    assert len(server.asked) == 3
    assert len({one.headers["idempotency-key"] for one in server.asked}) == 1
    assert server.asked[0].headers["authorization"] == "Basic YW5uOnPDqWNyZXQ="
    assert json.loads(server.asked[0].body) == {"deforum_settings": {"max_frames": 2}}


def test_a_tool_is_queued_with_its_arguments(scripted: Make) -> None:
    server = scripted(told({"job_ids": ["batch(1)-0"]}, 202))
    assert tell("tool", server.url) == {"job_ids": ["batch(1)-0"]}
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/deforum_api/tools/upscale")
    more = {
        "options_overrides": {"deforum_ffmpeg_crf": 20},
        "priority": 5,
        "webhook_url": "https://a.example/",
    }
    assert json.loads(asked.body) == {"video": "a.mp4", **more}
    assert asked.headers["idempotency-key"]


def test_a_host_that_has_not_loaded_deforum_yet_is_waited_for(scripted: Make) -> None:
    assert tell("submit", scripted(NOT_YET, NOT_YET, told({"job_ids": ["batch(1)-0"]}, 202)).url)
    server = scripted(NOT_YET, told(record(1)), events(record(2), DONE))
    assert tell("follow", server.url) == [1, 2, 9]
    never = tell("health", scripted(*[NOT_YET] * 9).url)
    assert never["status"] == 404
    assert "--deforum-api" in never["message"]


def test_a_broken_stream_is_taken_up(scripted: Make) -> None:
    lost = [told(record(20)), events(record(21)), DROPPED, BUSY, told(record(2)), events(record(3), DONE)]
    server = scripted(*lost)
    assert tell("follow", server.url) == [20, 21, 2, 3, 9]
    assert server.asked[-1].headers["last-event-id"] == "2"


@pytest.mark.parametrize(
    "none",
    [told({}, 404), told({}), Answer(headers={"Content-Type": "text/event-stream"}, silent_s=3.0)],
    ids=["unknown", "other", "silent"],
)
def test_without_events_it_is_asked_again_and_again(scripted: Make, none: Answer) -> None:
    server = scripted(told(record(1)), none, told(record(1)), told(record(2)), told(DONE))
    assert tell("follow", server.url) == [1, 2, 9]


def test_a_cancelled_job_is_not_an_error_when_only_the_answer_was_lost(scripted: Make) -> None:
    refused = told({"message": "already finished"}, 400)
    assert tell("cancel", scripted(DROPPED, refused, told(record(5, "CANCELLED"))).url) is None
    assert tell("cancel", scripted(refused).url)["message"] == "already finished"


def test_a_resume_waits_for_the_end_of_a_cancel(scripted: Make) -> None:
    refused = told({"message": "being cancelled"}, 409)
    ending, over = told(record(5, cancelling=True)), told(record(6, "CANCELLED"))
    server = scripted(refused, ending, refused, over, told(record(7), 202))
    assert tell("resume", server.url) is None
    assert server.left == 0
    assert tell("resumeAtOnce", scripted(refused, ending).url)["message"] == "being cancelled"
    assert tell("resume", scripted(DROPPED, refused, told(record(6))).url) is None
    assert tell("resume", scripted(refused, told(record(6))).url)["status"] == 409


def test_patience_ends(scripted: Make) -> None:
    gone = tell("health", "http://127.0.0.1:9")
    assert gone["status"] == 0
    assert gone["message"].startswith("http://127.0.0.1:9 does not answer")
    assert "not JSON" in tell("health", scripted(Answer(body=b"<html>")).url)["message"]
    assert tell("stop", scripted(*[BUSY] * 20).url)["message"] != "stopping"
