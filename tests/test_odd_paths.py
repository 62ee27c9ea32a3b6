"""Every place that takes the path of a file, given everything that is none: one clear error, at once."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clips import clip, levels
from small_runs import SMALL, host

from deforum_api.hosts.run_now import run_files
from deforum_helpers.cli.job_files import read_submitted
from deforum_helpers.controlnet.model_files import control_model
from deforum_helpers.core.deadlines import within
from deforum_helpers.core.errors import CheckpointError, DeforumError, ModelError, RenderError, SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.diffusion.lora import apply_loras
from deforum_helpers.engines.diffusion.prompt_syntax import Lora
from deforum_helpers.engines.null.engine import NullEngine
from deforum_helpers.image.files import check_image_file, open_image_file
from deforum_helpers.media.extraction import Selection, extract_frames, inspect_video
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.models.weights.checkpoints import describe_checkpoint
from deforum_helpers.models.weights.headers import check_model_folder, read_json, safetensors_shapes
from deforum_helpers.output.audio import check_soundtrack
from deforum_helpers.output.frames import is_complete_png, read_frame, write_frame
from deforum_helpers.output.manifest import read_manifest
from deforum_helpers.output.metadata import read_png_settings, read_settings, read_video_settings
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.last_settings import load_last_settings
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.settings import FIELDS, read_settings_file
from deforum_helpers.settings.host_options import Options
from deforum_helpers.tools.interpolate import interpolate_image_sequence, interpolate_video
from deforum_helpers.tools.stitch import stitch_frames
from deforum_helpers.tools.upscale import upscale_video
from deforum_helpers.tools.work import Work
from tests.odd_files import WORDS, odd_files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such paths")

# How long a test waits for what never comes if the code is broken.
NEVER_S = 120.0
UNIT = {"cn_{}_enabled": True, "cn_{}_model": "a model"}
# Setting -> the other settings with which it is read, and the ending by which it knows its kind.
SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "init_image": ({"use_init": True}, ".png"),
    "init_image_box": ({"use_init": True}, ".png"),
    "mask_file": ({"use_mask": True}, ".png"),
    "color_coherence_image_path": ({"color_coherence": "Image"}, ".png"),
    "end_image_path": ({"animation_mode": "2D"}, ".png"),
    "video_init_path": ({"animation_mode": "Video Input"}, ".mp4"),
    "video_mask_path": ({"use_mask_video": True}, ".mp4"),
    "soundtrack_path": ({"add_soundtrack": "File", "skip_video_creation": False}, ".mp3"),
    "audio_path": ({"zoom": "0: (1 + rms)"}, ".mp3"),
    **{
        f"cn_{number}_{field}": (
            {"animation_mode": "2D", **{name.format(number): value for name, value in UNIT.items()}},
            ending,
        )
        for number in range(1, 6)
        for field, ending in (("vid_path", ".png"), ("mask_vid_path", ".mp4"))
    },
}
# These are read where a tool is used, not with a video's settings.
OF_TOOLS = {"image_path"}


def problems(submitted: dict[str, Any], root: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        within(NEVER_S, lambda: prepare(submitted, host(root), draw_seed=lambda: 1))
    return [problem.message for problem in caught.value.problems]


def submitted(setting: str, path: str) -> dict[str, Any]:
    more, _ = SETTINGS[setting]
    plain = {"skip_video_creation": True, "depth_algorithm": "Plane"}
    return SMALL | plain | {setting: path} | more


def test_the_table_has_every_path_among_the_settings() -> None:
    named = {name for name, field in FIELDS.items() if field.kind == "path"}
    assert named == set(SETTINGS) | OF_TOOLS


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_path_among_the_settings(setting: str, tmp_path: Path) -> None:
    for name, path in odd_files(tmp_path / "odd", SETTINGS[setting][1]).items():
        said = problems(submitted(setting, str(path)), tmp_path / "out")
        about = [one for one in said if one.startswith((f"{setting} ", f"{setting}:"))]
        assert len(about) == 1, (name, said)
        assert WORDS[name] in about[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more",
    [
        {"use_mask": True, "mask_schedule": '0: ("[{}]")', "use_init": True},
        {"use_looper": True, "init_images": '{{"0": "{}"}}', "animation_mode": "2D"},
        {"camera_path": '0: file("{}")', "animation_mode": "3D"},
    ],
    ids=["mask_schedule", "init_images", "camera_path"],
)
def test_a_path_inside_a_setting(more: dict[str, Any], tmp_path: Path) -> None:
    for name, path in odd_files(tmp_path / "odd", ".png").items():
        if name == "folder" and "camera_path" in more:
            continue  # COLMAP writes folders
        filled = {key: text.format(path) if isinstance(text, str) else text for key, text in more.items()}
        said = problems(SMALL | {"depth_algorithm": "Plane"} | filled, tmp_path / "out")
        assert any(WORDS[name] in one for one in said), (name, said)


def work(folder: Path) -> Work:
    return Work(folder / "out", Options(), CancelToken(), lambda share: None, "cpu")


READERS: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "an image": (".png", lambda path, _: open_image_file(path, setting="x").__enter__()),
    "an image's head": (".png", lambda path, _: check_image_file(path, setting="x")),
    "a video": (".mp4", lambda path, _: inspect_video(path, setting="x")),
    "a sound": (".mp3", lambda path, _: check_soundtrack(path, find_ffmpeg(None))),
    "a settings file": (".txt", lambda path, _: read_settings_file(path)),
    "a frame's settings": (".png", lambda path, _: read_png_settings(path)),
    "a video's settings": (".mp4", lambda path, _: read_video_settings(path)),
    "a dropped file": (".json", lambda path, _: read_settings(path)),
    "the command line": (".txt", lambda path, _: read_submitted(path, [])),
    "a frame": (".png", lambda path, _: read_frame(path)),
    "a list of outputs": (".json", lambda path, _: read_manifest(path)),
    "a checkpoint": (".safetensors", lambda path, _: describe_checkpoint(str(path))),
    "weights": (".safetensors", lambda path, _: safetensors_shapes(path)),
    "a model's settings": (".json", lambda path, _: read_json(path)),
    "a ControlNet": (".safetensors", lambda path, _: control_model(str(path), ())),
    "frames between frames": (".mp4", lambda path, out: interpolate_video(path, work(out))),
    "frames between images": (".png", lambda path, out: interpolate_image_sequence([path, path], work(out), fps=5)),
    "sound of images": (".mp3", lambda path, out: sounded(path, out)),
    "a larger video": (".mp4", lambda path, out: upscale_video(path, work(out), model="Lanczos", factor="x2")),
}  # fmt: skip


# What is read there is reached by no link, whatever that leads to.
BELOW_THE_OUTPUT_FOLDER = ("a frame", "a list of outputs")


def saved_images(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_frame(folder / name, np.zeros((64, 64, 3), np.uint8))
    return [folder / name for name in names]


def sounded(path: Path, out: Path) -> object:
    first, *_ = saved_images(out / "pictures", "1.png", "2.png")
    return stitch_frames(str(first), work(out), fps=5, soundtrack=path)


@pytest.mark.parametrize("reader", READERS)
def test_whatever_reads_a_file(reader: str, tmp_path: Path) -> None:
    ending, read = READERS[reader]
    for name, path in odd_files(tmp_path / "odd", ending).items():
        if name == "folder" and reader in ("a checkpoint", "a ControlNet"):
            continue  # a folder is what these may be
        with pytest.raises(DeforumError) as caught:
            within(NEVER_S, lambda path=path: read(path, tmp_path))  # type: ignore[misc]
        if not isinstance(caught.value, CheckpointError):
            links_count = reader in BELOW_THE_OUTPUT_FOLDER and (
                path.is_symlink() or path.parent.is_symlink()
            )
            assert ("link" if links_count else WORDS[name]) in str(caught.value), name


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_pipes_among_frames(tmp_path: Path) -> None:
    frames = saved_images(tmp_path / "frames", "1.png", "2.png", "3.png")
    replaced_by_a_pipe(frames[1])
    assert not within(NEVER_S, lambda: is_complete_png(frames[1]))
    with pytest.raises(RenderError, match="a named pipe"):
        within(NEVER_S, lambda: stitch_frames(str(frames[0]), work(tmp_path), fps=5))
    replaced_by_a_pipe(frames[0])
    with pytest.raises(SettingsError, match="a named pipe"):
        within(NEVER_S, lambda: stitch_frames(str(tmp_path / "frames" / "%d.png"), work(tmp_path), fps=5))


def test_pipes_among_extracted_frames_are_extracted_anew(tmp_path: Path) -> None:
    footage = inspect_video(clip(tmp_path / "a.mp4", levels(3)), setting="x")

    def extract() -> tuple[Path, ...]:
        return extract_frames(footage, tmp_path / "frames", Selection(), CancelToken())

    paths = extract()
    replaced_by_a_pipe(paths[1])
    assert within(NEVER_S, extract) == paths
    assert all(path.is_file() for path in paths)
    replaced_by_a_pipe(tmp_path / "frames" / ".a.json")
    assert within(NEVER_S, extract) == paths


def test_a_folder_of_a_model_with_a_pipe_in_it(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    os.mkfifo(tmp_path / "vocab.json")
    for read in (lambda: check_model_folder(tmp_path), lambda: describe_checkpoint(str(tmp_path))):
        with pytest.raises(ModelError, match=r"'vocab\.json', which is a named pipe"):
            within(NEVER_S, read)


def test_a_lora_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ink.safetensors")
    with pytest.raises(ModelError, match=r"'ink' is a named pipe"):
        within(NEVER_S, lambda: apply_loras(SimpleNamespace(), (Lora("ink", 1.0),), [tmp_path]))  # type: ignore


def test_a_file_to_be_run_now(tmp_path: Path) -> None:
    queue = SimpleNamespace(submit=lambda settings: pytest.fail("it was submitted"))
    for name, path in odd_files(tmp_path / "odd", ".txt").items():
        out = io.StringIO()
        assert not within(NEVER_S, lambda path=path, out=out: run_files(queue, [str(path)], out))  # type: ignore
        assert WORDS[name] in out.getvalue()


def test_kept_settings_that_are_a_pipe_are_not_used(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "kept.txt")
    options = Options(
        deforum_enable_persistent_settings=True, deforum_persistent_settings_path=str(tmp_path / "kept.txt")
    )
    assert within(NEVER_S, lambda: load_last_settings(options, tmp_path)) == {}


@pytest.mark.parametrize("what", ["checkpoint", "settings", "frame", "manifest"])
def test_a_run_whose_files_are_pipes(what: str, tmp_path: Path) -> None:
    settings = SMALL | {"batch_name": "run", "skip_video_creation": True}
    made = run_job(prepare(settings, host(tmp_path)), NullEngine(), CancelToken(), lambda progress: None)
    names = {
        "checkpoint": f".{made.timestring}.checkpoint",
        "settings": f"{made.timestring}_settings.txt",
        "frame": f"{made.timestring}_000000000.png",
        "manifest": f".{made.timestring}_manifest.json",
    }
    replaced_by_a_pipe(made.outdir / names[what])

    def resumed() -> object:
        prepared = prepare(settings | {"seed": 99}, host(tmp_path), resume=made.timestring)
        return run_job(prepared, NullEngine(), CancelToken(), lambda progress: None)

    if what in ("settings", "manifest"):  # made anew
        within(NEVER_S, resumed)
        return
    with pytest.raises(CheckpointError):
        within(NEVER_S, resumed)
