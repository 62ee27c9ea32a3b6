"""One evaluator: Python's precedence and sign rules, classic functions, whole arrays at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deforum_helpers.core.errors import SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.schedule import Timeline, numeric_series, prompt_series
from deforum_helpers.schedule.expression import parse_expression
from deforum_helpers.schedule.functions import FUNCTIONS
from deforum_helpers.schedule.reading import Reading
from deforum_helpers.schedule.timeline import FRAME_NAMES

TIMELINE = Timeline(frames=30, seed=7, fps=12.0, width=640, height=384)


def values(expression: str, timeline: Timeline = TIMELINE) -> np.ndarray:
    return numeric_series(f"0: ({expression})", timeline, "zoom").values


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1+2*3", 7),
        ("(1+2)*3", 9),
        ("2**3**2", 512),
        ("-2**2", -4),
        ("2**-1", 0.5),
        ("-3 % 5", 2),
        ("3 % -5", -2),
        ("fmod(-3, 5)", -3),
        ("mod(-3, 5)", 2),
        ("7//2", 3),
        ("-7//2", -4),
        ("1/2", 0.5),
        ("8-4-2", 2),
        ("64/4/2", 8),
        ("1+1 == 2", 1),
        ("2 != 2", 0),
        ("(1<2) + (2<=2) + (3>2) + (2>=3)", 3),
        ("(1<2) & (2<1)", 0),
        ("(1<2) | (2<1)", 1),
        ("~(1<2)", 0),
        ("~((1<2) & (2<1))", 1),
        ("~5", -6),
        ("6 ^ 3", 5),
        ("6 & 3 | 8", 10),
        ("1 | 2 ^ 3 & 1", 3),
        ("1 << 4", 16),
        ("-17 >> 2", -5),
        ("1 + 1 << 2", 8),
        ("1e3 + .5 + 5.", 1005.5),
        ("- - 5", 5),
        ("max_f", 29),
        ("s", 7),
        ("fps", 12),
        ("w/h", 640 / 384),
        ("pi", math.pi),
        ("log(e)", 1),
        ("where(0, 1/0, 3)", 3),
        ("if(2 > 1, 5, sqrt(-1))", 5),
        ("min(3, 1, 2)", 1),
        ("max(3, 1, 2)", 3),
        ("clip(5, -1, 1)", 1),
        ("round(2.5) + round(3.5)", 6),
        ("trunc(-1.9)", -1),
        ("sign(-3)", -1),
        ("pow(2, 10)", 1024),
        ("arctan2(1, 1)", math.pi / 4),
        ("hypot(3, 4)", 5),
        ("deg(pi)", 180),
        ("rad(180)", math.pi),
        ("log10(1000) + log1p(0) + expm1(0)", 3),
        ("conj(3) + real(3) + imag(3)", 6),
        ("isnan(0/0) + isnan(1)", 1),
        ("abs(-2) + floor(-1.5) + ceil(1.2)", 2),
    ],
)
def test_value(expression: str, expected: float) -> None:
    np.testing.assert_allclose(values(expression), expected, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(
    "function", ["sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "sqrt", "arcsinh", "arctan"]
)
def test_functions_of_t_against_math(function: str) -> None:
    reference = getattr(math, function.replace("arc", "a"))
    np.testing.assert_allclose(
        values(f"{function}(t/10)"), [reference(t / 10) for t in range(30)], rtol=1e-14
    )


@pytest.mark.parametrize("exponent", ["0", "1", "2", "3", "13", "100", "256", "257", "0.5", "-3"])
def test_powers_of_t_against_python(exponent: str) -> None:
    expected = [(t / 60 + 0.5) ** float(exponent) for t in range(30)]
    np.testing.assert_allclose(values(f"(t/60 + 0.5)**{exponent}"), expected, rtol=1e-13)


def test_long_runs_are_evaluated_like_short_ones() -> None:
    long = Timeline(frames=20_000, seed=7, fps=12.0, width=64, height=64)
    np.testing.assert_array_equal(values("t*t", long), np.arange(20_000.0) ** 2)
    with pytest.raises(SettingsError) as caught:
        values("1/(t - 17000)", long)
    assert caught.value.problems[0].frame == 17_000


def test_i_is_another_name_of_t() -> None:
    np.testing.assert_array_equal(values("i"), np.arange(30))


def test_conditions_choose_per_frame() -> None:
    np.testing.assert_array_equal(
        values("where(t < 10, 1, where(t < 20, t, -1))")[[0, 9, 10, 19, 20]], [1, 1, 10, 19, -1]
    )


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_arrays_and_single_frames_agree(name: str) -> None:
    function = FUNCTIONS[name]
    arguments = ["t/40 + 0.1", "0.3", "0.9 - t/50"][: max(function.least, min(function.most, 2))]
    text = f"{name}({', '.join(arguments)})"
    expression = parse_expression(Reading("zoom", text), 0, len(text), FRAME_NAMES)
    with np.errstate(all="ignore"):
        together = np.broadcast_to(expression.at(TIMELINE.scope(0, 30)), (30,))
        single = []
        for frame in range(30):
            scope = TIMELINE.constants()
            scope["t"] = scope["i"] = np.float64(frame)
            single.append(float(expression.at(scope)))
    np.testing.assert_allclose(together, single, rtol=1e-13)


# Expressions as (text, reference) pairs; the reference is plain Python over one frame.
def _leaf() -> st.SearchStrategy[tuple[str, Any]]:
    numbers = st.integers(0, 50).map(lambda n: (str(n), lambda t: float(n)))
    fractions = st.floats(0, 50, allow_nan=False).map(lambda x: (f"{x:.3f}", lambda t: float(f"{x:.3f}")))
    return st.one_of(numbers, fractions, st.just(("t", lambda t: t)), st.just(("max_f", lambda t: 29.0)))


def _grown(inner: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    operators = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "<": lambda a, b: float(a < b),
        ">=": lambda a, b: float(a >= b),
    }

    def binary(symbol: str, left: tuple[str, Any], right: tuple[str, Any]) -> tuple[str, Any]:
        apply = operators[symbol]
        return f"({left[0]}){symbol} ({right[0]})", lambda t: apply(left[1](t), right[1](t))

    def call(function: str, inner: tuple[str, Any]) -> tuple[str, Any]:
        apply = {"sin": math.sin, "abs": abs, "floor": math.floor, "-": lambda x: -x}[function]
        return f"{function}({inner[0]})", lambda t: float(apply(inner[1](t)))

    def choice(a: tuple[str, Any], b: tuple[str, Any], c: tuple[str, Any]) -> tuple[str, Any]:
        text = f"where({a[0]}, {b[0]},{c[0]})"
        return text, lambda t: b[1](t) if a[1](t) else c[1](t)

    return st.one_of(
        st.builds(binary, st.sampled_from(sorted(operators)), inner, inner),
        st.builds(call, st.sampled_from(["sin", "abs", "floor", "-"]), inner),
        st.builds(choice, inner, inner, inner),
    )


@given(st.recursive(_leaf(), _grown, max_leaves=8))
def test_random_expressions_equal_plain_python(pair: tuple[str, Any]) -> None:
    text, reference = pair
    expected = [reference(float(frame)) for frame in range(30)]
    if max(map(abs, expected)) < 1e9:
        np.testing.assert_allclose(values(text), expected, rtol=1e-6, atol=1e-6)


def test_noise_is_smooth_bounded_and_belongs_to_the_seed() -> None:
    long = Timeline(frames=5000, seed=7, fps=12.0, width=64, height=64)
    noise = values("noise(t/25)", long)
    assert -1 <= noise.min() < -0.9
    assert 0.9 < noise.max() <= 1
    assert np.abs(np.diff(noise)).max() < 2 * 1.875 / 25
    assert abs(noise.mean()) < 0.1
    np.testing.assert_array_equal(noise, values("noise(t/25)", long))
    other = values("noise(t/25)", Timeline(frames=5000, seed=8, fps=12.0, width=64, height=64))
    assert np.abs(noise - other).max() > 1
    np.testing.assert_allclose(values("noise(-t/25)", long)[:25], values("noise((0-t)/25)", long)[:25])


def slow_noise(x: float, seed: int) -> float:
    """Value noise on SplitMix64 in plain integers: the readable reference."""

    def hashed(number: int) -> int:
        number = (number + 0x9E3779B97F4A7C15) % 2**64
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
        return number ^ number >> 31

    def corner(cell: int) -> float:
        return (hashed((cell + hashed(seed % 2**64)) % 2**64) >> 11) / 2**52 - 1

    cell = math.floor(x)
    f = x - cell
    weight = 6 * f**5 - 15 * f**4 + 10 * f**3
    return corner(cell) + (corner(cell + 1) - corner(cell)) * weight


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, -1])
def test_noise_equals_the_slow_reference(seed: int) -> None:
    series = values("noise(t*0.37 - 5)", Timeline(frames=30, seed=seed, fps=12.0, width=64, height=64))
    np.testing.assert_allclose(series, [slow_noise(t * 0.37 - 5, seed) for t in range(30)], atol=1e-12)


@pytest.mark.parametrize(
    ("expression", "column", "found", "word"),
    [
        ("", 5, "the end of the expression", "bracket"),
        ("1 +", 8, "the end of the expression", "number"),
        ("1 2", 7, "'2'", "multiply"),
        ("3t", 6, "'t'", "multiply"),
        ("sin", 5, "'sin' without brackets", "sin(t)"),
        ("t(3)", 6, "'('", "multiply"),
        ("sinus(t)", 5, "'sinus'", "arcsin"),
        ("T", 5, "'T'", "max_f"),
        ("1 and 2", 7, "'and'", "&"),
        ("not t", 5, "'not'", "~( )"),
        ("1 if t else 2", 7, "'if'", "where("),
        ("t = 1", 7, "'='", "=="),
        ("0 < t < 5", 11, "'<'", "(a < b) & (b < c)"),
        ("clip(t, 1)", 5, "clip with 2 arguments", "clip with 3"),
        ("sin()", 9, "')'", "number"),
        ("0,5", 6, "','", "point"),
        ("t.real", 6, "'.'", "operator"),
        ("t[0]", 6, "'['", "operator"),
        ("1e16", 5, "'1e16'", "9.0072e+15"),
        ("5 ° 3", 7, "'°'", "operator"),
        ("\u22121.5", 5, "'\u2212'", "write - as on a keyboard"),
        ("t \u00d7 2", 7, "'\u00d7'", "write * as on a keyboard"),
        ("sin(2*\u03c0)", 11, "'\u03c0'", "write pi"),
        ("\uff081\uff09", 5, "'\uff08'", "write ( as on a keyboard"),
        ("\u201c1\u201d", 5, "'\u201c'", "as on a keyboard"),
        ("1; 10", 6, "';'", "comma"),
        ("2*acos(t)", 7, "'acos'", "arccos"),
        ("max_frames/2", 5, "'max_frames'", "write max_f + 1"),
        ("2*PI", 7, "the unknown name 'PI'", "write pi in small letters"),
        ("Sin(t)", 5, "the unknown function 'Sin'", "write sin in small letters"),
        ("random()", 5, "'random'", "noise(t)"),
    ],
)
def test_refusal_names_column_and_remedy(expression: str, column: int, found: str, word: str) -> None:
    with pytest.raises(SettingsError) as caught:
        values(expression)
    (problem,) = caught.value.problems
    assert (problem.setting, problem.frame, problem.column) == ("zoom", 0, column)
    assert problem.found is not None
    assert found in problem.found
    assert word in problem.message
    assert problem.message.startswith(f"zoom, frame 0, column {column}: ")
    assert problem.found in problem.message
    assert problem.code


@pytest.mark.parametrize(
    ("expression", "advised"), [("log(-1-t)", True), ("(-t-1)**0.5", True), ("1/t", False)]
)
def test_roots_of_negative_numbers_get_advice(expression: str, advised: bool) -> None:
    with pytest.raises(SettingsError) as caught:
        values(expression)
    (problem,) = caught.value.problems
    assert ("abs(...) or max(..., 0)" in problem.message) == advised


@pytest.mark.parametrize(
    ("expression", "frame", "column", "account"),
    [
        ("1/(t-12)", 12, 6, "1 / 0 = inf"),
        ("sqrt(-10-t)", 0, 5, "sqrt(-10) = nan"),
        ("(cos(t)-2)**0.9", 0, 15, "(-1) ** 0.9 = nan"),
        ("(t+0.5) & 1", 0, 13, "0.5 & 1 = nan"),
        ("2 + log(5-t)", 5, 9, "log(0) = -inf"),
        ("(-8)**(1/3)", 0, 9, "(-8) ** 0.333333 = nan"),
        ("where(t < 3, 1/t*t, 1/0)", 3, 26, "1 / 0 = inf"),
        ("where(t == 3, 1/0, 1/t)", 0, 25, "1 / 0 = inf"),
        ("t & 1.5", 0, 7, "0 & 1.5 = nan"),
        ("1e15*1e4 & 1", 0, 14, "1e+19 & 1 = nan"),
        ("1 << (2000 + t)", 0, 7, "1 << 2000 = inf"),
        ("1 >> -1", 0, 7, "1 >> -1 = nan"),
        ("10**t", 16, 7, "the value 1e+16"),
        ("noise(1e15*1e15)", 0, 5, "noise(1e+30) = nan"),
        ("exp(t*1000)", 1, 5, "exp(1000) = inf"),
    ],
)
def test_first_bad_frame_is_named_with_its_operation(
    expression: str, frame: int, column: int, account: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        values(expression)
    (problem,) = caught.value.problems
    assert (problem.setting, problem.frame, problem.column, problem.found) == ("zoom", frame, column, account)


def test_prompts_have_the_same_names_and_functions() -> None:
    text = "`t` `s` `max_f` `fps` `w` `h` `pi` `where(t>1, 1/2, 3)` `tan(t)` `2**-1` `t/2`"
    series = prompt_series({"0": text}, TIMELINE)
    assert series.positive[2] == f"2 7 29 12 640 384 {math.pi!r} 0.5 {np.tan(2.0).item()!r} 0.5 1.0"
    assert series.positive[0].split()[7] == "3"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("t^2", [2]),
        ("2^t", [2]),
        ("where(t > 2, t^2^2, 1)", [15, 17]),
        ("fps^2", [4]),
        ("(t > 2)^(t < 9)", []),
        ("5^3", []),
        ("(1+2)^-4", []),
        ("t**2", []),
    ],
)
def test_a_caret_that_looks_like_a_power_is_told(text: str, columns: list[int]) -> None:
    series = numeric_series(text, TIMELINE, "zoom")
    assert len([one for one in series.warnings if code_of(one) == "caret_is_xor"]) == len(columns)
    assert all(any(f"column {column}:" in one for one in series.warnings) for column in columns)


def test_a_caret_between_fractions_is_refused_with_the_power() -> None:
    with pytest.raises(SettingsError, match=r"\*\* for powers"):
        numeric_series("0: (1.5^2)", TIMELINE, "zoom")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("np.sin(t)", "write sin alone"),
        ("math.sin(t)", "write sin alone"),
        ("Math.pow(t, 2)", "write pow alone"),
        ("numpy . pi", "write pi alone"),
        ("np.asin(t)", "write arcsin"),
        ("random.random()", "noise(t)"),
        ("sin t", "write sin( )"),
        ("2*cos[t]", "write cos( )"),
        ("t²", "write **2"),
    ],
)
def test_what_other_languages_write_gets_a_hint(text: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        numeric_series(f"0: ({text})", TIMELINE, "zoom")
    assert hint in caught.value.problems[0].message
