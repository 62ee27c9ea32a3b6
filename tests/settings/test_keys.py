"""Keys written in frames, seconds and beats: they are read as the frames that they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.schedule import Timeline, key_frame, numeric_series
from deforum_helpers.schedule.edit import with_keys
from deforum_helpers.schedule.sound import Beats, Sound
from deforum_helpers.settings import Settings
from deforum_helpers.settings.keys import UNITS_OF_KEYS, key_written, with_keys_in

SOUND = Sound(lambda: Beats.steady(97.3, 0.37))


@given(
    st.integers(-50, 20_000),
    st.sampled_from(UNITS_OF_KEYS),
    st.sampled_from([1, 12, 15, 23.976, 25, 29.97, 60, 240]),
)
def test_keys_are_read_as_their_frames(frame: int, unit: str, fps: float) -> None:
    over = Timeline(10_000, 7, fps, 64, 64, SOUND)
    assert key_frame(key_written(frame, over, unit), over, "zoom")[0] == frame  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", UNITS_OF_KEYS)
def test_all_texts_with_keys_are_converted(unit: str) -> None:
    over = Timeline(121, 7, 20.0, 64, 64, SOUND)
    before = Settings(
        max_frames=121,
        fps=20,
        zoom="0: (1), 2bar: (1.2) ~cubic, -1: (t), 500: (3)",
        sampler_schedule="0: (a), 50%: (b)",
        init_images='{"0": "a.png",  "1b": "b.png"}',
        prompts={"0": "a", "4b": "b"},
        angle="0: (1+",
    )
    after = with_keys_in(before, over, unit)  # type: ignore[arg-type]
    zoom = [numeric_series(one.zoom, over, "zoom").values.tolist() for one in (before, after)]
    assert zoom[0] == zoom[1]
    assert "bar" not in after.zoom
    assert "%" not in after.sampler_schedule
    assert after.init_images.startswith('{"0": "a.png",  "')
    assert ("1b" in after.init_images) == (unit == "beats")
    assert after.angle == before.angle
    assert list(after.prompts.values()) == ["a", "b"]


def test_a_text_that_a_lenient_reading_held_together_is_written_anew() -> None:
    assert with_keys("0: 0: (1), 5: (2) ~hold", "numbers", ["0", "1s"]) == "0: 0: (1), 1s: (2) ~hold"
    assert with_keys("0: (1), 5: 5: (2) ~hold", "numbers", ["0", "1s"]) == "0: (1), 1s: (2) ~hold"
