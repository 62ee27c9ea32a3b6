"""Whole jobs on the real server: submitted over HTTP, rendered, and left on disk as promised."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from tests.integration.server import SMALL, Server


def test_a_job_becomes_a_video_with_all_its_files(server: Server, outputs: Path) -> None:
    settings = {**SMALL, "batch_name": "whole {seed}", "max_frames": 6}
    (job_id,) = server.submit(settings)
    job = server.ended(job_id)
    assert (job["status"], job["phase"], job["phase_progress"]) == ("SUCCEEDED", "DONE", 1.0), job["message"]
    folder, stamp = Path(job["outdir"]), job["timestring"]
    assert folder == outputs.resolve() / "img2img-images" / "whole_7"
    assert len(stamp) == 14
    names = {path.name for path in folder.iterdir()}
    assert {f"{stamp}_{frame:09d}.png" for frame in range(6)} <= names
    assert {f"{stamp}.mp4", f"{stamp}_settings.txt"} <= names
    saved = json.loads((folder / f"{stamp}_settings.txt").read_text())
    assert (saved["seed"], saved["max_frames"], saved["W"]) == (7, 6, 64)


def test_its_files_are_sent(server: Server) -> None:
    (job_id,) = server.submit({**SMALL, "batch_name": "sent"})
    server.ended(job_id)
    status, files = server.ask("GET", f"/deforum_api/jobs/{job_id}/outputs")
    assert status == 200
    assert [file["kind"] for file in files].count("frame") == 4
    for file in files:
        status, content = server.ask("GET", file["link"])
        assert status == 200
        if file["kind"] != "settings":
            assert len(content) == file["size"]
    assert server.ask("GET", f"/deforum_api/jobs/{job_id}/video")[1][4:8] == b"ftyp"
    assert server.ask("GET", f"/deforum_api/jobs/{job_id}/preview")[1][:2] == b"\xff\xd8"


def test_a_running_job_is_cancelled_and_its_frames_become_a_video(server: Server) -> None:
    long, short = server.submit(
        {**SMALL, "max_frames": 2000, "batch_name": "long"}, {**SMALL, "batch_name": "short"}
    )
    server.until(long, lambda job: job["frame"] >= 3)
    assert server.ask("DELETE", f"/deforum_api/jobs/{long}")[0] == 200
    job = server.ended(long)
    assert (job["status"], job["phase"]) == ("CANCELLED", "GENERATING")
    assert 3 <= job["frame"] < 2000
    assert job["phase_progress"] < 1
    kinds = [file["kind"] for file in server.ask("GET", f"/deforum_api/jobs/{long}/outputs")[1]]
    assert "video" in kinds
    assert kinds.count("frame") == job["frame"]
    assert server.ended(short)["status"] == "SUCCEEDED"


def test_a_cancelled_job_goes_on_where_it_stopped(server: Server) -> None:
    (job_id,) = server.submit({**SMALL, "max_frames": 300, "seed": -1, "batch_name": "resumed"})
    server.until(job_id, lambda job: job["frame"] >= 2)
    server.ask("DELETE", f"/deforum_api/jobs/{job_id}")
    stopped = server.ended(job_id)
    assert stopped["status"] == "CANCELLED"
    assert server.ask("POST", f"/deforum_api/jobs/{job_id}/resume")[0] == 202
    job = server.ended(job_id)
    assert (job["status"], job["frame"]) == ("SUCCEEDED", 300), job["message"]
    assert job["timestring"] == stopped["timestring"]


def test_a_failing_member_of_a_batch_leaves_the_others_alone(server: Server, tmp_path: Path) -> None:
    image = tmp_path / "init.png"
    Image.new("RGB", (64, 64)).save(image)
    bad = {**SMALL, "use_init": True, "init_image": str(image), "batch_name": "bad"}
    blocker, first, broken, last = server.submit(
        {**SMALL, "max_frames": 300, "batch_name": "blocker"},
        {**SMALL, "batch_name": "first"},
        bad,
        {**SMALL, "batch_name": "last"},
    )
    image.unlink()
    ends = [server.ended(job_id) for job_id in (blocker, first, broken, last)]
    assert [job["status"] for job in ends] == ["SUCCEEDED", "SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert ends[2]["error_type"] == "TERMINAL"
    assert ends[2]["message"].startswith("invalid arguments: init_image")


def test_events_follow_a_job_to_its_end(server: Server) -> None:
    (job_id,) = server.submit({**SMALL, "max_frames": 20, "batch_name": "followed"})
    _, stream = server.ask("GET", f"/deforum_api/jobs/{job_id}/events")
    blocks = [block for block in stream.decode().strip().split("\n\n") if not block.startswith(":")]
    last = json.loads(blocks[-1].split("data: ", 1)[1])
    assert last == server.ask("GET", f"/deforum_api/jobs/{job_id}")[1]
    assert last["status"] == "SUCCEEDED"


def test_run_answers_when_the_video_is_there(server: Server) -> None:
    body = {"settings_json": SMALL, "allowed_params": ";".join(SMALL)}
    status, reply = server.ask("POST", "/deforum/run", body)
    assert status == 200
    assert list(Path(reply["outdir"]).glob("*.mp4"))
    assert server.ask("GET", f"/deforum_api/jobs/{reply['job_id']}")[1]["status"] == "SUCCEEDED"


def test_overrides_hold_for_their_job_only(server: Server) -> None:
    body = {
        "deforum_settings": {**SMALL, "batch_name": "titled"},
        "options_overrides": {"deforum_save_gen_info_as_srt": True},
    }
    (with_titles,) = server.ask("POST", "/deforum_api/batches", body)[1]["job_ids"]
    (without,) = server.submit({**SMALL, "batch_name": "untitled"})
    for job_id, expected in ((with_titles, True), (without, False)):
        server.ended(job_id)
        files = server.ask("GET", f"/deforum_api/jobs/{job_id}/outputs")[1]
        assert ("subtitles" in [file["kind"] for file in files]) is expected


def test_equal_settings_give_equal_frames_whatever_ran_between(server: Server) -> None:
    settings = {**SMALL, "animation_mode": "3D", "translation_z": "0:(3)"}
    first, other, again = server.submit(
        {**settings, "batch_name": "once"},
        {**SMALL, "seed": 9, "batch_name": "else"},
        {**settings, "batch_name": "twice"},
    )
    frames = []
    for job_id in (first, again):
        assert server.ended(job_id)["status"] == "SUCCEEDED"
        frames.append(server.ask("GET", f"/deforum_api/jobs/{job_id}/frames/3")[1])
    assert _pixels(frames[0]) == _pixels(frames[1])
    assert server.ended(other)["status"] == "SUCCEEDED"


def _pixels(png: bytes) -> bytes:
    return Image.open(io.BytesIO(png)).convert("RGB").tobytes()
