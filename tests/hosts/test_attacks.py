"""The attacks that our routes and checks withstand inside a WebUI too, with their numbers in `docs/security.md`."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts import in_webui
from deforum_api.http.routing import METHODS
from deforum_api.queue.logs import OneLineFormatter
from deforum_api.queue.record import Job
from tests.api.fake_renderer import refused
from tests.hosts.test_loading import loaded, new_app

__all__ = ["loaded"]

STAMP = "20260102030405"
SECRET = b"nobody's business"
ROUTES = sorted(
    (method, path.replace("{id}", "batch(7)-0").replace("{n}", "0"))
    for path, methods in METHODS.items()
    if path.startswith("/deforum") and not path.endswith("/")
    for method in methods
)


@pytest.fixture
def client(loaded: Any) -> TestClient:
    return new_app(loaded)[1]


@pytest.fixture
def outdir(client: TestClient, host: Any) -> Path:
    """The folder of a finished job `batch(7)-0` with its files in it."""
    folder = host.folder / "outputs" / "img2img-images" / "run"
    folder.mkdir(parents=True)
    for name in (".mp4", ".srt", "_settings.txt", "_000000000.png"):
        (folder / f"{STAMP}{name}").write_bytes(bytes(range(200)))
    job = Job("batch(7)-0", "batch(7)", 0, "{}", "null", 1.0, 1.0, max_frames=1)
    store = in_webui.host_queue().store
    in_webui.host_queue().runner.begin_close()
    store.add([job])
    (stored,) = store.batch("batch(7)")
    done = {"status": "SUCCEEDED", "phase": "DONE", "outdir": str(folder), "timestring": STAMP}
    assert store.swap(stored, replace(stored, updates=1, **done))
    return folder


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"animation_mode": "2D", "zoom": "0:(9**9**9**9)"}, "zoom"),  # S2
        ({"animation_mode": "2D", "angle": "0:(" + "(" * 10_000 + ")" * 10_000 + ")"}, "angle"),  # S1
        ({"resume_from_timestring": True, "resume_timestring": "../../20260102030405"}, "resume_timestring"),
        ({"add_soundtrack": "File", "soundtrack_path": "concat:/etc/passwd|b"}, "soundtrack_path"),  # S7
        ({"add_soundtrack": "File", "soundtrack_path": "-i"}, "soundtrack_path"),
        (
            {"animation_mode": "Video Input", "video_init_path": "subfile,,start,0,,:/etc/passwd"},
            "video_init_path",
        ),
        ({"H": -64}, "H"),  # S14
        ({"max_frames": 0}, "max_frames"),
    ],
)
def test_no_setting_of_a_stranger_is_more_than_a_setting(
    client: TestClient, settings: dict[str, Any], named: str
) -> None:
    said = refused(client, settings, named)
    assert "Traceback" not in said
    assert len(said) < 1000


def test_no_address_of_this_machine_is_asked_for_anything(client: TestClient) -> None:  # S6
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.05)
        url = f"http://2130706433:{listener.getsockname()[1]}/a.png"
        refused(client, {"use_init": True, "init_image": url}, "init_image")
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_deep_body_is_refused_before_it_is_read(client: TestClient) -> None:  # S13
    deep = b'{"deforum_settings": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = client.post("/deforum_api/batches", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 413, 422)
    assert answer.json()["errors"] == []


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_asks_for_host_origin_and_login(loaded: Any, method: str, path: str) -> None:
    loaded.shared.cmd_opts.api_auth = "ann:pw"
    client = new_app(loaded)[1]
    assert client.request(method, path, headers={"Host": "evil.example"}).status_code == 421  # S11
    assert client.request(method, path).status_code == 401  # S16
    if method != "GET":
        answer = client.request(method, path, headers={"Origin": "null"}, auth=("ann", "pw"), json={})
        assert answer.status_code == 403  # S10


@pytest.mark.parametrize("place", ["video", "subtitles", "settings", "frames/0"])
def test_files_are_attachments_of_one_type(client: TestClient, outdir: Path, place: str) -> None:  # S12
    answer = client.get(f"/deforum_api/jobs/batch(7)-0/{place}")
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert "html" not in answer.headers["content-type"]


def test_ten_thousand_ranges_are_one_file(client: TestClient, outdir: Path) -> None:  # S15
    many = {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))}
    answer = client.get("/deforum_api/jobs/batch(7)-0/video", headers=many)
    assert (answer.status_code, len(answer.content)) == (200, 200)
    one = client.get("/deforum_api/jobs/batch(7)-0/video", headers={"Range": "bytes=10-19"})
    assert (one.status_code, one.content) == (206, bytes(range(10, 20)))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_that_lead_out_are_not_followed(
    client: TestClient, outdir: Path, tmp_path_factory: Any
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")  # S5
    (elsewhere / f"{STAMP}.mp4").write_bytes(SECRET)
    (outdir / f"{STAMP}.mp4").unlink()
    (outdir / f"{STAMP}.mp4").symlink_to(elsewhere / f"{STAMP}.mp4")
    assert client.get("/deforum_api/jobs/batch(7)-0/video").status_code == 404
    for path in outdir.iterdir():
        path.unlink()
    outdir.rmdir()
    outdir.symlink_to(elsewhere, target_is_directory=True)
    assert client.get("/deforum_api/jobs/batch(7)-0/video").status_code == 404
    assert client.get("/deforum_api/jobs/batch(7)-0/outputs").json() == []


def test_no_path_of_this_machine_is_told(client: TestClient, host: Any) -> None:  # S4
    for path in ("/deforum_api/jobs/..%2f..%2fetc%2fpasswd", "/deforum_api/jobs/batch(1)-0/frames/..%2f0"):
        answer = client.get(path)
        assert answer.status_code in (404, 422)
        assert str(host.folder) not in answer.text


def test_what_we_log_in_a_host_cannot_be_forged(client: TestClient, host: Any) -> None:  # S17
    ours = [
        writer
        for name in ("deforum_api", "deforum_helpers")
        for writer in logging.getLogger(name).handlers
        if isinstance(writer.formatter, OneLineFormatter)
    ]
    assert ours
    logging.getLogger("deforum_api.test").warning("a\n2026-01-01 INFO all is well\x1b[2J")
    (log,) = (host.folder / "outputs").glob("deforum.log")
    lines = [line for line in log.read_text().splitlines() if "all is well" in line]
    assert len(lines) == 1
    assert "\\n2026-01-01" in lines[0]
    assert lines[0].isprintable()
