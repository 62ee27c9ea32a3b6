from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.registry import UnknownName
from deforum_helpers.engines.names import SAMPLERS, SCHEDULERS, samplers, schedulers, split_sampler, steps_run


@pytest.mark.parametrize(
    ("sampler", "scheduler", "expected"),
    [
        ("Euler a", "Automatic", ("Euler a", "Uniform")),
        ("dpm++ 2m KARRAS", "Automatic", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Heun Exponential", "Automatic", ("DPM++ 2M SDE Heun", "Exponential")),
        ("DPM++ 2M Karras", "sgm_uniform", ("DPM++ 2M", "SGM Uniform")),
        ("DPM++ 2M", "automatic", ("DPM++ 2M", "Karras")),
        ("euler", "ALIGN YOUR STEPS gits", ("Euler", "Align Your Steps GITS")),
        ("DDIM", "Karras", ("DDIM", "DDIM")),
        ("LMS Karras", "Automatic", ("LMS", "Karras")),
    ],
)
def test_names_are_taken_apart(sampler: str, scheduler: str, expected: tuple[str, str]) -> None:
    assert split_sampler(sampler, scheduler) == expected


@pytest.mark.parametrize(
    ("sampler", "scheduler"), [("Eular", "Automatic"), ("Euler", "Karas"), ("", "Karras")]
)
def test_unknown_names_are_answered_with_the_known_ones(sampler: str, scheduler: str) -> None:
    with pytest.raises(UnknownName, match="expected one of: "):
        split_sampler(sampler, scheduler)


def test_every_sampler_has_a_real_automatic_scheduler() -> None:
    assert set(SAMPLERS.values()) <= set(SCHEDULERS) - {"Automatic"}
    assert len(samplers()) == 25
    assert len(schedulers()) == 16


@pytest.mark.parametrize(
    ("steps", "strength", "expected"),
    [(20, 0.35, 8), (20, 0.0, 1), (20, 1.0, 20), (20, 0.999, 20), (1, 0.5, 1), (8, 0.45, 4), (20, None, 20)],
)
def test_image_to_image_runs_a_tail_of_the_steps(steps: int, strength: float | None, expected: int) -> None:
    assert steps_run(steps, strength) == expected


@given(st.integers(1, 200), st.floats(0, 1))
def test_at_least_one_step_and_never_more_than_all(steps: int, strength: float) -> None:
    assert 1 <= steps_run(steps, strength) <= steps


def test_names_and_checkpoints_need_no_torch() -> None:
    code = (
        "import sys, deforum_helpers.engines.names, deforum_helpers.models.weights.checkpoints; "
        "import deforum_helpers.engines;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
