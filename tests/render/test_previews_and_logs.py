"""Beside the rendering: videos of the frames so far, the log of every step, depth models and settings that are kept."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from small_runs import NoisyEngine, host, prepared

from deforum_helpers.core.errors import Cancelled, Parked, VideoError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.containers import count_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg, run_ffmpeg
from deforum_helpers.models.depth.estimators import kept_estimator
from deforum_helpers.output import video
from deforum_helpers.output.manifest import read_manifest
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.pipeline.last_settings import load_last_settings
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.settings.host_options import PREVIEWS, Options

_, PAUSING, CONCURRENT = PREVIEWS
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}


def rendered(job: Prepared, report: Any = lambda progress: None) -> RunResult:
    return run_job(job, NoisyEngine(), CancelToken(), report)


def preview_of(result: RunResult) -> Path:
    return result.outdir / f"{result.timestring}_preview.mp4"


class TestPreview:
    SETTINGS = {"W": 64, "H": 64, "max_frames": 25, "steps": 1}  # noqa: RUF012

    @pytest.mark.parametrize("how", [PAUSING, CONCURRENT])
    def test_the_frames_so_far_become_a_video(self, tmp_path: Path, how: str) -> None:
        options = {**QUICK, "deforum_preview": how, "deforum_preview_interval_frames": 10}
        seen: list[int] = []

        def report(progress: Progress) -> None:
            made = Path(progress.outdir, f"{progress.timestring}_preview.mp4")
            if progress.outdir and made.exists():
                seen.append(count_frames(made))

        result = rendered(prepared(tmp_path, options, **self.SETTINGS), report)
        # One that is made beside the rendering may still be at work when the next is due, which then waits for it.
        due = {10, *range(20, 25)} if how == CONCURRENT else {10, 20}
        assert set(seen) <= due
        assert how == CONCURRENT or set(seen) == due
        assert count_frames(preview_of(result)) in due
        assert result.video is not None
        assert count_frames(result.video) == 25
        manifest = read_manifest(result.outdir / f".{result.timestring}_manifest.json")
        assert "preview_video" in {file.kind for file in manifest.files}

    def test_it_is_off_at_first(self, tmp_path: Path) -> None:
        result = rendered(
            prepared(tmp_path, {**QUICK, "deforum_preview_interval_frames": 10}, **self.SETTINGS)
        )
        assert not preview_of(result).exists()

    def test_one_that_fails_is_the_last_and_the_video_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        tried: list[Any] = []

        def fail(*arguments: Any, **_named: Any) -> None:
            tried.append(arguments)
            raise VideoError("The encoder is gone.")

        monkeypatch.setattr(video, "VideoWriter", fail)
        options = {**QUICK, "deforum_preview": PAUSING, "deforum_preview_interval_frames": 10}
        result = rendered(prepared(tmp_path, options, **self.SETTINGS))
        assert result.frames == 25
        assert len(tried) == 1
        assert "The encoder is gone." in caplog.text

    def test_each_frame_is_encoded_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written: list[int] = []
        plain = VideoWriter.finish
        monkeypatch.setattr(
            VideoWriter, "finish", lambda writer: (written.append(plain(writer)), written[-1])[1]
        )
        options = {**QUICK, "deforum_preview": PAUSING, "deforum_preview_interval_frames": 10}
        result = rendered(prepared(tmp_path, options, **self.SETTINGS))
        assert written == [10, 10, 25]
        seconds = run_ffmpeg(
            find_ffmpeg(None), ["-i", str(preview_of(result)), "-f", "framecrc", "-"], "Counting", 60
        )
        shown = [line.split(",") for line in seconds.splitlines() if line.startswith("0,")]
        assert [int(pts) for _, _, pts, *_ in shown] == list(range(20))

    @pytest.mark.parametrize("how", [PAUSING, CONCURRENT])
    @pytest.mark.parametrize("wish", ["cancel", "park"])
    def test_a_job_that_stops_does_not_wait_for_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, wish: str
    ) -> None:
        """The preview's encoder hangs until it is killed."""
        token, previews = CancelToken(), []
        plain = VideoWriter.write

        def write(writer: VideoWriter, frame: Any) -> None:
            plain(writer, frame)
            if writer.path.parent.name.startswith("deforum-film-"):
                previews.append(writer)
                getattr(token, wish)()
                writer._process.wait()

        monkeypatch.setattr(VideoWriter, "write", write)
        options = {**QUICK, "deforum_preview": how, "deforum_preview_interval_frames": 10}
        job = prepared(tmp_path, options, **{**self.SETTINGS, "max_frames": 2000})
        with pytest.raises((Cancelled, Parked)):
            run_job(job, NoisyEngine(), token, lambda progress: None)
        assert len(previews) == 1
        assert not list(tmp_path.rglob("*_preview.mp4"))

    def test_no_thread_is_left(self, tmp_path: Path) -> None:
        options = {**QUICK, "deforum_preview": CONCURRENT, "deforum_preview_interval_frames": 10}
        rendered(prepared(tmp_path, options, **self.SETTINGS))
        assert "deforum-preview" not in {thread.name for thread in threading.enumerate()}


def test_debug_mode_writes_each_step_into_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rendered(prepared(tmp_path, QUICK, diffusion_cadence=2))
    assert "Frames 0 to 1:" not in caplog.text
    rendered(prepared(tmp_path, {**QUICK, "deforum_debug_mode_enabled": True}, diffusion_cadence=2))
    lines = [
        record.getMessage() for record in caplog.records if record.name == "deforum_helpers.pipeline.preview"
    ]
    assert [line.split(":")[0] for line in lines] == ["Frames 0 to 1", "Frames 2 to 3", "Frame 4"]
    assert "seed 1, 4 steps, Euler a Automatic" in lines[0]
    assert "'a lighthouse on a cliff'" in lines[0]


def test_a_depth_model_is_kept_only_where_the_options_say_so() -> None:
    made: list[str] = []

    def make(name: str, device: Any) -> Any:
        made.append(name)
        return object()

    def get(name: str, *, keep: bool) -> Any:
        return kept_estimator(make, name, "cpu", keep=keep)  # type: ignore[arg-type]

    first = get("Zoe", keep=True)
    assert get("Zoe", keep=True) is first
    assert get("Zoe", keep=False) is first
    assert get("Zoe", keep=False) is not first
    assert get("Leres", keep=True) is not get("Zoe", keep=True)
    assert made == ["Zoe", "Zoe", "Leres", "Zoe"]
    get("Zoe", keep=False)


class TestLastSettings:
    OPTIONS = Options(
        deforum_enable_persistent_settings=True, deforum_persistent_settings_path="kept/last.txt"
    )

    def test_the_next_start_begins_with_the_settings_of_the_newest_video(self, tmp_path: Path) -> None:
        job = {
            "W": 64,
            "H": 64,
            "max_frames": 2,
            "seed": -1,
            "batch_name": "run_{seed}",
            "sampler": "Host's own",
        }
        from deforum_helpers.pipeline.prepare import prepare

        facts = host(tmp_path, options=self.OPTIONS, samplers=("Host's own",))
        rendered(prepare({**job, "prompts": {"0": "a bay"}}, facts, QUICK))
        written = json.loads((tmp_path / "kept" / "last.txt").read_text(encoding="utf-8"))
        assert (written["seed"], written["batch_name"], written["W"]) == (-1, "run_{seed}", 64)
        assert written["sampler"] == "Host's own"
        again = load_last_settings(self.OPTIONS, tmp_path, {"sampler": ("Host's own",)})
        assert (again["prompts"], again["max_frames"]) == ({"0": "a bay"}, 2)
        assert load_last_settings(Options(), tmp_path) == {}

    def test_a_file_that_cannot_be_used_is_left_out(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert load_last_settings(self.OPTIONS, tmp_path) == {}
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / "last.txt").write_text('{"W": "wide"}')
        assert load_last_settings(self.OPTIONS, tmp_path) == {}
        assert "are ignored: W is" in caplog.text

    def test_nothing_is_written_unasked(self, tmp_path: Path) -> None:
        rendered(prepared(tmp_path, QUICK))
        assert not list(tmp_path.glob("**/deforum_persistent_settings.txt"))
