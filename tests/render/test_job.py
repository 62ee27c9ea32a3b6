"""Whole jobs with the null engine and with one that generates noise: files, resume, cancel, subtitles."""

from __future__ import annotations

import io
import json
import os
import stat
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import SMALL, NoisyEngine, frame_files, golden_traces, host, prepared

from deforum_helpers.core.errors import Cancelled, CheckpointError, Parked, RenderError, RunInUse
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.color import ColorReference, match_color
from deforum_helpers.image.convert import on_8_bit_grid, to_bytes
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output import video as video_module
from deforum_helpers.output import writer as writer_module
from deforum_helpers.output.frames import read_frame
from deforum_helpers.output.manifest import read_manifest
from deforum_helpers.output.metadata import read_png_settings, read_video_settings
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline.job import Progress, RunResult, run_job
from deforum_helpers.pipeline.postproduction import film_digest
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.render.state import ResumeState, State, decode_state, encode_state
from deforum_helpers.settings import FIELDS, load_settings
from deforum_helpers.settings.host_options import Options
from tests.holding import held_elsewhere
from tests.output.small_videos import nvenc_ffmpeg
from tests.refusals import refuses

NOW = datetime(2026, 1, 2, 3, 4, 5)
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}


def rendered(
    job: Prepared, engine: Any = None, report: Callable[[Progress], None] = lambda progress: None, **more: Any
) -> RunResult:
    token = more.pop("cancel", None) or CancelToken()
    return run_job(job, engine or NoisyEngine(), token, report, now=lambda: NOW, **more)


def frames_of(outdir: Path) -> list[np.ndarray]:
    return [read_frame(path) for path in frame_files(outdir)]


def stopped_at(frame: int, token: CancelToken, how: str) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.phase == "GENERATING" and progress.frame >= frame:
            getattr(token, how)()

    return report


def test_a_job_leaves_all_its_files(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK, save_depth_maps=True, make_gif=True))
    names = sorted(path.name for path in result.outdir.iterdir() if not path.name.startswith("."))
    stem = result.timestring
    assert stem == "20260102030405"
    expected = [f"{stem}_{n:09d}.png" for n in range(5)] + [f"{stem}_depth_{n:09d}.png" for n in range(5)]
    expected += [
        f"{stem}.mp4",
        f"{stem}.gif",
        f"{stem}_settings.txt",
    ]
    assert names == sorted(expected)  # what only this program reads is not among them
    hidden = {path.name for path in result.outdir.iterdir()} - set(names)
    assert hidden == {f".{stem}_manifest.json", f".{stem}.checkpoint"}
    assert count_frames(result.video) == 5
    assert result.frames == 5
    kinds = [file.kind for file in read_manifest(result.outdir / f".{stem}_manifest.json").files]
    assert [kinds.count(kind) for kind in ("frame", "depth", "video", "gif", "settings")] == [5, 5, 1, 1, 1]


def test_settings_travel_in_frames_and_video(tmp_path: Path) -> None:
    job = prepared(tmp_path, QUICK, seed=-1)
    result = rendered(job)
    text = json.loads((result.outdir / f"{result.timestring}_settings.txt").read_text(encoding="utf-8"))
    for saved in (
        text,
        read_png_settings(next(frame_files(result.outdir))),
        read_video_settings(result.video),
    ):
        assert saved["seed"] == 1234
        assert not {name for name in saved if not FIELDS[name].saved}
        again = load_settings(saved)
        assert replace(again.settings, batch_name=job.settings.batch_name) == job.settings


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "animation_mode": "3D",
            "translation_z": "0:(4)",
            "depth_algorithm": "Plane",
            "color_coherence": "HSV",
        },
        {"diffusion_cadence": 3, "max_frames": 8, "angle": "0:(2)"},
        {"legacy_colormatch": True, "diffusion_cadence": 2, "max_frames": 6},
        {"seed_behavior": "random", "diffusion_redo": 2},
        {"keyframe_distribution": "Redistributed", "diffusion_cadence": 4, "max_frames": 8},
    ],
    ids=["2D", "3D", "cadence", "legacy", "random", "redistributed"],
)
@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_resumed_run_is_the_run_that_never_stopped(
    changes: dict[str, Any], stop: int, tmp_path: Path
) -> None:
    whole = rendered(prepared(tmp_path / "whole", QUICK, **changes))
    token, engine = CancelToken(), NoisyEngine()
    job = prepared(tmp_path / "parked", QUICK, **changes)
    with pytest.raises(Parked):
        rendered(job, engine, stopped_at(stop, token, "park"), cancel=token)
    generated = len(engine.requests)
    result = rendered(job, engine, resume="20260102030405")
    assert len(engine.requests) == sum(
        1 + len(key.redo_seeds) * ("redo" in key.stages) for key in job.plan.key_frames
    )
    assert generated < len(engine.requests)
    for one, other in zip(frames_of(whole.outdir), frames_of(result.outdir), strict=True):
        np.testing.assert_array_equal(one, other)
    assert result.video.read_bytes()[-1000:] == whole.video.read_bytes()[-1000:]
    assert result.frames == whole.frames == count_frames(result.video)


def test_resume_through_settings_keeps_the_drawn_seed(tmp_path: Path) -> None:
    token = CancelToken()
    job = prepared(tmp_path, QUICK, seed=-1)
    with pytest.raises(Parked):
        rendered(job, None, stopped_at(2, token, "park"), cancel=token)
    again = prepared(
        tmp_path, QUICK, seed=-1, resume_from_timestring=True, resume_timestring="20260102030405"
    )
    assert again.settings.seed == job.settings.seed
    assert again.plan.digest == job.plan.digest
    assert rendered(again).frames == 5


def test_runs_of_one_second_keep_their_own_drawn_seeds(tmp_path: Path) -> None:
    """As two servers on one output folder begin them; the folder's name may itself depend on the seed."""
    seeds = {"b_{seed}": 22, "a_{seed}": 11, "c": 33}
    random_seed = {"seed": -1, "skip_video_creation": True}
    for name, seed in seeds.items():
        job = prepare(
            SMALL | random_seed | {"batch_name": name}, host(tmp_path), draw_seed=lambda seed=seed: seed
        )
        rendered(job)
    for name, seed in seeds.items():
        timestring = "20260102030405"
        again = prepare(
            SMALL | random_seed | {"batch_name": name},
            host(tmp_path),
            resume=timestring,
            draw_seed=lambda: 99,
        )
        assert again.settings.seed == seed


def test_a_resumed_run_in_a_folder_of_its_own_keeps_its_drawn_seed(tmp_path: Path) -> None:
    settings = SMALL | {"seed": -1, "skip_video_creation": True}
    folder = {"outdir_samples": "videos/of/today"}
    result = rendered(prepare(settings, host(tmp_path), folder, draw_seed=lambda: 11))
    assert result.outdir.is_relative_to(tmp_path.resolve() / "videos" / "of" / "today")
    again = prepare(settings, host(tmp_path), folder, resume=result.timestring, draw_seed=lambda: 99)
    assert again.settings.seed == 11


def test_a_cancelled_run_keeps_its_frames_as_a_video(tmp_path: Path) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        rendered(prepared(tmp_path, QUICK), None, stopped_at(3, token, "cancel"), cancel=token)
    outdir = next((tmp_path / "img2img-images").iterdir())
    assert len(list(frame_files(outdir))) == 3
    assert count_frames(next(outdir.glob("*.mp4"))) == 3


def test_a_run_cancelled_after_one_frame_has_no_video(tmp_path: Path) -> None:
    token = CancelToken()
    with pytest.raises(Cancelled):
        rendered(prepared(tmp_path, QUICK), None, stopped_at(1, token, "cancel"), cancel=token)
    outdir = next((tmp_path / "img2img-images").iterdir())
    assert len(list(frame_files(outdir))) == 1
    assert not list(outdir.glob("*.mp4"))


def test_a_failing_engine_leaves_the_finished_frames_and_can_go_on(tmp_path: Path) -> None:
    class Failing(NoisyEngine):
        def generate(self, request, cancel):  # type: ignore[no-untyped-def]
            if len(self.requests) == 3:
                raise RenderError("the model burst")
            return super().generate(request, cancel)

    with pytest.raises(RenderError, match="burst"):
        rendered(prepared(tmp_path, QUICK), Failing())
    outdir = next((tmp_path / "img2img-images").iterdir())
    assert len(list(frame_files(outdir))) == 3
    assert not list(outdir.glob("*.mp4"))
    assert not list(outdir.glob("*.part"))
    whole = rendered(prepared(tmp_path / "whole", QUICK))
    result = rendered(prepared(tmp_path, QUICK), resume="20260102030405")
    for one, other in zip(frames_of(whole.outdir), frames_of(result.outdir), strict=True):
        np.testing.assert_array_equal(one, other)


def test_resume_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with refuses(CheckpointError, "run_lost", "20200101000000"):
        rendered(prepared(tmp_path, QUICK), resume="20200101000000")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"W": 128}, r"64 x 64 pixels, .* 128 x 64"), ({"max_frames": 3}, "5 frames, .* now 3")],
)
def test_resume_with_another_size_or_less_says_what_does_not_fit(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    result = rendered(prepared(tmp_path, QUICK))
    with pytest.raises(CheckpointError, match=said):
        rendered(prepared(tmp_path, QUICK, **changes), resume=result.timestring)


def test_a_run_that_another_program_renders_is_left_alone(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK))
    with held_elsewhere(Run(result.outdir, result.timestring).lock_path):
        before = {path: path.stat().st_mtime_ns for path in result.outdir.iterdir()}
        told: list[Progress] = []
        with refuses(RunInUse, "run_being_rendered"):
            rendered(prepared(tmp_path, QUICK), None, told.append, resume=result.timestring)
        assert {path: path.stat().st_mtime_ns for path in result.outdir.iterdir()} == before
        assert {progress.outdir for progress in told} == {""}
    assert rendered(prepared(tmp_path, QUICK), resume=result.timestring).frames == 5


def test_a_run_is_locked_while_it_is_rendered(tmp_path: Path) -> None:
    locks: set[bool] = set()

    def look(progress: Progress) -> None:
        if progress.timestring:
            locks.add(Run(Path(progress.outdir), progress.timestring).lock_path.exists())

    rendered(prepared(tmp_path, QUICK), None, look)
    assert locks == {True}


def test_resume_without_the_first_frame_names_it(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK))
    (result.outdir / f"{result.timestring}_000000000.png").unlink()
    with pytest.raises(CheckpointError, match="frame 0 is missing"):
        rendered(prepared(tmp_path, QUICK), resume=result.timestring)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", bytes(5000)], ids=["empty", "half", "zeros"])
def test_resume_with_a_damaged_frame_names_it(content: bytes, tmp_path: Path) -> None:
    frames_alone = {"skip_video_creation": True}
    result = rendered(prepared(tmp_path, QUICK, **frames_alone))
    (result.outdir / f"{result.timestring}_000000002.png").write_bytes(content)
    with pytest.raises(CheckpointError, match="frame 2 is damaged"):
        rendered(prepared(tmp_path, QUICK, **frames_alone), resume=result.timestring)


def test_resume_with_a_missing_depth_map_names_it(tmp_path: Path) -> None:
    depth = {"save_depth_maps": True, "skip_video_creation": True}
    result = rendered(prepared(tmp_path, QUICK, **depth))
    (result.outdir / f"{result.timestring}_depth_000000003.png").unlink()
    with pytest.raises(CheckpointError, match="depth map 3 is missing"):
        rendered(prepared(tmp_path, QUICK, **depth), resume=result.timestring)


@pytest.mark.parametrize("kind", ["video", "upscaled_video"])
def test_a_video_that_was_damaged_before_its_end_was_told_is_made_again(kind: str, tmp_path: Path) -> None:
    """Its size alone tells nothing: a power failure may leave a file of zeros."""
    job = prepared(tmp_path, QUICK, r_upscale_video=True, r_upscale_model="Lanczos")
    result = rendered(job)
    (video,) = [
        result.outdir / file.name
        for file in read_manifest(result.outdir / f".{result.timestring}_manifest.json").files
        if file.kind == kind
    ]
    video.write_bytes(bytes(video.stat().st_size))
    again = rendered(job, resume=result.timestring)
    assert again.video == result.video
    assert count_frames(video) == 5


def test_a_frame_that_is_emptied_while_others_are_generated_is_no_success(tmp_path: Path) -> None:
    def emptied(progress: Progress) -> None:
        if progress.phase == "POST_PROCESSING":
            first = Path(progress.outdir, f"{progress.timestring}_000000000.png")
            while not first.exists():  # its thread may be a little behind
                time.sleep(0.01)
            first.write_bytes(b"")

    with pytest.raises(RenderError, match=r"_000000000\.png is empty"):
        rendered(prepared(tmp_path, QUICK), None, emptied)


def test_an_attempt_that_was_overtaken_takes_nothing_from_the_one_that_goes_on(tmp_path: Path) -> None:
    """As when a program that seemed dead, or whose machine slept, wakes up in the middle of the other's work."""
    whole = rendered(prepared(tmp_path / "whole", QUICK))
    job = prepared(tmp_path / "both", QUICK)
    at_work, awake = threading.Event(), threading.Event()

    def asleep(progress: Progress) -> None:
        if progress.frame == 2:
            at_work.set()
            awake.wait()
            raise Parked("Another attempt at the job has begun.")

    def overtaken() -> None:
        try:
            with pytest.raises(Parked):
                rendered(job, None, asleep)
        finally:
            at_work.set()

    old = threading.Thread(target=overtaken, daemon=True)
    old.start()
    at_work.wait()

    def wakes_it(progress: Progress) -> None:
        if progress.frame == 4:
            awake.set()
            old.join()

    result = rendered(job, None, wakes_it, resume="20260102030405")
    assert count_frames(result.video) == 5
    for one, other in zip(frames_of(whole.outdir), frames_of(result.outdir), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(result.outdir.rglob("*.part"))


def test_what_an_attempt_that_was_killed_left_half_is_removed(tmp_path: Path) -> None:
    token = CancelToken()
    job = prepared(tmp_path, QUICK)
    with pytest.raises(Parked):
        rendered(job, None, stopped_at(2, token, "park"), cancel=token)
    outdir = next((tmp_path / "img2img-images").iterdir())
    (outdir / "20260102030405_upscaled").mkdir()
    halves = [
        outdir / ".20260102030405.mp4.123456.part",
        outdir / ".20260102030405_000000002.png.part",
        outdir / "20260102030405_upscaled" / ".000000001.png.654321.part",
    ]
    of_another_run = outdir / ".20250102030405.mp4.123456.part"
    for half in (*halves, of_another_run):
        half.write_bytes(b"half")
    rendered(job, resume="20260102030405")
    assert list(outdir.rglob("*.part")) == [of_another_run]


@pytest.mark.skipif(os.name == "nt", reason="a folder is no file there")
def test_all_files_outlive_a_power_failure_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe: set[tuple[int, int]] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        safe.add(about(os.fstat(descriptor)))

    def about(status: os.stat_result) -> tuple[int, int]:
        return status.st_ino, 0 if stat.S_ISDIR(status.st_mode) else status.st_size

    monkeypatch.setattr(os, "fsync", noted)
    subtitles = {"deforum_save_gen_info_as_srt": True, "deforum_embed_srt": True}
    more = {"r_upscale_video": True, "r_upscale_model": "Lanczos", "r_upscale_keep_imgs": True}
    result = rendered(prepared(tmp_path, QUICK | subtitles, make_gif=True, **more))
    listed = read_manifest(result.outdir / f".{result.timestring}_manifest.json").files
    assert {file.kind for file in listed} >= {"video", "gif", "subtitles", "frame", "upscaled_video"}
    files = [result.outdir / file.name for file in listed]
    for path in {*files, *(file.parent for file in files)}:
        assert about(path.stat()) in safe, path.name


def test_a_resume_state_keeps_how_often_the_levels_of_the_reference_occur() -> None:
    image, other = on_8_bit_grid(torch.rand(3, 60, 50)), torch.rand(3, 40, 30)
    reference = ColorReference.of(image, "LAB")
    content = encode_state(ResumeState(State(2, reference=reference), 2, "x"))
    again = decode_state(content, torch.device("cpu"))
    assert (again.state.steps_done, again.frames_done, again.digest) == (2, 2, "x")
    assert again.state.reference is not None
    assert again.state.reference.mode == "LAB"
    assert torch.equal(match_color(other, again.state.reference), match_color(other, reference))
    larger = ColorReference.of(image.repeat(1, 9, 9), "LAB")
    assert len(encode_state(ResumeState(State(2, reference=larger), 2, "x"))) == len(content)


def test_a_resume_state_of_version_3_has_the_image_of_the_reference() -> None:
    image, other = on_8_bit_grid(torch.rand(3, 60, 50)), torch.rand(3, 40, 30)
    about = {"version": 3, "steps_done": 2, "frames_done": 4, "digest": "x", "color_mode": "HSV"}
    content = io.BytesIO()
    written = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(content, reference=to_bytes(image), about=written)
    again = decode_state(content.getvalue(), torch.device("cpu"))
    assert (again.state.steps_done, again.frames_done, again.digest, again.made_by) == (2, 4, "x", "")
    assert again.state.reference is not None
    wanted = match_color(other, ColorReference.of(image, "HSV"))
    assert torch.equal(match_color(other, again.state.reference), wanted)


def damaged_checkpoints() -> dict[str, bytes]:
    whole = encode_state(ResumeState(State(), 1, "x"))

    def with_parts(**parts: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written:
            for name, content in parts.items():
                written.writestr(f"{name}.npy", content)
        return buffer.getvalue()

    pickled, packed, deep, colorless = (io.BytesIO() for _ in range(4))
    np.savez(pickled, about=np.array([{"version": 3}], dtype=object))
    np.savez_compressed(packed, about=np.zeros(10**8, np.uint8))
    np.savez(deep, about=np.frombuffer(b"[" * 100_000, np.uint8))
    about = {"version": 4, "steps_done": 1, "frames_done": 1, "digest": "x", "color_mode": "LAB"}
    written = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(colorless, about=written, colors=np.zeros((3, 256), np.int64))
    return {
        "nothing": b"",
        "half": whole[: len(whole) // 2],
        "text": b"text" * 100,
        "a pickle": b"\x80\x04N.",
        "an array of objects": pickled.getvalue(),
        "a bomb": packed.getvalue(),
        "deep": deep.getvalue(),
        "no colors": colorless.getvalue(),
        "no arrays": with_parts(about=b"junk"),
        "one array": whole[:20],
    }


@pytest.mark.parametrize("name", damaged_checkpoints())
def test_no_damaged_checkpoint_makes_anybody_load_it_unsafely(name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        decode_state(damaged_checkpoints()[name], torch.device("cpu"))
    assert "damaged" in str(caught.value)
    assert not {"pickle", "allow", "trust", "unsafe"} & set(str(caught.value).replace("_", " ").split())


def test_a_run_that_goes_on_with_another_engine_says_so(tmp_path: Path) -> None:
    class OtherEngine(NoisyEngine):
        name = "other"

    token = CancelToken()
    with pytest.raises(Parked):
        rendered(prepared(tmp_path, QUICK), None, stopped_at(3, token, "park"), cancel=token)
    run = "20260102030405"
    result = rendered(prepared(tmp_path, QUICK), OtherEngine(), resume=run)
    (said,) = [warning for warning in result.warnings if code_of(warning) == "run_engine_differs"]
    assert f"started with {NoisyEngine.name}" in said
    assert "from frame 3 on" in said
    assert "by other" in said


def test_a_run_that_goes_on_with_another_model_says_so_once(tmp_path: Path) -> None:
    token = CancelToken()
    first = replace(prepared(tmp_path, QUICK), model="one.safetensors")
    with pytest.raises(Parked):
        rendered(first, None, stopped_at(2, token, "park"), cancel=token)
    run = "20260102030405"
    other = replace(prepared(tmp_path, QUICK), model="two.safetensors")
    token, told = CancelToken(), list[Progress]()
    stop = stopped_at(4, token, "park")
    with pytest.raises(Parked):
        rendered(other, None, lambda p: (told.append(p), stop(p))[1], cancel=token, resume=run)
    assert any("one.safetensors" in warning for warning in told[-1].warnings)
    result = rendered(other, resume=run)
    assert not [warning for warning in result.warnings if code_of(warning) == "run_engine_differs"]


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK))
    (result.outdir / f".{result.timestring}_manifest.json").unlink()  # it was not finished
    (result.outdir / f".{result.timestring}.checkpoint").write_bytes(b"PK\x03\x04 not whole")
    with pytest.raises(CheckpointError, match="damaged"):
        rendered(prepared(tmp_path, QUICK), resume=result.timestring)


@pytest.mark.parametrize("frames", [0, 3])
def test_a_run_of_an_earlier_version_goes_on(frames: int, tmp_path: Path) -> None:
    """Its own files had names that begin with the timestring."""
    unbroken = rendered(prepared(tmp_path / "a", QUICK))
    result = rendered(prepared(tmp_path / "b", QUICK))
    stem = result.timestring
    for ending in ("_manifest.json", ".checkpoint"):
        (result.outdir / f".{stem}{ending}").rename(result.outdir / f"{stem}{ending}")
    if frames:  # else its list of outputs alone says that nothing is left to do
        (result.outdir / f"{stem}_manifest.json").unlink()
        (result.outdir / f"{stem}_{frames:09d}.png").unlink()
    again = rendered(prepared(tmp_path / "b", QUICK), resume=stem)
    for one, other in zip(frame_files(unbroken.outdir), frame_files(again.outdir), strict=True):
        np.testing.assert_array_equal(read_frame(one), read_frame(other))
    own = {path.name for path in again.outdir.iterdir() if path.suffix in (".json", ".checkpoint")}
    assert own == {f".{stem}_manifest.json", f".{stem}.checkpoint"}


def test_a_finished_run_can_be_made_longer(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK))
    longer = rendered(prepared(tmp_path, QUICK, max_frames=9), resume=result.timestring)
    assert count_frames(longer.video) == 9
    assert any("differ" in warning for warning in longer.warnings)


def test_a_prompt_with_a_number_of_its_frame_is_warned_about_once(tmp_path: Path) -> None:
    class Wary(NoisyEngine):
        def warnings(self, request: GenerateRequest) -> tuple[str, ...]:
            return (f"no word of {request.prompt!r}",)

    prompts = {"0": "a cat of `t` years, (old:`t/7`)", "3": "a dog of `t` years"}
    result = rendered(prepared(tmp_path, QUICK, prompts=prompts), engine=Wary())
    assert len([text for text in result.warnings if "a cat of" in text]) == 1
    assert len([text for text in result.warnings if "a dog of" in text]) == 1


def test_progress_only_grows_and_ends_at_one(tmp_path: Path) -> None:
    told: list[Progress] = []
    rendered(prepared(tmp_path, QUICK), None, told.append)
    for phase in ("PREPARING", "GENERATING", "POST_PROCESSING"):
        fractions = [progress.fraction for progress in told if progress.phase == phase]
        assert fractions == sorted(fractions)
    assert told[-1].phase == "POST_PROCESSING"
    assert told[-1].fraction == 1.0
    assert [progress.frame for progress in told if progress.phase == "GENERATING"] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["cad1", "cad3_max10"])
def test_subtitles_are_classics(name: str, tmp_path: Path) -> None:
    traces = golden_traces()
    scenario = next(scenario for scenario in traces["scenarios"] if scenario["name"] == name)
    options = QUICK | {"deforum_save_gen_info_as_srt": True, "deforum_save_gen_info_as_srt_params": ["Zoom"]}
    changes = traces["base"] | {"W": 64, "H": 64} | scenario["overrides"]
    result = rendered(prepared(tmp_path, options, **changes))
    lines = (result.outdir / f"{result.timestring}.srt").read_text(encoding="utf-8").split("\n")
    count = len(scenario["srt"]) - 1  # classic lost the frames after the last group
    assert lines[:count] == scenario["srt"][:count]
    assert sum(" --> " in line for line in lines) == result.frames


def test_the_null_engine_returns_what_it_is_given(tmp_path: Path) -> None:
    """Without motion, colour, noise and sharpening all frames are the first."""
    still = {
        "zoom": "0:(1)",
        "color_coherence": "None",
        "noise_schedule": "0:(0)",
        "amount_schedule": "0:(0)",
    }
    result = rendered(prepared(tmp_path, QUICK, **still), make_engine("null"))
    first, *rest = frames_of(result.outdir)
    for image in rest:
        np.testing.assert_array_equal(image, first)


def test_delete_imgs_leaves_the_video(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK, delete_imgs=True))
    assert not list(frame_files(result.outdir))
    assert count_frames(result.video) == 5


def test_skip_video_creation_makes_none(tmp_path: Path) -> None:
    result = rendered(prepared(tmp_path, QUICK, skip_video_creation=True))
    assert result.video is None
    assert not list(result.outdir.glob("*.mp4"))
    assert len(list(frame_files(result.outdir))) == 5


@pytest.mark.parametrize("works", [True, False])
def test_a_job_uses_nvenc_or_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool) -> None:
    program = nvenc_ffmpeg(tmp_path)
    monkeypatch.setattr(writer_module, "find_ffmpeg", lambda location: program)
    if not works:
        monkeypatch.setattr(video_module, "nvenc_fault", lambda *_: "No GPU.")
    job = prepared(tmp_path / "out", {"deforum_ffmpeg_encoder": "nvenc"}, max_frames=3)
    seen: list[Progress] = []
    result = run_job(job, NullEngine(), CancelToken(), seen.append)
    assert result.video is not None
    assert count_frames(result.video) == 3
    codes = [code_of(text) for text in result.warnings]
    assert ("nvenc_unusable" in codes) == (not works)
    assert ("nvenc_unusable" in map(code_of, seen[-1].warnings)) == (not works)
    assert (tmp_path / "calls").exists() == works


def test_the_digest_of_a_video_knows_a_new_option_only_where_it_is_chosen() -> None:
    classic = film_digest({"W": 64}, Options(), "plan")
    assert classic == "b41220210df1f04d658f704df150f5dfa2ed496b0e3ae7080ac79bedc3cfc30c"
    assert film_digest({"W": 64}, Options(deforum_ffmpeg_encoder="nvenc"), "plan") != classic
