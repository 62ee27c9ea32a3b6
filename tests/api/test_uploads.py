"""Uploads of outputs to a folder, as any fsspec file system, and what fails."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_renderer import WAIT_S, Renderer, ended, serving, submit
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_uploads
from deforum_api.hosts.run_now import run_files
from deforum_api.http.outputs import finished_files
from deforum_api.queue import deliveries, uploads
from deforum_api.queue.deliveries import ClaimLost, Deliveries, FinishedFile
from deforum_api.queue.jobs import JobQueue
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import SqliteStore
from deforum_api.queue.store import JobStore
from deforum_api.queue.submission import Limits
from deforum_api.queue.uploads import Uploads, check_prefix, folder_name
from deforum_helpers.core.errors import DeforumError, MissingFeature, ModelError
from tests.refusals import refuses


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "RETRY_AFTER_S", (0.01, 0.01))
    monkeypatch.setattr(Deliveries.__init__, "__defaults__", (time.time, 0.01))


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    return tmp_path / "a bucket"


def queue_with(renderer: Renderer, sender: Uploads | None, store: JobStore | None = None) -> JobQueue:
    return JobQueue(
        renderer.check, renderer.render, limits=Limits(retry_after_s=()), uploads=sender, store=store
    )


@pytest.fixture
def client(renderer: Renderer, bucket: Path) -> Iterator[TestClient]:
    queue = queue_with(renderer, Uploads(f"file://{bucket}/videos/", finished_files))
    with serving(queue) as made:
        yield made
    assert queue.close(WAIT_S)


def upload_of(client: TestClient, job_id: str, *states: str) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while True:
        (found,) = client.get(f"/deforum_api/jobs/{job_id}").json()["deliveries"]
        if found["state"] in states:
            return dict(found)
        assert time.monotonic() < deadline, found
        time.sleep(0.005)


def test_every_output_is_uploaded_and_linked(client: TestClient, bucket: Path) -> None:
    (job_id,) = submit(client, {"max_frames": 3, "batch_name": "lake"})
    job = ended(client, job_id)
    place = f"file://{bucket}/videos/{job_id.replace('(', '-').replace(')', '')}"
    assert upload_of(client, job_id, "DELIVERED")["target"] == place
    folder = Path(place.removeprefix("file://"))
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {path.name: path.read_bytes() for path in Path(job["outdir"]).iterdir()}
    listed = client.get(f"/deforum_api/jobs/{job_id}/outputs").json()
    assert {file["url"] for file in listed} == {f"{place}/{name}" for name in found}
    assert len(found) == 7


def test_only_what_succeeds_and_is_no_preview_is_uploaded(
    client: TestClient, renderer: Renderer, bucket: Path
) -> None:
    renderer.plans["broken"] = ModelError("broken")
    preview, broken = submit(client, {"motion_preview_mode": True}, {"batch_name": "broken"})
    assert ended(client, broken)["status"] == "FAILED"
    assert ended(client, preview)["deliveries"] == []
    good, *_ = submit(client, {})
    ended(client, good)
    upload_of(client, good, "DELIVERED")
    assert upload_of(client, broken, "WAITING")["tries"] == 0
    assert len(list((bucket / "videos").iterdir())) == 1


def test_what_fails_is_tried_again_and_told_without_failing_the_job(
    client: TestClient, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.write_text("a file where the folder should be")
    (job_id,) = submit(client, {})
    failed = upload_of(client, job_id, "FAILED")
    assert (failed["tries"], failed["target"]) == (3, None)
    assert str(bucket) in failed["message"]
    job = ended(client, job_id)
    assert (job["status"], job["message"]) == ("SUCCEEDED", None)
    assert {file["url"] for file in client.get(f"/deforum_api/jobs/{job_id}/outputs").json()} == {None}


def test_an_upload_goes_on_where_it_was_after_a_restart(
    renderer: Renderer, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first server dies in the middle of the third file, of which nothing is to be seen."""
    path, plain, copied, dead = tmp_path / "jobs.sqlite3", uploads._copy, [], threading.Event()

    def copy(file: FinishedFile, system: Any, target: str, renew: Callable[[], None]) -> None:
        def dies() -> None:
            if len(copied) == 3 and not dead.is_set():
                dead.set()
                raise ClaimLost

        copied.append(file.name)
        plain(file, system, target, dies)

    monkeypatch.setattr(uploads, "_copy", copy)
    monkeypatch.setattr(deliveries, "CLAIM_S", 0.5)
    first = queue_with(renderer, Uploads(f"file://{bucket}", finished_files), SqliteStore(path))
    with serving(first) as client:
        (job_id,) = submit(client, {"max_frames": 2})
        ended(client, job_id)
        assert dead.wait(WAIT_S)
    assert first.close(WAIT_S)
    first.store.close()
    assert len(list((bucket / folder_name(Job(job_id, "", 0, "", "", 0, 0))).iterdir())) == 2
    second = queue_with(renderer, Uploads(f"file://{bucket}", finished_files), SqliteStore(path))
    with serving(second) as client:
        assert upload_of(client, job_id, "DELIVERED")["tries"] == 2
    assert second.close(WAIT_S)
    second.store.close()
    assert len(copied) == len(set(copied)) + 1, "only the interrupted file is copied twice"


def test_without_the_flag_nothing_is_uploaded(renderer: Renderer) -> None:
    queue = queue_with(renderer, None)
    with serving(queue) as client:
        (job_id,) = submit(client, {})
        assert ended(client, job_id)["deliveries"] == []
    assert queue.close(WAIT_S)
    assert make_uploads(lambda name, default: default, tuple) is None


def test_files_that_are_rendered_at_the_start_are_uploaded_before_the_server_may_end(
    renderer: Renderer, bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = uploads._copy

    def slow(*arguments: Any) -> None:
        time.sleep(0.05)
        plain(*arguments)

    monkeypatch.setattr(uploads, "_copy", slow)
    (tmp_path / "run.txt").write_text('{"batch_name": "run"}')
    queue = queue_with(renderer, Uploads(f"file://{bucket}", finished_files))
    assert run_files(queue, [str(tmp_path / "run.txt")], io.StringIO())
    (folder,) = bucket.iterdir()
    assert len(list(folder.iterdir())) == len(finished_files(queue.store.page()[0])) == 8
    renderer.plans["run"] = ModelError("broken")
    assert not run_files(queue, [str(tmp_path / "run.txt")], io.StringIO())
    assert queue.close(WAIT_S)


def test_a_link_in_the_place_of_an_output_is_not_followed(bucket: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    link = tmp_path / "x.mp4"
    link.symlink_to(secret)
    sender = Uploads(f"file://{bucket}", lambda job: [FinishedFile("video", "x.mp4", 6, "", link, False)])
    job = replace(Job("batch(1)-0", "batch(1)", 0, "{}", "null", 1.0, 2.0), status="SUCCEEDED")
    with pytest.raises(deliveries.NotDelivered):
        sender.send(job, (), lambda: None)
    assert not [path for path in bucket.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("prefix", "code"),
    [
        *(
            (text, "upload_url_invalid")
            for text in ("videos", "/videos", "nothing://x/y", "https://x/y", "s3://")
        ),
        ("ftp://ann:secret@host/x", "upload_url_with_login"),
    ],
)
def test_a_prefix_that_cannot_be_written_is_refused_at_the_start(prefix: str, code: str) -> None:
    with refuses(DeforumError, code) as caught:
        check_prefix(prefix)
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(protocol: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    with monkeypatch.context() as patch:
        patch.setattr(fsspec, "get_filesystem_class", missing)
        with refuses(MissingFeature, "upload_package_missing", "s3fs"):
            check_prefix("s3://bucket/x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with refuses(MissingFeature, "package_missing", "pip install"):
        check_prefix("s3://bucket/x")


def test_fsspec_is_imported_only_for_uploads() -> None:
    script = "import sys, deforum_api.queue.uploads; sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False).returncode == 0
