"""The files of a job over HTTP."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from deforum_api.http import outputs
from deforum_api.http.routes import outputs as routes
from tests.api.fake_renderer import Renderer, ended, submit, until

VIDEO_BYTES = bytes(range(200))


@pytest.fixture
def job_id(client: TestClient) -> str:
    (made,) = submit(client, {"batch_name": "run"})
    assert ended(client, made)["status"] == "SUCCEEDED"
    return made


def test_every_listed_file_is_sent_by_its_link(client: TestClient, job_id: str) -> None:
    files = client.get(f"/deforum_api/jobs/{job_id}/outputs").json()
    kinds = [file["kind"] for file in files]
    assert sorted(kinds) == ["frame"] * 4 + ["gif", "settings", "subtitles", "video"]
    for file in files:
        answer = client.get(file["link"])
        assert answer.status_code == 200
        assert len(answer.content) == file["size"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'


def test_what_was_made_of_the_frames_is_listed_and_sent(client: TestClient, job_id: str) -> None:
    job = client.get(f"/deforum_api/jobs/{job_id}").json()
    folder, stem = Path(job["outdir"]), job["timestring"]
    made = {
        f"{stem}_preview.mp4": "preview_video",
        f"{stem}_Upscaled_x2.mp4": "upscaled_video",
        f"{stem}_RIFE_x10_slomo_x3_upscaled.mp4": "interpolated_video",
        f"{stem}_upscaled/{stem}_000000001.png": "upscaled_frame",
        f"interpolated_frames_film_{stem}/frame_000000012.png": "interpolated_frame",
    }
    for name in (*made, f"{stem}_upscaled/notes.txt", f"{stem}_Upscaled_x9.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    before = 8
    files = client.get(f"/deforum_api/jobs/{job_id}/outputs").json()
    assert len(files) == before + len(made)
    for name, kind in made.items():
        (file,) = [file for file in files if file["kind"] == kind]
        assert file["name"] == Path(name).name
        assert client.get(file["link"]).content == name.encode()
    missing = client.get(f"/deforum_api/jobs/{job_id}/frames/7?kind=upscaled_frame")
    assert missing.status_code == 404
    assert client.get(f"/deforum_api/jobs/{job_id}/frames/1?kind=secret").status_code == 422


def test_a_linked_folder_of_images_is_not_followed(client: TestClient, job_id: str, tmp_path: Path) -> None:
    job = client.get(f"/deforum_api/jobs/{job_id}").json()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "000000001.png").write_bytes(b"secret")
    link = Path(job["outdir"]) / f"interpolated_frames_flow_{job['timestring']}"
    link.symlink_to(tmp_path / "elsewhere")
    files = client.get(f"/deforum_api/jobs/{job_id}/outputs").json()
    assert "interpolated_frame" not in {file["kind"] for file in files}


@pytest.mark.parametrize(
    ("place", "media_type"),
    [
        ("video", "video/mp4"),
        ("gif", "image/gif"),
        ("subtitles", "application/x-subrip"),
        ("settings", "application/json"),
        ("frames/0", "image/png"),
        ("preview", "image/jpeg"),
    ],
)
def test_each_file_has_its_type(client: TestClient, job_id: str, place: str, media_type: str) -> None:
    answer = client.get(f"/deforum_api/jobs/{job_id}/{place}")
    assert answer.headers["content-type"].split(";")[0] == media_type


@pytest.mark.parametrize(
    ("asked", "code", "content"),
    [
        ("bytes=0-9", 206, VIDEO_BYTES[:10]),
        ("bytes=190-", 206, VIDEO_BYTES[190:]),
        ("bytes=-5", 206, VIDEO_BYTES[-5:]),
        ("bytes=190-999999", 206, VIDEO_BYTES[190:]),
        ("bytes=-999", 206, VIDEO_BYTES),
        ("bytes=0-0," * 10_000 + "1-1", 200, VIDEO_BYTES),
        ("bytes=5-2", 416, None),
        ("bytes=200-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=-", 200, VIDEO_BYTES),
        ("lines=0-9", 200, VIDEO_BYTES),
    ],
)
def test_ranges(client: TestClient, job_id: str, asked: str, code: int, content: bytes | None) -> None:
    answer = client.get(f"/deforum_api/jobs/{job_id}/video", headers={"Range": asked})
    assert answer.status_code == code
    if content is not None:
        assert answer.content == content
        assert answer.headers["content-length"] == str(len(content))
    else:
        assert answer.headers["content-range"] == "bytes */200"


@pytest.mark.parametrize(
    "place", ["", "/outputs", "/video", "/gif", "/subtitles", "/settings", "/frames/0", "/preview"]
)
def test_head_is_answered_as_get_is_without_the_body(client: TestClient, job_id: str, place: str) -> None:
    path = f"/deforum_api/jobs/{job_id}{place}"
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(got.headers)
    assert head.headers["content-length"] == str(len(got.content))


def test_head_of_a_file_tells_of_ranges_and_takes_none(client: TestClient, job_id: str) -> None:
    answer = client.head(f"/deforum_api/jobs/{job_id}/video", headers={"Range": "bytes=500-"})
    assert (answer.status_code, answer.headers["accept-ranges"]) == (200, "bytes")
    assert answer.headers["content-length"] == str(len(VIDEO_BYTES))
    tag = {"If-None-Match": answer.headers["etag"]}
    assert client.head(f"/deforum_api/jobs/{job_id}/video", headers=tag).status_code == 304


def test_head_reads_no_video_and_follows_no_job(
    client: TestClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks(*_: object) -> Iterator[bytes]:
        raise AssertionError("the video was read")
        yield b""

    def text(*_: object) -> str:
        raise AssertionError("the job was followed")

    monkeypatch.setattr("deforum_api.http.outputs._chunks", chunks)
    monkeypatch.setattr("deforum_api.http.sse.job_json", text)
    path = f"/deforum_api/jobs/{job_id}"
    assert client.head(f"{path}/video").status_code == 200
    assert client.head(f"{path}/events").headers["content-type"].startswith("text/event-stream")


def test_head_of_what_is_not_there_says_so(client: TestClient, job_id: str) -> None:
    assert client.head("/deforum_api/jobs/nobody/video").status_code == 404
    assert client.head(f"/deforum_api/jobs/{job_id}/frames/99").status_code == 404


def test_a_download_of_a_file_that_is_another_one_by_now_begins_anew(
    client: TestClient, job_id: str, renderer: Renderer
) -> None:
    path = f"/deforum_api/jobs/{job_id}/video"
    rest = {"Range": "bytes=150-", "If-Range": client.get(path).headers["etag"]}
    answer = client.get(path, headers=rest)
    assert (answer.status_code, answer.content) == (206, VIDEO_BYTES[150:])
    (renderer.root / "img2img-images" / "run" / "20260102030405.mp4").write_bytes(VIDEO_BYTES + b"longer")
    answer = client.get(path, headers=rest)
    assert (answer.status_code, answer.content) == (200, VIDEO_BYTES + b"longer")


def test_what_a_client_has_is_not_sent_again(client: TestClient, job_id: str) -> None:
    for place in ("video", "preview"):
        path = f"/deforum_api/jobs/{job_id}/{place}"
        tag = client.get(path).headers["etag"]
        answer = client.get(path, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.content) == (304, b"")


def test_the_preview_is_the_newest_frame(client: TestClient, job_id: str, renderer: Renderer) -> None:
    folder = renderer.root / "img2img-images" / "run"
    Image.new("RGB", (3, 2), (250, 10, 10)).save(folder / "20260102030405_000000007.png")
    image = Image.open(io.BytesIO(client.get(f"/deforum_api/jobs/{job_id}/preview").content))
    assert (image.format, image.size) == ("JPEG", (3, 2))


def test_a_saved_depth_map_is_sent(client: TestClient, job_id: str, renderer: Renderer) -> None:
    (renderer.root / "img2img-images" / "run" / "20260102030405_depth_000000001.png").write_bytes(b"map")
    path = f"/deforum_api/jobs/{job_id}/frames/1?depth=true"
    assert client.get(path).content == b"map"
    assert path in [file["link"] for file in client.get(f"/deforum_api/jobs/{job_id}/outputs").json()]


@pytest.mark.parametrize("place", ["frames/4", "frames/0?depth=true"])
def test_what_is_not_there_is_404(client: TestClient, job_id: str, place: str) -> None:
    assert client.get(f"/deforum_api/jobs/{job_id}/{place}").status_code == 404


@pytest.mark.parametrize("n", ["-1", "x", "1e3", "9999999999", "..%2f..%2fetc%2fpasswd"])
def test_a_frame_is_asked_for_by_number_only(client: TestClient, job_id: str, n: str) -> None:
    assert client.get(f"/deforum_api/jobs/{job_id}/frames/{n}").status_code in (404, 422)


def test_a_frame_that_is_on_its_way_to_the_disk_is_waited_for(
    client: TestClient, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer.ending = threading.Event()
    (job_id,) = submit(client, {"batch_name": "run"})
    job = until(client, job_id, lambda job: job["phase"] == "POST_PROCESSING")
    path = Path(job["outdir"]) / f"{job['timestring']}_000000003.png"
    image = path.read_bytes()
    path.unlink()
    waits: list[float] = []

    async def written_at_the_third_look(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            path.write_bytes(image)

    monkeypatch.setattr(routes, "sleep", written_at_the_third_look)
    assert client.get(f"/deforum_api/jobs/{job_id}/frames/3").content == image
    assert len(waits) == 3
    assert client.get(f"/deforum_api/jobs/{job_id}/frames/4").status_code == 404
    assert len(waits) == 3, "nobody was told of frame 4"
    path.unlink()
    assert client.get(f"/deforum_api/jobs/{job_id}/frames/3").status_code == 404
    assert len(waits) == 3 + routes.TRIES_WHILE_WRITTEN
    renderer.ending.set()
    assert ended(client, job_id)["status"] == "SUCCEEDED"
    assert client.get(f"/deforum_api/jobs/{job_id}/frames/3").status_code == 404
    assert len(waits) == 3 + routes.TRIES_WHILE_WRITTEN, "the job has ended"


def test_a_queued_job_has_no_files(client: TestClient, renderer: Renderer) -> None:
    renderer.gate.clear()
    first, second = submit(client, {}, {})
    until(client, first, lambda job: job["phase"] == "PREPARING")
    assert client.get(f"/deforum_api/jobs/{second}/outputs").json() == []
    for place in ("video", "preview", "frames/0", "settings", "subtitles"):
        answer = client.get(f"/deforum_api/jobs/{second}/{place}")
        assert (answer.status_code, answer.json()["message"][-5:]) == (404, " yet.")
    renderer.gate.set()


def test_links_in_the_folder_are_not_followed(
    client: TestClient, job_id: str, renderer: Renderer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    folder = renderer.root / "img2img-images" / "run"
    (folder / "20260102030405_000000009.png").symlink_to(secret)
    answer = client.get(f"/deforum_api/jobs/{job_id}/frames/9")
    assert (answer.status_code, answer.json()["message"]) == (404, f"The job '{job_id}' has no frame 9.")
    names = [file["name"] for file in client.get(f"/deforum_api/jobs/{job_id}/outputs").json()]
    assert "20260102030405_000000009.png" not in names


@pytest.mark.parametrize("place", ["video", "preview", "frames/1"])
def test_a_file_that_goes_while_it_is_asked_for_is_404(
    client: TestClient, job_id: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path) -> None:
        raise FileNotFoundError(2, "No such file", str(path))

    monkeypatch.setattr("deforum_api.http.outputs.open_output", gone)
    answer = client.get(f"/deforum_api/jobs/{job_id}/{place}")
    assert answer.status_code == 404
    assert answer.json()["message"].endswith("is gone or cannot be read.")


def test_a_frame_that_is_no_image_has_no_preview(client: TestClient, job_id: str, renderer: Renderer) -> None:
    (renderer.root / "img2img-images" / "run" / "20260102030405_000000003.png").write_bytes(b"GIF89a")
    assert client.get(f"/deforum_api/jobs/{job_id}/preview").status_code == 404


def test_a_file_that_is_removed_while_files_are_listed_is_not_listed(
    client: TestClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.lstat

    def gone(path: Path) -> Any:
        if path.suffix == ".gif":
            raise FileNotFoundError(2, "No such file or directory")
        return look(path)

    monkeypatch.setattr(Path, "lstat", gone)
    kinds = [one["kind"] for one in client.get(f"/deforum_api/jobs/{job_id}/outputs").json()]
    assert "gif" not in kinds
    assert "video" in kinds


@pytest.mark.parametrize("length", [50, 5000])
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-"}, {"Range": "bytes=-20"}])
def test_a_file_that_is_replaced_after_the_look_is_sent_as_it_is_now(
    client: TestClient, job_id: str, monkeypatch: pytest.MonkeyPatch, length: int, asked: dict[str, str]
) -> None:
    looked = outputs.output
    now = bytes(length)

    def look_then_replace(*about: Any) -> outputs.Output:
        found = looked(*about)
        found.path.with_name(".part").write_bytes(now)
        found.path.with_name(".part").replace(found.path)
        return found

    monkeypatch.setattr(outputs, "output", look_then_replace)
    answer = client.get(f"/deforum_api/jobs/{job_id}/video", headers=asked)
    wanted = now[-20:] if "-20" in str(asked) else now
    assert (answer.content, answer.headers["content-length"]) == (wanted, str(len(wanted)))
    newer = client.get(f"/deforum_api/jobs/{job_id}/video", headers={"If-None-Match": answer.headers["etag"]})
    assert newer.status_code == 200, "it was replaced once more"


def test_a_file_that_goes_after_the_look_is_404(
    client: TestClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = outputs.output

    def look_then_remove(*about: Any) -> outputs.Output:
        found = looked(*about)
        found.path.unlink()
        return found

    monkeypatch.setattr(outputs, "output", look_then_remove)
    assert client.get(f"/deforum_api/jobs/{job_id}/video").status_code == 404
