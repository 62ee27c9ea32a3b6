"""Levels, onsets and beats that are found in sounds whose levels, onsets and beats are known."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sounds import clicks, drums, write_wav

from deforum_helpers.core.errors import VideoError
from deforum_helpers.media import sound_analysis
from deforum_helpers.media.containers import decode_sound, open_media
from deforum_helpers.media.ffmpeg import find_ffmpeg
from deforum_helpers.media.sound_analysis import (
    LEVEL_RATE_HZ,
    ONSET_RATE_HZ,
    RATE_HZ,
    Measurements,
    SoundTooLong,
    measure_sound,
    measured,
    track_beats,
)


def no_limit() -> None:
    """Let a file be read for as long as it takes."""


def analyzed(samples: np.ndarray) -> Measurements:
    return measured(iter(np.array_split(samples, 7)))


def found_beats(samples: np.ndarray) -> np.ndarray:
    return track_beats(analyzed(samples).onsets["onset"], ONSET_RATE_HZ)


@pytest.mark.parametrize("bpm", [60, 75, 90, 97.3, 120, 133, 150, 174, 190])
def test_every_click_of_a_steady_tempo_is_a_beat(bpm: float) -> None:
    times_s = np.arange(0.43, 14, 60 / bpm)
    beats_s = found_beats(clicks(times_s, 15))
    assert len(beats_s) == len(times_s)
    assert np.abs(beats_s - times_s).max() < 0.02


@pytest.mark.parametrize(
    "intervals_s",
    [
        np.array([0.6] * 24 + [0.4] * 36),
        60 / np.linspace(90, 140, 50),
    ],
    ids=["jump", "accelerando"],
)
def test_beats_follow_changes_of_tempo(intervals_s: np.ndarray) -> None:
    times_s = 0.5 + np.cumsum(intervals_s)
    beats_s = found_beats(clicks(times_s, times_s[-1] + 1))
    assert np.abs(beats_s[:, None] - times_s[None, :]).min(axis=0).max() < 0.02
    assert len(beats_s) == len(times_s)


def test_drums_with_faster_cymbals_have_the_tempo_of_the_drums() -> None:
    beats = np.arange(0.3, 15, 0.5)
    kick, snare = drums(beats, 16)
    found = found_beats(kick + snare + 0.2 * clicks(np.arange(0.3, 15, 0.25), 16))
    assert np.median(np.diff(found)) == pytest.approx(0.5, abs=0.005)
    assert np.abs(found[:, None] - beats[None, :]).min(axis=1).max() < 0.02


def test_noise_and_single_tones_have_no_beats() -> None:
    noise = np.random.default_rng(3).standard_normal(12 * RATE_HZ).astype(np.float32) * 0.1
    assert not len(found_beats(noise))
    assert not len(found_beats(np.zeros(3 * RATE_HZ, np.float32)))
    assert not len(found_beats(clicks(np.array([0.4]), 1.0)))


def test_the_tempo_is_that_of_librosa() -> None:
    import librosa

    samples = clicks(np.arange(0.43, 14, 60 / 110), 15)
    tempo, _ = librosa.beat.beat_track(y=samples, sr=RATE_HZ)
    ours = 60 / np.median(np.diff(found_beats(samples)))
    assert ours == pytest.approx(110, rel=0.002)
    assert float(np.squeeze(tempo)) == pytest.approx(ours, rel=0.03)


def test_levels_are_those_of_librosa() -> None:
    import librosa

    t = np.arange(3 * RATE_HZ) / RATE_HZ
    samples = (np.sin(2 * np.pi * 440 * t) * (0.1 + 0.2 * t)).astype(np.float32)
    ours = analyzed(samples).levels["rms"]
    theirs = librosa.feature.rms(y=samples, frame_length=2048, hop_length=512, center=False)[0]
    # Theirs begin with the first whole window, ours half a step into the sound; only the weights differ.
    np.testing.assert_allclose(
        np.interp(1.5 + np.arange(len(theirs)), np.arange(len(ours)), ours), theirs, rtol=0.01
    )


@pytest.mark.parametrize(("name", "tone_hz"), [("bass", 80.0), ("mid", 1000.0), ("treble", 6000.0)])
def test_a_tone_has_its_level_in_its_range_alone(name: str, tone_hz: float) -> None:
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    loud = np.where(t < 2, 0.8, 0.2)
    found = analyzed((loud * np.sin(2 * np.pi * tone_hz * t)).astype(np.float32))
    middle = [int(LEVEL_RATE_HZ), int(3 * LEVEL_RATE_HZ)]
    assert found.levels["rms"][middle] == pytest.approx(np.array([0.8, 0.2]) / np.sqrt(2), rel=0.02)
    assert found.levels[name][middle] == pytest.approx(np.array([0.8, 0.2]) / np.sqrt(2), rel=0.02)
    others = {"bass", "mid", "treble"} - {name}
    assert max(float(found.levels[other][middle].max()) for other in others) < 0.02
    powers = found.bands[middle].astype(np.float64) ** 2
    assert np.sqrt(powers.sum(axis=1)) == pytest.approx(np.array([0.8, 0.2]) / np.sqrt(2), rel=0.02)


def test_onsets_are_within_a_frame_of_their_time() -> None:
    times_s = np.arange(0.31, 7.7, 0.37)
    for sound in (clicks(times_s, 8), *(part for part in drums(times_s, 8))):
        strength = analyzed(sound).onsets["onset"]
        hits = [time for time in times_s if np.abs(sound[int(time * RATE_HZ) :][:400]).max() > 0.05]
        for time in hits:
            near = slice(round((time - 0.08) * ONSET_RATE_HZ), round((time + 0.08) * ONSET_RATE_HZ))
            found_s = (near.start + strength[near].argmax()) / ONSET_RATE_HZ
            assert abs(found_s - time) < 1 / 30
            assert strength[near].max() > 0.3 * strength.max()


def test_drums_are_told_apart() -> None:
    times_s = np.arange(0.5, 7.5, 0.5)
    kick, snare = drums(times_s, 8)
    found = analyzed(kick + snare).onsets
    steps = np.round(times_s * ONSET_RATE_HZ).astype(int)
    at = {name: np.array([found[name][step - 3 : step + 4].max() for step in steps]) for name in found}
    assert at["kick"][::2].min() > 2 * at["kick"][1::2].max()
    assert at["snare"][1::2].min() > 2 * at["snare"][::2].max()


def test_blocks_of_any_length_give_the_same_measurements() -> None:
    samples = clicks(np.arange(0.3, 3, 0.4), 3.3)
    whole = measured(iter([samples]))
    for size in (100, 4001, 30_000):
        pieces = measured(iter(np.split(samples, range(size, len(samples), size))))
        assert pieces.duration_s == whole.duration_s
        for name in whole.levels:
            np.testing.assert_allclose(pieces.levels[name], whole.levels[name], atol=1e-6)
        for name in whole.onsets:
            np.testing.assert_allclose(pieces.onsets[name], whole.onsets[name], atol=1e-4)


def test_a_long_sound_is_measured_within_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    block = np.zeros(RATE_HZ, np.float32)
    monkeypatch.setattr(sound_analysis, "LONGEST_S", 100.0)
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield block

    with pytest.raises(SoundTooLong):
        measured(endless())
    assert taken < 150


@pytest.mark.parametrize(("rate_hz", "width", "channels"), [(8000, 2, 1), (96_000, 3, 2), (44_100, 1, 2)])
def test_wav_files_of_other_rates_have_the_same_levels(
    rate_hz: int, width: int, channels: int, tmp_path: Path
) -> None:
    t = np.arange(rate_hz) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * 440 * t)
    if width == 1:
        raw = np.round(tone * 127 + 128).astype(np.uint8).repeat(channels)
        with wave.open(str(tmp_path / "a.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(1)
            file.setframerate(rate_hz)
            file.writeframes(raw.tobytes())
    else:
        write_wav(tmp_path / "a.wav", np.stack([tone] * channels, axis=1), rate_hz, width)
    found = measure_sound(tmp_path / "a.wav", no_limit)
    assert found.duration_s == pytest.approx(1.0, abs=0.01)
    assert found.levels["rms"][int(LEVEL_RATE_HZ / 2)] == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_a_sound_that_begins_late_is_preceded_by_silence(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", clicks(np.array([0.1]), 0.5))
    ffmpeg = [find_ffmpeg(None), "-loglevel", "error", "-y", "-f", "lavfi", "-i", "color=s=32x32:r=10:d=2"]
    late = ["-itsoffset", "1", "-i", str(tmp_path / "a.wav"), "-c:a", "pcm_s16le", str(tmp_path / "a.mkv")]
    subprocess.run([*ffmpeg, *late], check=True, stdin=subprocess.DEVNULL)
    onsets = measure_sound(tmp_path / "a.mkv", no_limit).onsets["onset"]
    assert onsets.argmax() / ONSET_RATE_HZ == pytest.approx(1.1, abs=0.02)


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    good = write_wav(tmp_path / "a.wav", clicks(np.array([0.1]), 0.5)).read_bytes()
    (tmp_path / "b.wav").write_bytes(good[:44])
    with (
        pytest.raises(VideoError),
        open_media(tmp_path / "b.wav") as container,
    ):
        list(decode_sound(container, RATE_HZ, no_limit))
