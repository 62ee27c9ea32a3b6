"""Schedules, prompts and seeds, expanded from the texts of a settings file to one value per frame."""

from __future__ import annotations

from deforum_helpers.schedule.keyframes import key_frame
from deforum_helpers.schedule.prompts import PromptSeries, interpolated_prompt_series, prompt_series
from deforum_helpers.schedule.seeds import KeySeeds, seed_series
from deforum_helpers.schedule.series import NumericSeries, StringSeries, numeric_series, string_series
from deforum_helpers.schedule.timeline import Timeline

__all__ = [
    "KeySeeds",
    "NumericSeries",
    "PromptSeries",
    "StringSeries",
    "Timeline",
    "interpolated_prompt_series",
    "key_frame",
    "numeric_series",
    "prompt_series",
    "seed_series",
    "string_series",
]
