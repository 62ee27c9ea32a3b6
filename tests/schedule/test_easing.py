"""Easings: golden values, what stands between the key frames, refusals, and texts that mean what they meant."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.easing import bezier
from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.schedule import Timeline, numeric_series, string_series
from deforum_helpers.schedule.easing import NAMES, split_easing
from deforum_helpers.schedule.reading import Span
from deforum_helpers.settings.pages import settings_page
from tests.refusals import refuses

ROOT = Path(__file__).parents[2]


def numbers(text: str, frames: int = 11) -> list[float]:
    timeline = Timeline(frames=frames, seed=7, fps=10.0, width=512, height=512)
    return numeric_series(text, timeline, "zoom").values.tolist()


# At u = 1/8 .. 7/8 of the way from 0 to 64; each can be computed by hand from the formula in docs/settings.md.
GOLDEN = {
    "linear": [8, 16, 24, 32, 40, 48, 56],
    "hold": [0, 0, 0, 0, 0, 0, 0],
    "ease_in": [1, 4, 9, 16, 25, 36, 49],
    "ease_out": [15, 28, 39, 48, 55, 60, 63],
    "ease_in_out": [2, 8, 18, 32, 46, 56, 62],
    "cubic": [2.75, 10, 20.25, 32, 43.75, 54, 61.25],
    "monotone": [2.75, 10, 20.25, 32, 43.75, 54, 61.25],
    "bounce": [7.5625, 30.25, 62.0625, 49, 51.0625, 62.25, 61.5625],
    "elastic": [87.3036, 58.3431, 64, 65, 63.2718, 64.3536, 63.8713],
    "bezier(0, 0, 1, 1)": [8, 16, 24, 32, 40, 48, 56],
    "bezier(0.5, 0, 0.5, 1)": [],  # below
}


@pytest.mark.parametrize("easing", [name for name in GOLDEN if GOLDEN[name]])
def test_golden_values(easing: str) -> None:
    values = numbers(f"0: (0), 8: (64) ~{easing}", 10)
    assert [values[0], *values[8:]] == [0, 64, 64]
    assert values[1:8] == pytest.approx(GOLDEN[easing], abs=1e-4)


def test_every_easing_has_golden_values_and_a_row_in_the_documentation() -> None:
    assert {name.split("(")[0] for name in GOLDEN} == set(NAMES)
    page = settings_page()
    assert all(f"| `~{name}" in page for name in NAMES)


def test_bezier_is_exact() -> None:
    # At s = 1/4 the curve (1/2, 0), (1/2, 1) is at x = 19/64, y = 10/64; at s = 3/4 at x = 45/64, y = 54/64.
    at = np.array([19, 32, 45]) / 64
    assert bezier(at, 0.5, 0.0, 0.5, 1.0) * 64 == pytest.approx([10, 32, 54], abs=1e-12)


@given(*[st.floats(0, 1)] * 2, *[st.floats(-2, 2)] * 2, st.floats(0, 1))
def test_bezier_gives_the_y_of_its_x(x1: float, x2: float, y1: float, y2: float, s: float) -> None:
    def at(first: float, second: float) -> float:
        return 3 * (1 - s) ** 2 * s * first + 3 * (1 - s) * s**2 * second + s**3

    x = at(x1, x2)
    steepness = (1 - s) ** 2 * x1 + 2 * (1 - s) * s * (x2 - x1) + s**2 * (1 - x2)
    if steepness > 1e-3:  # a vertical stretch has many y
        assert bezier(np.array([x]), x1, y1, x2, y2)[0] == pytest.approx(at(y1, y2), abs=1e-9)


def test_cubic_runs_smoothly_through_its_neighbors_and_may_overshoot() -> None:
    values = numbers("0: (0), 4: (8) ~cubic, 8: (8) ~cubic, 10: (0) ~cubic")
    # Slopes: 0, (4*2 + 4*0)/8 = 1, (2*0 + 4*-4)/6 = -8/3, 0. Halfway: mean + length/8 * (slope - next slope).
    assert values[2] == pytest.approx(4 + 4 / 8 * (0 - 1))
    assert values[6] == pytest.approx(8 + 4 / 8 * (1 + 8 / 3))
    assert max(values) > 8


@given(
    st.dictionaries(st.integers(1, 30), st.integers(-50, 50), min_size=1, max_size=8),
    st.sampled_from(sorted({"linear", "hold", "ease_in", "ease_out", "ease_in_out", "monotone", "bounce"})),
)
def test_most_easings_stay_between_their_ends(points: dict[int, int], easing: str) -> None:
    keys = {0: 5, **points}
    values = numbers(", ".join(f"{key}: ({value}) ~{easing}" for key, value in keys.items()), 40)
    ordered = sorted(keys)
    for first, last in pairwise(ordered):
        low, high = sorted((keys[first], keys[last]))
        assert min(values[first : last + 1]) >= low - 1e-9
        assert max(values[first : last + 1]) <= high + 1e-9
        assert values[first] == keys[first]


def test_a_monotone_curve_rises_where_its_key_frames_rise() -> None:
    values = numbers("0: (0), 2: (1) ~monotone, 4: (10) ~monotone, 10: (11) ~monotone")
    assert all(later > earlier for earlier, later in pairwise(values))


def test_easings_run_between_evaluated_values() -> None:
    assert numbers("0: (t+max_f), 4: (2*t+10) ~linear, 6: (0)") == [10, 12, 14, 16, 18, 20, 0, 0, 0, 0, 0]
    assert numbers("0: (5), 4: (t) ~hold")[:6] == [5, 5, 5, 5, 4, 5]
    assert numbers("0: (sqrt(t-2)), 4: (2) ~hold, 8: (2)")[:5] == [2, 2, 2, 2, 2]


def test_each_easing_acts_on_the_way_to_its_own_key_frame_only() -> None:
    assert numbers("0: (0), 4: (4), 8: (8) ~hold, 10: (0)") == [0, 1, 2, 3, 4, 4, 4, 4, 8, 4, 0]
    assert numbers("8: (8) ~hold, 0: (0)") == [0] * 8 + [8] * 3


def test_an_easing_without_a_key_frame_before_it_is_named() -> None:
    series = numeric_series("0: (1) ~ease_in, 5: (2)", Timeline(10, 7, 10.0, 64, 64), "zoom")
    assert [code_of(warning) for warning in series.warnings] == ["easing_without_start"]


@pytest.mark.parametrize(
    "text",
    [
        "0:(1),8:(2)~ease_in",
        "0: 1, 8: 2 ~ease_in",
        '0: ("1"), "8": "2" ~ ease_in ',
        "0: (1),\n8: (2)\n  ~ease_in\n",
        "0: (1) 8: (2) ~ease_in",
        "0: (1), 8: (2 ~ease_in",
    ],
)
def test_easings_are_read_where_values_are(text: str) -> None:
    assert numbers(text)[4] == 1.25


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("0: (1), 8: (2) ~easein", "unknown_easing", "easein"),
        ("0: (1), 8: (2) ~ease_in(2)", "easing_arguments", "ease_in"),
        ("0: (1), 8: (2) ~bezier", "easing_arguments", "bezier"),
        ("0: (1), 8: (2) ~bezier()", "easing_arguments", "bezier()"),
        ("0: (1), 8: (2) ~bezier(0, 0, 1)", "easing_arguments", "bezier"),
        ("0: (1), 8: (2) ~bezier(0, 0, 1.5, 1)", "easing_arguments", "1.5"),
        ("0: (1), 8: (2) ~bezier(0, nan, 1, 1)", "easing_arguments", "nan"),
        ("0: (1), 8: (2) ~bezier(0, 101, 1, 1)", "easing_arguments", "101"),
        ("0: (1), 8: (2 ~hold)", "unexpected_token", "easing"),
        ("0: (1), 8: (2) ~", "unexpected_token", "~"),
        ("0: (1), 8: ~hold", "unknown_name", "hold"),
    ],
)
def test_refused(text: str, code: str, found: str) -> None:
    with refuses(SettingsError, code, found, "frame 8"):
        numbers(text)


@pytest.mark.parametrize(
    ("text", "value"), [("~1", -2), ("~(t>3)", 1), ("5 & ~1", 4), ("(3) & ~(1)", 2), ("~~3", 3)]
)
def test_the_operator_of_expressions_stays(text: str, value: float) -> None:
    assert numbers(f"0: ({text})")[0] == value
    assert numbers(f"0: {text}")[0] == value


def test_names_and_texts_have_no_easing() -> None:
    series = string_series("0: (a), 5: (b) ~hold", Timeline(10, 7, 10.0, 64, 64), "sampler_schedule")
    assert series.values[5] == "(b) ~hold"


def test_no_settings_file_of_earlier_years_has_an_easing() -> None:
    paths = [
        *(ROOT / "tests" / "settings" / "files").iterdir(),
        *(ROOT / "config" / "presets").rglob("*.txt"),
    ]
    texts = {
        text
        for path in paths
        for text in re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text("utf-8-sig", "replace"))
    }
    assert len(texts) > 500
    assert [text for text in texts if split_easing(text, Span(0, len(text)))[1] is not None] == []


def test_elastic_overshoots_and_settles() -> None:
    values = numbers("0: (0), 100: (1) ~elastic", 101)
    assert max(values) == pytest.approx(1.37, abs=0.01)
    assert all(abs(value - 1) < 0.01 for value in values[70:])
    assert all(math.isfinite(value) for value in values)
