"""Settings files and odd media as users have them, from `tests/cases`, each with its right outcome."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import FFMPEG, clip, levels
from small_runs import NoisyEngine, host

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.containers import count_frames
from deforum_helpers.pipeline.job import RunResult, run_job
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.settings.host_options import Options
from deforum_helpers.tools.checks import DepthLook
from deforum_helpers.tools.interpolate import interpolate_video
from deforum_helpers.tools.upscale import upscale_video
from deforum_helpers.tools.vid2depth import video_to_depth
from deforum_helpers.tools.work import ToolResult, Work

CASES = Path(__file__).parents[1] / "cases"
QUICK = {"deforum_ffmpeg_preset": "ultrafast"}
RATE_HZ = 8000


def case(root: Path, name: str, **changes: Any) -> Prepared:
    """A settings file of `tests/cases`, prepared; `HERE` in it is its folder."""
    path = CASES / name
    text = path.read_text(encoding="utf-8").replace("HERE", path.parent.as_posix())
    return prepare(json.loads(text) | changes, host(root), QUICK, draw_seed=lambda: 1)


def refused(root: Path, name: str, **changes: Any) -> str:
    """The one sentence that a settings file is refused with."""
    with pytest.raises(SettingsError) as caught:
        case(root, name, **changes)
    (problem,) = caught.value.problems
    assert "ffmpeg ended" not in problem.message
    return problem.message


def rendered(job: Prepared) -> RunResult:
    return run_job(job, NoisyEngine(), CancelToken(), lambda progress: None)


def heard(video: Path) -> np.ndarray:
    """The sound of a video, mono at `RATE_HZ`."""
    command = [FFMPEG, "-loglevel", "error", "-i", str(video), "-map", "0:a:0"]
    raw = subprocess.run(
        [*command, "-ac", "1", "-ar", str(RATE_HZ), "-f", "s16le", "-"],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    return np.frombuffer(raw.stdout, np.int16).astype(float)


def pitch_hz(sound: np.ndarray, begin_s: float, end_s: float) -> float:
    """The strongest frequency between two seconds; 0 = silence."""
    part = sound[int(begin_s * RATE_HZ) : int(end_s * RATE_HZ)]
    if part.std() < 100:
        return 0.0
    strengths = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(strengths.argmax() * RATE_HZ / len(part))


def tones(path: Path, *pitches_hz: int, fps: int = 10) -> Path:
    """A video whose sound has another pitch in each second; its image has the level 10 + 2 k at frame k."""
    count = len(pitches_hz) * fps
    silent = clip(
        path.with_name("image.mp4"), levels(12, height=32, width=48).repeat(-(-count // 12), 0)[:count]
    )
    inputs = [part for hz in pitches_hz for part in ("-f", "lavfi", "-i", f"sine=f={hz}:d=1:r=44100")]
    joined = (
        "".join(f"[{n + 1}:a]" for n in range(len(pitches_hz))) + f"concat=n={len(pitches_hz)}:v=0:a=1[a]"
    )
    command = [FFMPEG, "-loglevel", "error", "-y", "-i", str(silent), *inputs, "-filter_complex", joined]
    subprocess.run(
        [*command, "-map", "0:v", "-map", "[a]", "-c:v", "copy", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


# vfr_tools: 13 frames of a screen recording and 10 s of sound.


@pytest.mark.parametrize("tool", ["upscale", "interpolate", "vid2depth"])
def test_a_recording_of_variable_rate_keeps_its_time_and_sound_in_tools(tmp_path: Path, tool: str) -> None:
    path = CASES / "vfr_tools" / "screenrec.mp4"
    work = Work(tmp_path, Options(deforum_ffmpeg_preset="ultrafast"))
    made: ToolResult
    if tool == "upscale":
        made = upscale_video(path, work)
    elif tool == "interpolate":
        made = interpolate_video(path, work)
    else:
        made = video_to_depth(path, work, DepthLook(mode="None (just grayscale)"))
    assert made.frames / made.fps == pytest.approx(10, abs=0.1)
    assert len(heard(made.video)) / RATE_HZ == pytest.approx(10, abs=0.1)
    assert any("variable frame rate" in text for text in made.warnings)


def test_a_recording_of_variable_rate_keeps_its_time_and_sound_in_video_input(tmp_path: Path) -> None:
    path = CASES / "vfr_tools" / "screenrec.mp4"
    job = case(
        tmp_path,
        "init_video_sound/fps.txt",
        video_init_path=str(path),
        fps=10,
        add_soundtrack="Init Video",
        W=64,
        H=64,
    )
    assert any("video_init_path has a variable frame rate" in text for text in job.warnings)
    assert not any("times the speed" in text for text in job.warnings)
    result = rendered(job)
    assert result.video is not None
    assert result.frames == count_frames(result.video) == 100
    assert len(heard(result.video)) / RATE_HZ == pytest.approx(10, abs=0.1)


# init_video_sound: a second of silence, then a second of 440 Hz, at 24 frames a second.


def test_sound_starts_where_the_first_frame_was_taken(tmp_path: Path) -> None:
    result = rendered(case(tmp_path, "init_video_sound/offset.txt"))
    assert result.video is not None
    assert result.frames == 24
    assert pitch_hz(heard(result.video), 0.05, 0.3) == pytest.approx(440, abs=8)


def test_image_and_sound_of_different_speed_are_warned_about(tmp_path: Path) -> None:
    job = case(tmp_path, "init_video_sound/fps.txt")
    (text,) = (text for text in job.warnings if "times the speed" in text)
    assert "0.5 times the speed" in text
    assert "2.00 s apart" in text
    assert "fps 24 keeps them together" in text
    assert not any(
        "times the speed" in text for text in case(tmp_path, "init_video_sound/offset.txt").warnings
    )


@pytest.mark.parametrize(
    ("changes", "begins_s"),
    [
        ({"extract_from_frame": 15}, 1.5),
        ({"extract_nth_frame": 2, "fps": 5, "extract_from_frame": 11}, 1.2),
        ({"extract_nth_frame": 3, "extract_from_frame": 1, "extract_to_frame": 20, "fps": 10 / 3}, 0.3),
    ],
)
def test_sound_follows_the_frames_that_are_taken(
    tmp_path: Path, changes: dict[str, Any], begins_s: float
) -> None:
    video = tones(tmp_path / "v.mp4", 300, 600, 1200)
    job = case(tmp_path, "init_video_sound/fps.txt", **{"fps": 10, "video_init_path": str(video)} | changes)
    assert not any("times the speed" in text for text in job.warnings)
    result = rendered(job)
    assert result.video is not None
    sound = heard(result.video)
    length_s = result.frames / job.plan.fps
    assert len(sound) / RATE_HZ == pytest.approx(length_s, abs=0.05)
    for second, hz in ((0, 300), (1, 600), (2, 1200)):
        begin, end = max(second - begins_s, 0) + 0.05, min(second + 1 - begins_s, length_s) - 0.05
        if end - begin > 0.1:
            assert pitch_hz(sound, begin, end) == pytest.approx(hz, abs=25)


def test_a_rate_that_drifts_by_less_than_a_frame_is_not_warned_about(tmp_path: Path) -> None:
    video = str(tones(tmp_path / "v.mp4", 300, 600))
    near = case(tmp_path, "init_video_sound/fps.txt", video_init_path=video, fps=10.01)
    assert not any("times the speed" in text for text in near.warnings)


def test_sound_of_an_image_that_begins_late_stays_beside_it(tmp_path: Path) -> None:
    """The image of this file begins half a second after its sound."""
    video, late = tones(tmp_path / "v.mp4", 300, 600), tmp_path / "late.mkv"
    both = [
        "-itsoffset",
        "0.5",
        "-i",
        str(video),
        "-i",
        str(video),
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c",
        "copy",
    ]
    subprocess.run(
        [FFMPEG, "-loglevel", "error", "-y", *both, str(late)], check=True, stdin=subprocess.DEVNULL
    )
    made = upscale_video(late, Work(tmp_path / "out", Options(deforum_ffmpeg_preset="ultrafast")))
    sound = heard(made.video)
    assert pitch_hz(sound, 0.05, 0.45) == pytest.approx(300, abs=25)
    assert pitch_hz(sound, 0.55, 1.4) == pytest.approx(600, abs=25)
    result = rendered(case(tmp_path, "init_video_sound/fps.txt", fps=10, video_init_path=str(late)))
    assert result.video is not None
    assert pitch_hz(heard(result.video), 0.55, 1.4) == pytest.approx(600, abs=25)


# video_kinds, sound_kinds, no_such_stream.


@pytest.mark.parametrize(("name", "frames"), [("anim.gif", 10), ("mdatfirst.mov", 24)])
def test_videos_of_every_kind_are_rendered(tmp_path: Path, name: str, frames: int) -> None:
    job = case(tmp_path, f"video_kinds/{name}.txt")
    assert job.plan.frames == frames
    assert rendered(job).frames == frames


def test_a_tag_before_the_sound_does_not_hide_it(tmp_path: Path) -> None:
    result = rendered(case(tmp_path, "sound_kinds/id3.flac.txt"))
    assert result.video is not None
    assert np.abs(heard(result.video)).mean() > 100


def test_a_file_without_image_or_sound_says_so(tmp_path: Path) -> None:
    message = refused(tmp_path, "no_such_stream/audio.txt")
    assert message.startswith("video_init_path names")
    assert "has no video stream" in message
    message = refused(tmp_path, "no_such_stream/sound.txt")
    assert message.startswith("soundtrack_path")
    assert "has no sound" in message


# init_images_backslash, extract_messages: one sentence that says what to write.


def test_single_backslashes_in_a_path_of_guided_images_get_one_clear_sentence(tmp_path: Path) -> None:
    message = refused(tmp_path, "init_images_backslash/s.txt")
    assert message.startswith("init_images ")
    assert '"E:\\AI\\img\\a.png" with single backslashes' in message
    assert 'write "E:/AI/img/a.png"' in message


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (r"C:\new\a.png", "C:/new/a.png"),
        (r"C:\temp\b.png", "C:/temp/b.png"),
        (r"C:\users\me\a.png", "C:/users/me/a.png"),
    ],
)
def test_backslashes_that_json_takes_for_something_else_are_the_same_mistake(
    tmp_path: Path, path: str, written: str
) -> None:
    changes = {"init_images": f'{{"0": "{path}"}}'}
    message = refused(tmp_path, "init_images_backslash/s.txt", **changes)
    assert "single backslashes" in message
    assert f'write "{written}"' in message


@pytest.mark.parametrize(("name", "last", "first"), [("s", 5, 10), ("one", 5, 5)])
def test_a_last_frame_before_the_first_gets_one_clear_sentence(
    tmp_path: Path, name: str, last: int, first: int
) -> None:
    message = refused(tmp_path, f"extract_messages/{name}.txt")
    assert message.startswith(f"extract_to_frame is {last};")
    assert f"above extract_from_frame, which is {first}" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"extract_from_frame": 24, "extract_to_frame": -1},
        {"extract_from_frame": 3, "extract_to_frame": 7, "extract_nth_frame": 10},
    ],
)
def test_a_selection_that_takes_nothing_gets_one_clear_sentence(
    tmp_path: Path, changes: dict[str, int]
) -> None:
    message = refused(tmp_path, "extract_messages/s.txt", **changes)
    assert "select 0 frames of the video; expected 1 to 100000 of its 24 frames" in message
    assert all(f"{name} {value}" in message for name, value in changes.items())
