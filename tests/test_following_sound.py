"""Videos that follow a sound: which sound schedules read, what it does to the plan, and the sounds that are refused."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from clips import clip, levels
from small_runs import SMALL, NoisyEngine, frame_files, host
from sounds import clicks, write_wav

from deforum_helpers.cli.job_files import read_submitted
from deforum_helpers.core.errors import Parked, SettingsError
from deforum_helpers.core.net.cache import FetchCache
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.media.ffmpeg import find_ffmpeg, run_ffmpeg
from deforum_helpers.media.sound_analysis import RATE_HZ
from deforum_helpers.output.frames import read_frame
from deforum_helpers.pipeline import sound as sounds
from deforum_helpers.pipeline.job import run_job
from deforum_helpers.pipeline.prepare import Prepared, prepare
from tests.refusals import refuses

LOUDNESS = {"zoom": "0: (1 + rms)"}
BEATS = {"zoom": "0: (1 + beat / 100)"}


class Web:
    """Fetches every address as one file, and has a cache as the real fetcher does."""

    def __init__(self, folder: Path, answer: Path | None = None) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.cache = FetchCache(folder=folder)
        self.answer, self.asked = answer, 0

    def fetch(self, url: str, kind: str, target: Path, *, setting: str) -> None:
        self.asked += 1
        shutil.copyfile(self.answer or url, target)


def planned(root: Path, **changes: Any) -> Prepared:
    facts = host(root, fetcher=changes.pop("web", None) or Web(root / "cache"))
    settings = SMALL | {"fps": 10, "max_frames": 20} | LOUDNESS | changes
    return prepare(settings, facts, {"deforum_ffmpeg_preset": "ultrafast"}, draw_seed=lambda: 1)


def zoom(job: Prepared) -> np.ndarray:
    return job.plan.schedules.values["zoom"]


def beep(path: Path, start_s: float, duration_s: float = 2.0) -> Path:
    """Write a sound that is silent up to `start_s`."""
    t = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    return write_wav(path, np.where(t < start_s, 0, 0.5 * np.sin(2 * np.pi * 300 * t)))


def test_schedules_follow_the_file_of_audio_path(tmp_path: Path) -> None:
    read = zoom(planned(tmp_path, audio_path=str(beep(tmp_path / "a.wav", 1.0)), audio_smoothing=0))
    assert read[:9] == pytest.approx(1, abs=0.01)
    assert read[12:19] == pytest.approx(2, abs=0.02)


def test_without_audio_path_they_follow_the_soundtrack(tmp_path: Path) -> None:
    soundtrack = {"add_soundtrack": "File", "soundtrack_path": f'"{beep(tmp_path / "a.wav", 1.0)}"'}
    assert zoom(planned(tmp_path, **soundtrack))[[5, 15]] == pytest.approx([1, 2], abs=0.02)
    other = beep(tmp_path / "b.wav", 0.0)
    assert zoom(planned(tmp_path, audio_path=str(other), **soundtrack))[5] == pytest.approx(2, abs=0.02)


def test_the_sound_of_the_init_video_begins_at_the_first_frame_that_is_used(tmp_path: Path) -> None:
    silent = clip(tmp_path / "silent.mp4", levels(20))
    ffmpeg, sound = find_ffmpeg(None), beep(tmp_path / "a.wav", 1.5)
    video_path = tmp_path / "video.mp4"
    run_ffmpeg(
        ffmpeg,
        ["-i", str(silent), "-i", str(sound), "-c:v", "copy", "-c:a", "aac", str(video_path)],
        "Joining",
        60,
    )
    video = {
        "add_soundtrack": "Init Video",
        "video_init_path": str(video_path),
        "animation_mode": "Video Input",
        "contrast_schedule": "0: (1 + rms)",
    }
    for first, begins in ((0, 15), (10, 5)):
        job = planned(tmp_path, **video, extract_from_frame=first, zoom="0: (1)")
        contrast = job.plan.schedules.values["contrast_schedule"]
        assert contrast[: begins - 1] == pytest.approx(1, abs=0.05)
        assert contrast[begins + 1] > 1.6


def test_an_address_is_fetched_by_the_guarded_fetcher(tmp_path: Path) -> None:
    web = Web(tmp_path / "cache", beep(tmp_path / "a.wav", 1.0))
    job = planned(tmp_path, audio_path="https://example.org/song", web=web)
    assert web.asked == 1
    assert zoom(job)[[5, 15]] == pytest.approx([1, 2], abs=0.02)
    with refuses(SettingsError, "address_not_fetched", "audio_path"):
        prepare(SMALL | LOUDNESS | {"audio_path": "http://127.0.0.1/song.mp3"}, host(tmp_path))


def test_beats_are_those_of_the_sound_or_of_bpm(tmp_path: Path) -> None:
    path = str(write_wav(tmp_path / "a.wav", clicks(np.arange(0.5, 7.5, 0.4), 8)))
    found = zoom(planned(tmp_path, audio_path=path, max_frames=60, **BEATS))
    np.testing.assert_allclose(found[5:60:4], 1 + np.arange(14) / 100)
    given = zoom(planned(tmp_path, audio_path=path, bpm=60, beat_offset=0.2, **BEATS))
    np.testing.assert_allclose(given, 1 + np.floor((np.arange(20) - 2) / 10) / 100)
    alone = zoom(planned(tmp_path, bpm=60, beat_offset=0.2, **BEATS))
    np.testing.assert_array_equal(alone, given)


def test_bars_have_their_number_of_beats(tmp_path: Path) -> None:
    read = zoom(planned(tmp_path, bpm=300, beats_per_bar=3, zoom="0: (1 + bar)"))
    np.testing.assert_array_equal(read, 1 + np.arange(20) // 6)


def test_a_sound_that_nothing_reads_is_not_analyzed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*arguments: Any) -> None:
        raise AssertionError("The sound was analyzed.")

    monkeypatch.setattr(sounds, "measure_sound", measure)
    path = str(beep(tmp_path / "a.wav", 0))
    quiet = {"zoom": "0: (1)", "prompts": {"0": "a bass player on a beat"}, "mask_schedule": "0: (<kick>)"}
    with_sound = planned(tmp_path, **quiet, add_soundtrack="File", soundtrack_path=path)
    assert with_sound.plan.digest == planned(tmp_path, **quiet).plan.digest
    assert planned(tmp_path, **quiet, audio_path=path).plan.digest == with_sound.plan.digest


def test_the_digest_covers_the_content_and_not_the_path(tmp_path: Path) -> None:
    first, again = beep(tmp_path / "a.wav", 1.0), tmp_path / "b.wav"
    shutil.copyfile(first, again)
    other = write_wav(tmp_path / "c.wav", np.full(3 * RATE_HZ, 0.5) * (-1) ** np.arange(3 * RATE_HZ))
    read = {"zoom": "0: (1 + rms * 0)"}  # equal values of another sound
    digests = [planned(tmp_path, audio_path=str(path), **read).plan.digest for path in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_an_analysis_is_cached_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Path] = []
    measure = sounds.measure_sound

    def counted(path: Path, check: Callable[[], None]) -> Any:
        measured.append(path)
        return measure(path, check)

    monkeypatch.setattr(sounds, "measure_sound", counted)
    path = write_wav(tmp_path / "a.wav", clicks(np.arange(0.5, 7.5, 0.4), 8))
    first = planned(tmp_path, audio_path=str(path), **BEATS)
    monkeypatch.setattr(sounds, "track_beats", None)
    moved = path.rename(tmp_path / "b.wav")
    again = planned(tmp_path, audio_path=str(moved), **BEATS)
    assert len(measured) == 1
    np.testing.assert_array_equal(zoom(again), zoom(first))
    for damaged in (tmp_path / "cache").glob("*.npz"):
        damaged.write_bytes(b"damaged")
    planned(tmp_path, audio_path=str(moved))
    assert len(measured) == 2


def bad_sounds(folder: Path) -> dict[str, tuple[dict[str, Any], str, str]]:
    """Return settings with a sound that cannot be used -> the code of the one problem, and the setting it names."""
    silent = write_wav(folder / "silent.wav", np.zeros(2 * RATE_HZ))
    short = write_wav(folder / "short.wav", np.full(RATE_HZ // 10, 0.5))
    empty = folder / "empty.wav"
    empty.write_bytes(silent.read_bytes()[:44])
    text = folder / "text.mp3"
    text.write_text("no sound " * 100)
    noise = 0.1 * np.random.default_rng(1).standard_normal(8 * RATE_HZ)
    even = write_wav(folder / "noise.wav", noise)
    quiet = clip(folder / "quiet.mp4", levels(4))
    return {
        "silence": ({"audio_path": str(silent)}, "heard_silent", "audio_path"),
        "0.1 s": ({"audio_path": str(short)}, "heard_too_short", "audio_path"),
        "no samples": ({"audio_path": str(empty)}, "heard_unreadable", "audio_path"),
        "text": ({"audio_path": str(text)}, "soundtrack_unknown_format", "audio_path"),
        "no file": ({"audio_path": str(folder / "none.wav")}, "soundtrack_unusable", "audio_path"),
        "video without sound": ({"audio_path": str(quiet)}, "soundtrack_silent", "audio_path"),
        "no beats": ({"audio_path": str(even), **BEATS}, "no_beats", "bpm"),
        "silent soundtrack": (
            {"add_soundtrack": "File", "soundtrack_path": str(silent)},
            "heard_silent",
            "soundtrack_path",
        ),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "silence",
        "0.1 s",
        "no samples",
        "text",
        "no file",
        "video without sound",
        "no beats",
        "silent soundtrack",
    ],
)
def test_a_sound_that_cannot_be_used_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    changes, code, setting = bad_sounds(tmp_path)[kind]
    with refuses(SettingsError, code) as caught:
        planned(tmp_path, angle="0: (rms)", **changes)
    assert isinstance(caught.value, SettingsError)
    assert [(problem.code, problem.setting) for problem in caught.value.problems] == [(code, setting)]


def test_a_sound_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds.sound_analysis, "LONGEST_S", 1.0)
    with refuses(SettingsError, "heard_too_long", "audio_path"):
        planned(tmp_path, audio_path=str(beep(tmp_path / "a.wav", 0)))


def test_without_librosa_beats_name_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "librosa.beat", None)
    path = str(write_wav(tmp_path / "a.wav", clicks(np.arange(0.5, 3.5, 0.4), 4)))
    assert zoom(planned(tmp_path, audio_path=path)).max() > 1
    with refuses(SettingsError, "package_missing", "pip install librosa", "audio_path"):
        planned(tmp_path, audio_path=path, **BEATS)


def test_a_sound_of_8_khz_has_no_treble_and_says_so(tmp_path: Path) -> None:
    swell = 0.5 * np.hanning(4 * 8000) * np.sin(2 * np.pi * 300 / 8000 * np.arange(4 * 8000))
    path = write_wav(tmp_path / "a.wav", swell, 8000)
    job = planned(tmp_path, audio_path=str(path), angle="0: (treble)")
    assert not job.plan.schedules.values["angle"].any()
    assert zoom(job).max() > 1.4
    assert "level_is_silent" in [getattr(warning, "code", "") for warning in job.warnings]


def test_the_network_finds_the_beats_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Audio2Beats:
        def __init__(self, weights: str, device: str) -> None:
            assert Path(weights).is_file()

        def __call__(self, signal: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
            assert signal.ndim == 1
            assert len(signal) == pytest.approx(4 * rate_hz, rel=0.01)
            return np.arange(0.2, 4, 0.5), np.array([0.7, 2.2])

    package = ModuleType("beat_this")
    package.__spec__ = SimpleNamespace(name="beat_this")  # type: ignore[assignment]
    inference = ModuleType("beat_this.inference")
    inference.Audio2Beats = Audio2Beats  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "beat_this", package)
    monkeypatch.setitem(sys.modules, "beat_this.inference", inference)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = str(write_wav(tmp_path / "a.wav", clicks(np.arange(0.5, 3.5, 0.4), 4)))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "beat_this-final0.ckpt").write_bytes(b"weights")
    read = zoom(planned(tmp_path, audio_path=path, beats_per_bar=3, **BEATS))
    np.testing.assert_allclose(read[[2, 7, 12, 17]], [0.99, 1.0, 1.01, 1.02])


def test_a_sound_beside_the_settings_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "settings", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    sound = beep(folder / "a.wav", 0)
    (folder / "run.txt").write_text('{"audio_path": "a.wav", "soundtrack_path": "b.wav"}')
    read = read_submitted(folder / "run.txt", [])
    assert read == {"audio_path": str(sound.resolve()), "soundtrack_path": "b.wav"}
    (elsewhere / "a.wav").write_bytes(sound.read_bytes())
    assert read_submitted(folder / "run.txt", [])["audio_path"] == "a.wav"


def test_a_parked_run_that_follows_a_sound_is_resumed(tmp_path: Path) -> None:
    path = beep(tmp_path / "a.wav", 0.2)
    settings = {"audio_path": str(path), "max_frames": 5, "skip_video_creation": True}
    whole = run_job(
        planned(tmp_path / "whole", **settings), NoisyEngine(), CancelToken(), lambda progress: None
    )
    token, job = CancelToken(), planned(tmp_path / "parked", **settings)

    def park(progress: Any) -> None:
        if progress.phase == "GENERATING" and progress.frame >= 2:
            token.park()

    with pytest.raises(Parked):
        run_job(job, NoisyEngine(), token, park)
    stem = next((tmp_path / "parked").rglob("*_settings.txt")).name[:14]
    moved = path.rename(tmp_path / "b.wav")
    job = planned(tmp_path / "parked", **(settings | {"audio_path": str(moved)}))
    result = run_job(job, NoisyEngine(), CancelToken(), lambda progress: None, resume=stem)
    for one, other in zip(frame_files(whole.outdir), frame_files(result.outdir), strict=True):
        np.testing.assert_array_equal(read_frame(one), read_frame(other))
