"""The names of the sound in expressions: beats and the frames that they fall on, levels, onsets, envelopes."""

from __future__ import annotations

import numpy as np
import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline, numeric_series, prompt_series
from deforum_helpers.schedule.sound import Beats, Curves, Levels, Sound
from tests.refusals import refuses

RATES = (1, 15, 23.976, 24, 29.97, 30, 60)


@pytest.mark.parametrize("bpm", [33.3, 60, 97.3, 119.999, 190])
def test_beats_fall_on_the_frame_nearest_to_their_time_without_drift(bpm: float) -> None:
    beats = Beats.steady(bpm, 0.37)
    numbers = np.arange(-20, 40_000)
    exact_s = 0.37 + numbers * 60 / bpm
    for fps in RATES:
        frames = beats.frame(numbers, fps)
        assert np.abs(frames / fps - exact_s).max() <= 0.5 / fps + 1e-9


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("bpm", [60, 97.3, 190])
def test_the_count_changes_at_the_frames_that_beats_fall_on(bpm: float, fps: float) -> None:
    beats = Beats.steady(bpm, 0.37)
    frames = np.arange(5000)
    count = beats.count(frames, fps)
    numbers = np.arange(-10, int(count[-1]) + 10)
    newest = numbers[np.searchsorted(beats.frame(numbers, fps), frames, side="right") - 1]
    assert (np.floor(count) == newest).all()
    assert (np.diff(count) >= 0).all()


def test_beats_go_on_beyond_both_ends_at_the_tempo_there() -> None:
    beats = Beats(np.cumsum([1.0, *[0.5] * 20, *[0.4] * 20]), first=-1)
    assert beats.time_s([-3, -1, 0, 39, 41]) == pytest.approx([0.0, 1.0, 1.5, 19.0, 19.8])
    assert beats.tempo([0, 450], 25) == pytest.approx([120, 150])


def test_beats_must_ascend() -> None:
    with pytest.raises(ValueError):
        Beats(np.array([1.0, 1.0]))


STEPS = 50  # per second, in the levels here
RAMP = np.linspace(0.0, 0.5, 8 * STEPS)
PEAKS = np.zeros(8 * STEPS)
PEAKS[[60, 205, 330]] = 1.0, 0.5, 0.25


def sound(smoothing_s: float = 0.0) -> Sound:
    """Eight seconds whose rms rises to 0.5, whose mid range is that and whose treble is silent."""
    levels = dict.fromkeys(("rms", "mid", "bass"), RAMP) | {"treble": np.full(len(RAMP), 1e-6)}
    bands = np.stack([RAMP, RAMP[::-1], np.zeros(len(RAMP))], axis=1).astype(np.float16)
    onsets = dict.fromkeys(("onset", "kick", "snare"), PEAKS)
    return Sound(
        lambda: Beats.steady(120, 0.25, 3),
        lambda: Levels(
            Curves({**levels, "bands": bands}, STEPS, 0.0),
            Curves(onsets, STEPS, 0.0),
            np.array([100.0, 200.0, 400.0, 800.0]),
            smoothing_s,
        ),
        lambda: 8.0,
        lambda: "content",
    )


def timeline(heard: Sound | None, frames: int = 100, fps: float = 12.5) -> Timeline:
    return Timeline(frames, 1, fps, 64, 64, heard)


def values(expression: str, heard: Sound | None = None, frames: int = 100) -> np.ndarray:
    return numeric_series(f"0: ({expression})", timeline(heard or sound(), frames), "zoom").values


def test_beats_and_bars_are_counted() -> None:
    frames = np.arange(100)
    count = Beats.steady(120, 0.25, 3).count(frames, 12.5)
    np.testing.assert_array_equal(values("beat"), np.floor(count))
    np.testing.assert_allclose(values("beat + beat_phase"), count)
    np.testing.assert_array_equal(values("bar"), np.floor(count / 3))
    np.testing.assert_allclose(values("(bar + bar_phase) * 3"), count, atol=1e-12)
    assert (values("bpm") == 120).all()


def test_levels_are_relative_to_the_strongest() -> None:
    frames = np.arange(90)
    np.testing.assert_allclose(values("rms")[:90], frames / 12.5 / 8, atol=0.01)
    np.testing.assert_array_equal(values("mid"), values("rms"))


def test_every_name_is_a_function_of_another_frame() -> None:
    for name in sound().names:
        np.testing.assert_array_equal(values(f"{name}(t)"), values(name))
        np.testing.assert_array_equal(values(f"{name}(t - 2)")[2:], values(name)[:-2])
    np.testing.assert_array_equal(values("band(100, 400, t-2)")[2:], values("band(100, 400)")[:-2])


def test_no_onset_is_missed_between_frames() -> None:
    for fps in (7.0, 12.5, 30.0):
        read = numeric_series("0: (kick)", timeline(sound(), int(8 * fps), fps), "zoom").values
        for step, strength in ((60, 1.0), (205, 0.5), (330, 0.25)):
            frame = round(step / STEPS * fps)
            near = read[frame - 1 : frame + 2]
            assert near.max() == pytest.approx(strength, rel=0.35)
            assert read[frame] > 0.4 * near.max()


def test_smoothing_averages_without_delay() -> None:
    sharp, smooth = values("onset"), values("onset", sound(1.0))
    assert sharp.argmax() == smooth.argmax()
    assert (smooth > 0.01).sum() > 2 * (sharp > 0.01).sum()
    assert smooth.max() == pytest.approx(1.0, abs=0.1)


def test_a_band_is_composed_of_the_measured_ones() -> None:
    np.testing.assert_allclose(values("band(100, 200)"), values("rms"), atol=0.01)
    np.testing.assert_allclose(values("band(200, 400)")[:90], 1 - values("rms")[:90], atol=0.01)
    both = np.hypot(values("rms"), 1 - values("rms"))
    np.testing.assert_allclose(values("band(50, 1000)"), both / both.max(), atol=0.02)
    for wrong in ("band(400, 100)", "band(100, 100 + t)"):
        with refuses(SettingsError, "no_finite_value", "band("):
            values(wrong)


def test_a_silent_level_is_zero_and_said_to_be() -> None:
    heard = sound()
    assert not values("treble", heard).any()
    assert [warning.code for warning in heard.warnings] == ["level_is_silent"]


def test_an_envelope_rises_and_falls_at_its_own_rates() -> None:
    hits = values("env(t == 4, 0, 5)")
    assert not hits[:4].any()
    np.testing.assert_allclose(hits[4:30], np.exp(-np.arange(26) / 5))
    step = values("env(t >= 4, 3, 0)")
    np.testing.assert_allclose(step[4:30], 1 - np.exp(-np.arange(1, 27) / 3))
    np.testing.assert_array_equal(values("env(t, 0, 0)"), np.arange(100))


def test_an_envelope_does_not_depend_on_the_key_frame_it_is_written_at() -> None:
    whole = values("env(noise(t), 2, 6)")
    parts = numeric_series(
        "0: (env(noise(t), 2, 6)), 37: (env(noise(t), 2, 6))", timeline(None), "zoom"
    ).values
    np.testing.assert_array_equal(parts, whole)
    long = values("env(noise(t), 2, 6)", frames=20_000)
    np.testing.assert_array_equal(long[:100], whole)


def test_undefined_moments_do_not_stop_an_envelope() -> None:
    read = values("env(where(t == 5, sqrt(-1), t < 5), 0, 4)")
    np.testing.assert_allclose(read[6:10], np.exp(-np.arange(1, 5) / 4))


def test_the_work_of_envelopes_is_bounded() -> None:
    keys = ", ".join(f"{frame}: (env(noise(t), 2, 6))" for frame in range(0, 100_000, 500))
    with refuses(SettingsError, "evaluation_too_expensive"):
        numeric_series(keys, timeline(None, 100_000), "zoom")


def test_a_gate_lets_pass_what_reaches_its_threshold() -> None:
    read = values("gate(t, 50)")
    assert not read[:50].any()
    np.testing.assert_array_equal(read[50:], np.arange(50, 100))


def test_prompts_and_their_keys_name_the_sound() -> None:
    prompts = {
        "0": "a cat `beat`",
        "4*60/bpm*fps": "a dog (rising:`rms(50)`)",
        "beat(80)": "`round(bar_phase)`",
    }
    series = prompt_series(prompts, timeline(sound()))
    assert series.key_frames == (0, 12, 25)
    assert series.positive[11] == "a cat 1"
    assert series.positive[25].startswith("a dog (rising:0.5")


@pytest.mark.parametrize("key", ["rms", "beat", "band(20, 100)"])
def test_a_key_has_no_time_of_its_own(key: str) -> None:
    with pytest.raises(SettingsError):
        prompt_series({"0": "a cat", key: "a dog"}, timeline(sound()))


@pytest.mark.parametrize("name", [*sound().names, "band"])
def test_without_a_sound_the_names_are_unknown(name: str) -> None:
    with refuses(SettingsError, "unknown_name", "audio_path"):
        values(name, Sound(lambda: Beats.steady(100))) if name in ("rms", "kick") else numeric_series(
            f"0: ({name})", timeline(None), "zoom"
        )
    with refuses(SettingsError, "unknown_function", "audio_path"):
        numeric_series(f"0: ({name}(t))", timeline(None), "zoom")


def test_a_tempo_alone_gives_beats() -> None:
    heard = Sound(lambda: Beats.steady(120, 0.25, 3))
    np.testing.assert_array_equal(values("beat", heard), values("beat"))
    assert heard.digest == ""
    assert heard.duration_s is None


def test_the_digest_is_that_of_a_sound_that_was_read() -> None:
    unread, read, tempo = sound(), sound(), sound()
    values("t", unread)
    values("rms", read)
    values("beat", tempo)
    assert (unread.digest, read.digest, tempo.digest) == ("", "content", "")


def test_a_message_shows_the_arguments_that_were_written() -> None:
    with refuses(SettingsError, "no_finite_value", "band(5, 1, 3) = nan"):
        values("band(5, 1, 3)")
