"""Keys in beats of a whole run, and videos that are as long as their sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import SMALL, host
from sounds import write_wav

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.net.cache import FetchCache
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.media.sound_analysis import RATE_HZ
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.files import settings_text
from tests.refusals import refuses


def tone(path: Path, seconds: float) -> Path:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return write_wav(path, 0.5 * np.sin(2 * np.pi * 440 * t))


def planned(root: Path, **changes: Any) -> Prepared:
    facts = host(root, fetcher=Fetcher(cache=FetchCache(folder=root / "cache")))
    return prepare(SMALL | {"fps": 10, "max_frames": 0} | changes, facts, draw_seed=lambda: 1)


@pytest.mark.parametrize(("seconds", "fps", "frames"), [(1.23, 10, 12), (1.26, 10, 13), (0.6, 29.97, 18)])
def test_a_length_of_0_is_that_of_the_sound(tmp_path: Path, seconds: float, fps: float, frames: int) -> None:
    path = tone(tmp_path / "tone.wav", seconds)
    for settings in ({"audio_path": str(path)}, {"add_soundtrack": "File", "soundtrack_path": str(path)}):
        job = planned(tmp_path, fps=fps, zoom="0:(1), -1:(1.1)", **settings)
        assert (job.plan.frames, job.settings.max_frames) == (frames, frames)
        assert job.plan.schedules.values["zoom"][-1] == pytest.approx(1.1)
    saved = json.loads(settings_text(job.settings))
    assert (saved["max_frames"], job.submitted["max_frames"]) == (frames, 0)
    assert planned(tmp_path, **saved).plan.digest == job.plan.digest


def test_a_length_of_0_without_a_sound_is_refused_with_the_other_problems(tmp_path: Path) -> None:
    with refuses(SettingsError, "length_without_sound", "audio_path") as caught:
        planned(tmp_path, zoom="0:(1+)")
    assert {problem.setting for problem in caught.value.problems} == {"max_frames", "zoom"}
    with refuses(SettingsError, "length_without_sound"):
        planned(tmp_path, bpm=120)
    with pytest.raises(SettingsError) as caught:
        planned(tmp_path, audio_path=str(tmp_path / "nowhere.wav"))
    assert "audio_path" in {problem.setting for problem in caught.value.problems}
    assert load_settings({"max_frames": 0, "prompts": ["a", "b"]}).settings.prompts == {"0": "a", "60": "b"}


def test_a_sound_of_too_many_frames_is_refused(tmp_path: Path) -> None:
    with refuses(SettingsError, "length_of_long_sound", "100000 frames"):
        planned(tmp_path, audio_path=str(tone(tmp_path / "tone.wav", 500)), fps=240)


def test_all_texts_take_beats(tmp_path: Path) -> None:
    settings = {
        "max_frames": 60,
        "bpm": 100,
        "beat_offset": 0.25,
        "beats_per_bar": 3,
        "zoom": "0: (1), 1bar: (1.1) ~hold, -1b: (1.2)",
        "prompts": {"0": "a", "2b": "b", "1bar": "c"},
        "enable_sampler_scheduling": True,
        "sampler_schedule": '0: ("Euler a"), 5b: ("DDIM")',
    }
    job = planned(tmp_path, **settings)
    assert job.plan.prompts.key_frames == (0, 15, 21)  # 1.45 s and 2.05 s; 14.5 and 20.5 frames
    assert job.plan.schedules.values["zoom"][[20, 21]].tolist() == [1, 1.1]
    assert job.plan.schedules.texts["sampler_schedule"].index("DDIM") == 33
    with refuses(SettingsError, "beats_unknown", "bpm"):
        planned(tmp_path, **settings | {"bpm": 0})
