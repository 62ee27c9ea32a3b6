"""Files of jobs whose output folder was moved after they were written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.folders import located
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import FILE_NAME, SqliteStore
from deforum_api.tab.service import QueueService
from deforum_helpers.pipeline.host_facts import own_facts
from tests.api.fake_renderer import WAIT_S, Renderer, ended, serving, submit

TIMESTRING = "20260102030405"
JOB = Job("batch(1)-0", "batch(1)", 0, "{}", "null", 1.0, 1.0, timestring=TIMESTRING)


def run_in(*folders: str | Path) -> Path:
    folder = Path(*folders)
    folder.mkdir(parents=True)
    (folder / f"{TIMESTRING}_settings.txt").write_text("{}")
    return folder


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[tuple[TestClient, str, dict[str, Any]]]:
    """A server on an output folder that was moved, a job of before, and what its files were then."""
    renderer = Renderer(tmp_path / "old")
    renderer.gate.set()
    queue = JobQueue(renderer.check, renderer.render, roots=lambda: (tmp_path / "new",))
    with serving(queue) as client:
        (job_id,) = submit(client, {"batch_name": "run"})
        assert ended(client, job_id)["status"] == "SUCCEEDED"
        links = [file["link"] for file in client.get(f"/deforum_api/jobs/{job_id}/outputs").json()]
        before = {link: client.get(link).content for link in links}
        (tmp_path / "old").rename(tmp_path / "new")
        yield client, job_id, before
    assert queue.close(WAIT_S)


def test_files_are_served_from_where_they_are_now(moved: tuple[TestClient, str, dict[str, Any]]) -> None:
    client, job_id, before = moved
    assert len(before) == 8
    listed = client.get(f"/deforum_api/jobs/{job_id}/outputs").json()
    assert {file["link"]: client.get(file["link"]).content for file in listed} == before
    assert client.head(f"/deforum_api/jobs/{job_id}/video").headers["content-length"] == "200"


def test_files_that_are_nowhere_are_told_with_the_places(
    moved: tuple[TestClient, str, dict[str, Any]], tmp_path: Path
) -> None:
    client, job_id, _ = moved
    (tmp_path / "new").rename(tmp_path / "elsewhere")
    outdir = tmp_path / "old" / "img2img-images" / "run"
    for place in ("outputs", "video", "frames/0", "preview"):
        answer = client.get(f"/deforum_api/jobs/{job_id}/{place}")
        assert answer.status_code == 404
        assert answer.json()["message"] == (
            f"The files of the job {job_id!r} are neither in {outdir} nor in a folder of that name below "
            f"{tmp_path / 'new'}; move the folder back, or start the server with the output folder that contains it."
        )
    (tmp_path / "elsewhere").rename(tmp_path / "old")
    assert client.get(f"/deforum_api/jobs/{job_id}/video").status_code == 200


@pytest.mark.parametrize(
    ("outdir", "there"),
    [
        ("/old/img2img-images/run", "img2img-images/run"),
        ("C:\\old\\img2img-images\\run", "img2img-images/run"),
        ("/old/videos/of/today/run", "videos/of/today/run"),
        ("/old/img2img-images/run", "run"),
    ],
)
def test_the_folder_is_found_by_its_name_below_the_output_folder(
    tmp_path: Path, outdir: str, there: str
) -> None:
    folder = run_in(tmp_path, there)
    assert located(replace(JOB, outdir=outdir), (tmp_path,)).outdir == str(folder)


def test_a_folder_of_that_name_without_the_run_is_not_the_jobs(tmp_path: Path) -> None:
    job = replace(JOB, outdir="/old/img2img-images/run", timestring="20250101000000")
    run_in(tmp_path, "img2img-images", "run")
    assert located(job, (tmp_path,)) == job


def test_what_is_where_it_was_is_looked_for_nowhere_else(tmp_path: Path) -> None:
    job = replace(JOB, outdir=str(run_in(tmp_path, "old", "img2img-images", "run")))
    run_in(tmp_path, "new", "img2img-images", "run")
    assert located(job, (tmp_path / "new",)) == job
    assert located(JOB, (tmp_path,)) == JOB


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("outdir", ["/old/img2img-images/run", "/old/../run"])
def test_nothing_outside_of_the_output_folder_is_found(tmp_path: Path, outdir: str) -> None:
    run_in(tmp_path, "run")
    (tmp_path / "new" / "img2img-images").mkdir(parents=True)
    (tmp_path / "new" / "img2img-images" / "run").symlink_to(tmp_path / "run")
    job = replace(JOB, outdir=outdir)
    assert located(job, (tmp_path / "new",)) == job


def test_a_server_on_the_moved_folder_finds_its_own_jobs(tmp_path: Path) -> None:
    folder = run_in(tmp_path, "old", "img2img-images", "run")
    (folder / f"{TIMESTRING}.mp4").write_bytes(b"video")
    store = SqliteStore(tmp_path / "old" / FILE_NAME)
    store.add([replace(JOB, outdir=str(folder), status="SUCCEEDED", phase="DONE")])
    store.close()
    (tmp_path / "old").rename(tmp_path / "new")
    facts = own_facts("null", None, tmp_path / "new")
    queue = make_queue(facts, lambda: pytest.fail("nothing is rendered here"))
    service = QueueService(queue, facts)
    assert service.files(JOB.id)["video"] == tmp_path / "new" / "img2img-images" / "run" / f"{TIMESTRING}.mp4"
    assert service.job(JOB.id).folder == tmp_path / "new" / "img2img-images" / "run"
    (tmp_path / "new" / "img2img-images").rename(tmp_path / "gone")
    assert "video" not in service.files(JOB.id)
    assert queue.close(WAIT_S)
    queue.store.close()
