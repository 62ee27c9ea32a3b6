"""The camera of a job over HTTP, with the real checks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from deforum_api.hosts.own_host import make_queue
from deforum_api.queue.checks import request
from deforum_api.queue.store import MemoryStore
from deforum_helpers.engines import make_engine
from deforum_helpers.pipeline.host_facts import own_facts
from tests.api.fake_renderer import ended, serving, submit

SMALL = {"max_frames": 5, "W": 64, "H": 64, "skip_video_creation": True}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    queue = make_queue(own_facts("null", None, tmp_path), lambda: make_engine("null"), MemoryStore())
    with serving(queue) as served:
        yield served
    assert queue.close(20)


def test_the_camera_is_sent_in_each_format(client: TestClient) -> None:
    settings = {
        "animation_mode": "3D",
        "max_frames": 5,
        "translation_z": "0: (20)",
        "fov_schedule": "0: (50)",
    }
    (made,) = submit(client, settings)
    place = f"/deforum_api/jobs/{made}/camera"
    types = {
        "glb": "model/gltf-binary",
        "gltf": "model/gltf+json",
        "json": "application/json",
        "colmap": "application/zip",
    }
    for name, media_type in types.items():
        answer = client.get(place, params={"format": name})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media_type
        ending = "zip" if name == "colmap" else name
        assert answer.headers["content-disposition"].endswith(f'_camera.{ending}"')
    frames = client.get(place, params={"format": "json"}).json()["frames"]
    assert [frame["pose"][2][3] for frame in frames] == pytest.approx([0.1 * number for number in range(5)])
    assert client.get(place).content[:4] == b"glTF"
    with zipfile.ZipFile(io.BytesIO(client.get(place, params={"format": "colmap"}).content)) as packed:
        assert set(packed.namelist()) >= {"cameras.txt", "images.txt"}
    assert client.get(place, params={"format": "fbx"}).status_code == 422
    assert client.get("/deforum_api/jobs/batch(1)-0/camera").status_code == 404


def test_the_camera_of_a_job_has_the_seed_of_its_run(client: TestClient) -> None:
    (made,) = submit(client, {**SMALL, "animation_mode": "3D", "seed": -1, "translation_z": "0: (s % 1000)"})
    assert ended(client, made)["status"] == "SUCCEEDED"
    place = f"/deforum_api/jobs/{made}"
    seed = client.get(f"{place}/settings").json()["seed"]
    frames = client.get(f"{place}/camera", params={"format": "json"}).json()["frames"]
    assert frames[1]["pose"][2][3] == pytest.approx(seed % 1000 / 200)


def test_a_mode_without_a_camera_has_no_camera_file(client: TestClient) -> None:
    (made,) = submit(client, {**SMALL, "animation_mode": "Interpolation"})
    answer = client.get(f"/deforum_api/jobs/{made}/camera")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["setting"] == "animation_mode"


def test_a_camera_file_that_is_too_long_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (made,) = submit(client, {**SMALL, "animation_mode": "3D"})
    monkeypatch.setattr(request, "MOST_SERIES_BYTES", 100)
    answer = client.get(f"/deforum_api/jobs/{made}/camera")
    assert answer.status_code == 413
