"""Settings files of ten years' notations become films: loaded, planned, rendered small with the null engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from films import host

from deforum_helpers.cancel import CancelToken
from deforum_helpers.engines import make_engine
from deforum_helpers.job import run_job
from deforum_helpers.output.ffmpeg import find_ffmpeg
from deforum_helpers.output.video import count_frames
from deforum_helpers.prepare import prepare
from deforum_helpers.settings import read_settings_file

FILES = sorted((Path(__file__).parent / "settings" / "files").glob("*.*"))
SMALL = {"W": 64, "H": 64, "width": 64, "height": 64, "max_frames": 7}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_old_file_becomes_a_film(path: Path, tmp_path: Path) -> None:
    submitted = read_settings_file(path)
    small = {
        name: value for name, value in SMALL.items() if name in submitted or name in ("W", "H", "max_frames")
    }
    if "width" in submitted:
        small = {name: value for name, value in small.items() if name not in ("W", "H")}
    facts = host(tmp_path, checkpoints=_checkpoints(submitted))
    job = prepare(submitted | small, facts, {"deforum_ffmpeg_preset": "ultrafast"})
    result = run_job(job, make_engine("null"), CancelToken(), lambda progress: None)
    assert result.frames == job.settings.max_frames == 7
    assert (job.settings.W, job.settings.H) == (64, 64)
    if result.video is not None:
        assert count_frames(result.video, find_ffmpeg("")) == 7


def _checkpoints(submitted: dict[str, object]) -> tuple[str, ...]:
    """Let the host have whatever checkpoints the file schedules."""
    from deforum_helpers.schedule import Timeline, string_series

    text = submitted.get("checkpoint_schedule")
    if not isinstance(text, str):
        return ()
    return tuple(set(string_series(text, Timeline(300, 0, 15, 64, 64), "checkpoint_schedule").values))
