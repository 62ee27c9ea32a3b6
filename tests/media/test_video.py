"""Videos taken apart: exact counts, rotation, variable rates, selections; and files that are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import features

from deforum_helpers.core.errors import Cancelled, MissingFeature, RenderError, SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.extraction import (
    Selection,
    VideoInfo,
    extract_frames,
    inspect_video,
    remove_extracted,
    stem_of,
)
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.timing import MOST_FRAMES, constant_rate, even_rate
from deforum_helpers.output.video import VideoWriter
from deforum_helpers.ui.uploads import VIDEO_EXTENSIONS

FFMPEG = find_ffmpeg(None)


def ffmpeg(*arguments: object) -> None:
    subprocess.run(
        [FFMPEG, "-loglevel", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL
    )


def gray_clip(path: Path, frames: int = 12, fps: int = 10, *extra: object) -> Path:
    """A clip of 48x32 whose frame k has the level 20 k and a white left upper corner."""
    pixels = np.zeros((frames, 32, 48, 3), np.uint8)
    pixels += (20 * np.arange(frames, dtype=np.uint8))[:, None, None, None]
    pixels[:, :16, :16] = 255
    raw = path.with_suffix(".raw")
    raw.write_bytes(pixels.tobytes())
    shape = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "48x32", "-r", fps)
    ffmpeg(*shape, "-i", raw, *extra, "-crf", 1, "-pix_fmt", "yuv444p", path)
    return path


def levels(paths: tuple[Path, ...]) -> list[int]:
    """The number that each frame's level says."""
    images = [cv2.imread(str(path)) for path in paths]
    return [round(float(image[-8:, -8:].mean()) / 20) for image in images]


def taken(footage: VideoInfo, folder: Path, selection: Selection, **changes: bool) -> tuple[Path, ...]:
    return extract_frames(footage, folder, selection, CancelToken(), **changes)


def test_what_a_clip_holds(tmp_path: Path) -> None:
    path = gray_clip(tmp_path / "my clip.mp4")
    assert inspect_video(path, setting="video_init_path") == VideoInfo(path, "my clip", 48, 32, 10.0, 12)


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [
        (Selection(), list(range(12))),
        (Selection(3), [0, 3, 6, 9]),
        (Selection(3, 4), [6, 9]),
        (Selection(1, 2, 5), [2, 3, 4, 5]),
        (Selection(2, 3, 8), [4, 6, 8]),
        (Selection(0, 10, 99), [10, 11]),
    ],
)
def test_selections_are_exact(tmp_path: Path, selection: Selection, numbers: list[int]) -> None:
    footage = inspect_video(gray_clip(tmp_path / "a.mp4"), setting="video_init_path")
    assert selection.count(12) == len(numbers)
    paths = taken(footage, tmp_path / "50% frames", selection)
    assert levels(paths) == numbers
    assert [path.name for path in paths] == [f"a{number:09d}.jpg" for number in range(len(numbers))]
    assert len(list((tmp_path / "50% frames").iterdir())) == len(numbers) + 1


@given(st.integers(0, 9), st.integers(0, 30), st.integers(-1, 40), st.integers(0, 50))
def test_counts_are_those_of_a_plain_loop(every: int, first: int, last: int, frames: int) -> None:
    plain = [c for c in range(first, frames) if (last == -1 or c <= last) and c % max(every, 1) == 0]
    assert Selection(every, first, last).count(frames) == len(plain)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", None])
def test_colours_are_those_of_the_video(tmp_path: Path, matrix: str | None) -> None:
    """Every way from RGB to the video's own colours is gone back, whichever the video says is its own."""
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 64, 200], [200, 30, 90]], np.uint8)
    pixels = np.broadcast_to(colors.repeat(32, 0), (32, 160, 3))
    (tmp_path / "a.raw").write_bytes(np.ascontiguousarray(pixels).tobytes())
    shape = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "160x32", "-r", 10)
    way = ("-vf", f"scale=out_color_matrix={matrix}", "-colorspace", matrix) if matrix else ()
    ffmpeg(*shape, "-i", tmp_path / "a.raw", *way, "-pix_fmt", "yuv420p", "-crf", 1, tmp_path / "a.mp4")
    footage = inspect_video(tmp_path / "a.mp4", setting="video_init_path")
    (path,) = taken(footage, tmp_path / "frames", Selection())
    found = cv2.imread(str(path))[16, 16::32, ::-1]
    assert np.abs(found.astype(int) - colors).max() <= 4


def uneven(path: Path, places: str, *extra: object, frames: int = 12) -> Path:
    """A clip whose frame N of `frames` is shown at the time `places`, a formula in tenths of a second."""
    gray_clip(path.with_name("even.mp4"), frames)
    filters = ("-vf", f"setpts='({places})/10/TB'", "-fps_mode", "vfr", "-enc_time_base", "1:1000")
    ffmpeg("-i", path.with_name("even.mp4"), *filters, "-crf", 1, *extra, path)
    return path


def seconds(footage: VideoInfo) -> float:
    return footage.frames / footage.fps


@pytest.mark.parametrize("end", ["mp4", "mkv", "mov"])
def test_a_variable_rate_becomes_a_constant_one_as_long(tmp_path: Path, end: str) -> None:
    """Frames are at 0 to 0.3 s, 3.4 to 3.7 s and 5.8 to 6.1 s; each is held until the next one."""
    path = uneven(tmp_path / f"v.{end}", "N+gt(N,3)*30+gt(N,7)*20")
    footage = inspect_video(path, setting="video_init_path")
    assert footage.uneven == 12
    assert footage.fps == pytest.approx(10, rel=0.01)
    assert seconds(footage) == pytest.approx(6.2, abs=0.1)
    shown = levels(taken(footage, tmp_path / "frames", Selection()))
    expected = [0, 1, 2] + [3] * 31 + [4, 5, 6] + [7] * 21 + [8, 9, 10, 11]
    assert len(shown) == footage.frames
    assert np.abs(np.subtract(shown[: len(expected)], expected[: len(shown)])).max() <= 1
    assert [shown[n] for n in (0, 20, 33, 50, 61)] == [expected[n] for n in (0, 20, 33, 50, 61)]
    assert levels(taken(footage, tmp_path / "part", Selection(10, 20, 59))) == [3, 3, 7, 7]
    assert code_of(footage.note("The video") or "") == "video_variable_rate"


def test_a_recording_lasts_as_long_as_its_sound(tmp_path: Path) -> None:
    """Recorders send no frame while nothing moves: the last one is shown until the sound ends."""
    tone = ("-f", "lavfi", "-i", "sine=d=9", "-map", "0:v", "-map", "1:a")
    gray_clip(tmp_path / "even.mp4")
    vfr = ("-vf", "setpts='(N+gt(N,3)*9)/10/TB'", "-fps_mode", "vfr", "-crf", 1)
    ffmpeg("-i", tmp_path / "even.mp4", *tone, *vfr, tmp_path / "v.mp4")
    footage = inspect_video(tmp_path / "v.mp4", setting="video_init_path")
    assert seconds(footage) == pytest.approx(9, abs=0.1)
    assert levels(taken(footage, tmp_path / "frames", Selection()))[-60:] == [11] * 60


@pytest.mark.parametrize(("sound_s", "frames"), [(1.2, 12), (1.6, 12), (4, 40)])
def test_sound_that_goes_on_behind_even_frames_is_kept(tmp_path: Path, sound_s: float, frames: int) -> None:
    """What moves at first and then stands still is recorded as a few even frames and a long sound."""
    tone = ("-f", "lavfi", "-i", f"sine=d={sound_s}", "-map", "0:v", "-map", "1:a")
    ffmpeg("-i", gray_clip(tmp_path / "even.mp4"), *tone, "-c:v", "copy", tmp_path / "v.mp4")
    footage = inspect_video(tmp_path / "v.mp4", setting="video_init_path")
    assert (footage.frames, footage.fps) == (frames, 10)
    assert levels(taken(footage, tmp_path / "frames", Selection())) == [*range(12), *[11] * (frames - 12)]


def test_a_last_frame_that_stays_is_held(tmp_path: Path) -> None:
    delays = ("-final_delay", 200)
    ffmpeg("-i", gray_clip(tmp_path / "a.mp4", 6), *delays, tmp_path / "a.gif")
    footage = inspect_video(tmp_path / "a.gif", setting="video_init_path")
    assert (footage.uneven, footage.fps) == (6, 10)
    assert seconds(footage) == pytest.approx(2.5, abs=0.1)


def test_frames_that_tremble_stay_as_they_are(tmp_path: Path) -> None:
    """Cameras are a few milliseconds early or late: no frame is repeated, none is lost, and the length is kept."""
    path = uneven(tmp_path / "v.mp4", "N+0.3*mod(N,3)/2")
    footage = inspect_video(path, setting="video_init_path")
    assert (footage.frames, footage.uneven, footage.note("The video")) == (12, 0, None)
    assert levels(taken(footage, tmp_path / "frames", Selection())) == list(range(12))


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "25", "60"])
def test_constant_rates_stay_exact(tmp_path: Path, rate: str) -> None:
    for end in ("mp4", "mkv"):
        path = tmp_path / f"a.{end}"
        ffmpeg("-f", "lavfi", "-i", f"testsrc=s=48x32:r={rate}:d=3", path)
        footage = inspect_video(path, setting="video_init_path")
        top, _, bottom = rate.partition("/")
        assert footage.fps == pytest.approx(int(top) / int(bottom or 1), rel=1e-6)
        assert footage.uneven == 0


@given(
    st.lists(st.floats(0.001, 5), min_size=2, max_size=200),
    st.floats(0, 3),
    st.floats(1, 1000),
)
def test_any_times_become_a_rate_that_keeps_the_length(
    intervals: list[float], last_s: float, nominal_fps: float
) -> None:
    times = [0.0, *np.cumsum(intervals).tolist()]
    fps = constant_rate(times, last_s, nominal_fps)
    if fps is not None:  # every frame once
        assert abs((len(times) - 1) / fps - times[-1]) <= 1 / fps
        return
    ends_s = times[-1] + last_s
    fps = even_rate(times, ends_s, nominal_fps)
    frames = max(round(ends_s * fps), 1)
    assert frames <= MOST_FRAMES
    assert abs(frames / fps - ends_s) <= 1 / fps


@pytest.mark.parametrize(
    ("turn_deg", "size", "corner"),
    [(90, (32, 48), (-8, 0)), (180, (48, 32), (-8, -8)), (270, (32, 48), (0, -8))],
)
def test_a_turned_video_is_upright(
    tmp_path: Path, turn_deg: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """The white corner turns to the left, from above left to below left, and on."""
    gray_clip(tmp_path / "a.mp4")
    ffmpeg("-display_rotation", turn_deg, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    footage = inspect_video(tmp_path / "turned.mp4", setting="video_init_path")
    assert (footage.width_px, footage.height_px) == size
    image = cv2.imread(str(taken(footage, tmp_path / "frames", Selection(1, 0, 1))[0]))
    assert image.shape == (size[1], size[0], 3)
    white = {place for place in ((0, 0), (0, -8), (-8, 0), (-8, -8)) if eight_pixels(image, *place) > 240}
    assert white == {corner}


@pytest.mark.parametrize(
    ("turn_deg", "mirror", "size"),
    [(0, "h", (48, 32)), (0, "v", (48, 32)), (90, "h", (32, 48)), (270, "h", (32, 48))],
)
def test_a_mirrored_video_is_shown_mirrored(
    tmp_path: Path, turn_deg: int, mirror: str, size: tuple[int, int]
) -> None:
    """Compared with the image that ffmpeg shows."""
    gray_clip(tmp_path / "a.mp4")
    shown = ("-display_rotation", turn_deg, f"-display_{mirror}flip")
    ffmpeg(*shown, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-i", tmp_path / "turned.mp4", "-frames:v", 1, tmp_path / "expected.png")
    footage = inspect_video(tmp_path / "turned.mp4", setting="video_init_path")
    assert (footage.width_px, footage.height_px) == size
    image = cv2.imread(str(taken(footage, tmp_path / "frames", Selection(1, 0, 1))[0]))
    expected = cv2.imread(str(tmp_path / "expected.png"))
    assert np.abs(image.astype(int) - expected).max() <= 8


def eight_pixels(image: np.ndarray, top: int, left: int) -> float:
    """The mean of eight by eight pixels."""
    return float(np.roll(image, (-top, -left), (0, 1))[:8, :8].mean())


VIDEOS: dict[str, tuple[object, ...]] = {
    "a.webm": ("-c:v", "libvpx-vp9", "-b:v", 0, "-crf", 10),
    "a.mkv": ("-c:v", "libx264"),
    "a.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"),
    "a.mov": ("-c:v", "libx264"),
    "mdat first.mov": ("-c:v", "libx264", "-movflags", "+empty_moov", "-f", "mov"),
    "00000.MTS": ("-c:v", "libx264", "-f", "mpegts", "-mpegts_m2ts_mode", 1),
    "a.ts": ("-c:v", "libx264"),
    "a.flv": ("-c:v", "flv"),
    "a.h264": ("-c:v", "libx264"),
    "a.m4v": ("-c:v", "mpeg4", "-f", "m4v"),
    "a.mxf": ("-c:v", "mpeg2video", "-r", 25),
    "a.mpg": ("-c:v", "mpeg2video", "-r", 25),
    "a.wmv": (
        "-c:v",
        "wmv2",
    ),
    "a.gif": ("-c:v", "gif", "-pix_fmt", "rgb8"),
    "a.apng": ("-c:v", "apng", "-pix_fmt", "rgb24"),
    "a.y4m": (),
    "a.nut": ("-c:v", "ffv1"),
    "0": ("-c:v", "libx264", "-f", "mp4"),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_other_containers(tmp_path: Path, name: str) -> None:
    clip = gray_clip(tmp_path / "source.mp4", 5)
    ffmpeg("-i", clip, "-pix_fmt", "yuv420p", *VIDEOS[name], tmp_path / name)
    footage = inspect_video(tmp_path / name, setting="video_init_path")
    assert footage.frames == (12 if 25 in VIDEOS[name] else 5)
    assert footage.uneven == 0
    shown = levels(taken(footage, tmp_path / "frames", Selection()))
    assert sorted(set(shown)) == shown if footage.frames == 5 else set(shown) == set(range(5))


def test_joined_recordings_are_one_video(tmp_path: Path) -> None:
    """The clock of the second piece begins anew, that of its sound too."""
    tone = ("-f", "lavfi", "-i", "sine=d=0.48", "-map", "0:v", "-map", "1:a")
    for end, codec in (("ts", "libx264"), ("mpg", "mpeg2video")):
        one = tmp_path / f"one.{end}"
        ffmpeg("-i", gray_clip(tmp_path / "a.mp4", 12, 25), *tone, "-pix_fmt", "yuv420p", "-c:v", codec, one)
        (tmp_path / f"both.{end}").write_bytes(one.read_bytes() * 2)
        footage = inspect_video(tmp_path / f"both.{end}", setting="video_init_path")
        assert (footage.fps, footage.uneven) == (25, 0), end
        assert levels(taken(footage, tmp_path / end, Selection(1, 0, 23))) == [*range(12)] * 2, end


def test_a_size_that_changes_becomes_that_of_the_first_frame(tmp_path: Path) -> None:
    codec = ("-c:v", "mpeg2video", "-pix_fmt", "yuv420p")
    ffmpeg("-i", gray_clip(tmp_path / "a.mp4", 5, 25), *codec, tmp_path / "a.ts")
    ffmpeg("-i", tmp_path / "a.mp4", "-vf", "scale=96:64", *codec, tmp_path / "b.ts")
    (tmp_path / "both.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    footage = inspect_video(tmp_path / "both.ts", setting="video_init_path")
    paths = taken(footage, tmp_path / "frames", Selection())
    assert {cv2.imread(str(path)).shape for path in paths} == {(32, 48, 3)}
    assert len(paths) == footage.frames
    assert levels(paths)[-5:] == [*range(5)]


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    """A file that ends in the middle has the frames up to there; one without a whole frame is no video."""
    ffmpeg("-i", gray_clip(tmp_path / "a.mp4"), "-c", "copy", "-movflags", "+faststart", tmp_path / "b.mp4")
    whole = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "c.mp4").write_bytes(whole[: len(whole) - 200])
    footage = inspect_video(tmp_path / "c.mp4", setting="video_init_path")
    assert 1 <= footage.frames < 12
    assert len(taken(footage, tmp_path / "frames", Selection())) == footage.frames
    (tmp_path / "d.mp4").write_bytes(whole[: whole.index(b"mdat") + 8])
    assert refusal(tmp_path / "d.mp4") == "video_input_undecodable"


def test_without_pyav_videos_are_written_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gray_clip(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingFeature, match="pip install av"):
        inspect_video(path, setting="video_init_path")
    with VideoWriter(tmp_path / "b.mp4", width=8, height=8, fps=10, ffmpeg=FFMPEG) as writer:
        for level in (0, 90, 250):
            writer.write(np.full((8, 8, 3), level, np.uint8))
        assert writer.finish() == 3


def test_the_page_takes_what_is_read() -> None:
    assert {Path(name).suffix.lower() for name in VIDEOS} - {""} <= set(VIDEO_EXTENSIONS)


def test_an_animated_avif(tmp_path: Path) -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    frames = [PIL.Image.new("RGB", (48, 32), (20 * n,) * 3) for n in range(5)]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=100)
    footage = inspect_video(tmp_path / "a.avif", setting="video_init_path")
    assert (footage.frames, footage.fps) == (5, 10)
    assert levels(taken(footage, tmp_path / "frames", Selection())) == list(range(5))


def test_frames_that_are_there_stay_and_others_are_made_anew(tmp_path: Path) -> None:
    footage = inspect_video(gray_clip(tmp_path / "a.mp4"), setting="video_init_path")
    folder = tmp_path / "frames"
    first = taken(footage, folder, Selection(1, 0, 3))
    stamps = [path.stat().st_mtime_ns for path in first]
    assert [path.stat().st_mtime_ns for path in taken(footage, folder, Selection(1, 0, 3))] == stamps
    assert [
        path.stat().st_mtime_ns for path in taken(footage, folder, Selection(1, 0, 3), overwrite=True)
    ] != stamps
    assert levels(taken(footage, folder, Selection(1, 1, 4))) == [1, 2, 3, 4]
    first[2].unlink()
    assert levels(taken(footage, folder, Selection(1, 1, 4))) == [1, 2, 3, 4]


def test_a_stopped_extraction_leaves_nothing(tmp_path: Path) -> None:
    footage = inspect_video(gray_clip(tmp_path / "a.mp4"), setting="video_init_path")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        extract_frames(footage, tmp_path / "frames", Selection(), cancel)
    assert list((tmp_path / "frames").iterdir()) == []


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        inspect_video(path, setting="video_init_path")
    (problem,) = caught.value.problems
    assert problem.setting == "video_init_path"
    assert problem.message.startswith(f"video_init_path names {path.name!r}, which ")
    return problem.code


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n", "video_input_not_video"),
        ("list.mov", b"ffconcat version 1.0\nfile /etc/passwd\n", "video_input_not_video"),
        ("empty.mp4", b"", "video_input_not_video"),
        ("text.mp4", b"hello" * 1000, "video_input_not_video"),
        ("broken.mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 2000, "video_input_undecodable"),
        ("image.mp4", b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "video_input_not_video"),
    ],
)
def test_files_that_are_no_video(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name) == code


def test_a_missing_video(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.mp4") == "video_input_unusable"


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "sound.mp4")
    assert refusal(tmp_path / "sound.mp4") == "video_input_without_images"


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "a.mp3")
    cv2.imwrite(str(tmp_path / "cover.png"), np.zeros((16, 16, 3), np.uint8))
    both = ("-i", tmp_path / "a.mp3", "-i", tmp_path / "cover.png", "-map", 0, "-map", 1, "-c", "copy")
    ffmpeg(*both, "-disposition:v", "attached_pic", tmp_path / "covered.mp3")
    assert refusal(tmp_path / "covered.mp3") == "video_input_without_images"


def test_a_video_of_far_too_many_pixels(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=s=12000x8000:d=0.04:r=25", "-c:v", "mjpeg", tmp_path / "bomb.mov")
    assert refusal(tmp_path / "bomb.mov") == "video_input_undecodable"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("https://x.example/videos/V1.mp4?x=1.2", "V1"),
        ("C:\\videos\\my clip.final.mp4", "my clip.final"),
        ("../..", "video"),
        ("a%d:b*.mp4", "a_d_b_"),
        ("x" * 300 + ".mp4", "x" * 100),
        (".mp4", "mp4"),
    ],
)
def test_names_of_frames(name: str, stem: str) -> None:
    assert stem_of(name) == stem


@pytest.mark.parametrize("deep", [False, True])
def test_a_folder_for_frames_that_is_a_link_is_neither_filled_nor_read(tmp_path: Path, deep: bool) -> None:
    footage = inspect_video(gray_clip(tmp_path / "clip.mp4"), setting="video_init_path")
    elsewhere = tmp_path / "elsewhere"
    earlier = taken(footage, elsewhere / "inputframes", Selection())
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    run = tmp_path / "run"
    if deep:
        run.symlink_to(elsewhere, target_is_directory=True)
    else:
        run.mkdir()
        (run / "inputframes").symlink_to(elsewhere / "inputframes", target_is_directory=True)
    with pytest.raises(RenderError, match="is a link"):
        taken(footage, run / "inputframes", Selection())
    remove_extracted([run / "inputframes" / path.name for path in earlier])
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before


def test_a_frame_that_is_a_link_is_extracted_anew(tmp_path: Path) -> None:
    footage = inspect_video(gray_clip(tmp_path / "clip.mp4"), setting="video_init_path")
    first, *_ = taken(footage, tmp_path / "inputframes", Selection())
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    first.unlink()
    first.symlink_to(tmp_path / "secret.jpg")
    taken(footage, tmp_path / "inputframes", Selection())
    assert not first.is_symlink()
    assert (tmp_path / "secret.jpg").read_bytes() == b"secret"
