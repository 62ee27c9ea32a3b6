"""Links and paths: nothing outside the output folder is served, written, or named as a place to write to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_queue
from deforum_api.http import outputs
from deforum_api.queue.store import MemoryStore
from deforum_helpers.core.files.atomic import write_whole
from deforum_helpers.engines import make_engine
from deforum_helpers.pipeline.host_facts import own_facts
from tests.api.fake_renderer import Renderer, ended, serving, submit

PLACES = ("video", "gif", "subtitles", "settings", "frames/0", "preview")
EVIL_NAMES = (
    "../x",
    "a/../../b",
    "..\\x",
    "C:\\x",
    "\\\\host\\share",
    "CON",
    "nul.txt",
    "x" * 300,
    "/etc/x",
    "~",
    "{seed}/../..",
    "-rf",
)


@pytest.fixture
def job_id(client: TestClient) -> str:
    (made,) = submit(client, {"batch_name": "run"})
    assert ended(client, made)["status"] == "SUCCEEDED"
    return made


def test_a_folder_that_became_a_link_out_is_not_served(
    client: TestClient, job_id: str, renderer: Renderer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, elsewhere = renderer.root / "img2img-images" / "run", tmp_path_factory.mktemp("elsewhere")
    for file in folder.iterdir():
        file.rename(elsewhere / file.name)
    folder.rmdir()
    folder.symlink_to(elsewhere, target_is_directory=True)
    assert client.get(f"/deforum_api/jobs/{job_id}/outputs").json() == []
    for place in PLACES:
        assert client.get(f"/deforum_api/jobs/{job_id}/{place}").status_code == 404


def test_a_link_inside_the_output_folder_is_served(
    client: TestClient, job_id: str, renderer: Renderer
) -> None:
    folder = renderer.root / "img2img-images" / "run"
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(folder.with_name("moved"), target_is_directory=True)
    assert client.get(f"/deforum_api/jobs/{job_id}/video").status_code == 200


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="the system knows no such links")
def test_a_file_that_becomes_a_link_before_it_is_sent_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "video.mp4").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match=r"video\.mp4"):
        outputs.open_output(tmp_path / "video.mp4")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_plain_files_are_served(
    client: TestClient, job_id: str, renderer: Renderer, tmp_path: Path, kind: str
) -> None:
    video = renderer.root / "img2img-images" / "run" / "20260102030405.mp4"
    video.unlink()
    make = {
        "link": lambda: video.symlink_to(tmp_path),
        "pipe": lambda: os.mkfifo(video),
        "folder": video.mkdir,
    }
    make[kind]()
    assert client.get(f"/deforum_api/jobs/{job_id}/video").status_code == 404


@pytest.mark.parametrize("name", ["frame.png", ".frame.png.part"])
def test_what_is_written_replaces_a_link_and_leaves_its_target(tmp_path: Path, name: str) -> None:
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("untouched")
    (tmp_path / name).symlink_to(foreign)
    write_whole(tmp_path / "frame.png", b"frame")
    assert foreign.read_text() == "untouched"
    assert (tmp_path / "frame.png").read_bytes() == b"frame"
    assert not (tmp_path / "frame.png").is_symlink()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[TestClient]:
    """A server that really renders, with the engine that needs no model."""
    facts = own_facts("null", None, tmp_path / "root")
    queue = make_queue(facts, lambda: make_engine("null"), MemoryStore())
    with serving(queue) as client:
        yield client
    assert queue.close(20)


@pytest.mark.parametrize("name", ["..", "/", "a\x00b", "\\..\\"])
def test_what_is_no_name_at_all_is_refused(real: TestClient, tmp_path: Path, name: str) -> None:
    answer = real.post("/deforum_api/batches", json={"deforum_settings": {"batch_name": name}})
    assert (answer.status_code, answer.json()["errors"][0]["setting"]) == (400, "batch_name")
    assert not (tmp_path / "root").exists()


def test_no_batch_name_leads_out_of_the_output_folder(real: TestClient, tmp_path: Path) -> None:
    small = {"max_frames": 1, "W": 64, "H": 64, "skip_video_creation": True}
    jobs = submit(real, *({**small, "batch_name": name} for name in EVIL_NAMES))
    images = tmp_path.resolve() / "root" / "img2img-images"
    for name, job_id in zip(EVIL_NAMES, jobs, strict=True):
        job = ended(real, job_id)
        assert (job["status"], job["message"]) == ("SUCCEEDED", None), name
        assert Path(job["outdir"]).parent == images, name
        assert Path(job["outdir"]).name not in ("..", ".", "CON", "nul.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["img2img-images"]
