"""Settings files of ten years' notations become videos: loaded, planned, rendered small with the null engine."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from small_runs import host

from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.media.containers import count_frames
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.settings import read_settings_file
from tests.settings.effects import make_files

FILES = sorted((Path(__file__).parent / "settings" / "files").glob("*.*"))
LENGTHS = {  # where a video, or the manifest, says how long the video is
    "2022_notebook_video_input": 3,
    "2023_february_hybrid": 6,
    "2023_notebook_hybrid": 6,
}
SMALL = {"W": 64, "H": 64, "width": 64, "height": 64, "max_frames": 7}


@pytest.fixture(scope="module")
def named_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    return folder


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_old_file_becomes_a_video(path: Path, named_files: Path, tmp_path: Path) -> None:
    text = json.dumps(read_settings_file(path))
    for name in ("a.png", "b.png", "half.png", "slope.png", "video.mp4"):
        text = text.replace(f"<{name}>", str(named_files / name))
    submitted = json.loads(text)
    small = {
        name: value for name, value in SMALL.items() if name in submitted or name in ("W", "H", "max_frames")
    }
    if "width" in submitted:
        small = {name: value for name, value in small.items() if name not in ("W", "H")}
    facts = host(tmp_path, checkpoints=_checkpoints(submitted))
    job = prepare(submitted | small, facts, {"deforum_ffmpeg_preset": "ultrafast"})
    result = run_job(job, make_engine("null"), CancelToken(), lambda progress: None)
    assert result.frames == job.settings.max_frames == LENGTHS.get(path.stem, 7)
    assert (job.settings.W, job.settings.H) == (64, 64)
    if result.video is not None:
        assert count_frames(result.video) == result.frames


def test_what_was_written_carelessly_is_read_as_meant(tmp_path: Path) -> None:
    (path,) = (path for path in FILES if path.stem == "2022_unclosed_brackets")
    plan = prepare(read_settings_file(path), host(tmp_path)).plan
    values = {name: series.tolist() for name, series in plan.schedules.values.items()}
    assert values["zoom"] == [1.005] * 8
    assert values["translation_x"] == [0] * 8
    assert values["translation_y"] == [1] * 8
    assert values["noise_schedule"] == [0.02] * 8
    assert values["contrast_schedule"] == pytest.approx([0.98] * 8)
    assert values["strength_schedule"] == pytest.approx([0.6, 0.625, 0.65, 0.675, 0.7, 0.7, 0.7, 0.7])
    assert values["angle"][:4] == pytest.approx([0, 0.5, 1, 1.5])
    assert values["angle"][7] == pytest.approx(2 * math.sin(3.5))


def test_what_published_presets_get_away_with_is_read_as_they_were_rendered(tmp_path: Path) -> None:
    (path,) = (path for path in FILES if path.stem == "2024_pulsing_presets")
    plan = prepare(read_settings_file(path), host(tmp_path)).plan
    values = {name: series.tolist() for name, series in plan.schedules.values.items()}
    pulse = [-0.2 * abs(math.cos(3.141 * (t + 1) / 5)) ** 0.9 + 0.5 for t in range(10)]
    assert values["strength_schedule"] == pytest.approx(pulse)
    assert values["translation_z"] == [2, 1.875, 1.75, 1.625, 1.5, 1.125, 0.75, 0.375, 0, 0]
    assert values["rotation_3d_y"] == pytest.approx([0.1 * t for t in range(10)])
    assert values["rotation_3d_x"] == pytest.approx([0.4, 0.4, 0.4, 0.3, 0.2] + [0.1] * 5)
    assert plan.prompts.negative[9].strip() == "blur"


def _checkpoints(submitted: dict[str, object]) -> tuple[str, ...]:
    """Let the host have whatever checkpoints the file schedules."""
    from deforum_helpers.schedule import Timeline, string_series

    text = submitted.get("checkpoint_schedule")
    if not isinstance(text, str):
        return ()
    return tuple(set(string_series(text, Timeline(300, 0, 15, 64, 64), "checkpoint_schedule").values))
