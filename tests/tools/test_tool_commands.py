"""The tools on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from deforum_helpers.__main__ import main
from deforum_helpers.media.containers import count_frames
from deforum_helpers.output.frames import write_frame
from deforum_helpers.output.video import VideoWriter
from tests.models.upscaling import fake_spandrel
from tests.output.small_videos import FFMPEG, chart


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, width=48, height=32, fps=8, preset="ultrafast", ffmpeg=FFMPEG) as writer:
        for frame in range(3):
            writer.write(chart(48, 32, 20 * frame))
    return path


@pytest.mark.parametrize(
    ("words", "name", "frames"),
    [
        (["interpolate", "VIDEO", "--times", "3"], "frame-interpolation/clip/clip_FLOW_x3.mp4", 7),
        (["interpolate", "VIDEO", "--slower", "2"], "frame-interpolation/clip/clip_FLOW_x2_slomo_x2.mp4", 5),
        (["upscale", "VIDEO", "--factor", "x3"], "frame-upscaling/clip/clip_Upscaled_x3.mp4", 3),
        (["upscale", "VIDEO", "--model", "4x.pth"], "frame-upscaling/clip/clip_Upscaled_x2.mp4", 3),
        (
            ["vid2depth", "VIDEO", "--mode", "None (just grayscale)"],
            "frame-depth/clip/clip_depth_None.mp4",
            3,
        ),
    ],
)
def test_a_video_becomes_another(
    tmp_path: Path,
    video: Path,
    words: list[str],
    name: str,
    frames: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEFORUM_MODELS", str(tmp_path))
    monkeypatch.setitem(sys.modules, "spandrel", fake_spandrel.module())
    monkeypatch.setattr("deforum_helpers.models.upscaling.available.find_spec", lambda name: object())
    (tmp_path / "upscalers").mkdir()
    torch.save(fake_spandrel.weights(4), tmp_path / "upscalers" / "4x.pth")
    out = tmp_path / "out"
    words = [str(video) if word == "VIDEO" else word for word in words]
    assert main([*words, "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out / name)
    assert count_frames(out / name) == frames


def test_images_become_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "out" / f"a_{number}.png" for number in range(3)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        write_frame(path, chart(48, 32, 20 * number))
    out = ["--out", str(tmp_path / "out")]
    assert main(["interpolate", *map(str, paths), "--fps", "12", "--keep-pictures", *out]) == 0
    made = Path(capsys.readouterr().out.strip())
    assert count_frames(made) == 5
    assert len(list(made.parent.rglob("*.png"))) == 5
    folder = str(tmp_path / "shots")
    Path(folder).mkdir()
    for path in paths:
        path.rename(Path(folder) / path.name)
    for named in (folder, f"{folder}/a_*.png"):
        assert main(["interpolate", named, "--fps", "12", *out]) == 0
        assert count_frames(Path(capsys.readouterr().out.strip())) == 5
        assert main(["upscale", named, *out]) == 0
        told = capsys.readouterr()
        assert "15 frames per second" in told.err
        assert count_frames(Path(told.out.strip())) == 3
    for path in paths:
        (Path(folder) / path.name).rename(path)
    assert main(["stitch", str(paths[0].with_name("a_%d.png")), *out]) == 0
    assert count_frames(Path(capsys.readouterr().out.strip())) == 3


def test_what_is_wrong_is_told_line_by_line(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["interpolate", str(video), "--times", "1", "--slower", "99", "--out", str(tmp_path / "out")])
        == 2
    )
    told = capsys.readouterr().err.strip().splitlines()
    assert [line.split()[0] for line in told] == ["times", "slower"]
    assert main(["upscale", str(tmp_path / "none.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert "none.mp4" in capsys.readouterr().err
