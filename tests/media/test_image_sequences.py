"""Images in the place of a video: folders, patterns, animated files; their order, times and sizes."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from deforum_helpers.core.errors import SettingsError, VideoError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.extraction import extract_frames
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.footage import Selection, VideoInfo, inspect_video
from tests.refusals import refuses

FFMPEG = find_ffmpeg(None)


def gray(number: int, size: tuple[int, int] = (48, 32)) -> PIL.Image.Image:
    """An image whose level is 20 times its number."""
    return PIL.Image.new("RGB", size, (20 * number,) * 3)


def found(path: Path) -> VideoInfo:
    return inspect_video(path, setting="video_init_path", name=str(path))


def numbers(footage: VideoInfo, folder: Path, selection: Selection | None = None) -> list[int]:
    """The numbers that the extracted frames show."""
    paths = extract_frames(footage, folder, selection or Selection(), CancelToken())
    return [round(float(cv2.imread(str(path)).mean()) / 20) for path in paths]


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        found(path)
    (problem,) = caught.value.problems
    assert problem.message.startswith("video_init_path names ")
    return problem.message


def refusal_code(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        found(path)
    (problem,) = caught.value.problems
    return problem.code


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder of 11 images of several kinds whose numbers are not padded, among other files."""
    folder = tmp_path / "my shots"
    folder.mkdir()
    for number in range(11):
        gray(number).save(folder / f"shot {number}.{('png', 'JPG', 'webp', 'bmp', 'tiff')[number % 5]}")
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "more.png.d").mkdir()
    return folder


def test_a_folder_is_a_video_of_its_images_in_the_order_of_their_numbers(tmp_path: Path, shots: Path) -> None:
    footage = found(shots)
    assert (footage.name, footage.width_px, footage.height_px) == ("my shots", 48, 32)
    assert (footage.frames, footage.fps, footage.note("The video")) == (11, 15, None)
    assert numbers(footage, tmp_path / "frames") == list(range(11))
    assert numbers(footage, tmp_path / "some", Selection(3, 2, 9)) == [3, 6, 9]
    assert found(Path(f"{shots}{os.sep}")).name == "my shots"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", [0, 5, 10]),
        ("shot *", list(range(11))),
        ("shot ?.*", list(range(10))),
        ("shot [2-4].*", [2, 3, 4]),
        ("shot %d.png", [0, 5, 10]),
        ("shot %01d.webp", [2, 7]),
    ],
)
def test_a_pattern_is_a_video_of_the_images_that_fit(
    tmp_path: Path, shots: Path, pattern: str, expected: list[int]
) -> None:
    assert numbers(found(shots / pattern), tmp_path / "frames") == expected


def test_a_file_with_the_name_of_a_pattern_is_that_file(tmp_path: Path) -> None:
    gray(1).save(tmp_path / "a1.png")
    gray(2).save(tmp_path / "a[1].png")
    assert refusal_code(tmp_path / "a[1].png") == "video_input_single_image"


def test_folders_without_images(tmp_path: Path, shots: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal_code(tmp_path / "empty") == "image_sequence_length"
    assert refusal_code(shots / "*.gif") == "image_sequence_length"
    assert "does not exist" in refusal(tmp_path / "nowhere" / "*.png")
    assert "does not exist" in refusal(tmp_path / "*" / "shot 0.png")


def test_an_image_that_cannot_be_read_is_named_before_a_job_is_accepted(shots: Path) -> None:
    path = shots / "shot 5.png"
    path.write_bytes(path.read_bytes()[:60])
    assert "shot 5.png" in refusal(shots)


def test_images_of_several_sizes_are_scaled_to_the_first(tmp_path: Path, shots: Path) -> None:
    gray(11, (96, 20)).save(shots / "shot 11.png")
    footage = found(shots)
    assert "48 x 32" in (footage.note("The video") or "")
    assert numbers(footage, tmp_path / "frames") == list(range(12))
    assert {cv2.imread(str(path)).shape for path in (tmp_path / "frames").glob("*.jpg")} == {(32, 48, 3)}


def test_a_single_image_is_no_video(tmp_path: Path) -> None:
    for end in ("png", "jpg", "webp", "tiff"):
        gray(1).save(tmp_path / f"a.{end}")
        assert refusal_code(tmp_path / f"a.{end}") == "video_input_single_image"


def animated(path: Path, durations_ms: list[int]) -> Path:
    first, *others = [gray(number) for number in range(len(durations_ms))]
    first.save(path, save_all=True, append_images=others, duration=durations_ms, lossless=True)
    return path


@pytest.mark.parametrize("end", ["gif", "webp", "png"])
def test_an_animated_image_is_a_video(tmp_path: Path, end: str) -> None:
    footage = found(animated(tmp_path / f"a.{end}", [100] * 6))
    assert (footage.frames, footage.fps, footage.uneven) == (6, pytest.approx(10), 0)
    assert numbers(footage, tmp_path / "frames") == list(range(6))
    assert numbers(footage, tmp_path / "part", Selection(2, 1, 4)) == [2, 4]


@pytest.mark.parametrize("end", ["gif", "webp", "png"])
def test_an_animated_image_of_uneven_times_keeps_them(tmp_path: Path, end: str) -> None:
    footage = found(animated(tmp_path / f"a.{end}", [100, 100, 500, 100, 1000]))
    assert footage.uneven == 5
    assert footage.frames / footage.fps == pytest.approx(1.8, abs=1 / footage.fps)
    shown = numbers(footage, tmp_path / "frames")
    middles = [int((second + 0.05) * footage.fps) for second in (0, 0.1, 0.35, 0.7, 1.2)]
    assert [shown[middle] for middle in middles] == [0, 1, 2, 3, 4]
    assert footage.note("The video") is not None


def test_frames_of_a_folder_are_taken_again_once_it_changed(tmp_path: Path, shots: Path) -> None:
    frames = tmp_path / "frames"
    assert numbers(found(shots), frames) == list(range(11))
    before = {path: path.stat().st_mtime_ns for path in frames.glob("*.jpg")}
    assert numbers(found(shots), frames) == list(range(11))
    assert {path: path.stat().st_mtime_ns for path in frames.glob("*.jpg")} == before
    gray(9, (48, 32)).save(shots / "shot 0.png", compress_level=0)
    assert numbers(found(shots), frames)[0] == 9


def test_a_folder_that_lost_an_image_says_so(tmp_path: Path, shots: Path) -> None:
    footage = found(shots)
    (shots / "shot 5.png").unlink()
    with refuses(VideoError, "video_input_gone"):
        numbers(footage, tmp_path / "frames")


def test_a_broken_image_of_a_folder_keeps_its_code(tmp_path: Path, shots: Path) -> None:
    footage = found(shots)
    (shots / "shot 5.png").write_bytes((shots / "shot 5.png").read_bytes()[:40])
    with pytest.raises(VideoError) as caught:
        numbers(footage, tmp_path / "frames")
    assert caught.value.message_code.startswith("image_")


def test_alpha_and_greys_and_16_bits(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.full((32, 48), 20 * 257, np.uint16))
    cv2.imwrite(str(folder / "2.tiff"), np.full((32, 48), 40 / 255, np.float32))
    gray(3).convert("L").save(folder / "3.png")
    gray(4).convert("RGBA").save(folder / "4.png")
    assert numbers(found(folder), tmp_path / "frames") == [1, 2, 3, 4]
