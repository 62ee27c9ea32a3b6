from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deforum_helpers.engines.diffusion.families import _noise_model_of_betas, noise_model_of_flow
from deforum_helpers.engines.diffusion.sigmas import _beta_quantile, noise_levels
from deforum_helpers.engines.names import SCHEDULERS

SD = _noise_model_of_betas({"beta_start": 0.00085, "beta_end": 0.012}, "sd1").table
FLOW = noise_model_of_flow(3.0, 1000).table
LABELS = [label for label in SCHEDULERS if label != "Automatic"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("table", [SD, FLOW], ids=["sd", "flow"])
@given(steps=st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_levels_fall_from_the_models_range_to_zero(label: str, table: object, steps: int) -> None:
    levels = noise_levels(table, label, steps)
    assert len(levels) == steps + 1
    assert levels[-1] == 0
    assert (np.diff(levels) < 0).all()
    assert levels[0] <= table.sigmas[-1] * (1 + 1e-9)
    assert levels[-2] >= table.sigmas[0] * (1 - 1e-9)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # By hand from Stable Diffusion's range 0.0292 .. 14.6146: seventh roots 0.60353 and 1.46689, evenly spaced;
        ("Karras", [14.6146, 4.7964, 1.2741, 0.2480, 0.0292]),
        # evenly spaced logarithms -3.5347 and 2.6820;
        ("Exponential", [14.6146, 3.0889, 0.6529, 0.1380, 0.0292]),
        # entries 2.5, 5 and 7.5 of the published table: sqrt(3.861 * 2.697), 1.396, sqrt(0.652 * 0.399).
        ("Align Your Steps", [14.6146, 3.2269, 1.396, 0.5101, 0.0292]),
    ],
)
def test_known_levels(label: str, expected: list[float]) -> None:
    np.testing.assert_allclose(noise_levels(SD, label, 5)[:-1], expected, rtol=4e-3)


def test_the_published_table_is_met_at_its_own_length() -> None:
    levels = noise_levels(SD, "Align Your Steps", 11)[:-1]
    np.testing.assert_allclose(levels[3], 2.697, rtol=2e-3)


def test_turbo_is_the_last_of_each_share_of_the_training_steps() -> None:
    np.testing.assert_allclose(noise_levels(SD, "Turbo", 4)[:-1], SD.sigmas[[999, 749, 499, 249]])


def test_beta_quantiles() -> None:
    np.testing.assert_allclose(_beta_quantile(np.array([0.0, 0.5, 1.0])), [0, 0.5, 1], atol=1e-9)
    # The distribution's function at the quantile of 0.2 is 0.2; x = t^(1/0.6) removes the pole at 0.
    end = _beta_quantile(np.array([0.2]))[0] ** 0.6
    t = (np.arange(10000) + 0.5) * end / 10000
    integral = ((1 - t ** (1 / 0.6)) ** -0.4).mean() * end / 0.6
    assert integral / (math.gamma(0.6) ** 2 / math.gamma(1.2)) == pytest.approx(0.2, abs=1e-5)


def test_timesteps_and_sigmas_are_inverse() -> None:
    times = np.array([0.0, 0.5, 499.25, 999.0])
    np.testing.assert_allclose(SD.timestep(SD.sigma(times)), times, atol=1e-6)


def test_a_schedule_to_pure_noise_stays_finite() -> None:
    table = _noise_model_of_betas({"rescale_betas_zero_snr": True}, "sd1").table
    assert table.sigmas[-1] == pytest.approx(4096, rel=1e-3)
    assert np.isfinite(noise_levels(table, "Karras", 5)).all()


def test_the_shift_of_flow_models_moves_levels_up() -> None:
    assert FLOW.sigmas[499] == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))
