"""Camera shake: bounded, smooth, the same for every length of video."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.camera.shake import shake_offsets, shakes
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.settings.tables import SHAKE_NAMES

names = st.sampled_from(sorted(shakes()))


def test_every_name_of_the_settings_has_a_shake() -> None:
    assert set(SHAKE_NAMES) == {"None", *shakes()}


@given(names, st.integers(1, 200), st.sampled_from([12, 24, 60]))
def test_a_longer_video_begins_like_a_shorter_one(name: str, frames: int, fps: float) -> None:
    short, long = shake_offsets(name, 1, 1, frames, fps), shake_offsets(name, 1, 1, 200, fps)
    for few, many in zip(short, long, strict=True):
        assert few.shape == (frames, 3)
        np.testing.assert_array_equal(few, many[:frames])


@given(names)
def test_the_camera_never_leaves_its_path_for_good(name: str) -> None:
    shake = shakes()[name]
    offsets = shake_offsets(name, 1, 1, 2000, 24)
    sizes = (
        (shake.translation, shake.step_translation),
        (shake.rotation_deg, shake.step_rotation_deg),
    )
    for moves, (widths, steps) in zip(offsets, sizes, strict=True):
        # layers of 1, 1/2, 1/4 ... make at most twice the width, and a path may start at the other end
        bound = 4 * np.array(widths) + np.array(steps)
        assert (np.abs(moves.cumsum(0)) <= bound + 1e-9).all()
        assert (moves[0] == 0).all()
        assert np.abs(moves).max() > 0


def test_intensity_scales_and_speed_hurries() -> None:
    plain, strong = shake_offsets("INVESTIGATION", 1, 1, 50, 24), shake_offsets("INVESTIGATION", 2, 1, 50, 24)
    np.testing.assert_allclose(strong[0], 2 * plain[0])
    np.testing.assert_allclose(strong[1], 2 * plain[1])
    hurried = shake_offsets("INVESTIGATION", 1, 2, 25, 24)[0].cumsum(0)
    np.testing.assert_allclose(hurried, plain[0].cumsum(0)[::2], atol=1e-12)


def test_names_labels_and_none() -> None:
    by_name, by_label = (
        shake_offsets("out_car_window", 1, 1, 9, 24),
        shake_offsets("Out Car Window", 1, 1, 9, 24),
    )
    np.testing.assert_array_equal(by_name, by_label)
    assert not np.any(shake_offsets("None", 1, 1, 9, 24))


def test_presets_differ() -> None:
    paths = [shake_offsets(name, 1, 1, 48, 24)[0] for name in shakes()]
    assert all(not np.allclose(a, b) for i, a in enumerate(paths) for b in paths[:i])


def test_unknown_name_lists_the_names() -> None:
    with pytest.raises(SettingsError, match="WALK_TO_THE_STORE"):
        shake_offsets("EARTHQUAKE", 1, 1, 9, 24)
