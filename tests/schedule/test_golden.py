"""Schedules, prompts and seeds give what classic Deforum gave; deviations are named in the vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.schedule import Timeline, numeric_series, prompt_series, seed_series, string_series
from deforum_helpers.schedule.prompts import interpolated_prompt_series

GOLDEN = Path(__file__).parents[1] / "golden"


def cases(name: str) -> list[dict[str, Any]]:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))["cases"]


def timeline(frames: int, seed: int = 1) -> Timeline:
    return Timeline(frames=frames, seed=seed, fps=15.0, width=512, height=512)


@pytest.mark.parametrize("case", cases("schedules.json"), ids=lambda case: case["text"] or "empty")
def test_schedule(case: dict[str, Any]) -> None:
    read = string_series if case["kind"] == "words" else numeric_series
    over = timeline(case["frames"], case["seed"])
    if case.get("refused"):
        with pytest.raises(SettingsError):
            read(case["text"], over, "zoom")
        return
    values = read(case["text"], over, "zoom").values
    if case["kind"] == "words":
        assert list(values) == case["values"]
    else:
        np.testing.assert_allclose(values, case["values"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "case", [case for case in cases("prompts.json") if "texts" not in case], ids=lambda case: case["prompt"]
)
def test_prompt(case: dict[str, Any]) -> None:
    frame = int(case["kind"].split()[1])
    series = prompt_series({"0": case["prompt"]}, timeline(100))
    positive, negative = series.positive[frame], series.negative[frame]
    if "sides" in case:
        assert [positive, negative] == case["sides"]
    else:
        assert positive + (f"--neg {negative}" if negative else "") == case["effective"]


@pytest.mark.parametrize("case", [case for case in cases("prompts.json") if "texts" in case], ids=str)
def test_blended_prompts(case: dict[str, Any]) -> None:
    """But for white space: what is put before and after each prompt adds some, though it is empty here."""
    series = interpolated_prompt_series(case["prompt"], timeline(6))
    wanted = [text.split("--neg") for text in case["texts"]]
    assert [_dense(text) for text in series.positive] == [_dense(positive) for positive, *_ in wanted]
    assert [_dense(text) for text in series.negative] == [_dense("".join(rest)) for _, *rest in wanted]


def _dense(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("case", cases("seeds.json"), ids=lambda case: f"{case['behavior']} {case['iter_n']}")
def test_seeds(case: dict[str, Any]) -> None:
    frames = range(len(case["seeds"]))
    series = seed_series(case["behavior"], case["seed"], frames, iter_n=case["iter_n"])
    assert [key.seed for key in series] == case["seeds"]
    assert [key.noise_seed for key in series] == case["seeds"]
