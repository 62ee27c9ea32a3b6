"""Schedules over frames: ramps, held expressions, lenient readings and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.schedule import Timeline, numeric_series, string_series


def timeline(frames: int = 10) -> Timeline:
    return Timeline(frames=frames, seed=7, fps=15.0, width=512, height=512)


def numbers(text: str, frames: int = 10) -> list[float]:
    return numeric_series(text, timeline(frames), "zoom").values.tolist()


def slow_series(points: dict[int, float | str], frames: int) -> list[float]:
    """Walk the frames one by one, as the rules are told: the readable reference."""
    known: dict[int, float] = {}
    latest: float | str | None = None
    for frame in range(frames):
        latest = points.get(frame, latest)
        if latest == "t*t":
            known[frame] = float(frame * frame)
        elif latest == "-t":
            known[frame] = -float(frame)
        elif frame in points:
            known[frame] = float(points[frame])
    known.setdefault(0, known[min(known)])
    known.setdefault(frames - 1, known[max(known)])
    series = []
    for frame in range(frames):
        left = max(known_frame for known_frame in known if known_frame <= frame)
        right = min(known_frame for known_frame in known if known_frame >= frame)
        share = (frame - left) / (right - left) if right > left else 0.0
        series.append(known[left] * (1 - share) + known[right] * share)
    return series


points_of = st.dictionaries(
    st.integers(0, 40), st.one_of(st.integers(-9, 9), st.sampled_from(["t*t", "-t"])), min_size=1, max_size=8
)


@given(points_of, st.integers(1, 30), st.randoms(use_true_random=False))
def test_random_schedules_equal_the_slow_reference(
    points: dict[int, float | str], frames: int, random: object
) -> None:
    if not any(frame < frames for frame in points):
        points[0] = 1
    frames_in_any_order = list(points)
    random.shuffle(frames_in_any_order)  # type: ignore[attr-defined]
    wrappers = ["{}: ({})", "{}:{}", " {} : ( {} ) ", '"{}": ({})', "{}:('{}')"]
    text = ", ".join(random.choice(wrappers).format(f, points[f]) for f in frames_in_any_order)  # type: ignore[attr-defined]
    series = numeric_series(text, timeline(frames), "zoom")
    np.testing.assert_allclose(series.values, slow_series(points, frames), rtol=1e-12, atol=1e-12)
    assert series.key_frames == tuple(sorted(frame for frame in points if frame < frames))


@given(
    st.dictionaries(st.integers(0, 20), st.sampled_from(["Euler a", "DDIM", "x (y)", "a, b: c"]), min_size=1)
)
def test_random_words_hold_until_the_next_key_frame(points: dict[int, str]) -> None:
    text = ", ".join(f'{frame}: ("{word}")' for frame, word in points.items())
    first = points[min((frame for frame in points if frame < 10), default=min(points))]
    expected = []
    for frame in range(10):
        first = points.get(frame, first)
        expected.append(first)
    assert list(string_series(text, timeline(), "mask_schedule").values) == expected


@pytest.mark.parametrize(
    ("value", "ramps"),
    [
        ("5", True),
        ("-(5)", True),
        ("+5", True),
        (".5", True),
        ("5.", False),
        ("5e0", False),
        ("- 5", False),
        ("2+3", False),
    ],
)
def test_only_plain_numbers_ramp(value: str, ramps: bool) -> None:
    series = numbers(f"0: ({value}), 9: (20)")
    assert (series[1] != series[0]) == ramps
    assert series[9] == 20


def test_values_are_frozen() -> None:
    with pytest.raises(ValueError, match="read-only"):
        numeric_series("0: (1)", timeline(), "zoom").values[0] = 2


@pytest.mark.parametrize(
    "text",
    [
        "0:1,4:3",
        " 0 : (1) ,\n 4 : (3) ,",
        "4:(3), 0:(1)",
        '\'0\':(1), "4":("3")',
        '(0):((1)), max_f-5:("(3)")',
        "0:(1), 4:(min(3, 5))",
        "0:(1), s-3:(3)",
        "0:(1), 4.0:(3)",
        "0:(1), (max_f-1)/2:(3)",
    ],
)
def test_notations_of_one_schedule(text: str) -> None:
    series = numeric_series(text, timeline(), "zoom")
    assert series.values.tolist() == [1, 1.5, 2, 2.5, 3, 3, 3, 3, 3, 3]
    assert series.key_frames == (0, 4)
    assert series.warnings == ()


@pytest.mark.parametrize(
    ("text", "expected", "column", "code", "word"),
    [
        ("0: (1), 9: (10", range(1, 11), 12, "unclosed_bracket", ""),
        ("0:(min(t,5), 6: (1)", [0, 1, 2, 3, 4, 5, 1, 1, 1, 1], 3, "unclosed_bracket", ""),
        ("0:1), 9:10", range(1, 11), 4, "stray_bracket", ""),
        ("0:(t)*(-0.5)", [-t / 2 for t in range(10)], 6, "text_after_bracket", ""),
        ("0: 0: (t)", range(10), 5, "frame_repeated", ""),
        ("0: (1) 9: (10)", range(1, 11), 8, "comma_missing", ""),
        ("0: 1\n9: 10", range(1, 11), 6, "comma_missing", ""),
        ("0: (1) max_f: (10)", range(1, 11), 8, "comma_missing", ""),
        ("0: (1),, 9: (10)", range(1, 11), 8, "empty_entry", ""),
        ("0: (5), 0: (2)", [2] * 10, 11, "key_given_again", ""),
        ("0: (1), 1.5: (2)", [1] + [2] * 9, 9, "key_rounded", ""),
        ("0.7", [0.7] * 10, None, "frame_missing", ""),
        ('"0.7"', [0.7] * 10, None, "frame_missing", ""),
        ("min(t, 3)", [0, 1, 2] + [3] * 7, None, "frame_missing", ""),
        ("5: (3)", [3] * 10, None, "no_key_at_zero", ""),
        ("5: (t)", [5] * 6 + [6, 7, 8, 9], None, "no_key_at_zero", ""),
        ("0: (1), 200: (5)", [1] * 10, None, "keys_outside", "200"),
        ("0: (1), 0-3: (5)", [1] * 10, None, "keys_outside", "-3"),
        ("20: (5)", [5] * 10, None, "keys_outside", "20"),
        ("20: (t)", [20] * 10, None, "keys_outside", "20"),
        ("0-2: (t)", [-2] * 10, None, "keys_outside", "-2"),
        ("-100000000: (t)", [-1e8] * 10, None, "keys_outside", ""),
        ("0-5: (1), 20: (2), 30: (3)", [2] * 10, None, "keys_outside", "-5, 20, 30"),
        ("0: 3: (5), 9: (8)", [5] * 4 + [5.5, 6, 6.5, 7, 7.5, 8], 1, "key_without_value", "frame 0 "),
        ("0:  4: (t)", [4] * 5 + [5, 6, 7, 8, 9], 1, "key_without_value", "frame 0 "),
        ("0: (9), 9: 0: (t)", range(9, -1, -1), 13, "extra_value", "9 has the value 0"),
        ("0: (1).5, 9: (-6)", [1.5 - t * 7.5 / 9 for t in range(10)], 4, "cut_number", "1.5"),
    ],
)
def test_lenient_reading_warns(
    text: str, expected: list[float], column: int | None, code: str, word: str
) -> None:
    series = numeric_series(text, timeline(), "zoom")
    np.testing.assert_allclose(series.values, list(expected))
    place = "zoom:" if column is None else f"zoom, column {column}:"
    (warning,) = (one for one in series.warnings if code_of(one) == code)
    assert warning.startswith(place)
    assert word in warning


def test_many_warnings_are_counted() -> None:
    series = numeric_series(", ".join(f"{frame}: ({frame})" for frame in range(10, 60)), timeline(), "zoom")
    assert "10, 11, 12, 13, 14 and 45 more" in series.warnings[0]
    many = numeric_series("0:(1)" * 1 + " 1:(1)" * 50, timeline(), "zoom").warnings
    assert code_of(many[-1]) == "more_warnings"


@pytest.mark.parametrize(
    ("text", "expected", "warned"),
    [
        ("0: (Euler a)", "Euler a", ""),
        ('0: "Euler a"', "Euler a", ""),
        ("0: Euler a,", "Euler a", ""),
        ("Euler a", "Euler a", "frame_missing"),
        ("a, b", "a, b", "frame_missing"),
        ('0: ("({a} & <b, c>) | [m.png]")', "({a} & <b, c>) | [m.png]", ""),
        ("0: ({a} & <b>) | [m.png]", "({a} & <b>) | [m.png]", ""),
        ("0: (({a} & <b>) | [m.png])", "({a} & <b>) | [m.png]", ""),
        ("0: (model (v2).ckpt)", "model (v2).ckpt", ""),
        ("0: model (v2).ckpt", "model (v2).ckpt", ""),
        ("0: C:\\models\\a.ckpt", "C:\\models\\a.ckpt", ""),
        ("0: (C:\\models, old\\a: b.ckpt)", "C:\\models, old\\a: b.ckpt", ""),
        ("0: (it's mine), 20: (it's)", "it's mine", "keys_outside"),
        ('0: ("it\'s")', "it's", ""),
        ('0: ("a" | "b")', '"a" | "b"', ""),
        ("0: (model (v2).ckpt", "model (v2).ckpt", "unclosed_bracket"),
        ("0: a, b, 20: c", "a, b", "comma_in_value"),
        ("0: Euler a 20: DDIM", "Euler a", "comma_missing"),
        ('0: ("")', "", ""),
    ],
)
def test_words(text: str, expected: str, warned: str) -> None:
    series = string_series(text, timeline(), "checkpoint_schedule")
    assert series.values == (expected,) * 10
    assert bool(series.warnings) == bool(warned)
    assert not warned or warned in map(code_of, series.warnings)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(None, 1, "nothing")]),
        (" \n ", [(None, 1, "nothing")]),
        ("0:", [(0, 3, "nothing")]),
        ("0: ,", [(0, 3, "nothing")]),
        (": (1)", [(None, 1, "the end of the expression")]),
        ("0: ()", [(0, 5, "the end of the expression")]),
        ("0: (1), 5", [(None, 9, "'5'")]),
        ("0: (1): (2)", [(None, 7, "a second ':'")]),
        ("0:: (2)", [(None, 3, "a second ':'")]),
        ("0: (5): (2)", [(None, 7, "a second ':'")]),
        ("max_f: 5: (2)", [(None, 9, "a second ':'")]),
        ("t: (1)", [(None, 1, "the unknown name 't'")]),
        ("1/0: (1)", [(None, 2, "1 / 0 = inf")]),
        ("9999999999: (1)", [(None, 1, "the value 1e+10")]),
        ("0: (1)(2)", [(0, 7, "'('")]),
        ("0: (+)", [(0, 6, "the end of the expression")]),
        ("0: (5) abc", [(0, 8, "'abc'")]),
        (f"0: ({'9' * 16})", [(0, 5, f"'{'9' * 16}'")]),
        (
            "0: (1), foo: (2), 3: (x), 4: (1/t), 5: (q+)",
            [
                (None, 9, "the unknown name 'foo'"),
                (3, 23, "the unknown name 'x'"),
                (5, 41, "the unknown name 'q'"),
            ],
        ),
        ("0: (1/t), 5: (sqrt(-t))", [(0, 6, "1 / 0 = inf")]),
    ],
)
def test_refused_schedule_reports_every_problem(
    text: str, problems: list[tuple[int | None, int, str]]
) -> None:
    with pytest.raises(SettingsError) as caught:
        numeric_series(text, timeline(), "zoom")
    found = [(problem.frame, problem.column, problem.found) for problem in caught.value.problems]
    assert found == problems
    assert all(problem.setting == "zoom" and problem.allowed for problem in caught.value.problems)


def joined_by_lines(known: dict[int, float], frames: int) -> list[float]:
    """Return a value per frame: those that are known, straight lines between them, the outer ones held."""
    values = []
    for frame in range(frames):
        before = max((at for at in known if at <= frame), default=min(known))
        after = min((at for at in known if at >= frame), default=max(known))
        share = (frame - before) / (after - before) if before <= frame < after else 0.0
        values.append(known[before] + share * (known[after] - known[before]))
    return values


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("0: (cos(t)**0.9)", {t: math.cos(t) ** 0.9 for t in range(11) if math.cos(t) >= 0}),
        ("0: (sqrt(t-3))", {t: math.sqrt(t - 3) for t in range(3, 11)}),
        ("0: (sqrt(5-t)), 8: (2)", {t: math.sqrt(5 - t) for t in range(6)} | {8: 2.0}),
        ("0: (1), 4: (sqrt(t-6))", {0: 1.0} | {t: math.sqrt(t - 6) for t in range(6, 11)}),
        ("0: (1), 4: (sqrt(-t)), 8: (3)", {0: 1.0, 8: 3.0}),
        ("0: (t), 4: (sqrt(-t))", {0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}),
    ],
)
def test_frames_without_a_value_lie_between_their_neighbours(text: str, known: dict[int, float]) -> None:
    series = numeric_series(text, timeline(11), "zoom")
    assert series.values.tolist() == pytest.approx(joined_by_lines(known, 11), abs=1e-12)
    assert len(series.warnings) == 1


def test_frames_without_a_value_are_named() -> None:
    (warning,) = numeric_series("0: (1), 2: (cos(t)**0.9)", timeline(30), "zoom").warnings
    assert warning.startswith("zoom, frame 2, column ")
    assert "(-0.416147) ** 0.9 = nan" in warning
    assert "frames 2-4, 8-10, 15-17, 21-23, 27-29" in warning
    (warning,) = numeric_series("0: (where(t % 2 == 0, sqrt(-1), t))", timeline(30), "zoom").warnings
    assert "frames 0, 2, 4, 6, 8 and 10 more" in warning
    both = numeric_series("0: (sqrt(1-t)), 5: (log(t-9)*(t>10))", timeline(20), "zoom").warnings
    assert len(both) == 2


@pytest.mark.parametrize("text", ["0: (sqrt(-1-t))", "0: (0/0*t), 5: (sqrt(-t))", "40: (sqrt(-t))"])
def test_a_schedule_without_a_value_at_any_frame_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        numeric_series(text, timeline(11), "zoom")
    (problem,) = caught.value.problems
    assert "nan" in (problem.found or "")


@pytest.mark.parametrize("text", ["0: (sqrt(5-t) + 1/(t-9)*0 + 1/(t-3))", "0: (1/(t-3)), 5: (sqrt(-t))"])
def test_infinity_is_refused_beside_frames_without_a_value(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        numeric_series(text, timeline(11), "zoom")
    assert [problem.frame for problem in caught.value.problems] == [3]


def test_words_refuse_a_number_with_nothing_before_it() -> None:
    with pytest.raises(SettingsError) as caught:
        string_series("3: (5), 6: (DDIM)", timeline(), "sampler_schedule")
    assert (caught.value.problems[0].frame, caught.value.problems[0].column) == (3, 5)


def test_a_timeline_has_frames() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        timeline(0)
