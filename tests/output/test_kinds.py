"""The table of kinds: what is named by it is found by it, and a new row reaches everything that reads it."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from deforum_api import __main__ as command_line
from deforum_api.client import Client, ClientError
from deforum_api.client.connection import Request
from deforum_api.hosts.own_host import health, make_queue
from deforum_api.http.app import mount
from deforum_api.http.routes import outputs as routes
from deforum_api.http.security import Access
from deforum_api.queue.jobs import JobQueue
from deforum_api.tab.routes import add_tab_routes
from deforum_api.tab.service import QueueService
from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines import make_engine
from deforum_helpers.models import interpolation, upscaling
from deforum_helpers.output import writer
from deforum_helpers.output.kinds import KINDS, OutputKind, kind_of
from deforum_helpers.output.manifest import OutputFile, output_file, read_manifest
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.host_facts import own_facts
from deforum_helpers.ui import panels
from deforum_helpers.ui.uploads import Uploads
from tests.refusals import refuses

STEM = "20260102030405"
SHEET = OutputKind(
    "contact_sheet",
    "contact sheet",
    "image/jpeg",
    "_sheet.jpg",
    "Every frame on one page.",
    downloadable=True,
)
CONTENT = b"a sheet of "


def write_sheet(video: writer.RunWriter) -> list[OutputFile]:
    path = video.run.path("contact_sheet")
    path.write_bytes(CONTENT + str(video.frames).encode())
    return [output_file("contact_sheet", path, video.frames)]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    """A queue over the null engine in a program that has one kind of output more."""
    monkeypatch.setitem(KINDS, SHEET.name, SHEET)
    monkeypatch.setitem(writer.WRITERS, SHEET.name, write_sheet)
    importlib.reload(routes)  # a program makes its routes once, from the rows it begins with
    made = make_queue(
        own_facts("null", None, tmp_path / "outputs"), lambda: make_engine("null", device="cpu")
    )
    yield made
    assert made.close(60)
    made.store.close()
    monkeypatch.undo()
    importlib.reload(routes)


@pytest.fixture
def app(queue: JobQueue, tmp_path: Path) -> FastAPI:
    facts = own_facts("null", None, tmp_path / "outputs")
    made = FastAPI()
    mount(made, queue, Access(), lambda: health(facts))
    add_tab_routes(made, {}, Uploads(tmp_path / "dropped", facts.output_root), facts.output_root)
    return made


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_new_kind_is_one_row_and_one_writer(
    url: str, app: FastAPI, queue: JobQueue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client(url)
    settings = {"max_frames": 2, "W": 64, "H": 64, "prompts": {"0": "a"}, "animation_mode": "2D"}
    (job_id,) = client.submit(settings)["job_ids"]
    job = client.wait(job_id)
    run, content = Run(Path(job["outdir"]), job["timestring"]), CONTENT + b"2"

    listed = read_manifest(run.manifest_path).files
    assert listed[-1] == OutputFile("contact_sheet", f"{run.timestring}_sheet.jpg", len(content), 2)

    (file,) = [file for file in client.outputs(job_id) if file["kind"] == "contact_sheet"]
    assert file["link"].endswith("/contact_sheet")
    documented = app.openapi()["paths"]["/deforum_api/jobs/{id}/contact_sheet"]["get"]
    assert documented["description"] == SHEET.about
    assert "image/jpeg" in documented["responses"]["200"]["content"]

    with client.connection.open(Request("GET", file["link"])) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.read() == content
    assert client.download(job_id, tmp_path / "a.jpg", "contact_sheet").read_bytes() == content

    assert command_line.main(["--url", url, "watch", job_id, "--save", str(tmp_path / "saved")]) == 0
    assert (tmp_path / "saved" / f"{job_id}_contact_sheet.jpg").read_bytes() == content
    assert str(tmp_path / "saved" / f"{job_id}.mp4") in capsys.readouterr().out

    service = QueueService(queue, own_facts("null", None, tmp_path / "outputs"))
    page = panels.run_html(service, service.job(job_id), lambda path: f"gradio_api/file={path}")
    path = run.path("contact_sheet")
    assert f'<a class="deforum-link" href="gradio_api/file={path}" download="{path.name}">' in page
    assert "Download contact sheet</a>" in page
    with client.connection.open(Request("GET", f"/gradio_api/file={path}")) as answer:
        assert (answer.headers["Content-Type"], answer.read()) == ("image/jpeg", content)


def test_a_client_names_the_kinds_there_are() -> None:
    with refuses(ClientError, "not_a_single_file", "video, preview_video, ", "contact_sheet"):
        Client().download("batch(1)-0", "a.jpg", "contact_sheet")


def test_a_writer_can_list_no_kind_without_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    with pytest.raises(UnknownName, match="contact_sheet"):
        output_file("contact_sheet", tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("name", "kind", "frame"),
    [
        (Run(Path(), STEM).frame_path(12).name, "frame", 12),
        (Run(Path(), STEM).depth_path(123456789).name, "depth", 123456789),
        (Run(Path(), STEM).video_path.name, "video", None),
        (Run(Path(), STEM).preview_path.name, "preview_video", None),
        (Run(Path(), STEM).gif_path.name, "gif", None),
        (Run(Path(), STEM).srt_path.name, "subtitles", None),
        (Run(Path(), STEM).settings_path.name, "settings", None),
        *[
            (upscaling.video_name(STEM, f"x{times}"), "upscaled_video", None)
            for times in upscaling.FACTORS["Lanczos"]
        ],
        *[
            (interpolation.video_name(STEM, engine, 300, slower, upscaled), "interpolated_video", None)
            for engine in interpolation.ENGINES.values()
            for slower in (None, 10)
            for upscaled in (False, True)
        ],
    ],
)
def test_each_name_belongs_to_the_kind_it_was_made_for(name: str, kind: str, frame: int | None) -> None:
    found = kind_of(name.removeprefix(STEM))
    assert found == (KINDS[kind], frame)


@pytest.mark.parametrize(
    "suffix",
    ["", ".txt", "_Upscaled_x5.mp4", "_Upscaled_x2.mp4.part", "_rife_x2.mp4", "_00000001.png", "_depth_.png"],
)
def test_other_names_belong_to_no_kind(suffix: str) -> None:
    assert kind_of(suffix) is None


@pytest.mark.parametrize(
    ("kind", "folder", "name"),
    [
        ("upscaled_frame", upscaling.folder_name(STEM), Run(Path(), STEM).frame_path(7).name),
        *[
            (
                "interpolated_frame",
                interpolation.folder_name(STEM, engine),
                interpolation.image_name(engine, 7),
            )
            for engine in interpolation.ENGINES.values()
        ],
    ],
)
def test_kept_images_are_found_by_their_folders(kind: str, folder: str, name: str) -> None:
    assert folder in [one.format(timestring=STEM) for one in KINDS[kind].folders]
    found = KINDS[kind].pattern.fullmatch(name)
    assert found is not None
    assert KINDS[kind].frame_of(found) == 7


def test_every_kind_of_a_run_has_its_writer() -> None:
    made_of_finished_frames = {
        "upscaled_video",
        "upscaled_frame",
        "interpolated_video",
        "interpolated_frame",
    }
    assert set(writer.WRITERS) == set(KINDS) - made_of_finished_frames
