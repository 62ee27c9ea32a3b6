"""Videos that repaint a video: each frame from its own, with masks, sound and colours of the video."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from clips import FFMPEG, clip, levels, said
from small_runs import SMALL, NoisyEngine, frame_files, host, prepared

from deforum_helpers.core.errors import Parked, SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.image.types import Image
from deforum_helpers.media.containers import count_frames
from deforum_helpers.media.ffmpeg import run_ffmpeg
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.pipeline.prepare import prepare

QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
PLAIN = {"animation_mode": "Video Input", "skip_video_creation": True, "color_coherence": "None"}


class Copyist(NoisyEngine):
    """Returns what it starts from."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self.requests.append(request)
        assert request.init_image is not None
        return request.init_image


class Red(NoisyEngine):
    """Generates red."""

    def generate(self, request: GenerateRequest, cancel: CancelToken) -> Image:
        self.requests.append(request)
        return torch.tensor([1.0, 0, 0])[:, None, None].repeat(1, request.height_px, request.width_px)


def rendered(root: Path, engine: NoisyEngine, **changes: Any) -> RunResult:
    job = prepared(root, QUICK, **PLAIN | changes)
    return run_job(job, engine, CancelToken(), lambda progress: None)


def frames_of(result: RunResult) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(result.outdir)]


@pytest.fixture
def video(tmp_path: Path) -> str:
    return str(clip(tmp_path / "steps.mp4", levels(7, height=48, width=96), sound=True))


def test_every_frame_starts_from_its_own(tmp_path: Path, video: str) -> None:
    engine = Copyist()
    result = rendered(
        tmp_path,
        engine,
        video_init_path=video,
        strength_schedule="0:(0.5), 6:(0.2)",
        max_frames=99,
        translation_x="0:(9)",
        noise_schedule="0:(0.5)",
    )
    frames = frames_of(result)
    assert np.allclose([said(frame) for frame in frames], range(7), atol=0.1)
    assert frames[0].shape == (64, 64, 3)
    assert np.allclose([r.denoising_strength for r in engine.requests], np.linspace(0.5, 0.8, 7))
    assert [r.seed for r in engine.requests] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(path.name for path in (result.outdir / "inputframes").glob("*.jpg")) == [
        f"steps{number:09d}.jpg" for number in range(7)
    ]


def test_a_part_of_the_video(tmp_path: Path, video: str) -> None:
    changes = {"extract_nth_frame": 2, "extract_from_frame": 1, "extract_to_frame": 5}
    frames = frames_of(
        rendered(tmp_path, Copyist(), video_init_path=video, delete_input_frames=True, **changes)
    )
    assert np.allclose([said(frame) for frame in frames], [2, 4], atol=0.1)
    assert not list(tmp_path.rglob("*.jpg"))


def test_input_frames_go_when_a_run_is_resumed_after_its_video(
    tmp_path: Path, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"video_init_path": video, "delete_input_frames": True, "skip_video_creation": False}
    parked = Mock(side_effect=Parked)
    with monkeypatch.context() as patched:
        patched.setattr("deforum_helpers.pipeline.job.remove_extracted", parked)
        with pytest.raises(Parked):
            rendered(tmp_path, Copyist(), **changes)
    (first, *_) = sorted(tmp_path.rglob("*_settings.txt"))
    assert list(tmp_path.rglob("*.jpg"))
    run_job(
        prepared(tmp_path, QUICK, **PLAIN | changes),
        Copyist(),
        CancelToken(),
        lambda progress: None,
        resume=first.name[:14],
    )
    assert not list(tmp_path.rglob("*.jpg"))
    assert not list(tmp_path.rglob("inputframes"))


def test_sound_is_taken_from_the_video(tmp_path: Path, video: str) -> None:
    changes = {"video_init_path": video, "skip_video_creation": False}
    for source, streams in (("Init Video", True), ("None", False)):
        result = rendered(tmp_path / source, Copyist(), add_soundtrack=source, **changes)
        assert result.video is not None
        assert count_frames(result.video) == 7
        sound = ["-i", str(result.video), "-map", "0:a?", "-f", "framecrc", "-"]
        assert ("type 0: audio" in run_ffmpeg(FFMPEG, sound, "Listening", 60)) is streams


def test_a_video_without_sound_is_warned_about(tmp_path: Path) -> None:
    silent = clip(tmp_path / "silent.mp4", levels(2))
    job = prepared(tmp_path, video_init_path=str(silent), add_soundtrack="Init Video")
    assert any("no sound" in text for text in job.warnings)
    assert job.inputs.soundtrack is None


def test_colours_of_the_video(tmp_path: Path, video: str) -> None:
    """With N = 3 the colours of frames 0 to 2 are those of frame 0, of 3 to 5 those of frame 3."""
    frames = frames_of(
        rendered(
            tmp_path,
            Red(),
            video_init_path=video,
            color_coherence="Video Input",
            color_coherence_video_every_N_frames=3,
        )
    )
    assert np.allclose([said(frame) for frame in frames], [0, 0, 0, 3, 3, 3, 6], atol=0.2)


@pytest.fixture
def mask_video(tmp_path: Path) -> str:
    """Four frames: the mask is the right half, then the left, then the right, then the left."""
    masks = np.zeros((4, 64, 64, 3), np.uint8)
    masks[::2, :, 32:], masks[1::2, :, :32] = 255, 255
    return str(clip(tmp_path / "masks.mp4", masks))


def test_a_mask_video_masks_a_video_and_is_held_at_its_end(
    tmp_path: Path, video: str, mask_video: str
) -> None:
    changes = {"use_mask_video": True, "video_mask_path": mask_video, "mask_overlay_blur": 0}
    job = prepared(tmp_path, QUICK, **PLAIN, video_init_path=video, overlay_mask=False, **changes)
    assert "mask_video_short" in map(code_of, job.warnings)
    frames = frames_of(run_job(job, Red(), CancelToken(), lambda progress: None))
    for number, frame in enumerate(frames):
        left = (frame[:, 2:30, 0].mean() > 250, frame[:, 2:30, 1].mean() < 5)
        assert all(left) is (number % 2 == 1 or number > 3)
        other = frame[:, 36:62] if all(left) else frame[:, 2:28]
        assert said(other) == pytest.approx(number, abs=0.2)


def test_a_mask_video_masks_a_moved_video(tmp_path: Path, mask_video: str) -> None:
    cv2.imwrite(str(tmp_path / "blue.png"), np.full((64, 64, 3), (255, 0, 0), np.uint8))
    changes = {"use_init": True, "init_image": str(tmp_path / "blue.png"), "animation_mode": "2D"}
    frames = frames_of(
        rendered(
            tmp_path,
            Red(),
            use_mask_video=True,
            video_mask_path=mask_video,
            max_frames=3,
            mask_overlay_blur=0,
            translation_x="0:(5)",
            **changes,
        )
    )
    for number, frame in enumerate(frames):
        visible = frame[:, 36:62] if number % 2 else frame[:, 2:28]
        assert np.abs(visible.astype(int) - (0, 0, 255)).max() <= 3


@pytest.mark.parametrize("coherence", ["None", "Video Input"])
def test_a_resumed_video_is_the_same_to_the_bit(
    tmp_path: Path, video: str, mask_video: str, coherence: str
) -> None:
    changes = {
        "video_init_path": video,
        "use_mask_video": True,
        "video_mask_path": mask_video,
        "color_coherence": coherence,
        "color_coherence_video_every_N_frames": 3,
    }
    whole = frames_of(rendered(tmp_path / "whole", NoisyEngine(), **changes))
    job, cancel = prepared(tmp_path / "parts", QUICK, **PLAIN | changes), CancelToken()

    def park(progress: Progress) -> None:
        if progress.frame >= 4:
            cancel.park()

    with pytest.raises(Parked):
        run_job(job, NoisyEngine(), cancel, park)
    (settings,) = (tmp_path / "parts").rglob("*_settings.txt")
    again = replace(job, resume=settings.name[:14])
    parts = frames_of(run_job(again, NoisyEngine(), CancelToken(), lambda progress: None))
    assert len(parts) == 7
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


def refused(root: Path, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        prepared(root / "out", QUICK, **PLAIN | changes)
    assert not (root / "out").exists()
    return " ".join(problem.message for problem in caught.value.problems)


def test_what_is_no_video_is_told_before_the_first_frame(tmp_path: Path, video: str) -> None:
    assert "video_init_path names" in refused(tmp_path, video_init_path="nowhere.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert "not a readable video" in refused(tmp_path, video_init_path=str(tmp_path / "empty.mp4"))
    too_late = refused(tmp_path, video_init_path=video, extract_from_frame=50)
    assert "expected 1 to 100000 of its 7 frames" in too_late
    assert "video_mask_path is empty" in refused(tmp_path, video_init_path=video, use_mask_video=True)


@pytest.mark.parametrize(
    ("source", "path"),
    [("File", "soundtrack_path"), (True, "soundtrack_path"), ("Init Video", "video_init_path")],
)
def test_sound_from_a_path_that_is_empty_is_a_silent_video_and_a_warning(
    tmp_path: Path, source: object, path: str
) -> None:
    changes = {**PLAIN, "animation_mode": "2D", "add_soundtrack": source, "skip_video_creation": False}
    job = prepared(tmp_path, QUICK, **changes)
    assert job.inputs.soundtrack is None
    assert any("add_soundtrack" in text and f"{path} is empty" in text for text in job.warnings)
    assert run_job(job, NoisyEngine(), CancelToken(), lambda progress: None).video


def test_a_video_shorter_than_asked_is_warned_about(tmp_path: Path, video: str) -> None:
    job = prepared(tmp_path, **PLAIN, video_init_path=video, extract_to_frame=99)
    assert any("has only 7 frames" in text for text in job.warnings)
    assert job.plan.frames == 7


class Files(BaseHTTPRequestHandler):
    """Serves what is in `files`, by its path."""

    files: ClassVar[dict[str, tuple[str, bytes]]] = {}

    def do_GET(self) -> None:
        kind, content = self.files.get(self.path, ("text/html", b"nothing"))
        self.send_response(200 if self.path in self.files else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://files.example:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_everything_may_come_from_addresses(
    tmp_path: Path, video: str, mask_video: str, address: str
) -> None:
    cv2.imwrite(str(tmp_path / "half.png"), np.full((8, 8), 255, np.uint8))
    Files.files = {
        "/v/steps.mp4": ("video/mp4", Path(video).read_bytes()),
        "/masks.mp4": ("video/mp4", Path(mask_video).read_bytes()),
        "/half.png": ("image/png", (tmp_path / "half.png").read_bytes()),
    }
    settings = {
        "video_init_path": f"{address}/v/steps.mp4",
        "use_mask_video": True,
        "video_mask_path": f"{address}/masks.mp4",
        "mask_schedule": f'0: ("{{video_mask}} & [{address}/half.png]")',
        "add_soundtrack": "Init Video",
        "skip_video_creation": False,
        "color_coherence": "Image",
        "color_coherence_image_path": f"{address}/half.png",
    }
    fetcher = Fetcher(lambda host, port: [ip_address("127.0.0.1")], lambda address: True)
    facts = host(tmp_path / "out", fetcher=fetcher)
    job = prepare(SMALL | PLAIN | settings, facts, QUICK, draw_seed=lambda: 1)
    fetched = Path(job.inputs.downloads.local(f"{address}/half.png", "image", setting="mask_schedule")).parent
    result = run_job(job, Copyist(), CancelToken(), lambda progress: None)
    assert result.frames == 7
    assert (result.outdir / "inputframes" / "steps000000006.jpg").is_file()
    del job
    assert not fetched.exists()


def test_an_address_of_this_machine_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        prepared(
            tmp_path / "out",
            use_init=True,
            init_image=address.replace("files.example", "127.0.0.1"),
            use_mask=True,
            mask_schedule=f'0: ("[{address.replace("files.example", "localhost")}/m.png]")',
        )
    messages = {problem.setting: problem.message for problem in caught.value.problems}
    assert "not on the public network" in messages["init_image"]
    assert "not on the public network" in messages["mask_schedule"]
    assert not (tmp_path / "out").exists()
